"""Messages of the logs of a host's units: what was written, and what is being written."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from functions.contract.messages.base import Message, Request, Time

LogPriority = Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
# What systemd allows in a unit's name; which units there are to be had, their host decides.
LogUnit = Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.\\@-]{1,255}$")]
LogNode = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
LogCursor = Annotated[str, Field(pattern=r"^[A-Za-z0-9=;_-]{1,512}$")]


class LogQuery(Request):
    """A question for the last lines of a unit's log.

    ``lines`` at most; ``before`` a line's cursor, for older ones; ``priority``
    the least severe that is wanted (``debug`` for all); ``q`` a text that the
    line contains, in capitals or not; ``since`` and ``until`` times. A line of
    no time counts as of any.
    """

    unit: LogUnit
    node: LogNode | None = None
    lines: Annotated[int, Field(ge=1, le=1000)] = 100
    before: LogCursor | None = None
    priority: LogPriority = "debug"
    q: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    since: Time | None = None
    until: Time | None = None


class LogEntry(Message):
    r"""A line of a log.

    ``cursor`` tells it from every other of that unit, null where it has none;
    ``time`` when it was written, null where it does not say; ``text`` as it
    was written, whatever it holds, and not fit for a terminal or a page
    unescaped. Where the text is no UTF-8 (``isBinary``), other bytes stand as
    ``\xff``; where it is longer than 8,192 characters (``isTruncated``), its
    beginning stands. ``lost`` is how many lines are missing at this place.
    """

    cursor: str | None
    time: datetime | None
    priority: LogPriority
    text: str
    identifier: str | None = None
    pid: int | None = None
    is_binary: bool = False
    is_truncated: bool = False
    lost: int = 0


class LogPage(Message):
    """Lines of a unit's log, newest first; ``older`` is the cursor to ask ``before``, null where there are no older.

    Fewer than were asked for, or none, with an ``older``: the search has come
    that far in the time it may take, or the answer is large.
    """

    node: str
    unit: str
    entries: list[LogEntry]
    older: str | None


class LogFollow(Request):
    """Asks to follow a unit's log from now on."""

    unit: LogUnit
    node: LogNode | None = None


class LogLease(Message):
    """A unit's log is followed: its lines are told on ``devicehub.host.<node>.logs.of.<token>`` for so many seconds.

    They begin with what is written after the first such answer; who asks
    again in time misses none.
    """

    node: str
    unit: str
    token: str
    seconds: float


class LogLines(Message):
    """Lines of a followed log, oldest first.

    ``number`` counts these messages from 1 on, so that a missing one is
    noticed, and ``before`` the lines that were told in those before, so that
    it is known how many are missing. Both begin anew with the following.
    ``ended`` says why no more come, if the log cannot be followed.
    """

    node: str
    unit: str
    number: int
    before: int
    entries: list[LogEntry]
    ended: str | None = None
