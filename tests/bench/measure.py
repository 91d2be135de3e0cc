"""Measuring a closed loop: windows of completions, and the processor time that each process took meanwhile."""

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil

# Cores that other programs took, from which on the figures are not the machine's.
LOUD = 0.2

Processes = Mapping[str, Sequence[psutil.Process]]


@dataclass(frozen=True)
class Pace:
    """How long to measure: so many runs, and up to so many times as many where other programs disturb them."""

    warm_up: float = 1.5
    seconds: float = 3.0
    runs: int = 5
    patience: int = 3


class Tally:
    """What a load has done since it was last asked; latencies in seconds."""

    def __init__(self) -> None:
        self.count = 0
        self.latencies: list[float] = []
        self.errors: dict[str, int] = {}

    def done(self, began: float) -> None:
        """One more, begun at ``time.perf_counter() == began``."""
        self.count += 1
        self.latencies.append(time.perf_counter() - began)

    def failed(self, reason: str) -> None:
        self.errors[reason] = self.errors.get(reason, 0) + 1

    def take(self) -> tuple[int, list[float], dict[str, int]]:
        taken = self.count, self.latencies, self.errors
        self.count, self.latencies, self.errors = 0, [], {}
        return taken


@dataclass
class Window:
    """One run: completions a second, latencies in milliseconds, and the cores that each process kept busy."""

    seconds: float
    rate: float
    p50: float
    p99: float
    errors: dict[str, int]
    cores: dict[str, float]

    @property
    def others(self) -> float:
        """Cores that programs took which are neither hub nor load."""
        return self.cores.get("others", 0.0)

    @property
    def is_quiet(self) -> bool:
        """Whether the machine was the hub's and the load's."""
        return self.others < LOUD


@dataclass
class Result:
    """One measured thing: the median of its runs.

    ``spread`` is the distance of the best from the worst run, as a share of the median.
    """

    name: str
    at_once: int
    unit: str
    value: float
    p50: float
    p99: float
    spread: float
    errors: dict[str, int] = field(default_factory=dict)
    cores: dict[str, float] = field(default_factory=dict)
    runs: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def measure(
    name: str, tally: Tally, processes: Callable[[], Processes], pace: Pace, *, at_once: int, unit: str = "/s"
) -> Result:
    """Watch a load that is under way; the runs that other programs disturbed least are those that count."""
    await asyncio.sleep(pace.warm_up)
    windows: list[Window] = []
    while sum(window.is_quiet for window in windows) < pace.runs and len(windows) < pace.runs * pace.patience:
        windows.append(await _window(tally, processes(), pace.seconds))
    quietest = sorted(windows, key=lambda window: window.others)[: pace.runs]
    result = summary(name, [window for window in windows if window in quietest], at_once=at_once, unit=unit)
    result.errors = _all_errors(windows)
    return result


def summary(name: str, windows: Sequence[Window], *, at_once: int, unit: str = "/s") -> Result:
    """The median of several runs; errors of all."""
    rates = [window.rate for window in windows]
    names = {each for window in windows for each in window.cores}
    return Result(
        name=name,
        at_once=at_once,
        unit=unit,
        value=statistics.median(rates),
        p50=statistics.median(window.p50 for window in windows),
        p99=statistics.median(window.p99 for window in windows),
        spread=spread(rates),
        errors=_all_errors(windows),
        cores={each: statistics.median(window.cores.get(each, 0.0) for window in windows) for each in sorted(names)},
        runs=rates,
    )


def _all_errors(windows: Sequence[Window]) -> dict[str, int]:
    errors: dict[str, int] = {}
    for window in windows:
        for reason, number in window.errors.items():
            errors[reason] = errors.get(reason, 0) + number
    return errors


def plain(name: str, values: Sequence[float], unit: str, *, at_once: int = 1) -> Result:
    """The median of figures that are no rates of a load."""
    return Result(
        name=name,
        at_once=at_once,
        unit=unit,
        value=statistics.median(values),
        p50=0.0,
        p99=0.0,
        spread=spread(values),
        runs=list(values),
    )


def spread(values: Sequence[float]) -> float:
    """How far the figures lie apart, as a share of their median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


async def _window(tally: Tally, processes: Processes, seconds: float) -> Window:
    tally.take()
    began, before = time.perf_counter(), _taken(processes)
    await asyncio.sleep(seconds)
    took, after = time.perf_counter() - began, _taken(processes)
    count, latencies, errors = tally.take()
    if not count:
        errors["nothing was done"] = 1
    cores = {name: (after[name] - before[name]) / took for name in before}
    cores["others"] = max(0.0, cores.pop("machine") - sum(cores.values()))
    p50, p99 = percentiles(latencies)
    return Window(took, count / took, p50, p99, errors, cores)


def percentiles(latencies: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th of a hundred, in milliseconds."""
    if not latencies:
        return 0.0, 0.0
    ordered = sorted(latencies)
    return 1000 * ordered[len(ordered) // 2], 1000 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


def _taken(processes: Processes) -> dict[str, float]:
    """Seconds of processor time: of each part, and of the whole machine."""
    taken = {name: sum(map(_seconds, each)) for name, each in processes.items()}
    whole = psutil.cpu_times()
    taken["machine"] = sum(whole) - whole.idle - getattr(whole, "iowait", 0.0) - getattr(whole, "guest", 0.0)
    return taken


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
