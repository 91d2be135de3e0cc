"""What function workers do of themselves: finish what calls left unfinished, and renew what would grow old.

Every worker does all of it, as each step is safe to repeat.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from functions.handlers import (
    ca,
    checks,
    evidence,
    intents,
    job_places,
    job_tokens,
    limiting,
    logins,
    methods,
    presence,
    provisioning,
    refusing,
    renewing,
    revoking,
    suspending,
)
from functions.handlers.pledging import Pledges
from functions.ports import Hub
from functions.runtime.attempts import attempt

_EVERY_SECONDS: Final = 60
_QUICKLY_EVERY_SECONDS: Final = 5
_AT_ONCE_EVERY_SECONDS: Final = 1
# They have days, and there may be as many as devices.
_RENEWALS_EVERY_SECONDS: Final = 600
_FORGETTING_EVERY_SECONDS: Final = 600
# Before a record can have been written as often as its bucket keeps revisions.
_PLEDGES_EVERY_SECONDS: Final = 20

Chore = Callable[[Hub], Awaitable[None]]


async def _catch_up_audit(hub: Hub) -> None:
    await hub.audit.catch_up()


CHORES: Final[Sequence[Chore]] = (
    provisioning.finish_claims,
    suspending.finish_suspensions,
    ca.finish_replacement,
    methods.finish_queued,
    revoking.keep_fresh,
    _catch_up_audit,
)
_RENEWALS: Final[Sequence[Chore]] = (renewing.finish_renewals,)
_FORGETTING: Final[Sequence[Chore]] = (job_places.forget_jobs, logins.forget_sessions, limiting.forget_failures)
# A record that an operation has to itself is closed to others meanwhile, and there is mostly nothing to read.
_QUICK_CHORES: Final[Sequence[Chore]] = (
    intents.finish_intents,
    presence.settle_presence,
    evidence.watch_evidence,
    job_tokens.cancel_jobs,
)
# What this process alone knows; mostly there is nothing of it.
TELLING: Final[Sequence[Chore]] = (refusing.write_refusals,)


def start_chores(hub: Hub) -> list[asyncio.Task[None]]:
    """Begin with all of them, until the tasks are cancelled."""
    return [
        asyncio.create_task(do_chores(hub, CHORES, _EVERY_SECONDS)),
        # A renewal's end may be put off by no more than half the time it has.
        asyncio.create_task(
            do_chores(hub, _RENEWALS, min(_RENEWALS_EVERY_SECONDS, hub.renewal_grace.total_seconds() / 2))
        ),
        asyncio.create_task(do_chores(hub, _QUICK_CHORES, _QUICKLY_EVERY_SECONDS)),
        asyncio.create_task(do_chores(hub, _FORGETTING, _FORGETTING_EVERY_SECONDS)),
        asyncio.create_task(do_chores(hub, TELLING, _AT_ONCE_EVERY_SECONDS)),
    ]


def start_watching(hub: Hub) -> list[asyncio.Task[None]]:
    """What a process that has the index does of itself, until the tasks are cancelled."""
    return [
        asyncio.create_task(do_chores(hub, (checks.watch,), _EVERY_SECONDS)),
        asyncio.create_task(do_chores(hub, (Pledges().keep,), _PLEDGES_EVERY_SECONDS)),
        asyncio.create_task(do_chores(hub, TELLING, _AT_ONCE_EVERY_SECONDS)),
    ]


async def do_chores(
    hub: Hub,
    chores: Iterable[Chore],
    every_seconds: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Do some of them now and again and again, each whatever becomes of those before it.

    Args:
        hub: the ports.
        chores: which.
        every_seconds: in the mean.
        sleep: waits for so many seconds.
    """
    while True:
        for chore in chores:
            await attempt(chore, hub)
        # Spread, so that workers started together do not do the same at once.
        await sleep(every_seconds * (0.5 + secrets.randbelow(1000) / 1000))
