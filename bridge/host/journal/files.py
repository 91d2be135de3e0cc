"""The log files of a local stack, behind the interface of the journal.

``supervisor`` writes what a process says to a file; one that is full it
renames, the last to ``.1``, that to ``.2`` and so on. A line's cursor is its
file's number and its place in it, which renaming does not change.
"""

import asyncio
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

from bridge.host.journal.lines import Line, Lines
from bridge.host.journal.plain import read_plain
from bridge.host.journal.port import MOST_PAGE_BYTES, SEARCH_SECONDS, is_wanted, size_of
from functions.contract.messages import LogEntry, LogPage, LogQuery
from functions.domain.faults import Malformed, NotFound

_CURSOR: Final = re.compile(r"f=([0-9]{1,20});o=([0-9]{1,15})")
_CHUNK: Final = 256 * 1024
_BLOCK: Final = 64 * 1024
# What is kept of a line: its text is cut at 8,192 characters of at most 4 bytes.
_MOST_LINE: Final = 64 * 1024
_LOOK_SECONDS: Final = 0.2


class LogFiles:
    """The logs that lie in files (``bridge.host.journal.port.Journal``).

    Args:
        path_of: the file that a unit's log is written to; None for a unit without one.
        search_seconds: how long one search may take.
    """

    def __init__(self, path_of: Callable[[str], Path | None], search_seconds: float = SEARCH_SECONDS) -> None:
        self._path_of = path_of
        self._search_seconds = search_seconds

    async def read(self, wanted: LogQuery) -> LogPage:
        """The last lines that are wanted; see the interface."""
        return await asyncio.to_thread(self._read, wanted)

    async def follow(self, unit: str, after: str | None = None) -> "FileFollowing":
        """Follow a unit's log; see the interface."""
        return FileFollowing(self._path(unit), after)

    def _path(self, unit: str) -> Path:
        path = self._path_of(unit)
        if path is None or not path.exists():
            raise NotFound(detail=f"There is no log of '{unit}' on this host.")
        return path

    def _read(self, wanted: LogQuery) -> LogPage:
        found: list[LogEntry] = []
        size, last = 0, wanted.before
        deadline = time.monotonic() + self._search_seconds
        for entry in self._backwards(wanted):
            if wanted.since is not None and entry.time is not None and entry.time < wanted.since:
                return LogPage(node="", unit=wanted.unit, entries=found, older=None)
            if is_wanted(entry, wanted):
                size += size_of(entry)
                if found and size > MOST_PAGE_BYTES:
                    break
                found.append(entry)
            last = entry.cursor
            if len(found) == wanted.lines or time.monotonic() > deadline:
                break
        else:
            last = None
        return LogPage(node="", unit=wanted.unit, entries=found, older=last)

    def _backwards(self, wanted: LogQuery) -> Iterator[LogEntry]:
        """The lines of a log, newest first, over all its files."""
        place = None if wanted.before is None else _place(wanted.before)
        with ExitStack() as stack:
            files = [stack.enter_context(file) for file in _open_all(self._path(wanted.unit))]
            numbers = [_number(file) for file in files]
            if place is not None and place[0] not in numbers:
                raise Malformed(
                    detail="The log has no line of this cursor any more.", fields={"before": "no line has it"}
                )
            begin = 0 if place is None else numbers.index(place[0])
            for file, number in zip(files[begin:], numbers[begin:], strict=True):
                end = os.fstat(file.fileno()).st_size
                if place is not None and number == place[0]:
                    end = min(end, place[1])
                for line, at in lines_backwards(file, end):
                    yield read_plain(line, f"f={number};o={at}")


