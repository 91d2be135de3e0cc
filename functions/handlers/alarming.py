"""Opening and closing alarms, for handlers and timers of the hub itself.

Writes     alarms
Publishes  devicehub.alarms.changed
"""

from collections.abc import Iterable

from functions.contract.messages import AlarmChanged
from functions.contract.subjects import subject as subject_on_bus
from functions.domain.alarms import (
    MORE,
    MOST_CLOSED,
    MOST_OPEN_OF_A_KIND,
    Alarm,
    AlarmState,
    Severity,
    alarm_id,
    close,
    is_forgotten,
    is_fresh,
    is_over,
    sight,
    subject_of,
)
from functions.domain.checks import Finding
from functions.domain.faults import Conflict
from functions.handlers.rewriting import Unread, amend, rewrite
from functions.ports import Hub
from functions.storage import Kept

CHANGED = subject_on_bus("alarms", "changed")

Seen = Kept[Alarm] | Unread | None


async def open_alarm(hub: Hub, kind: str, subject: str, *, detail: str = "", severity: Severity | None = None) -> Alarm:
    """Open an alarm, or count the open one: at most one write a minute for the same kind and subject.

    Of a kind, at most 100 are open besides one that stands for all others.

    Args:
        hub: the ports.
        kind: words joined by ``-``; what it says and how grave it is stands in ``domain.alarms``.
        subject: what it is about; any text.
        detail: a sentence on this case.
        severity: where it is not the kind's own.

    Raises:
        Conflict: others kept changing it.
    """
    subject = subject_of(subject)
    kept = await hub.alarms.get(alarm_id(kind, subject))
    if kept is None or kept.value.closed_at is not None:
        rest = await hub.alarms.get(alarm_id(kind, MORE))
        # Told a moment ago that there are others: then nobody need be looked for among very many.
        is_told = rest is not None and rest.value.closed_at is None and is_fresh(rest.value, hub.clock.now())
        if is_told and rest is not None:
            return rest.value
        if await _are_many(kind, hub):
            return await _see(hub, kind, MORE, "", severity, rest)
    return await _see(hub, kind, subject, detail, severity, kept)


async def close_alarm(hub: Hub, kind: str, subject: str) -> None:
    """Close an alarm because its cause is gone; nothing happens where it is not open.

    Raises:
        Conflict: others kept changing it.
    """
    await _close(hub, alarm_id(kind, subject_of(subject)))


async def settle(hub: Hub, kind: str, findings: Iterable[Finding]) -> None:
    """Make the open alarms of a kind those of these findings; all others of the kind are closed.

    Raises:
        Conflict: others kept changing one.
    """
    wrong = {subject_of(one.subject): one for one in findings}
    found = {one.value.subject: one async for _, one in hub.alarms.entries() if one.value.kind == kind}
    is_open = {name for name, one in found.items() if one.value.closed_at is None}
    # Those that are open already stay, so that the others do not come and go.
    order = sorted(wrong, key=lambda name: (name not in is_open, name))
    told = {name: wrong[name] for name in order[:MOST_OPEN_OF_A_KIND]}
    if left := len(order) - len(told):
        told[MORE] = Finding(kind, MORE, f"There are {left} more.")
    for name in sorted(is_open - told.keys()):
        await _close(hub, found[name].value.id)
    for name, one in told.items():
        await _see(hub, kind, name, one.detail, one.severity, found.get(name))


async def tidy(hub: Hub) -> None:
    """Close what was not seen for long enough, and forget what was closed long ago; safe to repeat.

    Raises:
        Unavailable: the storage; what is left is done the next time.
        Conflict: others kept changing an alarm.
    """
    now = hub.clock.now()
    found = {key: kept async for key, kept in hub.alarms.entries()}
    for key, kept in found.items():
        if is_over(kept.value, now):
            await _close(hub, key, seen=kept)
    closed = [(key, kept) for key, kept in found.items() if kept.value.state is AlarmState.CLOSED]
    closed.sort(key=lambda one: one[1].value.closed_at or now, reverse=True)
    for place, (key, kept) in enumerate(closed):
        if place >= MOST_CLOSED or is_forgotten(kept.value, now):
            try:
                await hub.alarms.remove(key, expect=kept.revision)
            except Conflict:
                # It opened again this moment, or another worker forgot it.
                continue


async def tell(hub: Hub, alarm: Alarm) -> None:
    """Say that an alarm opened, closed, was acknowledged or became worse."""
    told = AlarmChanged(
        id=alarm.id, kind=alarm.kind, subject=alarm.subject, severity=alarm.severity.value, state=alarm.state.value
    )
    await hub.events.publish(CHANGED, told)


async def _see(
    hub: Hub, kind: str, subject: str, detail: str, severity: Severity | None, seen: Seen = Unread.UNREAD
) -> Alarm:
    """Note that the cause of an alarm was seen; told only where the alarm is another by it."""
    now = hub.clock.now()
    written = await rewrite(
        hub.alarms,
        alarm_id(kind, subject),
        lambda found: sight(found, kind, subject, now, detail=detail, severity=severity),
        seen,
    )
    before, after = written.before, written.value
    if before is None or (before.state, before.severity) != (after.state, after.severity):
        await tell(hub, after)
    return after


async def _close(hub: Hub, key: str, seen: Kept[Alarm] | None = None) -> None:
    now = hub.clock.now()

    def end(alarm: Alarm) -> Alarm:
        # Seen again since it was looked at: then it goes on.
        return alarm if seen is not None and alarm.seen_at > seen.value.seen_at else close(alarm, now)

    written = await amend(hub.alarms, key, end)
    if written is not None and written.changed:
        await tell(hub, written.value)


async def _are_many(kind: str, hub: Hub) -> bool:
    """Whether so many alarms of a kind are open that one more would not be read; it reads all there are."""
    count = 0
    async for _, kept in hub.alarms.entries():
        count += kept.value.kind == kind and kept.value.closed_at is None and kept.value.subject != MORE
    return count >= MOST_OPEN_OF_A_KIND
