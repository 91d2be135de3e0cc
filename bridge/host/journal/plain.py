"""The lines of a local stack's log files: JSON of the hub's own parts, and what the servers of others write."""

import re
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from bridge.host.journal.entries import MOST_CHARACTERS, decode
from bridge.host.journal.lines import Line
from bridge.host.journal.port import USUAL
from functions.contract.messages import LogEntry, LogPriority

_LEVELS: Final[dict[str, LogPriority]] = {
    "critical": "crit",
    "crit": "crit",
    "ftl": "crit",
    "error": "err",
    "err": "err",
    "warning": "warning",
    "warn": "warning",
    "wrn": "warning",
    "info": "info",
    "inf": "info",
    "debug": "debug",
    "dbg": "debug",
    "trc": "debug",
    "trac": "debug",
    "blat": "debug",
}
# nats-server: "[7] 2026/11/23 21:00:00.123456 [INF] text", in local time.
_NATS: Final = re.compile(r"\[\d+\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{1,6}) \[([A-Z]{3})\] ")
# Mosquitto: "1795468769: text".
_MOSQUITTO: Final = re.compile(r"(\d{9,11}): (Error|Warning)?")
# supervisor: "2026-11-23 21:00:00,123 INFO text", in local time.
_SUPERVISOR: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) ([A-Z]{4}) ")


def read_plain(line: Line, cursor: str) -> LogEntry:
    """The entry that a line of a log file is; its text is all of the line."""
    text, is_binary = decode(line.text, is_cut=line.is_cut)
    time, priority = _of_json(line) if line.text.startswith(b"{") else _of_text(text)
    return LogEntry(
        cursor=cursor,
        time=time,
        priority=priority,
        text=text[:MOST_CHARACTERS],
        is_binary=is_binary,
        is_truncated=line.is_cut or len(text) > MOST_CHARACTERS,
    )


def _of_json(line: Line) -> tuple[datetime | None, LogPriority]:
    try:
        told: Any = orjson.loads(line.text)
    except ValueError:
        return None, USUAL
    # It begins with a brace, so it is an object.
    return _moment(str(told.get("time"))), _LEVELS.get(str(told.get("level")), USUAL)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _of_text(text: str) -> tuple[datetime | None, LogPriority]:
    if match := _NATS.match(text):
        return _local(match[1], "%Y/%m/%d %H:%M:%S.%f"), _LEVELS.get(match[2].lower(), USUAL)
    if match := _SUPERVISOR.match(text):
        return _local(match[1], "%Y-%m-%d %H:%M:%S,%f"), _LEVELS.get(match[2].lower(), USUAL)
    if match := _MOSQUITTO.match(text):
        return datetime.fromtimestamp(int(match[1]), UTC), _LEVELS.get((match[2] or "").lower(), USUAL)
    return None, USUAL


def _local(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