class FileFollowing:
    """A log file that is read as it grows, through its being renamed.

    Args:
        path: where it is written.
        after: the cursor of a line; None for what is written from now on.
    """

    def __init__(self, path: Path, after: str | None) -> None:
        self._path = path
        self._lines = Lines(_MOST_LINE)
        self._lost = 0
        place = None if after is None else _place(after)
        self._file, self._at = _choose(_open_all(path), place), 0
        if place is None:
            self._at = _end_of_lines(self._file)
            self._file.seek(self._at)
        elif _number(self._file) == place[0]:
            self._file.seek(place[1])
            self._skip(place[1])
        else:
            self._lost = 1

    async def read(self) -> list[LogEntry]:
        """What was written since; see the interface."""
        # A file has no event to wait for that every system has.
        while not (found := self._read_on()):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        return found

    async def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _skip(self, at: int) -> None:
        """Pass over the line that it begins after."""
        while chunk := self._file.read(_BLOCK):
            end = chunk.find(b"\n")
            at += len(chunk) if end < 0 else end + 1
            if end >= 0:
                break
        self._at = self._file.seek(at)

    def _read_on(self) -> list[LogEntry]:
        # What is still in the file that was renamed came first: so it is read again once the next is there.
        is_replaced = self._is_replaced()
        found = self._take()
        if not found and is_replaced:
            self._open_next()
            found = self._take()
        return found

    def _take(self) -> list[LogEntry]:
        facts = os.fstat(self._file.fileno())
        if facts.st_size < self._file.tell():
            # It was emptied under its name: what stands there is new.
            self._file.seek(0)
            self._at, self._lost, self._lines = 0, 1, Lines(_MOST_LINE)
        chunk = self._file.read(_CHUNK)
        found: list[LogEntry] = []
        for line in self._lines.feed(chunk or b""):
            # A line that was begun in the file before counts as at the beginning of this one.
            entry = read_plain(line, f"f={facts.st_ino};o={max(0, self._at)}")
            if self._lost:
                # How many, nobody knows: one at least.
                entry, self._lost = entry.model_copy(update={"lost": self._lost}), 0
            found.append(entry)
            self._at += line.length + 1
        return found

    def _is_replaced(self) -> bool:
        try:
            return self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def _open_next(self) -> None:
        """Go on with the file that was begun when this one was full; the oldest there is, if this one is gone."""
        own, files = _number(self._file), _open_all(self._path)
        numbers = [_number(file) for file in files]
        if own in numbers:
            # One that was renamed back is its own next.
            following = files[max(0, numbers.index(own) - 1)]
        else:
            following, self._lost, self._lines = files[-1], 1, Lines(_MOST_LINE)
        self._file.close()
        self._file = _choose(files, (_number(following), 0))
        self._at = -self._lines.begun


def lines_backwards(file: BinaryIO, end: int) -> Iterator[tuple[Line, int]]:
    """The whole lines before a place in a file, last first, each with where it begins.

    A last line that has no end yet is not given.
    """
    tail, length, place, is_begun = b"", 0, end, False
    while place > 0:
        begin = max(0, place - _BLOCK)
        block = os.pread(file.fileno(), place - begin, begin)
        if len(block) < place - begin:
            # It was emptied meanwhile.
            return
        cut = len(block)
        while (found := block.rfind(b"\n", 0, cut)) >= 0:
            if is_begun:
                piece = block[found + 1 : cut]
                yield Line((piece + tail)[:_MOST_LINE], len(piece) + length), begin + found + 1
            is_begun, tail, length, cut = True, b"", 0, found
        if is_begun:
            tail, length = (block[:cut] + tail)[:_MOST_LINE], length + cut
        place = begin
    if is_begun:
        yield Line(tail, length), 0


def _open_all(path: Path) -> list[BinaryIO]:
    """The files of a log, newest first. One that is renamed meanwhile is there once."""
    found: dict[int, BinaryIO] = {}
    for one in (path, *(path.with_name(f"{path.name}.{number}") for number in range(1, 100))):
        try:
            file = one.open("rb", buffering=0)
        except FileNotFoundError:
            break
        facts = os.fstat(file.fileno())
        if facts.st_ino in found or not stat.S_ISREG(facts.st_mode):
            file.close()
        else:
            found[facts.st_ino] = file
    if not found:
        raise NotFound(detail="The log is not there any more.")
    return list(found.values())


def _choose(files: list[BinaryIO], place: tuple[int, int] | None) -> BinaryIO:
    """The file of a place, the oldest where it is gone, the newest for none; the others are closed."""
    wanted = files[0] if place is None else next((one for one in files if _number(one) == place[0]), files[-1])
    for one in files:
        if one is not wanted:
            one.close()
    return wanted


def _number(file: BinaryIO) -> int:
    """What tells a file from every other, whatever its name."""
    return os.fstat(file.fileno()).st_ino


def _end_of_lines(file: BinaryIO) -> int:
    """Where the line begins that is being written; what is longer than a block is not looked through."""
    size = os.fstat(file.fileno()).st_size
    begin = max(0, size - _BLOCK)
    end = os.pread(file.fileno(), size - begin, begin).rfind(b"\n")
    return begin + end + 1 if end >= 0 else size if begin else 0


def _place(cursor: str) -> tuple[int, int]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise Malformed(detail="No line of a log has this cursor.", fields={"before": "no line has it"})
    return int(match[1]), int(match[2])
