"""Working on one job: each of its devices once, some at a time, and every result kept within a second or so.

What is done to a device goes through the route that anyone calls for it, in
the name of who asked for the job: the same permission, deadline and log line.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from typing import Final

from pydantic_core import from_json, to_json

from functions.contract.faults import decode_fault
from functions.contract.messages import MethodAnswer
from functions.contract.subjects import CALL, CALLER, ORIGIN, SCOPES, subject
from functions.domain.faults import Conflict, Reason, Unavailable
from functions.domain.jobs import (
    Item,
    ItemState,
    Job,
    JobKind,
    JobState,
    Tally,
    answered,
    finish,
    let_go,
    own,
    short,
)
from functions.handlers.batches import tell
from functions.ports import Hub
from functions.results import PATIENCE, OpenPart, Results, Sleep
from functions.route import Route
from functions.runtime.calls import Reply, answer

# The functions that jobs call, by their subjects in the table.
ROUTES: Final[Mapping[JobKind, str]] = {
    JobKind.METHODS: "devices.*.methods.*.call",
    JobKind.TWINS: "twins.*.desire",
    JobKind.TAGS: "registry.devices.*.update",
}

_AT_ONCE: Final = 64
_READ_AT_ONCE: Final = 32
_TICK_SECONDS: Final = 1.0
# A rate that is not kept for so long, as the loop was busy, is made up for.
_LAG_SECONDS: Final = 0.05
_SLICE_SECONDS: Final = 0.25
# What was begun gets this long once nothing more is begun.
_GRACE_SECONDS: Final = 2.0


class Halt(Enum):
    """Why nothing more is begun: the job was cancelled, another has it, or this process ends."""

    CANCELLED = auto()
    LOST = auto()
    TOLD = auto()


class Working:
    """One job, from when it was taken until it is over or given up.

    Args:
        hub: the ports.
        route: of the function that is called for each device.
        job: as it was taken.
        revision: of its head then.
        now: monotonic seconds.
        sleep: waits for so many of them.
    """

    def __init__(
        self,
        hub: Hub,
        route: Route,
        job: Job,
        revision: int,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._hub = hub
        self._route = route
        self._job = job
        self._revision = revision
        self._now = now
        self._sleep = sleep
        self._payload = to_json(job.body)
        asker = job.asker
        self._headers = {CALLER: asker.by, CALL: job.id, ORIGIN: asker.origin, SCOPES: " ".join(asker.scopes)}
        self._halt = Halt.CANCELLED if job.state is JobState.CANCELLING else None
        self._results = Results(hub, job, lambda: self._halt is Halt.LOST, sleep)
        self._told: Tally | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # Set whenever a device is over, or nothing more is to be begun.
        self._moved = asyncio.Event()
        self._saving = asyncio.Lock()
        self._is_given_up = False
        self._problem: BaseException | None = None
        self._due = 0.0

    def halt(self, why: Halt) -> None:
        """Begin nothing more; the first reason counts, but for the loss of the job."""
        if self._halt is None or why is Halt.LOST:
            self._halt = why
        self._moved.set()

    async def work(self, hub: Hub) -> None:
        """Work until nothing is left, the job is cancelled or lost, or told to stop.

        Raises:
            Unavailable: the storage was away for so long that another may have the job.
        """
        ticking = asyncio.create_task(self._tick())
        ticking.add_done_callback(self._note)
        try:
            await self._results.survey()
            await self._begin_all()
            await self._wind_up()
            await self._end()
        finally:
            ticking.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(ticking, *self._tasks, return_exceptions=True)
        if self._problem is not None:
            raise self._problem

    # --- What is to be done

    async def _begin_all(self) -> None:
        self._due = self._now()
        for number in self._results.todo:
            if self._halt is not None:
                return
            one = await self._results.open(number)
            for place, item in enumerate(one.items):
                if item.state is not ItemState.WAITING:
                    continue
                if not await self._turn():
                    return
                task = asyncio.create_task(self._do(one, place))
                self._tasks.add(task)
                task.add_done_callback(self._done)

    async def _turn(self) -> bool:
        """Wait until the next device may be begun; whether it is to be."""
        if self._job.rate is not None:
            while (left := self._due - self._now()) > 0 and self._halt is None:
                await self._sleep(min(left, _SLICE_SECONDS))
            self._due = max(self._due, self._now() - _LAG_SECONDS) + 1 / self._job.rate
        while len(self._tasks) >= _AT_ONCE and self._halt is None:
            await self._any_over()
        return self._halt is None

    async def _wind_up(self) -> None:
        """Let what was begun end: all of it, or what does so in time once nothing more is begun."""
        while self._tasks and self._halt is None:
            await self._any_over()
        if self._tasks and self._halt is not Halt.LOST:
            await asyncio.wait(self._tasks, timeout=_GRACE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _any_over(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._moved.set()
        self._note(task)

    def _note(self, task: asyncio.Task[None]) -> None:
        """What nobody foresaw ends the work, and must not pass for its end."""
        if not task.cancelled() and task.exception() is not None:
            self._problem = task.exception()
            self.halt(Halt.LOST)

    # --- One device

    async def _do(self, one: OpenPart, place: int) -> None:
        item = await self._result(one.items[place])
        if item is None:
            return
        one.items[place] = item
        one.is_dirty = True
        if one.part.is_over:
            try:
                await self._results.write(one)
            except Unavailable:
                # The next tick writes it.
                return

    async def _result(self, item: Item) -> Item | None:
        """What becomes of a device; None if that is left for another attempt, after this process."""
        for delay in (*PATIENCE, None):
            reply = await self._call(item.device)
            if reply.reason is None or not self._is_passing(reply.reason) or delay is None:
                return self._read(item, reply)
            if self._halt is not None:
                break
            await self._sleep(delay)
        return None

    async def _call(self, device: str) -> Reply:
        names = iter((device, self._job.method or ""))
        parts = [next(names) if part == "*" else part for part in self._route.subject.split(".")]
        return await answer(self._route, self._hub, subject(*parts), self._payload, self._headers)

    def _is_passing(self, reason: Reason) -> bool:
        """Whether another attempt may help and does no harm: a device that did not answer may have done it."""
        return reason is Reason.UNAVAILABLE or (reason is Reason.TIMEOUT and self._job.kind is not JobKind.METHODS)

    def _read(self, item: Item, reply: Reply) -> Item:
        at = self._hub.clock.now()
        if reply.reason is not None:
            fault = decode_fault(reply.headers, reply.body)
            told = fault.detail if fault is not None else ""
            return replace(item, state=ItemState.FAILED, error=str(reply.reason), message=short(told), at=at)
        if self._job.kind is not JobKind.METHODS:
            return replace(item, state=ItemState.DONE, at=at)
        said = MethodAnswer.model_validate(from_json(reply.body))
        return answered(item, said.status, said.message, said.payload, len(to_json(said.payload)), at)

    # --- What is kept of it

    async def _tick(self) -> None:
        """Keep every second what came to be, and hear whether the job was cancelled or lost."""
        while self._halt is not Halt.LOST:
            await self._sleep_for_tick()
            try:
                await self._save(lambda job: own(job, job.owner, self._hub.clock.now()))
                await self._results.flush()
            except Unavailable:
                if self._is_overdue(self._hub.clock.now()):
                    self.halt(Halt.LOST)

    async def _sleep_for_tick(self) -> None:
        # Not the sleep that a rate is kept by, which a test may have taken in hand.
        await asyncio.sleep(_TICK_SECONDS)

    def _is_overdue(self, now: datetime) -> bool:
        return self._job.owned_until is None or self._job.owned_until <= now

    async def _save(self, change: Callable[[Job], Job]) -> None:
        """Write the head with the count of now, and tell it if it is another; hear what others wrote into it.

        Raises:
            Unavailable: the storage.
        """
        async with self._saving:
            while self._halt is not Halt.LOST and not self._is_given_up:
                tally = self._results.tally()
                wanted = change(replace(self._job, tally=tally))
                try:
                    self._revision = await self._hub.jobs.replace(self._job.id, wanted, expect=self._revision)
                except Conflict:
                    await self._reread()
                    continue
                self._job = wanted
                self._is_given_up = not wanted.owner
                if tally != self._told or not wanted.is_open:
                    self._told = tally
                    await tell(self._hub, wanted)
                return

    async def _reread(self) -> None:
        kept = await self._hub.jobs.get(self._job.id)
        if kept is None or kept.value.owner != self._job.owner or not kept.value.is_open:
            self.halt(Halt.LOST)
            return
        self._job, self._revision = kept.value, kept.revision
        if kept.value.state is JobState.CANCELLING:
            self.halt(Halt.CANCELLED)

    async def _end(self) -> None:
        """Give the job up, or end it; while the storage is away, as long as no other can have it."""
        while self._halt is not Halt.LOST:
            try:
                if self._halt is Halt.CANCELLED:
                    await self._results.cancel_waiting()
                await self._results.flush()
                await self._save(self._ended)
            except Unavailable:
                if self._is_overdue(self._hub.clock.now()):
                    raise
                await self._sleep(_SLICE_SECONDS)
                continue
            return

    def _ended(self, job: Job) -> Job:
        """The head as it is left: a job that was told to stop when its last device was over is over."""
        now = self._hub.clock.now()
        return finish(job, now) if job.tally.over == job.total else let_go(job, now)
