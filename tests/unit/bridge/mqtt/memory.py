"""A broker and functions in memory, which a test drives by hand."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bridge.mqtt.bounds import Bounds
from bridge.mqtt.queues import Queues
from bridge.mqtt.session import Incoming, Receipt
from functions.contract import subjects
from functions.domain.callers import CLAIM, Caller
from functions.domain.faults import Unavailable
from functions.domain.sessions import SessionMark


class MemoryBroker:
    """Keeps what is sent and acknowledged; the connection is there until ``lose()``."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.connected.set()
        self.generation = 1
        self.sent: list[tuple[str, bytes, int | None]] = []
        self.receipts: list[Receipt] = []
        self.acknowledged: list[Incoming] = []
        self.is_paused = False
        self._mid = 0

    def message(self, path: str, payload: bytes = b"{}", *, qos: int = 1, retain: bool = False) -> Incoming:
        """A message as the broker hands it over, on a topic below ``$devicehub/``."""
        self._mid += 1
        return Incoming(f"$devicehub/{path}", payload, qos, self._mid if qos else 0, retain, False, self.generation)

    def again(self, incoming: Incoming) -> Incoming:
        """The same message as it is sent again over the present connection."""
        return Incoming(incoming.topic, incoming.payload, incoming.qos, incoming.mid, False, True, self.generation)

    def send(
        self, topic: str, payload: bytes, *, expiry_seconds: int | None = None, receipt: Receipt | None = None
    ) -> None:
        if not self.connected.is_set():
            raise Unavailable
        self.sent.append((topic, payload, expiry_seconds))
        if receipt is not None:
            self.receipts.append(receipt)

    def acknowledge(self, incoming: Incoming) -> None:
        if incoming.generation == self.generation:
            self.acknowledged.append(incoming)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def lose(self) -> None:
        """The connection ends; what it was not told to have been taken is not known to be."""
        self.connected.clear()
        for receipt in self.receipts:
            receipt(Unavailable())
        self.receipts.clear()

    def reopen(self) -> None:
        """A new connection."""
        self.generation += 1
        self.connected.set()

    def take_all(self) -> None:
        """The broker tells that it has everything that was sent."""
        for receipt in self.receipts:
            receipt(None)
        self.receipts.clear()

    @property
    def topics(self) -> list[str]:
        return [topic.removeprefix("$devicehub/") for topic, _, _ in self.sent]


@dataclass
class Made:
    """One call of a function, to be answered by the test."""

    subject: str
    payload: bytes
    caller: Caller
    headers: Mapping[str, str]
    answer: asyncio.Future[bytes]

    @property
    def number(self) -> int:
        return int(self.headers[subjects.ORDER].split("/")[2])


@dataclass
class MemoryFunctions:
    """Functions that a test answers: by ``respond``, or call by call where that is None."""

    respond: Callable[[str, bytes], bytes] | None = lambda subject, payload: b'{"done":true}'
    calls: list[Made] = field(default_factory=list)
    published: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)

    async def request(
        self, subject: str, payload: bytes, *, caller: Caller, within: float, headers: Mapping[str, str] | None
    ) -> bytes:
        made = Made(subject, payload, caller, headers or {}, asyncio.get_running_loop().create_future())
        self.calls.append(made)
        self.called.set()
        if self.respond is not None:
            return self.respond(subject, payload)
        return await made.answer

    async def publish(self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None) -> None:
        self.published.append((subject, payload, headers or {}))

    async def until(self, count: int) -> None:
        """Wait for so many calls in all."""
        async with asyncio.timeout(5):
            while len(self.calls) < count:
                self.called.clear()
                await self.called.wait()


class Claims:
    """Client ids ``uuid-…`` belong to sessions of the claim certificate ``fleet``."""

    def claimant(self, client_id: str) -> Caller | None:
        return Caller(CLAIM, "fleet") if client_id.startswith("uuid-") else None

    def sent_in(self, device: str) -> SessionMark | None:
        return SessionMark(datetime(2035, 1, 1, tzinfo=UTC), "127.0.0.1:7") if device.startswith("EDGB-") else None


# Everything that waits, waits a moment only.
QUICK = Bounds(first_delay=0.001, longest_delay=0.002, unheld_seconds=0.02, timeouts=3)

# Makes queues in front of both.
MakeQueues = Callable[..., Queues]
