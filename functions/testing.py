"""A hub in memory and a clock you set: handlers run against ``memory_hub()``, real adapters without a server."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel
from tinydb import TinyDB
from tinydb.storages import MemoryStorage

from functions.adapters.audit import AUDIT_TABLE, TinyAudit, TinyTrails
from functions.adapters.authority import LocalAuthority
from functions.adapters.hasher import HmacHasher
from functions.adapters.index import open_index
from functions.adapters.keyring import SecretKeyring
from functions.adapters.layout import open_tables
from functions.adapters.passwords import Argon2Passwords
from functions.adapters.register_index import TinyRegister
from functions.adapters.roots import make_root
from functions.adapters.roster import TinyRoster
from functions.adapters.telemetry import MemoryTelemetry
from functions.adapters.whitelist_index import TinyWhitelist
from functions.contract.messages import (
    CpuUse,
    Encoded,
    HostHere,
    HostSample,
    LogPage,
    M,
    MemoryUse,
    Message,
    MethodRequest,
    MethodResponse,
    MetricsHistory,
    ServiceActed,
    ServiceView,
    VerbWord,
)
from functions.contract.subjects import MQTT_PREFIX
from functions.domain.bundles import Site
from functions.domain.callers import parse_caller
from functions.domain.enrolment import RENEWAL_GRACE
from functions.domain.faults import Denied, Fault, NotFound, Reason
from functions.domain.logins import SessionLifetime
from functions.domain.names import DeviceId
from functions.domain.order import Order
from functions.domain.presence import BrokerWord, Evidence
from functions.domain.refusals import RefusalSums
from functions.domain.roles import UserRole
from functions.domain.services import HostWord
from functions.domain.sessions import SessionMark
from functions.ports import Authority, Call, Hub
from functions.storage import Kept

B = TypeVar("B", bound=BaseModel)
T = TypeVar("T")

# A constant, so that expectations can be written down. The CA of a hub in
# memory is valid for twenty years from the day of the run, so also then.
START = datetime(2035, 1, 1, 12, tzinfo=UTC)

SECRET = b"the key of a hub in memory"


class SettableClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now

    def now(self) -> datetime:
        """The time that was set."""
        return self._now

    def set(self, now: datetime) -> None:
        """Set the time."""
        self._now = now

    def advance(self, by: timedelta | float) -> None:
        """Move the time on, by a duration or by seconds."""
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)


class RecordingEvents:
    """Keeps what is published, as ``(subject, body)`` in the order of publishing."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    async def publish(self, subject: str, body: Any) -> None:
        """Keep one event."""
        self.sent.append((subject, body))

    def on(self, subject: str) -> list[Any]:
        """The bodies published on a subject."""
        return [body for name, body in self.sent if name == subject]


@dataclass(frozen=True, slots=True)
class Appended:
    """A message that was appended to a stream."""

    stream: str
    device: DeviceId
    payload: bytes
    headers: Mapping[str, str]


class MemoryStreams:
    """Keeps what is appended, in order."""

    def __init__(self) -> None:
        self.appended: list[Appended] = []

    async def append(self, stream: str, device: DeviceId, payload: bytes, headers: Mapping[str, str]) -> None:
        """Keep one message."""
        self.appended.append(Appended(stream, device, payload, dict(headers)))


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was given to the broker for a device."""

    device: DeviceId
    path: tuple[str, ...]
    body: Message | Encoded[Any]
    within: float | None


class MemoryDownlink:
    """Keeps what is sent to devices, and answers calls as told.

    ``respond`` answers a request; what it raises is raised. By default every
    device does as it is asked and gives the payload back.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.respond: Callable[[DeviceId, MethodRequest], MethodResponse] = _echo
        self.fault: Fault | None = None

    def new_id(self) -> str:
        """``memory-1`` and so on."""
        return f"memory-{len(self.sent) + 1}"

    async def call(self, device: DeviceId, request: MethodRequest, *, within: float) -> MethodResponse:
        """Keep a request and give its answer."""
        await self.send(device, ("methods", request.method_name, "request"), request, within=within)
        return self.respond(device, request)

    async def send(
        self, device: DeviceId, path: tuple[str, ...], body: Message | Encoded[Any], *, within: float | None
    ) -> None:
        """Keep a message, or raise ``fault`` if one is set."""
        if self.fault is not None:
            raise self.fault
        self.sent.append(Sent(device, path, body, within))


