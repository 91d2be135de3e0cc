"""``devicehub invoke``: one function, run here and now without any server.

It goes the runtime's own way (size, JSON, caller, names, deadline, faults),
over stores in a JSON file or in memory. Events and stream messages, which a
server would carry on, are shown on standard error.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.console import FAILED, complain, say_json
from infra.cli.functions import served_routes
from infra.problem import Problem

if TYPE_CHECKING:
    from tinydb import TinyDB

    from functions.contract.messages import Encoded, Message, MethodRequest, MethodResponse
    from functions.domain.bundles import Site
    from functions.domain.names import DeviceId
    from functions.ports import Authority, Clock, Hub
    from functions.route import Route
    from functions.runtime.calls import Reply

# Without a hub's secret beside the state: no secret, but the same in every run,
# so that a UUID put on the whitelist in one run is found in the next. A claim's
# key is then as open as the file it is kept in.
_KNOWN_UUID_KEY = b"no secret: devicehub invoke without a hub's uuid-key beside the state"


def invoke(
    function: Annotated[
        str, typer.Argument(metavar="FUNCTION", help="Its subject, in full or below 'devicehub.', names filled in.")
    ],
    payload: Annotated[
        Path | None, typer.Option("--payload", metavar="FILE", help="The request as JSON; - reads the input.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="A JSON file that keeps the records; without it, none stay."),
    ] = None,
    caller: Annotated[str, typer.Option("--caller", metavar="KIND:NAME", help="Who calls.")] = "system:cli",
) -> None:
    """Run one function here, without a server, and print its reply. A fault goes to standard error, with exit code 1.

    It never touches a running hub. The CA is ca/root.crt and ca/root.key
    beside the state file if they are there.
    """
    route, subject = find_route(served_routes(), function)
    request = _read(payload)
    reply = asyncio.run(_run(route, subject, request, state, caller))
    _show(reply)


def find_route(routes: "Sequence[Route]", function: str) -> "tuple[Route, str]":
    """The route that serves a subject, and the subject in full.

    Raises:
        Problem: none does, or the subject has wildcards.
    """
    from functions.contract.subjects import ROOT

    subject = function if function.startswith(f"{ROOT}.") else f"{ROOT}.{function}"
    tokens = subject.split(".")
    if "*" in tokens or ">" in tokens:
        raise Problem(
            f"{subject} is a pattern.", "Put a name in the place of each '*', such as devicehub.twins.pump-0007.get."
        )
    for route in routes:
        wanted = route.full_subject.split(".")
        if len(wanted) == len(tokens) and all(want in ("*", token) for want, token in zip(wanted, tokens, strict=True)):
            return route, subject
    raise Problem(f"No function serves {subject}.", "'devicehub functions' lists them.")


async def _run(route: "Route", subject: str, payload: bytes, state: Path | None, caller: str) -> "Reply":
    import structlog

    from functions.contract.subjects import CALLER, SCOPES
    from functions.domain.roles import UserRole
    from functions.runtime.calls import answer

    # Standard output is for the reply alone.
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
    )
    # Who has the state may do all that its user could.
    headers = {CALLER: caller, SCOPES: str(UserRole.ADMIN) if caller.startswith("user:") else ""}
    return await answer(route, _open_hub(state), subject, payload, headers)


def _show(reply: "Reply") -> None:
    import json

    from pydantic_core import from_json

    if reply.reason is not None:
        complain(json.dumps(from_json(reply.body), indent=2, ensure_ascii=False))
        raise typer.Exit(FAILED)
    say_json(from_json(reply.body))


def _read(payload: Path | None) -> bytes:
    if payload is None:
        return b""
    try:
        return sys.stdin.buffer.read() if str(payload) == "-" else payload.read_bytes()
    except OSError as problem:
        raise Problem(f"The payload cannot be read: {problem}.") from problem


class _Shown:
    """What a server would carry on, shown instead (``functions.ports.Events``, ``Streams`` and ``Downlink``)."""

    async def publish(self, subject: str, body: Any) -> None:
        """Show an event."""
        from pydantic_core import to_json

        complain(f"event {subject} {to_json(body, by_alias=True).decode()}")

    async def append(self, stream: str, device: "DeviceId", payload: bytes, headers: Mapping[str, str]) -> None:
        """Show a message for a stream."""
        facts = " ".join(f"{name}={value}" for name, value in headers.items())
        complain(f"stream {stream} {device} {facts} {payload.decode(errors='replace')}")

    def new_id(self) -> str:
        """An id for what is sent to a device."""
        return secrets.token_hex(8)

    async def send(
        self, device: "DeviceId", path: tuple[str, ...], body: "Message | Encoded[Any]", *, within: float | None
    ) -> None:
        """Show a message for a device."""
        complain(f"device {device} {'/'.join(path)} {body.encode().decode()}")

    async def call(self, device: "DeviceId", request: "MethodRequest", *, within: float) -> "MethodResponse":
        """Show a request for a device. Raises Unavailable: none is there to answer."""
        from functions.domain.faults import Unavailable

        await self.send(device, ("methods", request.method_name, "request"), request, within=within)
        raise Unavailable(detail="No device is connected to a function that runs without a server.")


def _open_hub(state: Path | None) -> "Hub":
    from functions.adapters.audit import AUDIT_TABLE, TinyAudit, TinyTrails
    from functions.adapters.clock import SystemClock
    from functions.adapters.hasher import HmacHasher
    from functions.adapters.heard import NothingHeard
    from functions.adapters.hosts import NoHosts
    from functions.adapters.keyring import SecretKeyring
    from functions.adapters.layout import open_tables
    from functions.adapters.passwords import Argon2Passwords
    from functions.adapters.telemetry import MemoryTelemetry
    from functions.domain.enrolment import RENEWAL_GRACE
    from functions.domain.logins import SessionLifetime
    from functions.domain.refusals import RefusalSums
    from functions.ports import Hub

    clock, shown, secret, database = SystemClock(), _Shown(), _uuid_key(state), _open_state(state)
    # Not kept: which CA signs is the hub's to say, or of this run alone.
    stores = open_tables(database, clock) | {"trust": open_tables(_in_memory(), clock)["trust"]}
    audit = TinyAudit(database.table(AUDIT_TABLE))
    asked: dict[str, Any] = stores | _open_indexes(stores, clock)
    return Hub(
        renewal_grace=RENEWAL_GRACE,
        session_lifetime=SessionLifetime(),
        clock=clock,
        authority=_open_authority(state),
        hasher=HmacHasher(secret),
        keyring=SecretKeyring(secret),
        passwords=Argon2Passwords(),
        site=_site(),
        events=shown,
        streams=shown,
        downlink=shown,
        heard=NothingHeard(),
        audit=audit,
        trails=TinyTrails(audit),
        refusals=RefusalSums(),
        telemetry=MemoryTelemetry(),
        hosts=NoHosts(),
        **asked,
    )


def _open_indexes(stores: dict[str, Any], clock: "Clock") -> dict[str, Any]:
    """What can be asked for, by the names of the Hub's fields."""
    from functions.adapters.index import open_index
    from functions.adapters.register_index import TinyRegister
    from functions.adapters.roster import TinyRoster
    from functions.adapters.whitelist_index import TinyWhitelist

    return {
        "index": open_index(stores, clock),
        "register": TinyRegister(stores["certificates"], stores["devices"]),
        "whitelist_index": TinyWhitelist(stores["whitelist"]),
        "roster": TinyRoster(stores["devices"]),
    }


