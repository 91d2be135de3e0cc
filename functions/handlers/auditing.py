"""Writing down what was done: after the change and before the reply.

A handler changes something, records it, and answers; a call that changed
nothing records nothing. When the record cannot be kept the call ends in
``unavailable`` though its change stands, and the adapter goes on trying
(``docs/decisions`` says why in this order).

Publishes  devicehub.audit.recorded
"""

import secrets
from collections.abc import Sequence
from typing import Any

from pydantic_core import to_jsonable_python

from functions.contract.messages import AuditRecorded
from functions.contract.subjects import subject
from functions.domain.audit import Agent, AuditEntry, Doer, entry
from functions.domain.callers import SYSTEM, Caller
from functions.ports import Hub

RECORDED = subject("audit", "recorded")


async def record(
    hub: Hub, doer: Doer, action: str, target: str, *, kind: str = "", before: Any = None, after: Any = None
) -> None:
    """Write down one act; durable when it returns.

    ``before`` and ``after`` are what is worth knowing of the thing that was
    changed: anything that JSON can hold, a time or a dataclass among it. Give
    what changed, not everything, and nothing secret.

    Args:
        hub: the ports.
        doer: the call.
        action: what was done: ``device.suspended``.
        target: the id or name of what it was done to, ``-`` for none in particular.
        kind: of the target, where it is not the action's first word.
        before: what it was; None for nothing.
        after: what it is.

    Raises:
        Unavailable: it cannot be kept now; the change stands.
    """
    await record_all(hub, [make(hub, doer, action, target, kind=kind, before=before, after=after)])


async def record_all(hub: Hub, entries: Sequence[AuditEntry], *, told: bool = True) -> None:
    """Write down what one call did, in one write; nothing is written for nothing.

    ``told`` says whether to publish that it was.

    Raises:
        Unavailable: it cannot be kept now; the changes stand.
    """
    if not entries:
        return
    await hub.audit.append(entries)
    for one in entries if told else ():
        await hub.events.publish(RECORDED, _told(one))


def make(
    hub: Hub,
    doer: Doer,
    action: str,
    target: str,
    *,
    kind: str = "",
    before: Any = None,
    after: Any = None,
    random: str = "",
) -> AuditEntry:
    """An entry as of now, not yet written; ``random`` is for entries of one moment whose order matters."""
    return entry(
        doer,
        action,
        target,
        at=hub.clock.now(),
        random=random or secrets.token_hex(8),
        kind=kind,
        before=to_jsonable_python(before),
        after=to_jsonable_python(after),
    )


def timer() -> Agent:
    """The hub's own timers as who acts."""
    return Agent(Caller(SYSTEM, "timer"), secrets.token_hex(8))


def _told(one: AuditEntry) -> AuditRecorded:
    return AuditRecorded(
        id=one.id,
        at=one.at,
        action=one.action,
        actor=one.actor,
        origin=one.origin,
        kind=one.kind,
        target=one.target,
    )
