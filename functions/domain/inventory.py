"""What can be asked of the inventory: which devices, in which order, and how many there are of what."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from functions.domain.faults import Malformed
from functions.domain.query import MAX_PATHS, REPORTED, All, Condition, Tagged, exactly
from functions.domain.sessions import Presence
from functions.domain.traits import own_word

# By what a page can be sorted: the fields of a device as its view names them, and its id and name as a query does.
SORTABLE = (
    "deviceId",
    "deviceName",
    "id",
    "displayName",
    "name",
    "role",
    "groups",
    "tags",
    "status",
    "lastSeen",
    "model",
    "firmware",
    "lifecycle",
    "createdAt",
    "updatedAt",
    "twinInSync",
    "notes",
)
MAX_AT_LEAST: Final = 20
# Stands where a device reports nothing at a path.
ABSENT: Final = object()
_PATH: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,9}")
_WRITTEN: Final = re.compile(r"([A-Za-z0-9_-]{1,64}):([0-9]{1,18})")


class Status(StrEnum):
    """What is known of a device's connection; ``unknown`` until it has connected once, and while nobody can tell."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sort:
    """A field to sort by, and in which direction."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class DeviceQuery:
    """Which devices, in which order, and which part of them.

    The order is that of ``sorts``, then by id in the direction of the last
    of them. Text compares by code point once letters are folded, firmware as
    versions, groups and tags (``key=value``) as their sorted lists, notes by
    their beginning; what a device does not have is less than anything that
    one has.

    Args:
        where: what must hold; retired devices only where it says something of ``lifecycle``.
        sorts: what to sort by.
        limit: how many at most.
        offset: how many to leave out first.
        at_least: records with the revision from which on they must be known.
    """

    where: Condition = field(default_factory=All)
    sorts: tuple[Sort, ...] = ()
    limit: int = 100
    offset: int = 0
    at_least: tuple["Written", ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """The revision that a device's record was given by a write."""

    device: str
    revision: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many devices there are by what; a device in several groups, or with several tags, counts in each.

    ``out_of_sync`` counts those whose twin has been so for longer than was
    asked, ``retired`` those that the other counts leave out.
    """

    total: int = 0
    by_status: dict[Status, int] = field(default_factory=dict)
    by_group: dict[str, int] = field(default_factory=dict)
    by_model: dict[str, int] = field(default_factory=dict)
    by_tag: dict[str, int] = field(default_factory=dict)
    out_of_sync: int = 0
    retired: int = 0


@dataclass(frozen=True, slots=True)
class TwinFacts:
    """What the inventory knows of a twin.

    ``drifted_at`` is since when the device has not shown all that is desired
    (milliseconds since 1970), None where it does; ``reported`` what it
    reports at each of the paths that can be asked for, ``ABSENT`` for nothing;
    ``own`` what it reports of model, firmware and metadata.
    """

    drifted_at: int | None = None
    reported: tuple[Any, ...] = ()
    own: dict[str, Any] = field(default_factory=dict)


def facts_of(reported: dict[str, Any], drifted_at: int | None, paths: Sequence[str]) -> TwinFacts:
    """What the inventory is to know of a twin.

    Args:
        reported: the document of its reported half.
        drifted_at: as ``functions.domain.drift`` has it.
        paths: into that document, keys with dots between.
    """
    return TwinFacts(drifted_at, tuple(_at(reported, path) for path in paths), own_word(reported))


def _at(document: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(document, dict) or key not in document:
            return ABSENT
        document = document[key]
    return document


def status_of(presence: Presence | None) -> Status:
    """What a device's presence says in a word."""
    if presence is None or presence.unknown_since is not None:
        return Status.UNKNOWN
    return Status.ONLINE if presence.online else Status.OFFLINE


def sortable(paths: Collection[str]) -> tuple[str, ...]:
    """By what devices can be sorted; ``paths`` are those of what they report."""
    return (*SORTABLE, *(f"{REPORTED}{path}" for path in paths))


def parse_sorts(text: str, sortable: Collection[str] = SORTABLE, what: str = "Devices") -> tuple[Sort, ...]:
    """Read ``model,-lastSeen``: fields with commas between, each with ``-`` before it for the other direction.

    Args:
        text: as it came.
        sortable: the fields there are to sort by.
        what: the things that are sorted, for the refusal.

    Raises:
        Malformed: something there is no field to sort by, or is there twice;
            it says at which character.
    """
    sorts: list[Sort] = []
    at = 0
    for word in text.split(",") if text else ():
        sort = Sort(word.removeprefix("-"), word.startswith("-"))
        if sort.field not in sortable:
            names = ", ".join(sortable)
            raise _wrong_sort(at, f"{what} can be sorted by {names}; '-' before one turns its order round.")
        if any(sort.field == before.field for before in sorts):
            raise _wrong_sort(at, "a field to sort by can be named once.")
        sorts.append(sort)
        at += len(word) + 1
    return tuple(sorts)


def parse_paths(text: str) -> tuple[str, ...]:
    """Read ``temperature,network.rssi``: paths with commas between, keys with dots between, each path once.

    Raises:
        ValueError: something there is no path, or there are too many.
    """
    paths = tuple(dict.fromkeys(path.strip() for path in text.split(",") if path.strip()))
    for path in paths:
        if not _PATH.fullmatch(path):
            raise ValueError(
                f"has '{path}'; a path is 1 to 10 keys with dots between, each of letters, digits, '_', '-'"
            )
    if len(paths) > MAX_PATHS:
        raise ValueError(f"has {len(paths)} paths; there can be {MAX_PATHS}")
    return paths


def parse_tag(text: str) -> Tagged:
    """Read ``key=value``, or ``key`` for any value, as they are written.

    Raises:
        Malformed: there is no key.
    """
    key, equals, value = text.partition("=")
    if not key:
        raise _wrong("tag", "A tag to look for is 'key=value', or 'key' for any value.")
    return Tagged(exactly(key), exactly(value) if equals else None)


def parse_written(text: str) -> Written:
    """Read ``pump-0007:1234``: a device and the revision of its record.

    Raises:
        Malformed: it is something else.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise _wrong("atLeast", "A device and a revision of its record are such as pump-0007:1234.")
    return Written(match[1], int(match[2]))


def _wrong_sort(at: int, told: str) -> Malformed:
    told = f"at character {at + 1}: {told}"
    return Malformed(detail=f"sort: {told}", fields={"sort": told}, position=at)


def _wrong(name: str, told: str) -> Malformed:
    return Malformed(detail=f"{name}: {told}", fields={name: told})
