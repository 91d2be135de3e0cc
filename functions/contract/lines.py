"""Devices as lines of text: NDJSON, an object a line, or CSV (RFC 4180) with a heading.

In CSV a cell holds text as it is, groups with ``;`` between them, and what is
an object in JSON as that. A cell that begins with ``=``, ``+``, ``-``, ``@``,
a tab or a carriage return would be a formula to a spreadsheet: it gets an
apostrophe before it, which is taken away when it is read.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import orjson

from functions.contract.messages import DeviceLine
from functions.contract.reading import read_json
from functions.domain.faults import Malformed, Reason

NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"

# A device at the limits of everything has less than 200 KiB in JSON.
MAX_LINE_BYTES: Final = 256 * 1024

COLUMNS: Final = tuple(str(field.alias) for field in DeviceLine.model_fields.values())
_OBJECTS: Final = frozenset({"tags", "metadata", "desired", "reported"})
_NUMBERS: Final = frozenset({"desiredVersion", "reportedVersion"})
_LISTS: Final = frozenset({"groups"})
# Where an empty cell says that there is nothing, rather than an empty text.
_NONE_IF_EMPTY: Final = (
    _OBJECTS | _NUMBERS | {"lifecycle", "uuidHash", "certificate", "createdAt", "updatedAt", "replaces", "replacedBy"}
)

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r]")
_MOST_DIGITS: Final = 16


def heading() -> bytes:
    """The first line of CSV."""
    return _row(COLUMNS)


def ndjson_line(device: dict[str, Any]) -> bytes:
    """A device as a line of NDJSON."""
    return orjson.dumps(device) + b"\n"


def csv_line(device: dict[str, Any]) -> bytes:
    """A device as a line of CSV, in the columns of the heading."""
    return _row([_guard(_cell(name, device.get(name))) for name in COLUMNS])


def csv_row(cells: Iterable[str]) -> bytes:
    """A line of CSV in columns of another kind, no cell of it a formula."""
    return _row([_guard(cell) for cell in cells])


class Lines:
    """Cuts text that comes in pieces into the lines of devices, and reads them; what is kept is one line at most.

    Args:
        media_type: ``NDJSON`` or ``CSV``.
    """

    def __init__(self, media_type: str) -> None:
        self._read: Callable[[str], dict[str, Any] | None] = self._csv if media_type == CSV else _ndjson
        self._is_csv = media_type == CSV
        self._rest = b""
        self._scanned = 0
        self._is_quoted = False
        self._began = 1
        self._number = 0
        self._columns: list[str] | None = None

    def feed(self, piece: bytes) -> Iterator[tuple[int, dict[str, Any] | Malformed]]:
        """The devices of the lines that are complete, each with the number of its first line, or what is wrong with it.

        Raises:
            Malformed: the heading is none, or a line is longer than any device.
        """
        self._rest += piece
        begin = 0
        while (end := self._end(begin)) >= 0:
            yield from self._take(self._rest[begin:end])
            begin = end + 1
        self._rest = self._rest[begin:]
        self._scanned -= begin
        if len(self._rest) > MAX_LINE_BYTES:
            raise Malformed(Reason.TOO_LARGE, f"Line {self._began} has more than {MAX_LINE_BYTES} bytes.")

    def end(self) -> Iterator[tuple[int, dict[str, Any] | Malformed]]:
        """The device of the last line, if that has no end of its own.

        Raises:
            Malformed: as ``feed``.
        """
        rest, self._rest = self._rest, b""
        if rest:
            yield from self._take(rest)

    def _end(self, begin: int) -> int:
        """Where the line ends that begins there, or -1: a line break within quotes is part of a cell.

        Nothing is looked at twice, however many line breaks a cell has.
        """
        position = max(self._scanned, begin)
        while (end := self._rest.find(b"\n", position)) >= 0:
            self._is_quoted ^= self._rest.count(b'"', position, end) % 2 == 1
            position = self._scanned = end + 1
            if not (self._is_csv and self._is_quoted):
                self._is_quoted = False
                return end
        self._is_quoted ^= self._rest.count(b'"', position) % 2 == 1
        self._scanned = len(self._rest)
        return -1

    def _take(self, line: bytes) -> Iterator[tuple[int, dict[str, Any] | Malformed]]:
        began = self._began
        self._began += 1 + line.count(b"\n")
        if len(line) > MAX_LINE_BYTES:
            raise Malformed(Reason.TOO_LARGE, f"Line {began} has more than {MAX_LINE_BYTES} bytes.")
        try:
            text = line.decode("utf-8").removeprefix("\ufeff" if began == 1 else "")
            device = self._read(text) if text.strip() else None
        except UnicodeDecodeError:
            yield began, Malformed(detail="The line is not UTF-8.")
        except Malformed as fault:
            if self._is_csv and self._columns is None:
                raise
            yield began, fault
        else:
            if device is not None:
                yield began, device

    def _csv(self, text: str) -> dict[str, Any] | None:
        try:
            (cells,) = csv.reader([text.removesuffix("\r")], strict=True)
        except (csv.Error, ValueError) as problem:
            raise Malformed(detail=f"The line is no CSV: {problem}.") from problem
        if self._columns is None:
            self._columns = _columns(cells)
            return None
        if len(cells) != len(self._columns):
            raise Malformed(detail=f"The line has {len(cells)} cells; the heading has {len(self._columns)}.")
        return {name: _value(name, _unguard(cell)) for name, cell in zip(self._columns, cells, strict=True)}


def _ndjson(text: str) -> dict[str, Any]:
    device = read_json(text.encode(), "line")
    if not isinstance(device, dict):
        raise Malformed(detail="The line is no JSON object.")
    return device


def _columns(cells: list[str]) -> list[str]:
    wrong = [cell for cell in cells if cell not in COLUMNS]
    if wrong or "deviceId" not in cells or len(set(cells)) != len(cells):
        known = ", ".join(COLUMNS)
        raise Malformed(detail=f"The first line of CSV names the columns, 'deviceId' and any of these once: {known}.")
    return cells


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _LISTS:
        return ";".join(value)
    return orjson.dumps(value).decode() if name in _OBJECTS else str(value)


def _value(name: str, cell: str) -> Any:
    """What a cell says, as JSON has it."""
    if not cell and name in _NONE_IF_EMPTY:
        return None
    if name in _LISTS:
        return [one.strip() for one in cell.split(";")] if cell.strip() else []
    if name in _NUMBERS and cell.isascii() and cell.isdecimal() and len(cell) <= _MOST_DIGITS:
        return int(cell)
    if name not in _OBJECTS:
        return cell
    try:
        return read_json(cell.encode(), "cell")
    except Malformed as fault:
        raise Malformed(fault.reason, f"{name}: {fault.detail}", fields={name: fault.detail}) from fault


def _guard(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _unguard(cell: str) -> str:
    return cell[1:] if _GUARDED.match(cell) else cell


def _row(cells: tuple[str, ...] | list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()
