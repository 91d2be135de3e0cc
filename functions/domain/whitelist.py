"""The whitelist as lines of a list: reading them, judging each, and finding entries again.

A list comes as CSV (``uuid,note,hardwareVersion,manufacturer``, or those of
the columns that its first line names), as JSON objects, or as bare UUIDs.
Whoever takes a list judges it here, so that every way in says the same of it.
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from functions.domain.enrolment import Whitelisted
from functions.domain.faults import Malformed
from functions.domain.inventory import Sort
from functions.domain.names import hardware_uuid

MAX_LINES = 10_000
MAX_NOTE = 256
MAX_HARDWARE_VERSION = 64
MAX_MANUFACTURER = 128

_HINT_CHARACTERS = 4
_COLUMNS = ("uuid", "note", "hardwareVersion", "manufacturer")
# With halves of surrogate pairs, which JSON can spell and UTF-8 cannot.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# The fields of an entry, as its view names them, by which a page can be sorted.
_SORTED_BY = {
    "addedAt": "added_at",
    "firstUsedAt": "first_used_at",
    "lastUsedAt": "last_used_at",
    "note": "note",
    "hardwareVersion": "hardware_version",
    "manufacturer": "manufacturer",
    "hint": "hint",
    "disabled": "disabled",
}
SORTABLE = tuple(_SORTED_BY)
_NEWEST_FIRST = (Sort("addedAt", True),)

# Short: a report of a whole list, each line of it wrong, must fit into one message of the bus.
NO_UUID = "not 4 to 64 letters, digits, '_' or '-'"


class Result(StrEnum):
    """What became of a line, or would."""

    ADDED = "added"
    PRESENT = "present"
    MALFORMED = "malformed"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list, as it was read; ``wrong`` says why it cannot be one."""

    number: int
    uuid: str = ""
    note: str = ""
    hardware_version: str = ""
    manufacturer: str = ""
    wrong: str = ""

    @property
    def hint(self) -> str:
        """What is kept of a UUID for a reader to recognise it by."""
        return self.uuid[-_HINT_CHARACTERS:]

    @property
    def cells(self) -> list[str]:
        """Its columns as a batch carries them, without empty ones at the end."""
        cells = [self.uuid, self.note, self.hardware_version, self.manufacturer]
        while len(cells) > 1 and not cells[-1]:
            cells.pop()
        return cells


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a line came to; ``reason`` where that is not all there is to say."""

    number: int
    result: Result
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """The lines that may be added, their UUIDs in canonical spelling, and what is to be said of the others."""

    good: tuple[Line, ...]
    others: tuple[Verdict, ...]


def line_of(number: int, cells: Sequence[str]) -> Line:
    """A line of its columns in their order."""
    if len(cells) > len(_COLUMNS):
        return Line(number, wrong=f"more than {len(_COLUMNS)} columns")
    return _line(number, dict(zip(_COLUMNS, cells, strict=False)))


def read_text(text: str) -> list[Line]:
    """The lines of a list as CSV; blank ones and those that begin with ``#`` are passed over.

    A first line with ``uuid`` among its columns names them, in any order.

    Raises:
        Malformed: the first line names a column that there is not, or one twice.
    """
    columns: tuple[str, ...] | None = None
    found: list[Line] = []
    for number, told in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not told.strip() or told.lstrip().startswith("#"):
            continue
        try:
            cells = [cell.strip() for cell in next(csv.reader([told], strict=True))]
        except csv.Error:
            cells = []
        if columns is None:
            columns = _header(cells)
            if columns is not None:
                continue
            columns = _COLUMNS
        if not cells:
            found.append(Line(number, wrong="no line of CSV: a quote is not closed"))
        elif len(cells) > len(columns):
            found.append(Line(number, wrong=f"more than {len(columns)} columns"))
        else:
            found.append(_line(number, dict(zip(columns, cells, strict=False))))
    return found


def read_objects(text: str) -> list[Line]:
    """The lines of a list as one JSON object (or bare UUID) a line; blank lines are passed over."""
    found: list[Line] = []
    for number, told in enumerate(text.splitlines(), start=1):
        if not told.strip():
            continue
        try:
            value = json.loads(told)
        except (ValueError, RecursionError):
            found.append(Line(number, wrong="no JSON"))
            continue
        found.append(line_of_value(number, value))
    return found


def line_of_value(number: int, value: Any) -> Line:
    """A line of a JSON value: an object with ``uuid`` and what else is known, or the UUID alone."""
    if isinstance(value, str):
        return _line(number, {"uuid": value})
    if not isinstance(value, dict):
        return Line(number, wrong="neither an object nor a UUID")
    if not value.keys() <= set(_COLUMNS):
        return Line(number, wrong="an unknown field")
    if not all(isinstance(member, str) for member in value.values()):
        return Line(number, wrong="a field is no text")
    return _line(number, value)


def with_defaults(
    lines: Iterable[Line], *, note: str = "", hardware_version: str = "", manufacturer: str = ""
) -> list[Line]:
    """The lines with these texts where they have none of their own."""
    return [
        line
        if line.wrong
        else replace(
            line,
            note=line.note or note,
            hardware_version=line.hardware_version or hardware_version,
            manufacturer=line.manufacturer or manufacturer,
        )
        for line in lines
    ]


def judge(lines: Iterable[Line]) -> Judged:
    """Tell the lines that may be added from those that are wrong, or name a UUID that an earlier one names."""
    first: dict[str, int] = {}
    good: list[Line] = []
    others: list[Verdict] = []
    for line in lines:
        wrong = line.wrong or _wrong(line)
        if wrong:
            others.append(Verdict(line.number, Result.MALFORMED, wrong))
            continue
        uuid = hardware_uuid(line.uuid)
        if uuid in first:
            others.append(Verdict(line.number, Result.DUPLICATE, f"of line {first[uuid]}"))
            continue
        first[uuid] = line.number
        good.append(replace(line, uuid=uuid))
    return Judged(tuple(good), tuple(others))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are wanted: what is given must all hold. ``key`` is the keyed hash of one UUID."""

    q: str = ""
    key: str | None = None
    is_disabled: bool | None = None
    is_used: bool | None = None
    sorts: tuple[Sort, ...] = ()


