"""What timers do about jobs that nobody works on: forget old ones, and what was left of those never made.

Writes     jobs, job_parts, job_places, alarms
"""

from collections.abc import Iterable

from functions.domain.faults import Conflict
from functions.domain.jobs import MADE_WITHIN, MOST_OVER, Place, is_forgotten, part_key
from functions.handlers.batches import in_turns
from functions.handlers.salvaging import read_past, tell_spoiled
from functions.ports import Hub
from functions.storage import Kept


async def forget_jobs(hub: Hub) -> None:
    """Forget the jobs that are over for 30 days, and of the others that are all but the last 1,000; for a timer.

    Raises:
        Unavailable: the storage; what is left is done the next time.
    """
    now = hub.clock.now()
    found, spoiled = await read_past(hub.jobs)
    await tell_spoiled(hub, "jobs", [one.key for one in spoiled])
    over = [kept for kept in found.values() if not kept.value.is_open]
    over.sort(key=lambda kept: kept.value.id, reverse=True)
    for place, kept in enumerate(over):
        job = kept.value
        if place < MOST_OVER and not is_forgotten(job, now):
            continue
        # The parts first: by its head the rest is found if this is cut short.
        await _forget_parts(hub, job.id, job.parts)
        try:
            await hub.jobs.remove(job.id, expect=kept.revision)
        except Conflict:
            # Another worker forgot it.
            continue


async def clear_place(hub: Hub, key: str, kept: Kept[Place]) -> None:
    """Give a place free whose job is over, or was never made; what was written of that goes.

    A job that may still be in the making keeps it.

    Raises:
        Unavailable: the storage.
    """
    job = await hub.jobs.get(kept.value.job)
    if job is None:
        if hub.clock.now() - kept.at < MADE_WITHIN:
            return
        await _forget_parts(hub, kept.value.job, range(kept.value.parts))
    elif job.value.is_open:
        return
    try:
        await hub.job_places.remove(key, expect=kept.revision)
    except Conflict:
        # Another worker was first.
        return


async def _forget_parts(hub: Hub, job: str, numbers: Iterable[int]) -> None:
    async def forget(number: int) -> None:
        key = part_key(job, number)
        kept = await hub.job_parts.get(key)
        if kept is None:
            return
        try:
            await hub.job_parts.remove(key, expect=kept.revision)
        except Conflict:
            # Another worker does the same.
            return

    await in_turns(numbers, forget)
