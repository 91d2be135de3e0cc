"""The logs that somebody follows: each is read once, however many do, and only while somebody asks for it again."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from bridge.host.journal.port import MOST_LINES_BYTES, Following, Journal, size_of
from functions.contract.bus import Bus
from functions.contract.messages import LogEntry, LogLease, LogLines
from functions.contract.subjects import subject
from functions.domain.faults import Fault, Unavailable

LEASE_SECONDS: Final = 30.0
# A browser shows no more often than this, and each message costs the same, however many lines it has.
_PAUSE_SECONDS: Final = 0.05
_AGAIN_SECONDS: Final = 1.0
_MOST_FOLLOWED: Final = 64

log = structlog.get_logger("host")


class Leases:
    """Follows logs for those who ask, and tells the bus what is written to them.

    Lines are told some twenty times a second, as many at once as were written.
    Where more is written than the bus takes, what was written waits in the
    log itself, and comes later; nothing of it is held here.

    Args:
        journal: of this host.
        bus: where lines are told.
        node: this host's name.
        seconds: how long a lease is.
        now: monotonic seconds.
        pause: seconds between two messages of one log.
    """

    def __init__(
        self,
        journal: Journal,
        bus: Bus,
        node: str,
        *,
        seconds: float = LEASE_SECONDS,
        now: Callable[[], float] = time.monotonic,
        pause: float = _PAUSE_SECONDS,
    ) -> None:
        self._journal = journal
        self._bus = bus
        self._node = node
        self._seconds = seconds
        self._now = now
        self._pause = pause
        self._until: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._beginning: dict[str, asyncio.Lock] = {}

    @property
    def followed(self) -> int:
        """How many logs are followed now."""
        return len(self._tasks)

    async def take(self, unit: str) -> LogLease:
        """Follow a log for as long as a lease is, from now on, or go on with it.

        Raises:
            NotFound, Unavailable: as ``Journal.follow``; ``Unavailable`` too where as many are followed as may be.
        """
        async with self._beginning.setdefault(unit, asyncio.Lock()):
            self._until[unit] = self._now() + self._seconds
            if unit not in self._tasks:
                try:
                    await self._begin(unit)
                except BaseException:
                    del self._until[unit], self._beginning[unit]
                    raise
        return LogLease(node=self._node, unit=unit, token=token_of(unit), seconds=self._seconds)

    async def close(self) -> None:
        """Follow nothing any more, and end every process that it needed."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, unit: str) -> None:
        if len(self._tasks) >= _MOST_FOLLOWED:
            raise Unavailable(detail=f"{_MOST_FOLLOWED} logs of this host are followed already. Close one first.")
        # Begun before the answer, so that whoever asks for older lines after it has all of them.
        following = await self._journal.follow(unit)
        task = asyncio.create_task(self._run(unit, following))
        self._tasks[unit] = task

    async def _run(self, unit: str, following: Following) -> None:
        number = before = 0
        ended: str | None = None
        log.info("log followed", unit=unit)
        try:
            while (left := self._until[unit] - self._now()) > 0:
                try:
                    async with asyncio.timeout(left):
                        entries = await following.read()
                except TimeoutError:
                    # Nothing was written; the lease may have been renewed meanwhile.
                    continue
                for some in _portions(entries):
                    number += 1
                    lines = LogLines(node=self._node, unit=unit, number=number, before=before, entries=some)
                    await self._tell(unit, lines)
                    before += len(some)
                await asyncio.sleep(self._pause)
        except Fault as fault:
            # Whoever follows it asks again, which begins anew.
            ended = fault.detail or str(fault)
            log.warning("log not followed any more", unit=unit, problem=ended)
        finally:
            del self._tasks[unit], self._until[unit]
            self._beginning.pop(unit, None)
            await following.close()
            log.info("log let go", unit=unit, messages=number)
        if ended is not None:
            lines = LogLines(node=self._node, unit=unit, number=number + 1, before=before, entries=[], ended=ended)
            await self._tell(unit, lines)

    async def _tell(self, unit: str, lines: LogLines) -> None:
        """Tell the bus, as soon as it can be reached; the numbers show what was lost between here and there."""
        while True:
            try:
                await self._bus.publish(subject("host", self._node, "logs", "of", token_of(unit)), lines.encode())
                return
            except Unavailable:
                if self._until.get(unit, 0.0) <= self._now():
                    return
                await asyncio.sleep(_AGAIN_SECONDS)


def token_of(unit: str) -> str:
    """The one token of a subject that stands for a unit: letters, digits and '-', of others their code (``_2e``)."""
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign == "-") else f"_{ord(sign):02x}" for sign in unit)


def _portions(entries: list[LogEntry]) -> list[list[LogEntry]]:
    """Entries in portions that a message can hold."""
    found: list[list[LogEntry]] = []
    size = MOST_LINES_BYTES
    for entry in entries:
        own = size_of(entry)
        if size + own > MOST_LINES_BYTES:
            found.append([])
            size = 0
        found[-1].append(entry)
        size += own
    return found
