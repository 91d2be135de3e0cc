"""Alarms: what a person must look at, told in the log, counted, and on the bus as ``devicehub.broker.alarm``."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import orjson
import structlog

from bridge.broker.port import Functions
from functions.domain.faults import Unavailable

SUBJECT = "devicehub.broker.alarm"

# One client can cause one alarm with each connection it makes. Every one is
# counted; the same alarm about the same client is told once in this time.
_QUIET_SECONDS = 10.0
_REMEMBERED = 1024
_SHOWN_CHARACTERS = 200

log = structlog.get_logger("bridge.broker")


class Alarms:
    """Raises alarms and counts them by kind.

    Args:
        functions: the bus.
        clock: seconds, never running backwards.
    """

    def __init__(self, functions: Functions, clock: Callable[[], float] = time.monotonic) -> None:
        self._functions = functions
        self._clock = clock
        self._told: dict[tuple[str, str, str], float] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    def tell(
        self,
        kind: str,
        *,
        client_id: str = "",
        common_name: str = "",
        address: str = "",
        detail: str = "",
        at: datetime | None = None,
    ) -> None:
        """Raise an alarm: ``kind`` in words joined by ``-``, and whom and what it concerns."""
        self.counts[kind] += 1
        about = (kind, client_id[:_SHOWN_CHARACTERS], common_name)
        if not self._is_news(about):
            return
        body = {
            "kind": kind,
            "clientId": about[1],
            "commonName": common_name,
            "address": address,
            "at": (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        log.error("alarm", **body, detail=detail[:_SHOWN_CHARACTERS])
        task = asyncio.get_running_loop().create_task(self._publish(orjson.dumps(body)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def told(self) -> None:
        """Wait until every alarm raised so far is on the bus, or has failed to get there."""
        while self._telling:
            await asyncio.wait(self._telling)

    def _is_news(self, about: tuple[str, str, str]) -> bool:
        now = self._clock()
        last = self._told.pop(about, None)
        if last is not None and now - last < _QUIET_SECONDS:
            self._told[about] = last
            return False
        self._told[about] = now
        while len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        return True

    async def _publish(self, payload: bytes) -> None:
        try:
            await self._functions.publish(SUBJECT, payload)
        except Unavailable as problem:
            log.warning("alarm not published", problem=str(problem))
