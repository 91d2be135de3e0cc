"""Job functions: how far jobs are and what became of each device; cancel them, and repeat what failed.

Subjects   devicehub.jobs.list, devicehub.jobs.<job>.get, .cancel, .retry
Writes     jobs; of a retry what ``functions.handlers.batches`` writes
Publishes  devicehub.jobs.<job>.progress
Records    job.cancelled, job.retried

Applications need the scope of the route to reach these at all, and that of
what the job does besides: ``functions.domain.jobs`` says which.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from functions.contract.messages import (
    JobDetail,
    JobItem,
    JobItemQuery,
    JobPage,
    JobQuery,
    JobView,
    Nothing,
)
from functions.domain.audit import UNNAMED
from functions.domain.callers import APP, OPERATOR
from functions.domain.faults import Conflict, Denied, NotFound
from functions.domain.jobs import (
    PART_DEVICES,
    READ_SCOPES,
    WRITE_SCOPES,
    Item,
    ItemState,
    Job,
    JobKind,
    Part,
    Tally,
    cancel,
    lose,
    part_key,
)
from functions.domain.jobs import (
    JobState as State,
)
from functions.domain.roles import LEAST, is_at_least, role_of
from functions.domain.tokens import Scope, allows
from functions.handlers.auditing import record
from functions.handlers.batches import AT_ONCE, asker, begin, new_id, tell, view
from functions.handlers.rewriting import amend, value_of
from functions.ports import Call, Hub
from functions.storage import Spoiled


async def list_(call: Call[JobQuery], hub: Hub) -> JobPage:
    """A page of the jobs for which all holds that is asked, the newest first, and how many there are in all.

    It reads every job, of which a bounded number is kept.
    """
    asked = call.body
    found = [
        kept.value
        # What cannot be read is told by an alarm, and keeps nobody from the others.
        async for _, kept in hub.jobs.entries([])
        if asked.kind in (None, kept.value.kind.value) and asked.state in (None, kept.value.state.value)
    ]
    found.sort(key=lambda job: job.id, reverse=True)
    return JobPage(total=len(found), jobs=[view(job) for job in found[asked.offset : asked.offset + asked.limit]])


async def read(call: Call[JobItemQuery], hub: Hub) -> JobDetail:
    """A job, and some of its devices with what became of each.

    Raises:
        NotFound: there is no such job.
        Denied: the caller may not read what such a job does.
    """
    job = _found(value_of(await hub.jobs.get(call.names[0])))
    _require(call, READ_SCOPES, job)
    items, matches = await _items(hub, job, call.body)
    shown = view(job)
    return JobDetail(
        **{name: getattr(shown, name) for name in JobView.model_fields},
        body=job.body,
        items=[_item(one) for one in items],
        matches=matches,
    )


async def cancel_(call: Call[Nothing], hub: Hub) -> JobView:
    """Begin nothing more of a job; what was begun ends, and what waits never is. A repeat changes nothing.

    Raises:
        NotFound: there is no such job.
        Denied: the caller may not do what such a job does.
        Conflict: others kept changing it.
    """
    _require(call, WRITE_SCOPES, _found(value_of(await hub.jobs.get(call.names[0]))))
    written = await amend(hub.jobs, call.names[0], lambda job: cancel(job, str(call.caller)))
    job = _found(written.value if written is not None else None)
    if written is not None and written.changed:
        await tell(hub, job)
        await record(hub, call, "job.cancelled", job.id, after={"kind": job.kind, "devices": job.total})
    return view(job)


async def retry(call: Call[Nothing], hub: Hub) -> JobView:
    """Do again what a job did, to those of its devices where it failed: a new job, which names this one.

    A repeat is another job.

    Raises:
        NotFound: there is no such job.
        Denied: the caller may not do what such a job does.
        Conflict: the job is not over, or none of its devices failed.
        Unavailable: there are as many jobs as may be at once (``rate_limited``).
    """
    job = _found(value_of(await hub.jobs.get(call.names[0])))
    _require(call, WRITE_SCOPES, job)
    if job.is_open:
        raise Conflict(detail="The job is not over. Wait for its end, or cancel it, and retry what failed then.")
    failed, _ = await _items(hub, job, JobItemQuery.model_construct(state="failed", limit=job.total, offset=0))
    devices = [item.device for item in failed if item.device != UNNAMED]
    if not devices:
        raise Conflict(detail="None of the devices of this job that are known failed: there is nothing to retry.")
    again = replace(
        job,
        id=new_id(hub),
        total=len(devices),
        asker=asker(call),
        created_at=hub.clock.now(),
        retry_of=job.id,
        state=State.RUNNING,
        tally=Tally(),
        finished_at=None,
        cancelled_by=None,
        cancel_reason=None,
    )
    made = await begin(hub, again, devices)
    await record(hub, call, "job.retried", job.id, after={"job": made.id, "kind": made.kind, "devices": made.total})
    return view(made)


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFound(detail="There is no job of this id. 'devicehub job list' shows them; old ones are forgotten.")
    return job


def _require(call: Call[Nothing] | Call[JobItemQuery], scopes: Mapping[JobKind, Scope], job: Job) -> None:
    """Refuse an application or user that was not given what the job does; its route asks for less.

    Raises:
        Denied: which scope or role it lacks.
    """
    if call.caller.kind is APP and not allows(call.scopes, scopes[job.kind]):
        raise Denied(detail=f"The token needs the scope '{scopes[job.kind]}' for this.")
    least = LEAST[scopes[job.kind]]
    if call.caller.kind is OPERATOR and not is_at_least(role_of(call.scopes), least):
        raise Denied(detail=f"A user needs the role '{least}' for this.")


async def _items(hub: Hub, job: Job, asked: JobItemQuery) -> tuple[list[Item], int]:
    """Some devices of a job, and how many match in all; where that is known, parts that hold others are not read."""
    first, last = asked.offset, asked.offset + asked.limit
    if asked.state is None:
        numbers = range(first // PART_DEVICES, min(-(-last // PART_DEVICES), len(job.parts)))
        items = await _read(hub, job, numbers)
        skipped = numbers.start * PART_DEVICES
        return items[first - skipped : last - skipped], job.total
    wanted = ItemState(asked.state)
    found: list[Item] = []
    for start in range(0, len(job.parts), AT_ONCE):
        numbers = job.parts[start : start + AT_ONCE]
        found += [item for item in await _read(hub, job, numbers) if item.state is wanted]
    return found[first:last], len(found)


async def _read(hub: Hub, job: Job, numbers: range) -> list[Item]:
    """The devices of some parts; of a job that is being forgotten, those that are left."""
    parts = await asyncio.gather(*(_part(hub, job, number) for number in numbers))
    return [item for part in parts if part is not None for item in part.items]


async def _part(hub: Hub, job: Job, number: int) -> Part | None:
    try:
        return value_of(await hub.job_parts.get(part_key(job.id, number)))
    except Spoiled as spoiled:
        # As whoever works on the job writes it.
        return lose(job, number, spoiled.at)


def _item(item: Item) -> JobItem:
    return JobItem(
        device=item.device,
        state=item.state.value,
        error=item.error,
        message=item.message,
        status=item.status,
        payload=item.payload,
        payload_cut=item.is_cut,
        at=item.at,
    )
