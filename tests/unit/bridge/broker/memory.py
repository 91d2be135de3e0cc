"""The hub's functions in memory, as the keeper calls them, and a broker that does what it is told."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from bridge.broker.lines import Line, parse
from bridge.broker.logfile import LogFile, LogLine
from bridge.broker.port import Follow, M
from bridge.mqtt.session import Incoming
from functions.contract.messages import (
    Access,
    AccessChanged,
    AlarmRaise,
    BrokerCertify,
    BrokerRestarted,
    Cut,
    Done,
    Issued,
    Message,
    SessionClosed,
    SessionFact,
    SessionList,
    SessionOpened,
    TrustTaken,
)
from functions.domain.callers import Caller
from functions.domain.faults import Fault, Unavailable
from functions.domain.sessions import Session

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class MemoryFunctions:
    """Answers ``broker.*`` from memory; ``faults`` are raised first, one a call, by the end of the subject."""

    def __init__(self) -> None:
        self.told: list[Message] = []
        self.raised: list[AlarmRaise] = []
        self.known: list[SessionFact] = []
        self.access = Access(claims=[], suspended=[], crl_number=1, crl_pem="crl 1", cut=[])
        self.faults: dict[str, list[Fault]] = {}
        self.asked: Counter[str] = Counter()
        self.running = 0
        self.most_running = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.news = asyncio.Condition()
        self._heard: dict[str, Callable[[Msg], Awaitable[None]]] = {}

    async def call(self, subject: str, body: Message, answer: type[M], *, caller: Caller, within: float = 5.0) -> M:
        assert str(caller) == "system:bridge"
        # What comes over the bus has been through JSON.
        body = type(body).model_validate_json(body.encode())
        if isinstance(body, AlarmRaise):
            return answer.model_validate_json(self._answer(subject, body).encode())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        async with self.news:
            self.news.notify_all()
        try:
            await self.gate.wait()
            return answer.model_validate_json(self._answer(subject, body).encode())
        finally:
            self.running -= 1
            async with self.news:
                self.news.notify_all()

    async def subscribe(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> None:
        self._heard[subject] = heard

    async def tell(self, *ends: str) -> None:
        """Publish that the access state changed."""
        subject = "devicehub.broker.access.changed"
        payload = AccessChanged(end=list(ends)).encode()
        await self._heard[subject](Msg(_client=Client(), subject=subject, data=payload))

    async def until(self, condition: Callable[[], Any], seconds: float = 10.0) -> None:
        """Wait until a call has made the condition true."""
        async with asyncio.timeout(seconds), self.news:
            await self.news.wait_for(condition)

    def cut(self, name: str, at: datetime = NOW) -> None:
        """Cut a common name with a CRL of the next number."""
        cuts = [*self.access.cut, Cut(common_name=name, at=at)]
        number = self.access.crl_number + 1
        self.access = self.access.model_copy(update={"cut": cuts, "crl_number": number, "crl_pem": f"crl {number}"})

    @property
    def lines(self) -> list[str]:
        """What was told, in short."""
        return [_short(message) for message in self.told]

    def _answer(self, subject: str, body: Message) -> Message:
        name = subject.removeprefix("devicehub.").removeprefix("broker.")
        self.asked[name] += 1
        faults = self.faults.get(name, [])
        if faults:
            raise faults.pop(0)
        if name == "access.get":
            return self.access
        if name == "sessions.list":
            return SessionList(sessions=self.known)
        if name == "certificate.sign":
            assert isinstance(body, BrokerCertify)
            chain = self.access.ca_pem
            return Issued(
                common_name="hub-broker", serial="ab", cert_pem=f"of {chain}", ca_chain_pem=chain, expires_at=NOW
            )
        if name == "trust.taken":
            assert isinstance(body, TrustTaken)
            if body.issuer == self.access.issuer:
                self.access = self.access.model_copy(update={"settled": True})
        if isinstance(body, AlarmRaise):
            self.raised.append(body)
        else:
            self.told.append(body)
        return Done()


def _short(message: Message) -> str:
    match message:
        case SessionOpened():
            return f"opened {message.client_id} {message.common_name}"
        case SessionClosed():
            return f"closed {message.client_id} {message.evidence}"
        case BrokerRestarted():
            return f"restarted {int(message.at.timestamp())}"
        case _:
            return repr(message)


class MemoryLink:
    """A session that stands, and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.disconnected = asyncio.Event()
        self.is_connected = True
        self.acknowledged: list[Incoming] = []

    async def publish(self, topic: str, payload: bytes) -> None:
        raise Unavailable()

    def acknowledge(self, incoming: Incoming) -> None:
        self.acknowledged.append(incoming)

    async def close(self) -> None:
        self.disconnected.set()


