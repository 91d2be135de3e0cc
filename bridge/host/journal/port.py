"""What the shim needs of the logs of its host."""

from typing import Final, Protocol

from functions.contract.messages import LogEntry, LogPage, LogPriority, LogQuery

# Most severe first: the place of each is syslog's number.
PRIORITIES: Final[tuple[LogPriority, ...]] = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
# A line whose priority is not known counts as this one.
USUAL: Final[LogPriority] = "info"

# What one answer, and one message of a followed log, may hold at most (the bus takes 1 MiB).
MOST_PAGE_BYTES: Final = 512 * 1024
MOST_LINES_BYTES: Final = 128 * 1024
# How long one search may take; what it found until then is the answer.
SEARCH_SECONDS: Final = 2.0


class Following(Protocol):
    """A unit's log as it grows. It was begun when this was given; it must be closed."""

    async def read(self) -> list[LogEntry]:
        """What was written since, oldest first; waits until there is something.

        What is not read stays where it was written, not in memory.

        Raises:
            Unavailable: the log cannot be followed any more.
        """
        ...

    async def close(self) -> None:
        """End it, and every process that it needed. Safe to repeat."""
        ...


class Journal(Protocol):
    """The logs of a host's units. That a unit may be asked for was seen to before."""

    async def read(self, wanted: LogQuery) -> LogPage:
        """The last lines that are wanted, newest first. ``LogPage.node`` is left empty.

        Raises:
            Malformed: the cursor is of no line.
            NotFound: there is no such log.
            Unavailable: the log is not there, or cannot be read; its detail says what to do.
        """
        ...

    async def follow(self, unit: str, after: str | None = None) -> Following:
        """Follow a log from the line after a cursor on, or from what is written from now on.

        Raises:
            Malformed, NotFound, Unavailable: as ``read``.
        """
        ...


def size_of(entry: LogEntry) -> int:
    """About how many bytes an entry is on the bus: six for a character that JSON escapes, as it cannot be less safe."""
    return 200 + (len(entry.text) if entry.text.isascii() and entry.text.isprintable() else 6 * len(entry.text))


def is_wanted(entry: LogEntry, wanted: LogQuery) -> bool:
    """Whether a line is of the priority, text and time that are wanted."""
    if PRIORITIES.index(entry.priority) > PRIORITIES.index(wanted.priority):
        return False
    if wanted.q is not None and wanted.q.casefold() not in entry.text.casefold():
        return False
    if entry.time is None:
        return True
    return (wanted.until is None or entry.time <= wanted.until) and (wanted.since is None or entry.time >= wanted.since)
