"""How much work one question to the inventory may be, as everyone else waits meanwhile."""

import time
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from functions.domain.faults import Malformed, Reason

T = TypeVar("T")

# Of the processor, so that nobody is refused because other programs are busy. The most that the language allows in
# one query takes half a second at 100,000 devices; the queries of a hundred groups may take a hundred times as long.
MOST_SECONDS: Final = 1.5
# So many texts or labels are looked at between two looks at the clock: some milliseconds.
_A_STEP: Final = 2048


class Budget:
    """The processor's time that answering one question may take.

    Args:
        seconds: how much, from now on.
    """

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self._end = time.thread_time() + seconds

    def check(self) -> None:
        """Make sure that there is some left.

        Raises:
            Malformed: ``query_too_costly``.
        """
        if time.thread_time() > self._end:
            raise Malformed(Reason.QUERY_TOO_COSTLY)

    def steps(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """Items in parts that are little work each; for what is looked at one by one.

        Raises:
            Malformed: as ``check``, between two parts.
        """
        for begin in range(0, len(items), _A_STEP):
            self.check()
            yield items[begin : begin + _A_STEP]