def select(entries: Iterable[Whitelisted], wanted: Wanted) -> list[Whitelisted]:
    """The wanted entries in their order: the newest first, unless another is asked for; equals by their id."""
    found = sorted((entry for entry in entries if _is_wanted(entry, wanted)), key=lambda entry: entry.uuid_hash)
    for sort in reversed(wanted.sorts or _NEWEST_FIRST):
        found.sort(key=lambda entry: _rank(entry, sort.field), reverse=sort.descending)
    return found


def _is_wanted(entry: Whitelisted, wanted: Wanted) -> bool:
    if wanted.key is not None and entry.uuid_hash != wanted.key:
        return False
    if wanted.is_disabled is not None and entry.disabled is not wanted.is_disabled:
        return False
    if wanted.is_used is not None and (entry.first_used_at is not None) is not wanted.is_used:
        return False
    texts = (entry.note, entry.hardware_version, entry.manufacturer)
    return any(wanted.q.lower() in text.lower() for text in texts) or wanted.q.lower().endswith(entry.hint.lower())


def _rank(entry: Whitelisted, field: str) -> tuple[bool, Any]:
    """Where an entry stands by a field; what it does not have is less than anything."""
    value = getattr(entry, _SORTED_BY[field])
    return (value is not None, value.lower() if isinstance(value, str) else value or 0)


def _header(cells: Sequence[str]) -> tuple[str, ...] | None:
    """The columns that a first line names, or None where it is a line like the others.

    Raises:
        Malformed: one that there is not, or one twice.
    """
    names = {name.lower(): name for name in _COLUMNS}
    told = [cell.lower().replace("_", "").replace(" ", "") for cell in cells]
    if "uuid" not in told:
        return None
    if not set(told) <= names.keys() or len(set(told)) < len(told):
        raise Malformed(detail=f"The first line must name each of its columns once; there are {', '.join(_COLUMNS)}.")
    return tuple(names[cell] for cell in told)


def _line(number: int, cells: Mapping[str, str]) -> Line:
    return Line(
        number,
        uuid=cells.get("uuid", ""),
        note=cells.get("note", ""),
        hardware_version=cells.get("hardwareVersion", ""),
        manufacturer=cells.get("manufacturer", ""),
    )


def _wrong(line: Line) -> str:
    """Why a line cannot be an entry; empty if it can."""
    try:
        hardware_uuid(line.uuid)
    except Malformed:
        return NO_UUID
    for name, text, most in (
        ("note", line.note, MAX_NOTE),
        ("hardwareVersion", line.hardware_version, MAX_HARDWARE_VERSION),
        ("manufacturer", line.manufacturer, MAX_MANUFACTURER),
    ):
        if len(text) > most:
            return f"{name} over {most} characters"
        if _CONTROL.search(text):
            return f"{name} with a control character"
    return ""
