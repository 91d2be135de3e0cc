"""Writing down what was refused, which the runtime and the gateway tell of in sums.

Publishes  devicehub.audit.recorded
"""

from collections.abc import Sequence
from dataclasses import replace

from functions.domain.audit import Agent, AuditEntry
from functions.domain.callers import SYSTEM, Caller
from functions.domain.faults import Unavailable
from functions.domain.refusals import Refusal
from functions.handlers.auditing import make, record_all
from functions.ports import Hub

_AT_ONCE = 64
_RECORDER = Caller(SYSTEM, "functions")


async def write_refusals(hub: Hub) -> None:
    """Write what was refused here and is due; for a timer.

    Raises:
        Unavailable: it cannot be kept now; it waits.
    """
    await write(hub, hub.refusals.due(hub.clock.now()))


async def write_rest(hub: Hub) -> None:
    """Write all that was refused here, before the process ends.

    Raises:
        Unavailable: it cannot be kept now; it is lost then.
    """
    await write(hub, hub.refusals.rest())


async def write(hub: Hub, refusals: Sequence[Refusal]) -> None:
    """Write entries of refusals.

    Raises:
        Unavailable: they cannot be kept now; they wait.
    """
    late: Unavailable | None = None
    for begin in range(0, len(refusals), _AT_ONCE):
        try:
            await record_all(hub, [_entry(hub, one) for one in refusals[begin : begin + _AT_ONCE]])
        except Unavailable as problem:
            # What was handed over waits there; so the others are handed over too.
            late = problem
    if late is not None:
        raise late


def _entry(hub: Hub, one: Refusal) -> AuditEntry:
    facts = {
        "error": one.error,
        "why": one.why,
        "what": one.what,
        "count": one.count,
        "since": one.since,
        "until": one.until,
    }
    made = make(
        hub, Agent(_RECORDER, one.call, one.origin), "access.refused", one.function, kind="function", after=facts
    )
    # Nobody in particular is no caller that could be named.
    return replace(made, actor=one.actor)
