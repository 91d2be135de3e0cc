"""Jobs: the same thing done to many devices, each with a result of its own.

A job is a head, which says what is done and how far it is, and parts of 100
devices each, which hold the results. Whoever works on it owns the head for a
few seconds at a time; when that time passes, another goes on.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from functions.domain.audit import UNNAMED
from functions.domain.faults import Malformed, Reason
from functions.domain.tokens import Scope

# How many devices a job may have, and how many of them one record holds.
MOST_DEVICES: Final = 100_000
PART_DEVICES: Final = 100
# What is done to each device, and what one answers, as JSON.
MOST_WORK_BYTES: Final = 36 * 1024
MOST_ANSWER_BYTES: Final = 1024
MOST_MESSAGE_CHARACTERS: Final = 256
# Jobs that are not over; and those that are, which are kept.
PLACES: Final = 64
MOST_OVER: Final = 1000
OVER_KEPT: Final = timedelta(days=30)

LEAST_RATE: Final = 0.01
MOST_RATE: Final = 10_000.0
# For how long whoever works on a job may be silent. Twice that must be less than what a job may stand still.
OWNED: Final = timedelta(seconds=6)
# A job whose making takes longer has been given up.
MADE_WITHIN: Final = timedelta(minutes=2)

_LOST: Final = (
    "What the hub kept of this device cannot be read: which one it was, and what became of it. Look at the device's own"
    " record, or ask for a job of the devices that should be in this one."
)

# The first status by which a device says that it failed.
_FIRST_FAILURE: Final = 400


class JobKind(StrEnum):
    """What is done to each device."""

    METHODS = "methods"
    TWINS = "twins"
    TAGS = "tags"


class JobState(StrEnum):
    """``cancelling`` until what was begun is over and nothing waits any more."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    """What became of one device."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked for a job, in which call, from where, and what its token allowed then."""

    by: str
    call: str
    origin: str
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """How many devices have which result; all others wait."""

    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def over(self) -> int:
        """How many have one."""
        return self.done + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class Job:
    """The head of a job.

    Args:
        id: sorts by the time of making.
        kind: what is done.
        body: for each device, as the function for a single one takes it.
        total: how many devices.
        asker: in whose name it is done.
        created_at: when it was made.
        method: that is called.
        rate: devices a second at most; None for as many as can be.
        retry_of: the job whose failed devices these are.
        state: how far it is.
        tally: at most a few seconds old while it runs.
        finished_at: when nothing waited any more.
        cancelled_by: who cancelled it.
        owner: who works on it.
        owned_until: until when nobody else may.
        cancel_reason: why it was cancelled, where nobody asked for that.
    """

    id: str
    kind: JobKind
    body: dict[str, Any]
    total: int
    asker: Asker
    created_at: datetime
    method: str | None = None
    rate: float | None = None
    retry_of: str | None = None
    state: JobState = JobState.RUNNING
    tally: Tally = field(default_factory=Tally)
    finished_at: datetime | None = None
    cancelled_by: str | None = None
    owner: str = ""
    owned_until: datetime | None = None
    cancel_reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is something left to do."""
        return self.state in (JobState.RUNNING, JobState.CANCELLING)

    @property
    def parts(self) -> range:
        """The numbers of its parts."""
        return range(-(-self.total // PART_DEVICES))


@dataclass(frozen=True, slots=True)
class Item:
    """One device of a job.

    Args:
        device: its id or role, as it was named.
        state: what became of it.
        error: the code of what was refused or failed.
        message: what the device or the hub says to that.
        status: of a method that was answered.
        payload: of that answer; None too where it is too large to be kept.
        is_cut: whether it is.
        at: when it came to this.
    """

    device: str
    state: ItemState = ItemState.WAITING
    error: str | None = None
    message: str | None = None
    status: int | None = None
    payload: Any = None
    is_cut: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Some devices of a job, in its order."""

    items: tuple[Item, ...]

    @property
    def is_over(self) -> bool:
        """Whether none of them waits."""
        return all(item.state is not ItemState.WAITING for item in self.items)


@dataclass(frozen=True, slots=True)
class Place:
    """One of the places for jobs that are not over, taken by this job, which has so many parts."""

    job: str
    parts: int


# What an application must have been given to ask for a job of a kind, to cancel and to repeat it; and to read it.
WRITE_SCOPES: Final = {
    JobKind.METHODS: Scope.METHODS_CALL,
    JobKind.TWINS: Scope.TWINS_WRITE,
    JobKind.TAGS: Scope.DEVICES_WRITE,
}
READ_SCOPES: Final = {
    JobKind.METHODS: Scope.METHODS_CALL,
    JobKind.TWINS: Scope.TWINS_READ,
    JobKind.TAGS: Scope.DEVICES_READ,
}


