"""What can be asked of the inventory: which devices, in which order, and how many there are of what."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from functions.domain.faults import Malformed
from functions.domain.sessions import Presence

# The fields of a device, as its view names them, by which a page can be sorted.
SORTABLE = (
    "deviceId",
    "deviceName",
    "displayName",
    "role",
    "status",
    "lastSeen",
    "model",
    "firmware",
    "lifecycle",
    "createdAt",
    "updatedAt",
)


class Status(StrEnum):
    """What is known of a device's connection; ``unknown`` until it has connected once."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sort:
    """A field to sort by, and in which direction."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that a device must have; with any value where none is named."""

    key: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceQuery:
    """Which devices, in which order, and which part of them. All that is given must hold.

    ``text`` is found in id, name or role, letters in either case. The order
    is that of ``sorts``, then by id in the direction of the last of them.
    Text compares by code point once letters are folded; what a device does
    not have is less than anything that one has.
    """

    text: str = ""
    status: Status | None = None
    model: str | None = None
    groups: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()
    seen_after: datetime | None = None
    seen_before: datetime | None = None
    sorts: tuple[Sort, ...] = ()
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many devices there are by status, group and model. A device in several groups counts in each."""

    by_status: dict[Status, int] = field(default_factory=dict)
    by_group: dict[str, int] = field(default_factory=dict)
    by_model: dict[str, int] = field(default_factory=dict)


def status_of(presence: Presence | None) -> Status:
    """What a device's presence says in a word."""
    if presence is None:
        return Status.UNKNOWN
    return Status.ONLINE if presence.online else Status.OFFLINE


def parse_sorts(text: str, sortable: Collection[str] = SORTABLE, what: str = "Devices") -> tuple[Sort, ...]:
    """Read ``model,-lastSeen``: fields with commas between, each with ``-`` before it for the other direction.

    Args:
        text: as it came.
        sortable: the fields there are to sort by.
        what: the things that are sorted, for the refusal.

    Raises:
        Malformed: something there is no field to sort by, or is there twice.
    """
    if not text:
        return ()
    sorts = tuple(Sort(word.removeprefix("-"), word.startswith("-")) for word in text.split(","))
    names = [sort.field for sort in sorts]
    if not set(names) <= set(sortable):
        raise _wrong("sort", f"{what} can be sorted by {', '.join(sortable)}; '-' before one turns its order round.")
    if len(set(names)) < len(names):
        raise _wrong("sort", "A field to sort by can be named once.")
    return sorts


def parse_tag(text: str) -> Tag:
    """Read ``key=value``, or ``key`` for any value.

    Raises:
        Malformed: there is no key.
    """
    key, equals, value = text.partition("=")
    if not key:
        raise _wrong("tag", "A tag to look for is 'key=value', or 'key' for any value.")
    return Tag(key, value if equals else None)


def _wrong(name: str, told: str) -> Malformed:
    return Malformed(detail=f"{name}: {told}", fields={name: told})