def _echo(_: DeviceId, request: MethodRequest) -> MethodResponse:
    return MethodResponse(request_id=request.request_id, status=200, payload=request.payload)


@dataclass
class MemoryHeard:
    """What was heard of devices, as a test says."""

    evidence: dict[str, Evidence] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    words: dict[str, BrokerWord] = field(default_factory=dict)

    def of(self, device: str) -> Evidence | None:
        """What is known of a device."""
        return self.evidence.get(device)

    def overdue(self) -> list[str]:
        """Those that are said to be silent."""
        return list(self.silent)

    def brokers(self) -> dict[str, BrokerWord]:
        """What is known of brokers."""
        return dict(self.words)


@dataclass
class MemoryHosts:
    """Hosts as a test says: ``here`` by node, and how their shims answer.

    ``respond`` is given the node, what is asked and the body; what it raises
    is raised. By default every unit does as it is asked.
    """

    here: dict[str, HostHere] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    asked: list[tuple[str, tuple[str, ...], Message]] = field(default_factory=list)
    respond: Callable[[str, tuple[str, ...], Any], Message] | None = None

    def known(self) -> list[HostWord]:
        """Every host, as heard of at ``START``."""
        return [
            HostWord(
                node,
                here.source,
                here.version,
                here.started_at,
                START,
                tuple(one.unit for one in here.services),
                node in self.lost,
                here.problem,
            )
            for node, here in self.here.items()
        ]

    def last(self, node: str) -> list[ServiceView]:
        """The units of a host."""
        return self.here[node].services

    async def ask(self, node: str, ask: tuple[str, ...], body: Message, answer: type[M], *, within: float) -> M:
        """Keep what is asked and give the shim's answer."""
        self.asked.append((node, ask, body))
        told = self.respond(node, ask, body) if self.respond is not None else self._obey(node, ask, body)
        return answer.model_validate_json(told.encode())

    def _obey(self, node: str, ask: tuple[str, ...], body: Any) -> Message:
        if ask == ("units", "list"):
            return self.here[node]
        if ask == ("metrics", "history"):
            return MetricsHistory(node=node, begins_at=START, step_seconds=body.step or 10, times=[], series={})
        if ask == ("metrics",):
            return _idle(node)
        unit = next((one for one in self.here[node].services if one.unit == body.unit), None)
        if unit is None:
            raise Denied(Reason.UNIT_NOT_ALLOWED)
        if ask == ("logs", "read"):
            return LogPage(node=node, unit=body.unit, entries=[], older=None)
        if ask == ("logs", "follow"):
            # Nothing is written here that could be followed.
            raise NotFound(detail="The unit has no log.")
        return unit if ask[-1] == "get" else ServiceActed(verb=VERBS[ask[-1]], result="done", service=unit)


def _idle(node: str) -> HostSample:
    """A host with nothing to do, and nothing to do it with."""
    return HostSample(
        node=node,
        at=START,
        uptime_seconds=0,
        clock_synchronised=None,
        cpu=CpuUse(percent=0.0, cores=[0.0], load=[0.0, 0.0, 0.0]),
        memory=MemoryUse(total_bytes=1, used_bytes=0, available_bytes=1, swap_total_bytes=0, swap_used_bytes=0),
        disks=[],
        networks=[],
        temperatures=[],
        parts=[],
    )


