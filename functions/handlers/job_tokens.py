"""Cancelling the jobs that a revoked token made: at once where it is revoked, and by a timer what that missed.

Writes     jobs
Publishes  devicehub.jobs.<job>.progress
Records    job.cancelled
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from functions.domain.audit import Doer
from functions.domain.callers import APP, Caller
from functions.domain.jobs import Job, JobState, cancel
from functions.domain.tokens import Token
from functions.handlers.auditing import record, timer
from functions.handlers.batches import tell
from functions.handlers.rewriting import amend
from functions.ports import Hub

# For so long after it was revoked an edge that has just proved a token may make a job with it.
_STILL_KNOWN: Final = timedelta(seconds=30)


async def cancel_jobs(hub: Hub) -> None:
    """Cancel what runs in the name of tokens that are revoked; for a timer, and safe to repeat.

    Raises:
        Unavailable: the storage; what is left is done the next time.
    """
    running = [job for job in await _running(hub) if job.asker.by.startswith(_name_of(""))]
    if not running:
        return
    revoked = [kept.value async for _, kept in hub.tokens.entries([]) if kept.value.revoked_at is not None]
    await _cancel(hub, timer(), running, revoked)


async def cancel_jobs_of(hub: Hub, doer: Doer, revoked: Iterable[Token]) -> None:
    """Cancel what runs in the name of these tokens, which have just been revoked.

    Raises:
        Unavailable: the storage; the timer does what is left.
    """
    await _cancel(hub, doer, await _running(hub), revoked)


async def _running(hub: Hub) -> list[Job]:
    return [kept.value async for _, kept in hub.jobs.entries([]) if kept.value.state is JobState.RUNNING]


async def _cancel(hub: Hub, doer: Doer, jobs: Iterable[Job], revoked: Iterable[Token]) -> None:
    tokens = list(revoked)
    for job in jobs:
        token = next((each for each in tokens if _made(each, job)), None)
        if token is None:
            continue
        reason = f"The token '{token.name}', which made it, was revoked."
        written = await amend(hub.jobs, job.id, lambda one, why=reason: cancel(one, str(doer.caller), why))  # type: ignore[misc]
        if written is not None and written.changed:
            await tell(hub, written.value)
            told = {"kind": job.kind, "devices": job.total, "reason": reason}
            await record(hub, doer, "job.cancelled", job.id, after=told)


def _made(token: Token, job: Job) -> bool:
    """Whether a job was made with a token that is revoked: its name may have been another's, before or since."""
    if token.revoked_at is None or job.asker.by != _name_of(token.name):
        return False
    return token.created_at <= job.created_at <= token.revoked_at + _STILL_KNOWN


def _name_of(token: str) -> str:
    return str(Caller(APP, token))
