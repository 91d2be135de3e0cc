"""What workers do about jobs: look for those that nobody works on, and work on them."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Final

from functions.domain.faults import Conflict
from functions.domain.jobs import Job, JobKind, is_free, own
from functions.handlers.job_places import clear_place
from functions.ports import Hub
from functions.results import Sleep
from functions.route import Route
from functions.runtime.attempts import attempt
from functions.storage import Kept, Spoiled
from functions.working import ROUTES, Halt, Working

# How soon a new job is begun, and one that was given up is gone on with.
_LOOK_SECONDS: Final = 1.0
# Between two that are taken: so others get some as well.
_NEXT_SECONDS: Final = 0.1
_END_SECONDS: Final = 4.0


class Jobs:
    """The jobs that this process works on.

    Args:
        hub: the ports.
        routes: the functions; those that jobs call must be among them.
        now: monotonic seconds.
        sleep: waits for so many of them; what a job's rate is kept by.
    """

    def __init__(
        self,
        hub: Hub,
        routes: Iterable[Route],
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._hub = hub
        by_subject = {route.subject: route for route in routes}
        self._routes = {kind: by_subject[ROUTES[kind]] for kind in JobKind}
        self._owner = secrets.token_hex(8)
        self._now = now
        self._sleep = sleep
        self._working: dict[str, tuple[Working, asyncio.Task[None]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._has_taken = False

    def start(self) -> None:
        """Begin to look for jobs."""
        self._looking = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        """Give every job up, so that another worker can take it at once; what was begun gets two seconds to end."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        for working, _ in self._working.values():
            working.halt(Halt.TOLD)
        tasks = [task for _, task in self._working.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=_END_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self, hub: Hub) -> None:
        """Take a job that nobody works on, if there is one, and clear the places of those that are over.

        Raises:
            Unavailable: the storage.
        """
        self._has_taken = False
        # Read to the end first: what is cleared changes the store.
        places = [one async for one in hub.job_places.entries()]
        for key, place in places:
            if place.value.job in self._working:
                continue
            try:
                kept = await hub.jobs.get(place.value.job)
            except Spoiled:
                # An alarm tells it; the other jobs are worked on.
                continue
            if kept is None or not kept.value.is_open:
                await clear_place(hub, key, place)
            elif is_free(kept.value, hub.clock.now()) and await self._take(hub, kept):
                self._has_taken = True
                return

    async def idle(self) -> None:
        """Wait until none of the jobs that were taken is worked on."""
        while self._working:
            await asyncio.wait([task for _, task in self._working.values()])

    async def _look_on(self) -> None:
        while True:
            await attempt(self.look, self._hub)
            await asyncio.sleep(_NEXT_SECONDS if self._has_taken else _LOOK_SECONDS)

    async def _take(self, hub: Hub, kept: Kept[Job]) -> bool:
        job = own(kept.value, self._owner, hub.clock.now())
        try:
            revision = await hub.jobs.replace(job.id, job, expect=kept.revision)
        except Conflict:
            # Another worker was first, or it was cancelled this moment.
            return False
        working = Working(hub, self._routes[job.kind], job, revision, now=self._now, sleep=self._sleep)
        task = asyncio.create_task(attempt(working.work, hub))
        self._working[job.id] = (working, task)
        task.add_done_callback(lambda _: self._working.pop(job.id))
        return True
