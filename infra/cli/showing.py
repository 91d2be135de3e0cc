"""How a simulation shows itself: drawn on a terminal, lines anywhere else."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from infra.cli.console import complain, say
from infra.simulator.running import Show

# A log needs fewer lines than a terminal has moments.
_LINE_EVERY_SECONDS = 5.0


def make_show(*, to_stderr: bool = False) -> Show:
    """The way that suits where it goes."""
    stream = sys.stderr if to_stderr else sys.stdout
    return Drawing(stream) if stream.isatty() else Lines(complain if to_stderr else say)


class Lines:
    """A line now and then, given to ``say``."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._next = time.monotonic() + _LINE_EVERY_SECONDS

    def say(self, text: str) -> None:
        """Print a line."""
        self._say(text)

    def joining(self, done: int, total: int, failed: int) -> None:
        """Print a line if it is time for one."""
        self._now_and_then(f"{done} of {total} devices have joined, {failed} failed.")

    def reporting(self, text: str) -> None:
        """Print a line if it is time for one."""
        self._now_and_then(text)

    def close(self) -> None:
        """Nothing is open."""

    def _now_and_then(self, text: str) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + _LINE_EVERY_SECONDS
            self.say(text)


class Drawing:
    """A bar while devices join, then a line that changes."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream)
        self._bar: Progress | None = None
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """Print above what changes."""
        self._console.print(Text(text))

    def joining(self, done: int, total: int, failed: int) -> None:
        """Draw the bar."""
        told = f"Joining ({failed} failed)" if failed else "Joining"
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
            self._bar.add_task(told, total=total)
        self._bar.update(self._bar.task_ids[0], completed=done, description=told)

    def reporting(self, text: str) -> None:
        """Draw the line."""
        self._end_bar()
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(text), refresh=True)

    def close(self) -> None:
        """Leave no cursor hidden."""
        self._end_bar()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
