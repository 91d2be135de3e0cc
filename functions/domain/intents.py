"""Operations over several records: an intent is written first, and says all that finishing it takes.

An intent is ``prepared`` while its operation takes the records it needs for
itself, one after the other; nothing else is changed in that time. Then it is
``decided``, and from that write on the operation happens: whoever finds the
intent may do its steps, as each can be done again. An operation that cannot
be is ``abandoned``, and gives the records back. So what a crash cut short is
finished or undone, never half.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from functions.domain.devices import Device, Lifecycle, retire
from functions.domain.faults import Conflict, Denied, NotFound, Reason
from functions.domain.records import RecordPatch, amend_record, changes, check_labels
from functions.domain.twins import Half

# Longer than any call may take: what is prepared and older has nobody any more who would decide it.
LEFT_AFTER = timedelta(seconds=10)


# How many operations may be under way at once.
PLACES = 256


class Operation(StrEnum):
    """What is done over several records."""

    CHANGE = "change"
    RETIRE = "retire"
    SWAP = "swap"


class Phase(StrEnum):
    """How far an operation is."""

    PREPARED = "prepared"
    DECIDED = "decided"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Moved:
    """What a swap takes from one device to the other; ``doc`` and ``times`` are of the desired half, if it has any."""

    role: str | None = None
    groups: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    doc: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Intent:
    """An operation on a device, by whom and since when (``call`` and ``origin`` as the audit trail has them).

    A change has its ``patch`` and the revision of the record that it
    ``expects``, a swap its ``replacement``, and what ``moved`` once it is decided.
    ``key`` is of this operation alone; it says in which of the few places the
    intent is kept, so that those that are over leave no trace that a timer
    has to pass by. ``before`` is the record as it was when the operation took it for itself,
    and ``replacement_before`` that of a swap's other device; both are there
    once it is decided.
    """

    operation: Operation
    device: str
    at: datetime
    by: str
    call: str = ""
    origin: str = "hub"
    key: str = ""
    phase: Phase = Phase.PREPARED
    patch: RecordPatch | None = None
    expects: int = 0
    replacement: str | None = None
    before: Device | None = None
    replacement_before: Device | None = None
    moved: Moved | None = None

    @property
    def devices(self) -> tuple[str, ...]:
        """The ids of the devices whose records it takes for itself, in the order of taking."""
        return (self.device,) if self.replacement is None else (self.device, self.replacement)


def key_in(place: int, random: str) -> str:
    """The key of an operation whose intent is kept in a place."""
    return f"{place:02}-{random}"


def place_of(key: str) -> str:
    """Under what the intent of an operation is kept."""
    return key.partition("-")[0]


def is_left(intent: Intent, now: datetime) -> bool:
    """Whether nobody can be about to decide it any more; clocks of workers may differ a little."""
    return intent.phase is not Phase.PREPARED or abs(now - intent.at) > LEFT_AFTER


def admit_swap(old: Device | None, new: Device | None) -> None:
    """Refuse a swap that cannot be: see the table in ``functions.domain.devices``.

    Raises:
        NotFound: one of the devices is not there.
        Denied: the old one is retired, or the new one is not active.
        Conflict: both have a role, or they are one device.
    """
    if old is None:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    if new is None:
        raise NotFound(Reason.UNKNOWN_DEVICE, "The registry has no device of the replacement's name.")
    if old.id == new.id:
        raise Conflict(Reason.SWAP_REFUSED, "A device cannot replace itself.")
    if old.lifecycle is Lifecycle.RETIRED:
        raise Denied(Reason.DEVICE_RETIRED, "The device to be replaced is retired; nothing of it can be moved.")
    if new.lifecycle is Lifecycle.SUSPENDED:
        raise Denied(Reason.DEVICE_SUSPENDED, "The replacement is suspended. Resume it first.")
    if new.lifecycle is Lifecycle.RETIRED:
        raise Denied(Reason.DEVICE_RETIRED, "The replacement is retired. Bring it back first.")
    if old.role is not None and new.role is not None:
        raise Conflict(
            Reason.SWAP_REFUSED, f"The replacement has the role '{new.role}' already. Take that from it first."
        )


def what_moves(old: Device, desired: Half | None) -> Moved:
    """What a swap moves."""
    half = desired or Half()
    return Moved(old.role, old.groups, old.tags, half.doc, half.times)


def take_over(new: Device, moved: Moved, old: str, at: datetime) -> Device:
    """The replacement's record with what was moved to it: groups and tags are added to its own, the moved ones win.

    Raises:
        Malformed: it would have more groups or tags than a record takes.
    """
    groups = tuple(dict.fromkeys((*moved.groups, *new.groups)))
    tags = {**new.tags, **moved.tags}
    check_labels(groups, tags)
    # Revoked in the very moment of the swap: its role is free, like that of any retired device.
    role = None if new.lifecycle is Lifecycle.RETIRED else moved.role or new.role
    return replace(new, role=role, groups=groups, tags=tags, replaces=old, intent=None, updated_at=at)


def hand_over(old: Device, new: str, at: datetime) -> Device:
    """The replaced device's record: retired, without what was moved, and naming its replacement."""
    return replace(retire(old, at), role=None, groups=(), tags={}, replaced_by=new, intent=None, updated_at=at)


def change(device: Device, intent: Intent) -> Device:
    """The record with what a change asks for; a device that was retired since it was decided is given no role."""
    assert intent.patch is not None
    is_retired = device.lifecycle is Lifecycle.RETIRED
    return amend_record(device, replace(intent.patch, role=None) if is_retired else intent.patch, intent.at)


def what_changed(intent: Intent) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """What a decided operation did, for the audit trail: the act, and what it changed, before and after."""
    old = intent.before
    assert old is not None
    if intent.operation is Operation.CHANGE:
        return ("device.changed", *changes(old, change(old, intent)))
    if intent.operation is Operation.RETIRE:
        return ("device.retired", *changes(old, retire(old, intent.at)))
    new, moved = intent.replacement_before, intent.moved
    assert new is not None
    assert moved is not None
    before, after = changes(old, hand_over(old, new.id, intent.at))
    new_before, new_after = changes(new, take_over(new, moved, old.id, intent.at))
    return (
        "device.swapped",
        {**before, "replacement": {"id": new.id, **new_before}},
        {**after, "replacement": {"id": new.id, **new_after}, "desired_moved": bool(moved.doc)},
    )