def job_id(at: datetime, random: str) -> str:
    """The id of a job made at a time; ids sort by time."""
    return f"{int(at.timestamp() * 1000):012x}-{random}"


def part_key(job: str, number: int) -> str:
    """Where a part is kept."""
    return f"{job}-{number}"


def check_devices(devices: Sequence[str]) -> tuple[str, ...]:
    """The devices, each once, in the order in which they were named first.

    Raises:
        Malformed: they are too many for one job (``too_large``).
    """
    once = tuple(dict.fromkeys(devices))
    if len(once) > MOST_DEVICES:
        raise Malformed(
            Reason.TOO_LARGE,
            f"More than {MOST_DEVICES:,} devices are meant; a job takes that many. Ask for several jobs.",
        )
    return once


def split(devices: Sequence[str]) -> Iterator[Part]:
    """The parts of a job over these devices, nothing done yet."""
    for begin in range(0, len(devices), PART_DEVICES):
        yield Part(tuple(Item(device) for device in devices[begin : begin + PART_DEVICES]))


def count(items: Iterable[Item]) -> Tally:
    """How many have which result."""
    states = Counter(item.state for item in items)
    return Tally(states[ItemState.DONE], states[ItemState.FAILED], states[ItemState.CANCELLED])


def add(one: Tally, other: Tally) -> Tally:
    """Both together."""
    return Tally(one.done + other.done, one.failed + other.failed, one.cancelled + other.cancelled)


def merge(kept: Part, mine: Part) -> Part:
    """The results of both; of two for one device the one that was kept first."""
    pairs = zip(kept.items, mine.items, strict=True)
    return Part(tuple(new if old.state is ItemState.WAITING else old for old, new in pairs))


def cancel_waiting(part: Part, at: datetime) -> Part:
    """The part when nothing of it is waited for any more."""
    return Part(
        tuple(
            replace(item, state=ItemState.CANCELLED, at=at) if item.state is ItemState.WAITING else item
            for item in part.items
        )
    )


def is_free(job: Job, now: datetime) -> bool:
    """Whether a job is to be worked on, and nobody does."""
    return job.is_open and (job.owned_until is None or job.owned_until <= now)


def own(job: Job, owner: str, now: datetime) -> Job:
    """The job of whoever works on it from now on, or goes on working."""
    return replace(job, owner=owner, owned_until=now + OWNED)


def let_go(job: Job, now: datetime) -> Job:
    """The job when its owner gives it up, so that another can take it at once."""
    return replace(job, owner="", owned_until=now)


def cancel(job: Job, by: str, reason: str | None = None) -> Job:
    """The job when somebody cancelled it; the first to do so stays, and one that is over stays as it is."""
    if job.state is not JobState.RUNNING:
        return job
    return replace(job, state=JobState.CANCELLING, cancelled_by=by, cancel_reason=reason)


def lose(job: Job, number: int, at: datetime) -> Part:
    """What takes the place of a part that cannot be read: as many devices, all failed, whose names are lost."""
    size = min(PART_DEVICES, job.total - number * PART_DEVICES)
    lost = Item(UNNAMED, ItemState.FAILED, error=str(Reason.INTERNAL), message=_LOST, at=at)
    return Part((lost,) * size)


def finish(job: Job, now: datetime) -> Job:
    """The job when nothing of it waits any more.

    A job that was cancelled when its last device was done already is done.
    """
    state = JobState.CANCELLED if job.tally.cancelled else JobState.DONE
    return replace(job, state=state, finished_at=now, owner="", owned_until=None)


def is_forgotten(job: Job, now: datetime) -> bool:
    """Whether a job is over for so long that it need not be kept."""
    return job.finished_at is not None and now - job.finished_at >= OVER_KEPT


def answered(item: Item, status: int, message: str | None, payload: Any, size: int, at: datetime) -> Item:
    """The device of a job when it has answered a method; ``size`` is that of the payload as JSON, in bytes."""
    state = ItemState.DONE if status < _FIRST_FAILURE else ItemState.FAILED
    is_cut = size > MOST_ANSWER_BYTES
    return replace(
        item,
        state=state,
        status=status,
        message=short(message),
        payload=None if is_cut else payload,
        is_cut=is_cut,
        at=at,
    )


def short(text: str | None) -> str | None:
    """As much of a text as is kept."""
    return text if text is None else text[:MOST_MESSAGE_CHARACTERS]
