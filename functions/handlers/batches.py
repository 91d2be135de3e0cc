"""Making jobs: the same thing to be done to many devices, named or meant by a query.

Subjects   devicehub.jobs.create.methods, .twins, .tags
Reads      the index, where devices are meant by a query
Writes     job_places, job_parts, jobs, in this order
Publishes  devicehub.jobs.<job>.progress
Records    job.created

The place comes first, so that what an attempt cut short leaves is found by it
(``functions.handlers.job_places``); the head comes last, and with it the job.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from random import sample
from typing import Any, Final, TypeVar

from pydantic_core import to_json

from functions.contract.messages import DeviceFilter, JobProgress, JobView, MethodJob, TagJob, TwinJob
from functions.contract.messages.jobs import JobTarget
from functions.contract.subjects import subject
from functions.domain.faults import Conflict, Malformed, Reason, Unavailable
from functions.domain.jobs import (
    MOST_DEVICES,
    MOST_WORK_BYTES,
    PLACES,
    Asker,
    Job,
    JobKind,
    JobState,
    Place,
    check_devices,
    job_id,
    part_key,
    split,
)
from functions.domain.records import RecordPatch, check_patch
from functions.domain.twins import Half, apply
from functions.handlers.auditing import record
from functions.handlers.inventory import condition_of
from functions.ports import Call, Hub

T = TypeVar("T")

AT_ONCE: Final = 32

_MEANT: Final = frozenset(DeviceFilter.model_fields)


async def methods(call: Call[MethodJob], hub: Hub) -> JobView:
    """Have a method of many devices called; the job, which is durable and goes on by itself.

    Raises:
        Malformed: no devices are named or meant, or both; they are too many,
            or what is sent to each is too large (``too_large``).
        Unavailable: there are as many jobs as may be at once (``rate_limited``).
    """
    asked = call.body
    body = {"payload": asked.payload, "timeout": asked.timeout}
    return await _create(call, hub, JobKind.METHODS, body, method=asked.method)


async def twins(call: Call[TwinJob], hub: Hub) -> JobView:
    """Have a wish merged into the twins of many devices; the job, which is durable and goes on by itself.

    Raises:
        Malformed, Unavailable: as ``methods``; the wish breaks a limit.
    """
    # What no twin takes is said once, and not of each device.
    apply(Half(), call.body.desired, at=hub.clock.now(), by=str(call.caller))
    return await _create(call, hub, JobKind.TWINS, {"desired": call.body.desired})


async def tags(call: Call[TagJob], hub: Hub) -> JobView:
    """Have tags merged into those of many devices; the job, which is durable and goes on by itself.

    Raises:
        Malformed, Unavailable: as ``methods``; a tag is none.
    """
    check_patch(RecordPatch(tags=call.body.tags))
    return await _create(call, hub, JobKind.TAGS, {"tags": call.body.tags})


async def _create(
    call: Call[Any], hub: Hub, kind: JobKind, body: dict[str, Any], *, method: str | None = None
) -> JobView:
    size = len(to_json(body))
    if size > MOST_WORK_BYTES:
        raise Malformed(
            Reason.TOO_LARGE, f"What is sent to each device has {size} bytes; a job takes {MOST_WORK_BYTES}."
        )
    devices = await _devices(call.body, hub)
    job = await begin(
        hub,
        Job(
            id=new_id(hub),
            kind=kind,
            body=body,
            total=len(devices),
            asker=asker(call),
            created_at=hub.clock.now(),
            method=method,
            rate=call.body.rate,
        ),
        devices,
    )
    told = {"kind": kind, "devices": job.total, "method": method, "rate": job.rate, **body}
    await record(hub, call, "job.created", job.id, after=told)
    return view(job)


async def begin(hub: Hub, job: Job, devices: Sequence[str]) -> Job:
    """Keep a job over these devices, and tell of it; a job without devices is done at once.

    Raises:
        Unavailable: there are as many jobs as may be at once (``rate_limited``), or the storage.
    """
    if not devices:
        job = replace(job, state=JobState.DONE, finished_at=job.created_at)
    else:
        await _take_place(hub, job)
        parts = enumerate(split(devices))
        await in_turns(parts, lambda part: hub.job_parts.create(part_key(job.id, part[0]), part[1]))
    await hub.jobs.create(job.id, job)
    await tell(hub, job)
    return job


def new_id(hub: Hub) -> str:
    """The id of a job made now."""
    return job_id(hub.clock.now(), secrets.token_hex(4))


def asker(call: Call[Any]) -> Asker:
    """Who calls, as a job in that name is to say it."""
    return Asker(str(call.caller), call.id, call.origin, call.scopes)


async def tell(hub: Hub, job: Job) -> None:
    """Say how far a job is."""
    told = JobProgress(
        job_id=job.id,
        state=job.state.value,
        total=job.total,
        done=job.tally.done,
        failed=job.tally.failed,
        cancelled=job.tally.cancelled,
    )
    await hub.events.publish(subject("jobs", job.id, "progress"), told)


def view(job: Job) -> JobView:
    """A job as those who ask for it see it."""
    return JobView(
        id=job.id,
        kind=job.kind.value,
        state=job.state.value,
        total=job.total,
        waiting=job.total - job.tally.over,
        done=job.tally.done,
        failed=job.tally.failed,
        cancelled=job.tally.cancelled,
        method=job.method,
        rate=job.rate,
        by=job.asker.by,
        created_at=job.created_at,
        finished_at=job.finished_at,
        cancelled_by=job.cancelled_by,
        cancel_reason=job.cancel_reason,
        retry_of=job.retry_of,
    )


async def in_turns(things: Iterable[T], do: Callable[[T], Awaitable[Any]]) -> None:
    """Do something to each, some at once."""
    todo = list(things)
    for begin in range(0, len(todo), AT_ONCE):
        await asyncio.gather(*map(do, todo[begin : begin + AT_ONCE]))


async def _devices(asked: JobTarget, hub: Hub) -> tuple[str, ...]:
    meant = asked.model_fields_set & _MEANT
    if (asked.devices is None) is (not meant):
        told = (
            "Name the devices in 'devices', or say which are meant, by 'q' (an empty one means every device), 'group',"
            " 'tag' and so on; one of both."
        )
        raise Malformed(detail=told, fields={"devices": told})
    if asked.devices is not None:
        return check_devices(asked.devices)
    found = await hub.index.ids(condition_of(asked, hub.index.paths), after="", limit=MOST_DEVICES + 1)
    return check_devices(found)


async def _take_place(hub: Hub, job: Job) -> None:
    """Take a place for a job, of which there are so many that they can be looked at every second."""
    lost: Conflict | None = None
    for place in sample(range(PLACES), PLACES):
        try:
            await hub.job_places.create(f"{place:02}", Place(job.id, len(job.parts)))
        except Conflict as conflict:
            lost = conflict
            continue
        return
    told = f"{PLACES} jobs are under way, as many as may be. Wait for one to end, or cancel one."
    raise Unavailable(Reason.RATE_LIMITED, told) from lost
