"""Figures over time in memory of a fixed size: 10 s steps for an hour, and minutes for a day.

Each step keeps the sum, the number and the largest of what was measured in
it. For ten figures that is 0.4 MB, however long the process runs; it is
kept nowhere else, so it begins anew with the process.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from functions.contract.messages import MetricsHistory, MetricsSeries, StepSeconds

# Seconds a step, and how many steps are kept.
STEPS: Final[Mapping[StepSeconds, int]] = {10: 360, 60: 1440}
_FINEST: Final[StepSeconds] = 10
_NEVER = -1
_DIGITS = 2


class _Ring:
    """The last steps of one length; a step is known by its number since 1970."""

    def __init__(self, seconds: int, length: int, width: int) -> None:
        self._seconds = seconds
        self._numbers = array("q", [_NEVER]) * length
        self._sums = array("d", [0.0]) * (length * width)
        self._most = array("d", [-math.inf]) * (length * width)
        self._counts = array("L", [0]) * (length * width)
        self._width = width

    def add(self, at: float, values: Sequence[float | None]) -> None:
        number = int(at // self._seconds)
        slot = number % len(self._numbers)
        if self._numbers[slot] != number:
            self._numbers[slot] = number
            for place in self._places(slot):
                self._sums[place], self._most[place], self._counts[place] = 0.0, -math.inf, 0
        for place, value in zip(self._places(slot), values, strict=True):
            if value is not None:
                self._sums[place] += value
                self._most[place] = max(self._most[place], value)
                self._counts[place] += 1

    def slots(self, since: float, until: float) -> list[tuple[int, int]]:
        """The beginnings (seconds since 1970) and slots of the steps that are kept of a time, in order.

        A clock that was put back has left steps of a time that is yet to come: they are not of it.
        """
        first = max(int(since // self._seconds), int(until // self._seconds) - len(self._numbers) + 1, 0)
        kept = [
            (number, slot) for slot, number in enumerate(self._numbers) if first <= number <= until // self._seconds
        ]
        return [(number * self._seconds, slot) for number, slot in sorted(kept)]

    def series(self, figure: int, slots: Sequence[int]) -> MetricsSeries:
        places = [slot * self._width + figure for slot in slots]
        return MetricsSeries(
            mean=[_short(self._sums[at] / self._counts[at]) if self._counts[at] else None for at in places],
            max=[_short(self._most[at]) if self._counts[at] else None for at in places],
        )

    def _places(self, slot: int) -> range:
        return range(slot * self._width, (slot + 1) * self._width)


class History:
    """What was measured of some figures.

    Args:
        figures: their names.
        begins: seconds since 1970.
    """

    def __init__(self, figures: Sequence[str], begins: float) -> None:
        self._figures = tuple(figures)
        self._begins = begins
        self._rings: dict[StepSeconds, _Ring] = {
            seconds: _Ring(seconds, length, len(self._figures)) for seconds, length in STEPS.items()
        }

    def add(self, at: float, values: Sequence[float | None]) -> None:
        """Keep what was measured at a time (seconds since 1970), a value for each figure; None for what was not."""
        for ring in self._rings.values():
            ring.add(at, values)

    def read(self, node: str, now: float, since: float | None, step: StepSeconds | None) -> MetricsHistory:
        """What is kept from a time on, in steps of so many seconds; None for the finest that reaches back so far."""
        begin = 0.0 if since is None else since
        chosen = step or self._reaching(now, begin)
        ring = self._rings[chosen]
        slots = ring.slots(begin, now)
        return MetricsHistory(
            node=node,
            begins_at=_time(self._begins),
            step_seconds=chosen,
            times=[_time(at) for at, _ in slots],
            series={
                name: ring.series(figure, [slot for _, slot in slots]) for figure, name in enumerate(self._figures)
            },
        )

    def _reaching(self, now: float, since: float) -> StepSeconds:
        # What is not older than this process lies in the finest as well, as long as that is not over.
        oldest = max(since, self._begins)
        return next((step for step, length in STEPS.items() if now - oldest < step * length), max(STEPS))


def _short(value: float) -> float:
    return round(value, _DIGITS)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
