"""Callers of another account: programs that connected to the bus with credentials of their own.

The server itself writes ``Nats-Request-Info`` on their calls, over whatever
they wrote there, and names the public key by which they connected. Who that
is, and what it may do, says the hub's record of the key; nothing that they
say of themselves is asked.
"""

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from functions.contract import subjects
from functions.domain import credentials
from functions.domain.credentials import Credentials
from functions.domain.faults import Denied
from functions.domain.names import is_token
from functions.ports import Call, Hub
from functions.route import Route


def is_integrator(headers: Mapping[str, str]) -> bool:
    """Whether a call came from another account."""
    return subjects.REQUEST_INFO in headers


async def prove(headers: Mapping[str, str], hub: Hub) -> Credentials:
    """The credentials that a call was made with, read for this call: what was revoked counts at once.

    Raises:
        Denied: the server's word cannot be read, or the credentials are unknown, revoked or over.
        Unavailable: the storage.
    """
    user = key_of(headers)
    if user is None:
        raise Denied(detail="The server's account of the caller names no user.")
    kept = await hub.credentials.get(user)
    return credentials.prove(None if kept is None else kept.value, hub.clock.now())


def key_of(headers: Mapping[str, str]) -> str | None:
    """The public key that a caller connected with, on the server's word; None where that cannot be read."""
    try:
        told = from_json(headers[subjects.REQUEST_INFO])
    except ValueError:
        return None
    user = told.get("user") if isinstance(told, dict) else None
    return user if isinstance(user, str) and is_token(user) else None


async def keep_to_groups(route: Route, call: Call[Any], proven: Credentials, hub: Hub) -> None:
    """Refuse what is beyond the groups that credentials are limited to; the call names its device by id.

    Only what a record itself names counts. Of functions, only those are open
    that are about one device: what asks for many would have to leave some out.

    Raises:
        Denied: the device is in none of them, or the function is about others too.
        Unavailable: the storage.
    """
    if not proven.groups:
        return
    if not route.by_role or route.beyond:
        raise Denied(detail="Credentials that are limited to groups may only ask of one device, by its name.")
    kept = await hub.devices.get(call.names[0])
    credentials.check_device(proven.groups, kept.value.groups if kept is not None else ())
