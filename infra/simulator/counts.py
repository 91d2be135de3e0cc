"""What a fleet has done: numbers, times and reasons, since the beginning and since the last look."""

from collections import Counter, deque
from collections.abc import Sequence

_REMEMBERED = 10_000


class Counts:
    """Counts by name, the latest durations, and errors by reason."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def took(self, name: str, seconds: float) -> None:
        """One more done, in so many seconds."""
        self.done[name] += 1
        self._seconds.append(seconds)

    def failed(self, reason: str) -> None:
        """One more error."""
        self.errors[reason] += 1

    def milliseconds(self) -> tuple[float, float] | None:
        """Median and 99th of a hundred of the latest durations."""
        return percentiles(self._seconds)


def percentiles(seconds: "Sequence[float] | deque[float]") -> tuple[float, float] | None:
    """Median and 99th of a hundred, in milliseconds; None of nothing."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return 1000 * ordered[len(ordered) // 2], 1000 * ordered[len(ordered) * 99 // 100]
