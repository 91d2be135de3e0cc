"""The last messages of all topics, numbered, for clients that come again."""

import secrets
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

_MOST: Final = 20_000
_MOST_CHARACTERS: Final = 8 * 1024 * 1024

# Numbers grow with time, so that they grow over a restart too, in ticks of a tenth of a millisecond. The low bits tell
# one process's numbers from another's.
_TICKS_A_SECOND: Final = 10_000
_PROCESSES: Final = 256


class Sent(NamedTuple):
    """A message that was handed on."""

    seq: int
    topic: str
    device: str | None
    frame: str


class Recent:
    """Numbers messages, and keeps the last ones: 20,000, or 8 Mi characters.

    Args:
        wall: seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._mark = secrets.randbelow(_PROCESSES)
        self._kept: deque[Sent] = deque()
        self._characters = 0
        self.last = 0

    def number(self) -> int:
        """The next number: higher than all before, and below 2^53."""
        tick = int(self._wall() * _TICKS_A_SECOND)
        self.last = max(self.last + _PROCESSES, tick * _PROCESSES + self._mark)
        return self.last

    def keep(self, sent: Sent) -> None:
        """Keep a message that has the last number."""
        self._kept.append(sent)
        self._characters += len(sent.frame)
        while len(self._kept) > _MOST or self._characters > _MOST_CHARACTERS:
            self._characters -= len(self._kept.popleft().frame)

    def forget(self) -> None:
        """Forget all: something was missed, so that nothing before can be joined to what comes."""
        self._kept.clear()
        self._characters = 0

    def after(self, seq: int, until: int) -> Iterator[Sent] | None:
        """The messages after a number, up to another; None where that is not known, or may not be all."""
        if not any(one.seq == seq for one in self._kept):
            return None
        return (one for one in self._kept if seq < one.seq <= until)
