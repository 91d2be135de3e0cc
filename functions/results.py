"""The results of a job while somebody works on it: which devices wait, and what is written of the others."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from functions.domain.faults import Conflict, Unavailable
from functions.domain.jobs import Item, Job, Part, Tally, add, cancel_waiting, count, lose, merge, part_key
from functions.ports import Hub
from functions.storage import Kept, Spoiled

log = structlog.get_logger("functions")

Sleep = Callable[[float], Awaitable[None]]

# Between attempts while storage or broker are away: half a minute in all, in which any part has restarted.
PATIENCE: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
_READ_AT_ONCE: Final = 32


@dataclass
class OpenPart:
    """A part that is being worked on; whoever changes ``items`` sets ``is_dirty``."""

    number: int
    items: list[Item]
    revision: int
    is_dirty: bool = False
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def part(self) -> Part:
        """As it is kept."""
        return Part(tuple(self.items))


class Results:
    """The parts of one job.

    Args:
        hub: the ports.
        job: whose parts.
        is_lost: whether another has the job now, so that nothing may be written any more.
        sleep: waits for so many seconds.
    """

    def __init__(self, hub: Hub, job: Job, is_lost: Callable[[], bool], sleep: Sleep) -> None:
        self._hub = hub
        self._job = job
        self._is_lost = is_lost
        self._sleep = sleep
        self._open: dict[int, OpenPart] = {}
        # Of the parts that are written and over; the others are counted as they are.
        self._over = Tally()
        # Of parts that nobody has read yet: nothing of them has changed since.
        self._waiting: dict[int, Tally] = {}
        self.todo: list[int] = []

    async def survey(self) -> None:
        """Find which parts are not over, in ``todo``, and how many devices of all have which result.

        Raises:
            Unavailable: the storage is away for half a minute.
        """
        numbers = self._job.parts
        for start in range(0, len(numbers), _READ_AT_ONCE):
            some = numbers[start : start + _READ_AT_ONCE]
            for number, kept in zip(some, await asyncio.gather(*map(self._kept, some)), strict=True):
                tally = count(kept.value.items)
                if kept.value.is_over:
                    self._over = add(self._over, tally)
                else:
                    self._waiting[number] = tally
                    self.todo.append(number)

    async def open(self, number: int) -> OpenPart:
        """Read a part to work on it.

        Raises:
            Unavailable: the storage is away for half a minute.
        """
        kept = await self._kept(number)
        one = OpenPart(number, list(kept.value.items), kept.revision)
        if self._waiting.pop(number, None) is not None:
            self._open[number] = one
        return one

    async def write(self, one: OpenPart) -> None:
        """Write a part; a result that is kept already stays. A part that is over is put aside.

        Raises:
            Unavailable: the storage; it may be written or not, and can be tried again.
        """
        async with one.writing:
            while one.is_dirty and not self._is_lost():
                part, one.is_dirty = one.part, False
                try:
                    one.revision = await self._hub.job_parts.replace(self._key(one.number), part, expect=one.revision)
                except (Conflict, Unavailable) as fault:
                    one.is_dirty = True
                    if isinstance(fault, Unavailable):
                        raise
                    # Written by this process when the storage did not say so, or by one that had the job before.
                    kept = await self._kept(one.number)
                    one.items, one.revision = list(merge(kept.value, one.part).items), kept.revision
            if one.part.is_over and not one.is_dirty and self._open.pop(one.number, None) is not None:
                self._over = add(self._over, count(one.items))

    async def flush(self) -> None:
        """Write all that has changed.

        Raises:
            Unavailable: as ``write``.
        """
        for one in list(self._open.values()):
            await self.write(one)

    async def cancel_waiting(self) -> None:
        """Have no device wait any more; safe to repeat.

        Raises:
            Unavailable: as ``write``.
        """
        for number in [*self._open, *self._waiting]:
            one = self._open.get(number) or await self.open(number)
            one.items = list(cancel_waiting(one.part, self._hub.clock.now()).items)
            one.is_dirty = True
            await self.write(one)

    def tally(self) -> Tally:
        """How many devices have which result, written or not."""
        tally = self._over
        for one in self._open.values():
            tally = add(tally, count(one.items))
        for waiting in self._waiting.values():
            tally = add(tally, waiting)
        return tally

    async def _kept(self, number: int) -> Kept[Part]:
        for delay in PATIENCE:
            try:
                return await self._read(number)
            except Unavailable:
                if self._is_lost():
                    raise
            await self._sleep(delay)
        return await self._read(number)

    async def _read(self, number: int) -> Kept[Part]:
        key = self._key(number)
        try:
            kept = await self._hub.job_parts.get(key)
        except Spoiled as spoiled:
            log.warning("part of a job unreadable", job=self._job.id, part=number, problem=str(spoiled))
            await self._give_up(number, spoiled.revision)
            kept = await self._hub.job_parts.get(key)
        if kept is None:
            raise LookupError(f"part {number} of job {self._job.id} is gone")
        return kept

    async def _give_up(self, number: int, revision: int) -> None:
        """Have the devices of a part that cannot be read count as failed, so that the job can end."""
        lost = lose(self._job, number, self._hub.clock.now())
        try:
            await self._hub.job_parts.replace(self._key(number), lost, expect=revision)
        except Conflict:
            # Another worker was first, and what it wrote is read next.
            return

    def _key(self, number: int) -> str:
        return part_key(self._job.id, number)