def make_host(node: str = "hub-1", *units: str) -> HostHere:
    """A host of a supervisor, with units that run."""
    services = [
        ServiceView(
            node=node,
            unit=unit,
            description="",
            state="active",
            sub_state="running",
            since=START,
            pid=4242,
            memory_bytes=1024,
            restarts=0,
            version=None,
            verbs=["start", "stop", "restart"],
            seen_at=START,
            problem=None,
        )
        for unit in units
    ]
    return HostHere(
        node=node,
        source="supervisor",
        version="1.0",
        started_at=START,
        services=services,
        problem=None,
        leaving=False,
    )


VERBS: dict[str, VerbWord] = {"start": "start", "stop": "stop", "restart": "restart"}


@dataclass(frozen=True, slots=True)
class MemoryHub(Hub):
    """A hub whose clock can be set, and which keeps the events, messages and audit entries it was told."""

    clock: SettableClock
    events: RecordingEvents
    streams: MemoryStreams
    downlink: MemoryDownlink
    heard: MemoryHeard
    audit: TinyAudit
    telemetry: MemoryTelemetry
    hosts: MemoryHosts


def memory_hub(
    *,
    clock: SettableClock | None = None,
    authority: Authority | None = None,
    paths: tuple[str, ...] = (),
    **kept: Mapping[str, Any],
) -> MemoryHub:
    """A hub of memory adapters, with values in its stores.

    Args:
        clock: by default one that stands at ``START``.
        authority: by default a CA made once for the process, which works by the hub's clock.
        paths: of what devices report, those that queries can name.
        kept: for stores by their names, what they begin with: ``memory_hub(devices={"EDGB-0001": device})``.
    """
    clock = clock or SettableClock()
    database = TinyDB(storage=MemoryStorage)
    stores = open_tables(database, clock)
    for name, values in kept.items():
        for key, value in values.items():
            stores[name].seed(key, value)
    audit = TinyAudit(database.table(AUDIT_TABLE))
    return MemoryHub(
        renewal_grace=RENEWAL_GRACE,
        session_lifetime=SessionLifetime(),
        clock=clock,
        authority=authority or LocalAuthority(*_root(), clock),
        hasher=HmacHasher(SECRET),
        keyring=SecretKeyring(SECRET),
        # As light as argon2id can be.
        passwords=Argon2Passwords(memory_kib=8, passes=1, most_waiting=1000),
        site=Site("hub.example", 8883, MQTT_PREFIX),
        events=RecordingEvents(),
        streams=MemoryStreams(),
        downlink=MemoryDownlink(),
        heard=MemoryHeard(),
        audit=audit,
        trails=TinyTrails(audit),
        refusals=RefusalSums(),
        telemetry=MemoryTelemetry(),
        hosts=MemoryHosts(),
        index=open_index(stores, clock, paths),
        register=TinyRegister(stores["certificates"], stores["devices"]),
        whitelist_index=TinyWhitelist(stores["whitelist"]),
        roster=TinyRoster(stores["devices"]),
        **stores,
    )


@cache
def _root() -> tuple[str, str]:
    return make_root()


def call(
    body: B,
    *,
    caller: str = "system:test",
    names: tuple[str, ...] = (),
    order: Order | None = None,
    payload: bytes | None = None,
    origin: str = "test",
    session: SessionMark | None = None,
    scopes: tuple[str, ...] = (),
) -> Call[B]:
    """A call as the runtime would hand it over; the payload is the body's JSON unless given, a user is an admin."""
    if not scopes and caller.startswith("user:"):
        scopes = (UserRole.ADMIN,)
    if payload is None:
        payload = body.encode() if isinstance(body, Message) else body.model_dump_json().encode()
    return Call(body, parse_caller(caller), "test-call", names, order, payload, origin, session, scopes)


@contextmanager
def refused(kind: type[Fault]) -> Iterator[None]:
    """Demand that what is inside ends in this fault."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


async def collect(entries: AsyncIterator[tuple[str, Kept[T]]]) -> dict[str, Kept[T]]:
    """The entries of a store as a mapping; no key may come twice."""
    found: dict[str, Kept[T]] = {}
    async for key, kept in entries:
        assert key not in found, f"{key} came twice"
        found[key] = kept
    return found
