"""systemd's journal, by its own program: ``journalctl -o json``, one process a question and one for each followed log.

What is not read stays in the journal: a full pipe stops the program, which
goes on from its place when there is room. So nothing is lost here, however
fast a unit writes, and what waits is bounded by pipe and buffer.
"""

import asyncio
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final

from bridge.host.journal.entries import FIELDS, read_entry
from bridge.host.journal.lines import Lines
from bridge.host.journal.port import MOST_PAGE_BYTES, PRIORITIES, SEARCH_SECONDS, USUAL, is_wanted, size_of
from functions.contract.messages import LogEntry, LogPage, LogQuery
from functions.domain.faults import Malformed, Unavailable

# A message of 1 MB of other bytes than text is 4 MB as journalctl writes it.
_MOST_LINE: Final = 8 * 1024 * 1024
_CHUNK: Final = 256 * 1024
_END_SECONDS: Final = 2.0
# Messages are compared with, so they must be in English.
_ENVIRONMENT: Final[Mapping[str, str]] = {"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"}

_GROUP = "Add the user of the host shim to the group 'systemd-journal', then start it again."


class Journalctl:
    """The journal of this machine (``bridge.host.journal.port.Journal``).

    Args:
        directory: where the journal's files lie, if not where this machine keeps its own.
        program: what is run.
        search_seconds: how long one search may take.
    """

    def __init__(
        self, directory: Path | None = None, program: str = "journalctl", search_seconds: float = SEARCH_SECONDS
    ) -> None:
        self._command = (program, *(() if directory is None else (f"--directory={directory}",)))
        self._search_seconds = search_seconds

    async def read(self, wanted: LogQuery) -> LogPage:
        """The last lines that are wanted; see the interface."""
        found: list[LogEntry] = []
        size, last, is_all = 0, wanted.before, True
        deadline = time.monotonic() + self._search_seconds
        async with aclosing(self._backwards(wanted)) as entries:
            async for entry in entries:
                if wanted.since is not None and entry.time is not None and entry.time < wanted.since:
                    break
                if is_wanted(entry, wanted):
                    size += size_of(entry)
                    if found and size > MOST_PAGE_BYTES:
                        is_all = False
                        break
                    found.append(entry)
                last = entry.cursor or last
                if len(found) == wanted.lines or time.monotonic() > deadline:
                    is_all = False
                    break
            else:
                if last is None:
                    await self._require_journal()
        return LogPage(node="", unit=wanted.unit, entries=found, older=None if is_all else last)

    async def follow(self, unit: str, after: str | None = None) -> "JournalFollowing":
        """Follow a unit's log; see the interface."""
        if after is None:
            newest = await self.read(LogQuery(unit=unit, lines=1))
            after = next((entry.cursor for entry in newest.entries), None)
        # Without --no-tail it begins with the last ten lines, wherever the cursor is.
        begin = f"--since=@{time.time():.6f}" if after is None else f"--after-cursor={after}"
        process = await self._start("--follow", "--no-tail", f"--unit={unit}", begin)
        return JournalFollowing(process)

    async def _backwards(self, wanted: LogQuery) -> AsyncGenerator[LogEntry, None]:
        """The entries of a unit, newest first, that may be wanted."""
        options = [f"--unit={wanted.unit}", "--reverse"]
        if wanted.before is not None:
            options.append(f"--after-cursor={wanted.before}")
        if wanted.until is not None:
            options.append(f"--until=@{wanted.until.timestamp():.6f}")
        if PRIORITIES.index(wanted.priority) < PRIORITIES.index(USUAL):
            # The journal's index finds them. It knows none of entries that have no priority, which count as usual.
            options.append(f"--priority={wanted.priority}")
        process = await self._start(*options)
        lines = Lines(_MOST_LINE)
        try:
            assert process.stdout is not None
            while chunk := await process.stdout.read(_CHUNK):
                for line in lines.feed(chunk):
                    yield read_entry(line)
            if await process.wait() != 0:
                raise _fault(await _said(process))
        finally:
            await _end(process)

    async def _require_journal(self) -> None:
        """Refuse what found nothing because there is no journal, which in JSON is not said."""
        process = await self._start("--lines=0", form="short")
        try:
            _, said = await process.communicate()
        finally:
            await _end(process)
        words = said.decode(errors="replace")
        if process.returncode != 0 or any(word in words for word in ("No journal files", "not seeing messages")):
            raise _fault(words)

    async def _start(self, *options: str, form: str = "json") -> Process:
        output = ("--output=json", "--all", f"--output-fields={FIELDS}") if form == "json" else (f"--output={form}",)
        try:
            return await asyncio.create_subprocess_exec(
                *self._command,
                "--no-pager",
                *output,
                *options,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                limit=_CHUNK,
                env=_ENVIRONMENT,
            )
        except OSError as problem:
            raise Unavailable(
                detail=f"The program journalctl could not be run ({problem.strerror}), so there are no logs to read."
            ) from problem


class JournalFollowing:
    """One running ``journalctl --follow``."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lines = Lines(_MOST_LINE)

    async def read(self) -> list[LogEntry]:
        """What was written since; see the interface."""
        assert self._process.stdout is not None
        found: list[LogEntry] = []
        while not found:
            chunk = await self._process.stdout.read(_CHUNK)
            if not chunk:
                raise _fault(await _said(self._process))
            found = [read_entry(line) for line in self._lines.feed(chunk)]
        return found

    async def close(self) -> None:
        """End the program."""
        await _end(self._process)


async def _said(process: Process) -> str:
    """What a program that has ended complained of; it is a line or two."""
    assert process.stderr is not None
    return (await process.stderr.read(4096)).decode(errors="replace")


async def _end(process: Process) -> None:
    """End a program, and collect what is left of it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _END_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _fault(said: str) -> Malformed | Unavailable:
    """What journalctl's words mean to who asked."""
    if "Failed to seek to cursor" in said or "Failed to parse cursor" in said:
        return Malformed(detail="No line of a log has this cursor.", fields={"before": "no line has it"})
    if "insufficient permissions" in said or "not seeing messages" in said or "Permission denied" in said:
        return Unavailable(detail=f"The host shim may not read the journal. {_GROUP}")
    if "No journal files were found" in said or "No such file or directory" in said:
        return Unavailable(detail="This host has no journal: is systemd-journald running?")
    words = " ".join(said.split())[:200]
    return Unavailable(detail=f"The journal cannot be read now. journalctl said: {words or 'nothing'}")