def _site() -> "Site":
    from functions.contract.subjects import MQTT_PREFIX
    from functions.domain.bundles import Site

    return Site("localhost", 8883, MQTT_PREFIX)


def _in_memory() -> "TinyDB":
    from tinydb import TinyDB
    from tinydb.storages import MemoryStorage

    return TinyDB(storage=MemoryStorage)


def _open_state(state: Path | None) -> "TinyDB":
    from tinydb import TinyDB

    from functions.adapters.tinydb_store import FileStorage

    if state is None:
        complain("No --state: nothing of this run is kept.")
        return _in_memory()
    if not state.parent.is_dir():
        raise Problem(f"There is no directory {state.parent} for the state.", "Make it, or name another with --state.")
    try:
        tables: Any = FileStorage(state).read()
    except (OSError, ValueError) as problem:
        raise Problem(f"The state {state} cannot be read: {problem}.", "Name another with --state.") from problem
    if tables is not None and not isinstance(tables, dict):
        raise Problem(f"The state {state} is not what 'devicehub invoke' keeps.", "Name another with --state.")
    return TinyDB(state, storage=FileStorage)


def _open_authority(state: Path | None) -> "Authority":
    from functions.adapters.authority import LocalAuthority
    from functions.adapters.clock import SystemClock
    from functions.adapters.keeping import FileKeeping, MemoryKeeping
    from functions.adapters.roots import make_root
    from functions.contract.environment import Environment

    folder = (state.parent if state else Path()) / "ca"
    if state is None or not (folder / "root.crt").exists():
        complain("No ca/root.crt beside the state: what is signed now is signed by a CA made for this run.")
        return LocalAuthority(*make_root(), SystemClock())
    env = Environment(os.environ)
    passphrase = env.passphrase("HUB_CA_PASSPHRASE_FILE", "ca-passphrase")
    env.done()
    try:
        ca, _ = FileKeeping(folder / "root.crt", folder / "root.key", passphrase).look()
    except ValueError as problem:
        raise Problem(f"The CA in {folder} cannot be used: {problem}") from problem
    # In memory: what a run decides on is not for the hub whose files these are.
    return LocalAuthority.kept(MemoryKeeping(ca), SystemClock())


def _uuid_key(state: Path | None) -> bytes:
    file = (state.parent if state else Path()) / "secrets" / "uuid-key"
    if state is None or not file.exists():
        return _KNOWN_UUID_KEY
    try:
        return bytes.fromhex(file.read_text(encoding="utf-8").strip())
    except (OSError, ValueError) as problem:
        raise Problem(f"The key of UUIDs {file} cannot be read: {problem}.") from problem
