"""Jobs of tokens that are revoked: nothing more is begun of them, and it is said why."""

from datetime import timedelta

from functions.contract.messages import JobQuery, JobView, Nothing, TagJob, TokenCreate, TokenRevoke
from functions.handlers import batches, jobs, tokens
from functions.handlers.job_tokens import cancel_jobs
from functions.ports import Hub
from functions.testing import MemoryHub, call, memory_hub

REASON = "The token 'dashboard', which made it, was revoked."


async def make_token(hub: Hub, name: str = "dashboard") -> None:
    await tokens.create(call(TokenCreate(name=name, scopes=["devices:write"]), caller="user:anna"), hub)


async def revoke(hub: Hub, name: str = "dashboard") -> None:
    await tokens.revoke(call(TokenRevoke(name=name), caller="user:anna"), hub)


async def make_job(hub: MemoryHub, by: str = "app:dashboard") -> JobView:
    hub.clock.advance(1)
    asked = TagJob(devices=["pump-0001"], tags={"site": "A"})
    return await batches.tags(call(asked, caller=by, scopes=("devices:write",)), hub)


async def kept(hub: Hub, job: JobView) -> JobView:
    (found,) = [one for one in (await jobs.list_(call(JobQuery()), hub)).jobs if one.id == job.id]
    return found


async def test_what_a_token_made_is_cancelled_when_it_is_revoked() -> None:
    hub = memory_hub()
    await make_token(hub)
    await make_token(hub, "other")
    mine, users, others = await make_job(hub), await make_job(hub, "user:anna"), await make_job(hub, "app:other")

    await revoke(hub)

    told = await kept(hub, mine)
    assert (told.state, told.cancelled_by, told.cancel_reason) == ("cancelling", "user:anna", REASON)
    assert {(await kept(hub, one)).state for one in (users, others)} == {"running"}
    written = hub.audit.written[-1]
    assert (written.action, written.actor, written.target) == ("job.cancelled", "user:anna", mine.id)
    assert written.after == {"kind": "tags", "devices": 1, "reason": REASON}
    assert hub.events.on(f"devicehub.jobs.{mine.id}.progress")[-1].state == "cancelling"


async def test_a_timer_cancels_what_was_made_while_an_edge_still_knew_the_token() -> None:
    hub = memory_hub()
    await make_token(hub)
    await revoke(hub)
    late = await make_job(hub)

    for _ in range(2):
        await cancel_jobs(hub)

    told = await kept(hub, late)
    assert (told.state, told.cancelled_by, told.cancel_reason) == ("cancelling", "system:timer", REASON)
    assert [one.action for one in hub.audit.written].count("job.cancelled") == 1


async def test_the_next_token_of_a_name_answers_for_its_own_jobs_alone() -> None:
    hub = memory_hub()
    await make_token(hub)
    first = await make_job(hub)
    hub.clock.advance(1)
    await revoke(hub)
    hub.clock.advance(timedelta(minutes=1))
    await make_token(hub)
    second = await make_job(hub)

    await cancel_jobs(hub)

    assert [(await kept(hub, one)).state for one in (first, second)] == ["cancelling", "running"]


async def test_a_job_that_was_cancelled_by_hand_keeps_who_did_it() -> None:
    hub = memory_hub()
    await make_token(hub)
    made = await make_job(hub)
    await jobs.cancel_(call(Nothing(), names=(made.id,), caller="user:bert"), hub)

    await revoke(hub)

    told = await kept(hub, made)
    assert (told.cancelled_by, told.cancel_reason) == ("user:bert", None)
