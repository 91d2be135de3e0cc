"""Requests to JetStream: answered in time, or ``Unavailable``.

The client's own key-value calls do the same with more steps in between (a
look-up of the bucket, an acknowledgement object); these are on the path of
every call of the hub.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic_core import from_json

from functions.domain.faults import Conflict, Malformed, Reason, Unavailable

# A request in flight when the server dies is never answered, and costs all of it.
REQUEST_SECONDS = 1.0

# Of one connection. More would only wait at the server, or in this process's socket, while their second runs: of a
# thousand calls of methods that came at once on a busy machine, two thirds ended as "did not answer in time". So many
# are some 20,000 a second where an answer takes 3 ms.
_AT_ONCE = 64
_turns: WeakKeyDictionary[Client, asyncio.Semaphore] = WeakKeyDictionary()

EXPECTED_REVISION = "Nats-Expected-Last-Subject-Sequence"
NOT_FOUND = "404"
_STATUS = "Status"
# The two ways a server says that the last sequence of the subject was another.
_WRONG_REVISION = (10071, 10164)


def require_connection(client: Client) -> None:
    """Refuse to begin while the server is away.

    A request would wait in the client's buffer and be sent when the server is
    back, long after its caller has given up.

    Raises:
        Unavailable: there is no connection now.
    """
    if not client.is_connected:
        raise Unavailable(detail="The storage cannot be reached now.")


async def ask(client: Client, subject: str, data: bytes = b"", headers: dict[str, str] | None = None) -> Msg:
    """Send a request when it is its turn, and give its reply. Time counts from the sending.

    Raises:
        Unavailable: no answer in time; what was asked may have been done.
        Malformed: the data is over what the server takes (``too_large``).
    """
    turns = _turns.get(client)
    if turns is None:
        turns = _turns[client] = asyncio.Semaphore(_AT_ONCE)
    async with turns:
        require_connection(client)
        return await _send(client, subject, data, headers)


async def _send(client: Client, subject: str, data: bytes, headers: dict[str, str] | None) -> Msg:
    try:
        return await client.request(subject, data, timeout=REQUEST_SECONDS, headers=headers)
    except nats.errors.MaxPayloadError as problem:
        raise Malformed(Reason.TOO_LARGE, f"A record of {len(data)} bytes is over the server's limit.") from problem
    except (nats.errors.Error, OSError) as problem:
        raise Unavailable(detail="The storage did not answer in time.") from problem


async def write(client: Client, subject: str, data: bytes, headers: dict[str, str] | None = None) -> int:
    """Publish to a stream, and give the sequence number it is stored under.

    Raises:
        Conflict: the ``EXPECTED_REVISION`` header names another than the last.
        Unavailable: it was not stored, or not said to be in time.
        Malformed: it is over what the server takes (``too_large``).
    """
    acknowledgement = from_json((await ask(client, subject, data, headers)).data)
    error = acknowledgement.get("error")
    if error is None:
        sequence: int = acknowledgement["seq"]
        return sequence
    if error.get("err_code") in _WRONG_REVISION:
        raise Conflict
    raise Unavailable(detail="The storage cannot keep this now.") from StorageError(error)


async def release(subscription: Subscription) -> None:
    """Hear no more. Where the connection was drained or closed, the subscription has gone with it."""
    with suppress(nats.errors.Error):
        await subscription.unsubscribe()


class StorageError(Exception):
    """What the server gave as its reason, for the log."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error.get('description', 'no reason given')} ({error.get('err_code', error.get('code'))})")


def status_of(message: Msg) -> str | None:
    """The status that a message carries instead of data: ``404``, ``408``, …; None for a message with data."""
    return message.headers.get(_STATUS) if message.headers else None


async def find(client: Client, subject: str, data: bytes = b"") -> Msg | None:
    """The message that a direct get gives, or None where there is none.

    Raises:
        Unavailable: the storage did not answer in time, or cannot answer now.
    """
    reply = await ask(client, subject, data)
    status = status_of(reply)
    if status is None:
        return reply
    if status == NOT_FOUND:
        return None
    raise refusal(reply)


def refusal(message: Msg) -> Unavailable:
    """The fault for a status that means that the server cannot answer."""
    headers = message.headers or {}
    fault = Unavailable(detail="The storage cannot answer this now.")
    fault.__cause__ = StorageError({"description": headers.get("Description"), "code": status_of(message)})
    return fault
