"""Alarm functions: what a person must look at.

Subjects   devicehub.alarms.list, devicehub.alarms.<alarm>.ack   (operators, applications)
           devicehub.alarms.raise, devicehub.alarms.clear        (the hub's own parts)
Writes     alarms
Publishes  devicehub.alarms.changed
Records    alarm.acknowledged
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from functions.contract.messages import AlarmClear, AlarmPage, AlarmQuery, AlarmRaise, AlarmView, Done, Nothing
from functions.domain.alarms import SORTABLE, Alarm, AlarmState, Severity, acknowledge, sort_of, text_of
from functions.domain.audit import AuditEntry
from functions.domain.faults import NotFound
from functions.domain.inventory import parse_sorts
from functions.handlers.alarming import close_alarm, open_alarm, tell
from functions.handlers.auditing import make, record_all
from functions.handlers.rewriting import amend
from functions.ports import Call, Hub

_NEVER = datetime.min.replace(tzinfo=UTC)
_STATES = tuple(AlarmState)
# What needs attention before what does not, the gravest and then the newest first.
_USUAL = "state,-severity,-openedAt"

_BY: dict[str, Callable[[Alarm], Any]] = {
    "kind": lambda alarm: alarm.kind,
    "subject": lambda alarm: alarm.subject,
    "severity": lambda alarm: alarm.severity is Severity.CRITICAL,
    "state": lambda alarm: _STATES.index(alarm.state),
    "openedAt": lambda alarm: alarm.opened_at,
    "seenAt": lambda alarm: alarm.seen_at,
    "closedAt": lambda alarm: alarm.closed_at or _NEVER,
    "count": lambda alarm: alarm.count,
}


async def list_(call: Call[AlarmQuery], hub: Hub) -> AlarmPage:
    """A page of the alarms for which all holds that is asked, and how many there are in all.

    It reads every alarm, of which a bounded number is kept.

    Raises:
        Malformed: a field to sort by does not exist.
    """
    asked = call.body
    sorts = parse_sorts(asked.sort or _USUAL, SORTABLE, "Alarms")
    found = [kept.value async for _, kept in hub.alarms.entries() if _is_wanted(kept.value, asked)]
    # By the last first, as each leaves the order of equals as it was.
    found.sort(key=lambda alarm: alarm.id)
    for sort in reversed(sorts):
        found.sort(key=_BY[sort.field], reverse=sort.descending)
    part = found[asked.offset : asked.offset + asked.limit]
    return AlarmPage(total=len(found), alarms=[_view(alarm) for alarm in part])


async def ack(call: Call[Nothing], hub: Hub) -> AlarmView:
    """Take an alarm on: it stays open, and others see who looks after it. A repeat changes nothing.

    Raises:
        NotFound: there is no such alarm.
        Conflict: others kept changing it.
    """
    now = hub.clock.now()

    def told(_: Alarm, alarm: Alarm) -> AuditEntry:
        facts = {"kind": alarm.kind, "subject": alarm.subject}
        return make(hub, call, "alarm.acknowledged", call.names[0], after=facts)

    written = await amend(hub.alarms, call.names[0], lambda alarm: acknowledge(alarm, str(call.caller), now), tell=told)
    if written is None:
        raise NotFound(detail="There is no alarm of this id. 'devicehub alarms' lists them.")
    if written.changed:
        await tell(hub, written.value)
        await record_all(hub, written.entries)
    return _view(written.value)


async def raise_(call: Call[AlarmRaise], hub: Hub) -> Done:
    """Open an alarm, or count the open one of this kind and subject.

    Raises:
        Conflict: others kept changing it.
    """
    await open_alarm(hub, call.body.kind, call.body.subject, detail=call.body.detail)
    return Done()


async def clear(call: Call[AlarmClear], hub: Hub) -> Done:
    """Close an alarm because its cause is gone; where none is open, nothing happens.

    Raises:
        Conflict: others kept changing it.
    """
    await close_alarm(hub, call.body.kind, call.body.subject)
    return Done()


def _is_wanted(alarm: Alarm, asked: AlarmQuery) -> bool:
    return (
        asked.state in (None, alarm.state.value)
        and asked.severity in (None, alarm.severity.value)
        and asked.kind in (None, alarm.kind)
        and asked.q.casefold() in f"{alarm.kind}\n{alarm.subject}\n{text_of(alarm)}".casefold()
    )


def _view(alarm: Alarm) -> AlarmView:
    return AlarmView(
        id=alarm.id,
        kind=alarm.kind,
        subject=alarm.subject,
        severity=alarm.severity.value,
        state=alarm.state.value,
        text=text_of(alarm),
        remedy=sort_of(alarm.kind).remedy,
        opened_at=alarm.opened_at,
        seen_at=alarm.seen_at,
        count=alarm.count,
        times=alarm.times,
        acknowledged_at=alarm.acknowledged_at,
        acknowledged_by=alarm.acknowledged_by,
        closed_at=alarm.closed_at,
    )
