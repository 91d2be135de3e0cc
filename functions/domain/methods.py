"""Direct methods: what a caller may ask of a device, for how long it waits, and calls that wait for the device."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from functions.domain.faults import NotFound, Reason, Unavailable
from functions.domain.sessions import Presence

# Seconds that a call waits for the device's answer.
LEAST_TIMEOUT: Final = 0.1
DEFAULT_TIMEOUT: Final = 30.0
MOST_TIMEOUT: Final = 300.0
# What a call takes beside the device's own time: on its way to the device and back.
MARGIN_SECONDS: Final = 2.0

# Seconds that a call waits for the device to come.
DEFAULT_QUEUED: Final = 24 * 3600.0
MOST_QUEUED: Final = 30 * 24 * 3600.0
_MOST_CALLS = 32
# Who delivers a call has so long for it; then whoever finds it delivers it.
_DELIVERED_WITHIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class QueuedCall:
    """A call that waits for its device; ``taken_at`` is when somebody began to deliver it."""

    request_id: str
    method: str
    payload: Any
    by: str
    queued_at: datetime
    expires_at: datetime
    taken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallQueue:
    """The calls that wait for one device, in the order in which they were made."""

    calls: tuple[QueuedCall, ...] = ()


def require_online(presence: Presence | None) -> None:
    """Refuse to call a device that is known not to hear it.

    Raises:
        NotFound: it is offline, or was never seen (``device_offline``).
    """
    if presence is None:
        raise NotFound(Reason.DEVICE_OFFLINE, "The device has never connected. It can be called when it has.")
    if not presence.online:
        since = presence.at.isoformat(timespec="seconds").replace("+00:00", "Z")
        raise NotFound(
            Reason.DEVICE_OFFLINE,
            f"The device is not connected since {since} ({presence.evidence}). Call it when it is, or have the call"
            " queued.",
        )


def enqueue(queue: CallQueue | None, call: QueuedCall, now: datetime) -> CallQueue:
    """The queue with one more call, and without those whose time is over.

    Raises:
        Unavailable: as many wait as may (``rate_limited``).
    """
    waiting = _alive(queue or CallQueue(), now)
    if len(waiting) >= _MOST_CALLS:
        raise Unavailable(
            Reason.RATE_LIMITED, f"{_MOST_CALLS} calls wait for the device, which is as many as may. Try again later."
        )
    return CallQueue((*waiting, call))


def take(queue: CallQueue, now: datetime) -> CallQueue:
    """The queue when somebody begins to deliver it: what nobody delivers already is marked with the time."""
    return CallQueue(tuple(one if _is_taken(one, now) else replace(one, taken_at=now) for one in _alive(queue, now)))


def taken(queue: CallQueue, at: datetime) -> tuple[QueuedCall, ...]:
    """What was marked with this time."""
    return tuple(one for one in queue.calls if one.taken_at == at)


def settle(queue: CallQueue, delivered: frozenset[str], at: datetime | None, now: datetime) -> CallQueue:
    """The queue when a delivery that began at a time is over: what was delivered has gone, the rest waits again."""
    left = (one for one in _alive(queue, now) if one.request_id not in delivered)
    return CallQueue(tuple(replace(one, taken_at=None) if one.taken_at == at else one for one in left))


def _alive(queue: CallQueue, now: datetime) -> tuple[QueuedCall, ...]:
    return tuple(one for one in queue.calls if one.expires_at > now)


def _is_taken(one: QueuedCall, now: datetime) -> bool:
    # A mark that lies ahead is of a clock that was set back since.
    return one.taken_at is not None and timedelta() <= now - one.taken_at < _DELIVERED_WITHIN
