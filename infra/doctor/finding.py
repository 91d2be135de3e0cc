"""What the doctor finds, and what it looks at."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from infra.node import Node
from infra.problem import Problem
from infra.settings import Settings
from infra.stack.paths import Paths
from infra.stack.reporting import Report


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: well, or wrong and with a way to mend it."""

    what: str
    mend: str = ""
    is_well: bool = True

    @classmethod
    def wrong(cls, what: str, mend: str) -> "Finding":
        """Something that must be mended."""
        return cls(what, mend, is_well=False)

    @classmethod
    def of(cls, problem: Problem) -> "Finding":
        """What stops a command is wrong here too."""
        return cls.wrong(problem.what, problem.mend)


@dataclass(frozen=True, slots=True)
class Patient:
    """A hub: its settings, where it lies, what its last start wrote, and how it runs.

    ``node`` is None where no hub was set up yet, ``report`` where none runs.
    """

    settings: Settings
    paths: Paths
    node: Node | None
    report: Report | None
    now: datetime


Check = Callable[[Patient], Awaitable[list[Finding]]]


def span(time: timedelta) -> str:
    """A time as people say it: 3 days, 5 hours, 20 s."""
    seconds = abs(time.total_seconds())
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {name}{'s' if number > 1 else ''}"
    return f"{seconds:.3g} s"


def utc_now() -> datetime:
    """The time now, aware and in UTC."""
    return datetime.now(UTC)
