"""A lane: one MQTT session with its queues, kept open whatever happens to the broker."""

import asyncio
from dataclasses import dataclass

import structlog

from bridge.mqtt.backlog import Backlog
from bridge.mqtt.bounds import USUAL, Bounds
from bridge.mqtt.counters import Counters
from bridge.mqtt.ports import Functions, Listener
from bridge.mqtt.queues import Hearer, Queues
from bridge.mqtt.session import Incoming, Session
from bridge.mqtt.topics import Lane as Name
from bridge.mqtt.topics import Table
from bridge.mqtt.wire import BrokerAddress
from functions.domain.callers import Caller
from functions.domain.faults import Denied, Unavailable
from functions.domain.sessions import SessionMark

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 5.0
_SHORT_SECONDS = 0.5
_DRAIN_SECONDS = 5.0

log = structlog.get_logger("bridge")


@dataclass(frozen=True, slots=True)
class Login:
    """How a lane opens its session."""

    address: BrokerAddress
    client_id: str
    user: str
    password: str


class Lane:
    """Opens a session, takes its messages in, and opens it again when it is lost.

    Args:
        name: which rows of the table it carries.
        login: how it opens its session.
        prefixes: the enabled topic prefixes.
        functions: who answers.
        order: what a message's number is appended to: ``bridge/epoch/``.
        bounds: how much is taken on, if other than usual.
        heard: is told of each message that is taken in.
    """

    def __init__(
        self,
        name: Name,
        login: Login,
        prefixes: tuple[str, ...],
        functions: Functions,
        *,
        order: str,
        bounds: Bounds | None = None,
        heard: Hearer | None = None,
    ) -> None:
        self.name = name
        self._table = Table(prefixes, name)
        self._marker = f"{prefixes[0]}/bridge/{name}"
        self._listener: Listener | None = None
        self._beginnings: tuple[str, ...] = ()
        self._must_subscribe = True
        self._is_stopping = False
        self.session = Session(
            login.address,
            client_id=login.client_id,
            user=login.user,
            password=login.password,
            on_message=self._take,
        )
        self._backlog = Backlog(self.session, self._marker)
        bounds = bounds or USUAL[name]
        self.queues = Queues(
            self.session, functions, self._table, self, self._backlog, order=order, bounds=bounds, heard=heard
        )
        self.subscribed = asyncio.Event()

    @property
    def counters(self) -> Counters:
        """What the lane has done."""
        return self.queues.counters

    @property
    def taken(self) -> int:
        """How many messages of devices have been taken in all."""
        return self.counters.received

    def listen(self, listener: Listener) -> None:
        """Let a listener have what stands in no row; before the lane runs."""
        self._listener = listener
        self._beginnings = tuple(topic.rstrip("#+") for topic in listener.topics)

    def claimant(self, client_id: str) -> Caller | None:
        """Who asks for an identity, as the listener knows; nobody where there is none."""
        return self._listener.claimant(client_id) if self._listener else None

    def sent_in(self, device: str) -> SessionMark | None:
        """Which session of a device a message came in, as the listener knows; None where there is none."""
        return self._listener.sent_in(device) if self._listener else None

    async def run(self) -> None:
        """Keep the session open until it is stopped."""
        loop = asyncio.get_running_loop()
        while not self._is_stopping:
            await self._open()
            self._backlog.come()
            self.subscribed.set()
            opened = loop.time()
            await self.session.disconnected.wait()
            self.subscribed.clear()
            self._backlog.gather()
            if not self._is_stopping:
                self.counters.reconnects += 1
                log.warning("broker lost", lane=self.name, reason=self.session.ending)
                self.queues.ledger.disconnected(self.session.generation)
                if loop.time() - opened < _SHORT_SECONDS:
                    # Another client with our id, perhaps: two that take the
                    # session from each other must not do it without a pause.
                    await asyncio.sleep(_SHORT_SECONDS)

    async def settled(self) -> None:
        """Wait until what the broker held for this session has come and no message is unanswered.

        Raises:
            Denied: the broker refuses the bridge.
            Unavailable: the connection went meanwhile.
        """
        # The broker sends what it held before it answers this.
        await self.session.publish(self._marker, b"")
        await self.queues.idle.wait()

    async def stop(self) -> None:
        """Finish what runs and disconnect; the broker keeps the session and what was not acknowledged."""
        self._is_stopping = True
        await self.queues.drain(_DRAIN_SECONDS)
        await self.session.close()

    def _take(self, incoming: Incoming) -> None:
        if self._listener is not None and incoming.topic.startswith(self._beginnings):
            self._listener.take(incoming)
        else:
            self.queues.take(incoming)

    async def _open(self) -> None:
        delay = _FIRST_DELAY
        while True:
            try:
                if not await self.session.open():
                    self.queues.ledger.session_lost()
                    self._must_subscribe = True
                if self._must_subscribe:
                    extra = self._listener.topics if self._listener else ()
                    await self.session.subscribe([*self._table.filters, *extra])
                    self._must_subscribe = False
            except (Unavailable, Denied) as problem:
                log.warning("broker not reached", lane=self.name, problem=problem.detail, seconds=delay)
            else:
                log.info("broker reached", lane=self.name)
                return
            await self.session.close()
            self.queues.ledger.disconnected(self.session.generation)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)
