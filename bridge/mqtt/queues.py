"""One queue per device: a message is called, answered and acknowledged before the device's next is called.

Different devices run at once. A message keeps its place and its order number
until a function has answered it, with an answer or a refusal; while the
functions cannot answer (``unavailable``, ``timeout``, the bus away) it is
tried again, and not acknowledged. Messages of QoS 0, which nobody holds for
us, are refused as ``unavailable`` after five seconds instead.

**When it is full.** Above so many unanswered messages or bytes in all, nothing
more is read from the broker, which then queues. Above so many waiting messages
of one device its newest is refused as ``rate_limited``, so that one cannot fill
the room of all; but not of what the broker gathered meanwhile, which nobody sent
too fast. While the bus is away nothing is read either.

**When the connection to the broker ends.** Calls go on, and their answers wait
for the next connection. Over that the broker sends again whatever it holds
unacknowledged, with DUP, and the ledger tells what each copy is:

* It waits or runs here: the entry takes over the copy's acknowledgement; there
  is no second call, and its place and number stay.
* It was answered, and the answer is not known to be at the broker: the answer
  is sent again and the copy acknowledged.
* It was done with: the copy is acknowledged.
* It is unknown, because this process is new: it is taken in like any message.
  Its number is higher than any of the process before (the epoch is), so that
  an attempt of the dead one that lands later is refused by the functions, and
  a repeat of what was applied last is answered as before.

What the broker lost with its memory is still held here, and is called in its
place before anything newer of that device.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson
import structlog

from bridge.mqtt.backlog import Backlog
from bridge.mqtt.bounds import Bounds
from bridge.mqtt.counters import Counters
from bridge.mqtt.ledger import Entry, Ledger
from bridge.mqtt.ports import Broker, Functions, Identities
from bridge.mqtt.session import Incoming
from bridge.mqtt.topics import EXPIRY_SECONDS, Row, Sender, Table, Target
from functions.contract import subjects
from functions.contract.faults import fault_body
from functions.domain.callers import ANY_CLAIM, CLAIM, DEVICE, Caller
from functions.domain.faults import Denied, Fault, Malformed, Reason, Unavailable

_MAX_ECHO_CHARACTERS = 128
# A bound is left only when there is room again, not at every message.
_ROOM = 0.75

log = structlog.get_logger("bridge")


Hearer = Callable[[Row, tuple[str, ...], bytes], None]


@dataclass(slots=True)
class _Queue:
    entries: deque[Entry] = field(default_factory=deque)
    workers: int = 0
    # Of the first of its entries, how many the broker had gathered: they take none of the device's room.
    gathered: int = 0


class Queues:
    """Takes messages in, has them answered, and says the answers.

    Args:
        broker: where answers and acknowledgements go.
        functions: who answers.
        table: what leads where.
        identities: who claims.
        backlog: whether what comes was gathered by the broker.
        order: what a message's number is appended to: ``bridge/epoch/``.
        now: the time of day in UTC.
        bounds: how much is taken on.
        heard: is told of each message that is taken in.
    """

    def __init__(
        self,
        broker: Broker,
        functions: Functions,
        table: Table,
        identities: Identities,
        backlog: Backlog,
        *,
        order: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        bounds: Bounds,
        heard: Hearer | None = None,
    ) -> None:
        self._broker = broker
        self._functions = functions
        self._table = table
        self._identities = identities
        self._backlog = backlog
        self._order = order
        self._now = now
        self._bounds = bounds
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._queues: dict[str, _Queue] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._calls = asyncio.Semaphore(bounds.calls)
        self._number = 0
        self._holds: set[str] = set()
        self._bus_is_up = asyncio.Event()
        self._bus_is_up.set()
        self._draining = False
        self.idle = asyncio.Event()
        self.idle.set()
        self.ledger = Ledger()
        self.counters = Counters()

    def take(self, incoming: Incoming) -> None:
        """Take one message from the broker; it is acknowledged when it is answered."""
        if incoming.retain:
            self.counters.dropped += 1
            self._broker.acknowledge(incoming)
            return
        try:
            target = self._table.target(incoming.topic)
        except Malformed:
            self.counters.refused["bad_topic"] += 1
            self._broker.acknowledge(incoming)
            return
        if incoming.dup and self._is_known(incoming):
            return
        self.counters.received += 1
        if self._heard is not None:
            self._heard(target.row, target.names, incoming.payload)
        caller = self._caller(target)
        self._number += 1
        entry = Entry(incoming, target, caller, f"{self._order}{self._number}", secrets.token_hex(8), self._loop.time())
        if target.row.in_session:
            entry.session = self._identities.sent_in(target.names[0])
        self.ledger.hold(entry)
        objection = self._objection(entry)
        if objection is None:
            self._enqueue(entry)
            return
        entry.reply = self._refusal(entry, objection)
        self._try_to_say(entry)

    def hold(self, why: str) -> None:
        """Read nothing from the broker until released; ``bus`` also holds back calls."""
        self._holds.add(why)
        if why == "bus":
            self._bus_is_up.clear()
        self._backlog.gather()
        self._broker.pause()

    def release(self, why: str) -> None:
        """One reason less to hold."""
        self._holds.discard(why)
        if why == "bus":
            self._bus_is_up.set()
        if not self._holds:
            self._broker.resume()
            self._backlog.come()

    async def drain(self, seconds: float) -> None:
        """Take in no more, finish what runs, leave what waits to the broker."""
        self._draining = True
        self.hold("drain")
        if self._workers:
            await asyncio.wait(self._workers, timeout=seconds)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    # --- taking in ------------------------------------------------------------

    def _is_known(self, incoming: Incoming) -> bool:
        entry = self.ledger.find(incoming)
        if entry is not None:
            self.counters.repeated += 1
            entry.incoming = incoming
            if entry.reply is not None:
                self._try_to_say(entry)
            return True
        if self.ledger.is_closed(incoming):
            self.counters.repeated += 1
            self._broker.acknowledge(incoming)
            return True
        return False

    def _caller(self, target: Target) -> Caller | None:
        match target.row.sender:
            case Sender.DEVICE:
                return Caller(DEVICE, target.names[0])
            case Sender.ANY_CLAIM:
                return Caller(CLAIM, ANY_CLAIM)
            case Sender.CLAIMANT:
                return self._identities.claimant(target.names[0])

    def _objection(self, entry: Entry) -> Fault | None:
        """Why the bridge itself refuses a message."""
        size, row = len(entry.incoming.payload), entry.target.row
        if entry.caller is None:
            return Denied(detail="The session that sent this may not ask for a certificate of this name.")
        if row.in_session and entry.session is None:
            # Not tried again here: in a while it could be another session that is found.
            return Unavailable(detail="The hub does not know yet in which session this was sent. Send it again.")
        if size > row.limit_bytes:
            return Malformed(Reason.TOO_LARGE, f"The payload has {size} bytes; {row.limit_bytes} are accepted.")
        queue = self._queues.get(entry.target.queue)
        if queue is not None and len(queue.entries) - queue.gathered >= self._bounds.per_queue:
            return Unavailable(Reason.RATE_LIMITED)
        return None

    def _enqueue(self, entry: Entry) -> None:
        queue = self._queues.get(entry.target.queue)
        if queue is None:
            queue = self._queues[entry.target.queue] = _Queue()
        queue.entries.append(entry)
        if not self._backlog.is_over:
            queue.gathered = len(queue.entries)
        counters = self.counters
        counters.waiting += 1
        counters.waiting_bytes += len(entry.incoming.payload)
        self.idle.clear()
        if counters.waiting >= self._bounds.messages or counters.waiting_bytes >= self._bounds.bytes:
            self.hold("full")
        if queue.workers < entry.target.row.at_once:
            queue.workers += 1
            worker = self._loop.create_task(self._work(entry.target.queue, queue))
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (problem := worker.exception()) is not None:
            # The process ends by the loop's handler; the broker gives what was not acknowledged to the next.
            self._loop.call_exception_handler({"message": "a queue failed", "exception": problem})

    # --- answering ------------------------------------------------------------

    async def _work(self, key: str, queue: _Queue) -> None:
        try:
            while queue.entries and not self._draining:
                entry = queue.entries.popleft()
                queue.gathered = max(queue.gathered - 1, 0)
                entry.reply = await self._answer(entry)
                await self._tell(entry)
                self._done(entry)
        finally:
            queue.workers -= 1
            if not queue.entries and not queue.workers:
                del self._queues[key]

    async def _answer(self, entry: Entry) -> tuple[tuple[str, ...], bytes]:
        """Call until there is an answer, and give the topics and the payload that say it."""
        delay = self._bounds.first_delay
        while True:
            try:
                await self._bus_is_back(entry)
                async with self._calls:
                    payload = await self._call(entry)
                self.counters.answered += 1
                return entry.target.accepted, payload
            except Fault as fault:
                if self._is_overdue(entry) or not self._may_pass(entry, fault):
                    self.counters.answered += 1
                    return self._refusal(entry, fault)
            self.counters.retried += 1
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._bounds.longest_delay)

    async def _bus_is_back(self, entry: Entry) -> None:
        if self._bus_is_up.is_set():
            return
        try:
            async with asyncio.timeout_at(None if entry.incoming.qos else self._due(entry)):
                await self._bus_is_up.wait()
        except TimeoutError as problem:
            raise Unavailable() from problem

    def _due(self, entry: Entry) -> float:
        return entry.taken_at + self._bounds.unheld_seconds

    def _is_overdue(self, entry: Entry) -> bool:
        return not entry.incoming.qos and self._loop.time() >= self._due(entry)

    async def _call(self, entry: Entry) -> bytes:
        row, subject, payload = entry.target.row, entry.target.subject, entry.incoming.payload
        caller = entry.caller
        if caller is None:
            raise Denied()
        headers = {subjects.CALL: entry.call, subjects.ORDER: entry.order}
        if entry.session is not None:
            headers[subjects.SESSION] = str(entry.session)
        if row.answers:
            return await self._functions.request(subject, payload, caller=caller, within=row.within, headers=headers)
        await self._functions.publish(subject, payload, headers={**headers, subjects.CALLER: str(caller)})
        return b""

    def _may_pass(self, entry: Entry, fault: Fault) -> bool:
        """Whether the same call may succeed later without the device's doing.

        A message that no function survives must not hold up its device for
        ever: it is told by timing out again and again while others do not.
        """
        if fault.reason is Reason.UNAVAILABLE:
            return True
        if fault.reason is not Reason.TIMEOUT:
            return False
        if not entry.timeouts:
            entry.answered_before = self.counters.answered
        entry.timeouts += 1
        if entry.timeouts < self._bounds.timeouts or self.counters.answered == entry.answered_before:
            return True
        log.error("message given up", subject=entry.target.subject, call=entry.call, timeouts=entry.timeouts)
        return False

    def _refusal(self, entry: Entry, fault: Fault) -> tuple[tuple[str, ...], bytes]:
        self.counters.refused[str(fault.reason)] += 1
        if not entry.target.rejected:
            return (), b""
        echo = _echo(entry.target.row.echo, entry.incoming.payload) if fault.reason is not Reason.TOO_LARGE else {}
        return entry.target.rejected, orjson.dumps(fault_body(fault, self._now(), echo))

    async def _tell(self, entry: Entry) -> None:
        while not self._try_to_say(entry):
            await self._broker.connected.wait()

    def _try_to_say(self, entry: Entry) -> bool:
        """Send an answer under every prefix and acknowledge; False if there is no connection to do it over."""
        topics, payload = entry.reply or ((), b"")
        try:
            for topic in topics[:-1]:
                self._broker.send(topic, payload, expiry_seconds=EXPIRY_SECONDS)
            if topics:
                receipt = self._receipt(entry) if entry.incoming.qos else None
                self._broker.send(topics[-1], payload, expiry_seconds=EXPIRY_SECONDS, receipt=receipt)
        except Unavailable:
            return False
        self.counters.published += len(topics)
        self._broker.acknowledge(entry.incoming)
        if not topics:
            self.ledger.close(entry.incoming)
        return True

    def _receipt(self, entry: Entry) -> Callable[[Fault | None], None]:
        def receipt(fault: Fault | None) -> None:
            if not isinstance(fault, Unavailable):
                self.ledger.close(entry.incoming)

        return receipt

    def _done(self, entry: Entry) -> None:
        counters = self.counters
        counters.waiting -= 1
        counters.waiting_bytes -= len(entry.incoming.payload)
        if not counters.waiting:
            self.idle.set()
        if (
            "full" in self._holds
            and counters.waiting <= self._bounds.messages * _ROOM
            and counters.waiting_bytes <= self._bounds.bytes * _ROOM
        ):
            self.release("full")


def _echo(names: tuple[str, ...], payload: bytes) -> dict[str, str]:
    """What of a request its refusal repeats, so that the sender can match the two."""
    if not names or not payload:
        return {}
    try:
        values = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(values, dict):
        return {}
    told = {name: values.get(name) for name in names}
    return {name: text for name, text in told.items() if isinstance(text, str) and len(text) <= _MAX_ECHO_CHARACTERS}
