"""The broker's log file, read as it grows, with a mark of how far its news has been told.

Mosquitto writes each line before it goes on, so when a client's message comes,
that client's connect line stands in the file. The log cannot be had from the
broker's own topics: any certificate may subscribe to those, and under a client
id with ``+`` or ``#`` each delivery is denied and logged, which is a delivery
again; 2.0.11 dies of that recursion.

The mark lies beside the log and outlives this process: after a crash the lines
behind it are read again, which tells the same facts twice. A log that has grown
large is put aside once all of it is told. The broker begins a new one at its
next reload; until then it goes on in the old one, which stays open here.
"""

import json
import os
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import structlog

_LARGE_BYTES = 16 * 1024 * 1024
# A line is at most 1,000 bytes; more at once would hold up the loop.
_READ_BYTES = 256 * 1024
_INFORMATION = (b"Reloading config.", b"mosquitto version ", b"Saving in-memory ", b"Error saving in-memory ")
_ERRORS = (b"Error", b"Socket error", b"OpenSSL Error")
_STARTED = re.compile(rb"\d+: mosquitto version \S+ running\n")
_TAKEOVER = b" already connected, closing old connection."

log = structlog.get_logger("bridge.broker")


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log: the level that the broker wrote it at, its bytes, and its number among those read here."""

    level: str
    text: bytes
    number: int


@dataclass(slots=True)
class _Told:
    end: int
    is_done: bool = False


class LogFile:
    """Gives the lines that were written since the last call, and remembers which of them are done with.

    ``has_gap`` says that there were lines which cannot be had any more: the
    file that the mark speaks of is gone. ``is_large`` says that the file is to
    be put aside, which must wait until every line is done with.

    Args:
        path: the broker's ``log_dest file``.
        large_bytes: from which size on it is put aside.
    """

    def __init__(self, path: Path, *, large_bytes: int = _LARGE_BYTES) -> None:
        self._path = path
        self._aside = path.with_name(f"{path.name}.1")
        self._mark = path.with_name(f"{path.name}.mark")
        self._large_bytes = large_bytes
        self._file: BinaryIO | None = None
        self._rest = b""
        self._at = 0
        self._done_to = 0
        self._marked = (0, 0)
        self._lines: dict[int, _Told] = {}
        self._order: deque[int] = deque()
        self._number = 0
        self._is_closed = False
        self.has_gap = False
        self.is_large = False

    @property
    def is_there(self) -> bool:
        """Whether there is a file to read."""
        return self._file is not None and (self._path.exists() or self._aside.exists())

    def read(self) -> list[LogLine]:
        """The whole lines written since, in order; each is to be acknowledged when it is done with.

        Nothing once it is closed.
        """
        if self._is_closed or (self._file is None and not self._open()):
            return []
        found = self._read_on()
        while not found and self._is_replaced():
            # The broker writes to one file at a time: what is still in the old one came first.
            found = self._read_on()
            if not found:
                self._open_new()
                found = self._read_on()
        return found

    def acknowledge(self, line: LogLine) -> None:
        """A line is done with; the mark follows when all before it are too."""
        told = self._lines.get(line.number)
        if told is None:
            return
        told.is_done = True
        while self._order and self._lines[self._order[0]].is_done:
            self._done_to = self._lines.pop(self._order.popleft()).end

    def save(self) -> bool:
        """Put the mark on the disk where it moved; True if the log is large and was put aside now.

        The caller then has the broker reload, which begins a new file.
        """
        if self._file is None:
            return False
        facts = os.fstat(self._file.fileno())
        if (facts.st_ino, self._done_to) != self._marked:
            beside = self._mark.with_name(f"{self._mark.name}.new")
            beside.write_text(json.dumps({"file": facts.st_ino, "at": self._done_to}), encoding="ascii")
            beside.replace(self._mark)
            self._marked = (facts.st_ino, self._done_to)
        is_told = not self._order and self._at == facts.st_size
        self.is_large = facts.st_size >= self._large_bytes
        if not self.is_large or not is_told or self._is_replaced() or not self._path.exists():
            return False
        self._path.replace(self._aside)
        return True

    def close(self) -> None:
        """Save the mark and close the file, for good."""
        self._is_closed = True
        if self._file is not None:
            self.save()
            self._file.close()
            self._file = None

    # --- the file -----------------------------------------------------------------

    def _open(self) -> bool:
        """Open the file that the mark speaks of, at its place, or the log at the broker's last start."""
        inode, at = self._read_mark()
        for path in (self._path, self._aside):
            if inode and _inode(path) == inode:
                self._begin(path, at)
                return True
        if not self._path.exists():
            return False
        self.has_gap = bool(inode)
        self._begin(self._path, _after_last_start(self._path))
        return True

    def _open_new(self) -> None:
        if self._file is not None:
            self._file.close()
        self._begin(self._path, 0)

    def _begin(self, path: Path, at: int) -> None:
        # Unbuffered: what the broker writes next must be seen at the next read.
        self._file = path.open("rb", buffering=0)
        self._file.seek(at)
        self._at = self._done_to = at
        self._rest = b""

    def _is_replaced(self) -> bool:
        inode = _inode(self._path)
        return self._file is not None and inode != 0 and inode != os.fstat(self._file.fileno()).st_ino

    def _read_mark(self) -> tuple[int, int]:
        try:
            told = json.loads(self._mark.read_text(encoding="ascii"))
            return int(told["file"]), int(told["at"])
        except FileNotFoundError:
            return 0, 0
        except (ValueError, KeyError, TypeError) as problem:
            log.error("the mark in the broker's log cannot be read", file=str(self._mark), problem=repr(problem))
            return -1, 0

    def _read_on(self) -> list[LogLine]:
        if self._file is None:
            return []
        found: list[LogLine] = []
        while data := self._file.read(_READ_BYTES):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._at += len(line) + 1
                found.append(self._hand_out(line))
        return found

    def _hand_out(self, text: bytes) -> LogLine:
        self._number += 1
        self._lines[self._number] = _Told(self._at)
        self._order.append(self._number)
        return LogLine(level_of(text), text, self._number)


def level_of(line: bytes) -> str:
    """The level at which the broker writes a line: ``E``, ``I`` or ``N``.

    By the broker's own words, first or last in the line; a client id, which
    stands in the middle, can make none of an error or information line into
    what the end of a session looks like.
    """
    text = line.partition(b": ")[2]
    if text.startswith(_INFORMATION):
        return "I"
    if text.startswith(_ERRORS) or text.endswith(_TAKEOVER):
        return "E"
    return "N"


def _after_last_start(path: Path) -> int:
    """Where the news of the broker's present life begins; whom it knew before is gone."""
    at = start = 0
    with path.open("rb") as file:
        for line in file:
            at += len(line)
            if _STARTED.fullmatch(line):
                start = at
    return start


def _inode(path: Path) -> int:
    """The file's number, 0 where there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0