class MemoryLane:
    """A lane without traffic."""

    def __init__(self) -> None:
        self.subscribed = asyncio.Event()
        self.subscribed.set()
        self.taken = 0

    async def settled(self) -> None:
        return


@dataclass
class MemoryBroker:
    """A broker (``BrokerAdmin``) that notes what it is told; ``faults`` are raised first, one a call."""

    log: LogFile
    deeds: list[tuple[str, Any]] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    topics: tuple[str, ...] = ("$CONTROL/dynamic-security/v1/response",)
    figures: dict[str, int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    good_for: set[str] = field(default_factory=set)
    names: tuple[str, ...] = ("hub.example",)
    asked_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.gate.set()

    def take(self, incoming: Incoming) -> None:
        return

    def listen(self, follow: Follow) -> None:
        self._follow = follow

    def read_log(self) -> None:
        for line in self.log.read():
            told, done = parse_of(line), partial(self.log.acknowledge, line)
            if told is None:
                done()
            else:
                self._follow(told, done)

    async def follow_log(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.log.close()

    @property
    def log_is_large(self) -> bool:
        return False

    @property
    def log_is_there(self) -> bool:
        return True

    @property
    def log_has_gap(self) -> bool:
        return self.log.has_gap

    def forget_gap(self) -> None:
        self.log.has_gap = False

    async def apply_access(self, claims: Collection[str], suspended: Collection[str]) -> None:
        self._do("access", (sorted(claims), sorted(suspended)))

    def request_certificate(self, trust_pem: str, hostnames: Sequence[str]) -> tuple[str, Sequence[str]] | None:
        self.asked_names = ("hub.example", *hostnames)
        is_good = trust_pem in self.good_for and self.asked_names == self.names
        return None if is_good else ("csr", self.asked_names)

    def apply_trust(self, trust_pem: str, certificate_pem: str | None) -> None:
        self._do("trust", (trust_pem, certificate_pem))
        if certificate_pem is not None:
            self.good_for, self.names = {trust_pem}, self.asked_names

    async def apply_crl(self, pem: str) -> None:
        self._do("crl", pem)

    async def end_sessions(self, common_names: Collection[str]) -> None:
        await self.gate.wait()
        self._do("end", sorted(common_names))

    async def save(self) -> None:
        self._do("save", None)

    async def answers(self) -> None:
        self._do("answers", None)

    def forget_crl(self) -> None:
        self._do("forget", None)

    def sessions(self) -> Mapping[str, Session]:
        return {}

    def done(self, kind: str) -> list[Any]:
        return [what for deed, what in self.deeds if deed == kind]

    async def until(self, condition: Callable[[], Any], seconds: float = 10.0) -> None:
        """Wait until a deed has made the condition true."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def _do(self, kind: str, what: Any) -> None:
        self.changed.set()
        faults = self.faults.get(kind, [])
        if faults:
            raise faults.pop(0)
        self.deeds.append((kind, what))


def parse_of(line: LogLine) -> Line | None:
    """What a line tells."""
    return parse(line.level, line.text)


def logged(text: str, *, second: int = 0, level: str = "N") -> LogLine:
    """A log line of a second of the test's minute."""
    return LogLine(level, f"{int(NOW.timestamp()) + second}: {text}".encode(), 1)


def connect(client_id: str, common_name: str = "", *, second: int = 0, address: str = "127.0.0.1:5") -> LogLine:
    """A connect line."""
    name = common_name or client_id
    return logged(f"New client connected from {address} as {client_id} (p5, c1, k60, u'{name}').", second=second)


def end(client_id: str, *, second: int = 0) -> LogLine:
    """A disconnect line."""
    return logged(f"Client {client_id} disconnected.", second=second)
