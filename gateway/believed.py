"""An answer of the hub that is open to all: asked for once however many want it, and believed for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Believed(Generic[T]):
    """What the hub was asked last, for as long as that is believed.

    Who leaves while it is asked takes the answer from nobody.

    Args:
        ask: asks the hub; what it raises reaches all that wait, and is not kept.
        seconds: how long an answer is believed.
        now: a clock that only goes forward, in seconds.
    """

    def __init__(
        self, ask: Callable[[], Awaitable[T]], seconds: Callable[[T], float], now: Callable[[], float]
    ) -> None:
        self._ask = ask
        self._seconds = seconds
        self._now = now
        self._known: tuple[float, T] | None = None
        self._asking: asyncio.Future[T] | None = None

    async def read(self) -> T:
        """The answer, asked for if the one before is no longer believed. Raises what asking raises."""
        if self._known is not None and self._known[0] > self._now():
            return self._known[1]
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(self._settle)
        return await asyncio.shield(self._asking)

    def _settle(self, asked: "asyncio.Future[T]") -> None:
        self._asking = None
        if not asked.cancelled() and asked.exception() is None:
            answer = asked.result()
            self._known = (self._now() + self._seconds(answer), answer)
