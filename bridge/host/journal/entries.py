"""The lines of ``journalctl -o json``, whatever they hold.

A field is a string, numbers too; an array of bytes where it holds control
characters or no UTF-8; null where it was too large to be shown; an array of
such where the entry has it several times; or it is missing.
"""

import codecs
import re
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from bridge.host.journal.lines import Line
from bridge.host.journal.port import PRIORITIES, USUAL
from functions.contract.messages import LogEntry, LogPriority

# What of an entry is asked for; the cursor and the time come with them.
FIELDS: Final = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_PID,N_DROPPED"

MOST_CHARACTERS: Final = 8192
_MOST_IDENTIFIER: Final = 256
_MOST_NUMBER: Final = 2**53

_UTF8: Final = codecs.getincrementaldecoder("utf-8")
_CURSOR: Final = re.compile(rb'"__CURSOR":"([A-Za-z0-9=;_-]{1,512})"')
_TIME: Final = re.compile(rb'"__REALTIME_TIMESTAMP":"([0-9]{1,19})"')


def read_entry(line: Line) -> LogEntry:
    """The entry that a line tells of.

    One that cannot be read, as it is longer than is kept or is no JSON, counts
    as ``lost``; its cursor and time are told where they stand in what there is.
    """
    try:
        told = None if line.is_cut else orjson.loads(line.text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return _lost(line)
    text, is_binary, is_whole = _text(told.get("MESSAGE", ""))
    cursor, identifier = told.get("__CURSOR"), told.get("SYSLOG_IDENTIFIER")
    return LogEntry(
        cursor=cursor if isinstance(cursor, str) else None,
        time=_time(_number(told.get("__REALTIME_TIMESTAMP"))),
        priority=_priority(_number(told.get("PRIORITY"))),
        text=text[:MOST_CHARACTERS],
        identifier=None if identifier is None else _text(identifier)[0][:_MOST_IDENTIFIER],
        pid=_number(told.get("_PID")),
        is_binary=is_binary,
        is_truncated=not is_whole or len(text) > MOST_CHARACTERS,
        # The journal's own word on lines of a unit that wrote more than it may.
        lost=_number(told.get("N_DROPPED")) or 0,
    )


def _lost(line: Line) -> LogEntry:
    cursor, time = _CURSOR.search(line.text), _TIME.search(line.text)
    return LogEntry(
        cursor=cursor[1].decode() if cursor else None,
        time=_time(int(time[1])) if time else None,
        priority=USUAL,
        text="",
        is_truncated=True,
        lost=1,
    )


def _text(field: Any) -> tuple[str, bool, bool]:
    """A field as text, whether it held other bytes than UTF-8, and whether it is whole."""
    if isinstance(field, str):
        return field, False, True
    if field is None:
        return "", False, False
    if not isinstance(field, list):
        return str(field), False, True
    try:
        return (*decode(bytes(field)), True)
    except (TypeError, ValueError):
        # No bytes: the field several times. What is deeper than that, nobody writes.
        parts = [_text(one) for one in field if not isinstance(one, list) or _is_flat(one)]
        return "\n".join(part[0] for part in parts), any(part[1] for part in parts), all(part[2] for part in parts)


def _is_flat(field: list[Any]) -> bool:
    return not any(isinstance(one, list) for one in field)


def decode(data: bytes, *, is_cut: bool = False) -> tuple[str, bool]:
    r"""Bytes as text, and whether they were no UTF-8: what was none stands as ``\xff``.

    What is cut may end within a character, of which nothing stands then.
    """
    try:
        return _UTF8().decode(data, final=not is_cut), False
    except UnicodeDecodeError:
        return data.decode(errors="backslashreplace"), True


def _number(field: Any) -> int | None:
    """A number that is written as text; None for anything else. The first, where there are several."""
    if isinstance(field, list) and field:
        field = field[0]
    if isinstance(field, str) and field.isascii() and field.isdecimal() and len(field) < 20:
        number = int(field)
        return number if number <= _MOST_NUMBER else None
    return None


def _priority(number: int | None) -> LogPriority:
    return PRIORITIES[number] if number is not None and number < len(PRIORITIES) else USUAL


def _time(microseconds: int | None) -> datetime | None:
    """A time in microseconds since 1970; None for one that no calendar has."""
    if microseconds is None:
        return None
    try:
        return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
