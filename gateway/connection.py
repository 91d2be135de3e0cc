"""The bus as the gateway has it from its first moment on: also before the server is there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from functions.contract import bus
from functions.contract.messages import Message
from functions.domain.callers import Caller
from functions.domain.faults import Unavailable
from gateway.settings import Settings

M = TypeVar("M", bound=Message)

_AGAIN_SECONDS = 0.5

log = structlog.get_logger("gateway")


class Connection:
    """A bus that refuses calls until it is open, instead of letting the process wait.

    Args:
        settings: where the server is.
        closed: awaited when the connection is lost for good.
    """

    def __init__(self, settings: Settings, closed: Callable[[], Awaitable[None]] | None = None) -> None:
        self._settings = settings
        self._closed = closed
        self._bus: bus.Bus | None = None
        self._client: Client | None = None
        self._problem = ""
        self._is_leaving = False
        self._when_back: list[Callable[[], None]] = []

    @property
    def is_connected(self) -> bool:
        """Whether the server is there now."""
        return self._bus is not None and self._bus.is_connected

    async def open(self) -> Client:
        """Connect; it tries until the server is there and takes the password."""
        while self._client is None:
            try:
                self._client = await self._connect()
            except Unavailable as problem:
                log.warning("waiting for the bus", problem=problem.detail)
                await asyncio.sleep(_AGAIN_SECONDS)
        self._bus = bus.Bus(self._client)
        await self._back()
        return self._client

    async def close(self) -> None:
        """Send what is to be sent, and leave."""
        self._is_leaving = True
        if self._client is None:
            return
        await bus.leave(self._client)

    async def request(
        self,
        subject: str,
        payload: bytes,
        *,
        caller: Caller,
        within: float = 5.0,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Call a function; see ``functions.contract.bus``."""
        return await self._open_bus().request(subject, payload, caller=caller, within=within, headers=headers)

    async def call(self, subject: str, body: Message, answer: type[M], *, caller: Caller, within: float = 5.0) -> M:
        """Call a function; see ``functions.contract.bus``."""
        return await self._open_bus().call(subject, body, answer, caller=caller, within=within)

    async def gather(self, subject: str, *, within: float) -> list[bytes]:
        """Ask all who hear a subject; see ``functions.contract.bus``."""
        return await self._open_bus().gather(subject, within=within)

    async def subscribe(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Hear a subject; the client sees to it again whenever the server comes back. Raises Unavailable."""
        return await self._open_bus().subscribe(subject, heard)

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Hear it no longer. Raises Unavailable."""
        self._open_bus()
        await subscription.unsubscribe()

    def when_back(self, told: Callable[[], None]) -> None:
        """Have somebody told each time that the server was away and is there again."""
        self._when_back.append(told)

    async def _connect(self) -> Client:
        return await bus.connect(
            self._settings.nats_url,
            user="gateway",
            password=self._settings.nats_password,
            closed=self._closed,
            disconnected=self._away,
            reconnected=self._again,
            failed=self._failed,
        )

    def _open_bus(self) -> bus.Bus:
        if self._bus is None or not self._bus.is_connected:
            # Else the call would wait in the client's buffer, and its caller for nothing.
            raise Unavailable(detail="The bus cannot be reached now.")
        return self._bus

    async def _away(self) -> None:
        if not self._is_leaving:
            log.warning("bus lost")

    async def _again(self) -> None:
        await self._back()
        for told in self._when_back:
            told()

    async def _back(self) -> None:
        self._problem = ""
        log.info("bus is there")

    async def _failed(self, problem: Exception) -> None:
        # The client tries five times a second; the same failure is told once in an outage.
        told = repr(problem)
        if told != self._problem:
            log.warning("bus", problem=told)
        self._problem = told
