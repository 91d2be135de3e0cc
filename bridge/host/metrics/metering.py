"""Measures this host every few seconds: to be asked, told as it happens, and kept."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import structlog

from bridge.host.asks import Ask
from bridge.host.metrics.history import History
from bridge.host.metrics.sampling import Sampler
from functions.contract.bus import Bus
from functions.contract.messages import HostSample, MetricsHistory, MetricsHistoryQuery, Nothing
from functions.contract.subjects import subject
from functions.domain.faults import Unavailable

EVERY_SECONDS: Final = 5.0
# Rates need two looks; so soon after the start the first sample is there.
_FIRST_SECONDS: Final = 1.0

# What is kept over time, and how it is read from a sample.
FIGURES: Final[Mapping[str, Callable[[HostSample], float | None]]] = {
    "cpuPercent": lambda sample: sample.cpu.percent,
    "load": lambda sample: sample.cpu.load[0],
    "memoryUsedBytes": lambda sample: sample.memory.used_bytes,
    "swapUsedBytes": lambda sample: sample.memory.swap_used_bytes,
    "fullestDiskPercent": lambda sample: max((disk.percent for disk in sample.disks), default=None),
    "diskReadBytesPerSecond": lambda sample: _sum(disk.read_bytes_per_second for disk in sample.disks),
    "diskWrittenBytesPerSecond": lambda sample: _sum(disk.written_bytes_per_second for disk in sample.disks),
    "receivedBytesPerSecond": lambda sample: _sum(one.received_bytes_per_second for one in sample.networks),
    "sentBytesPerSecond": lambda sample: _sum(one.sent_bytes_per_second for one in sample.networks),
    "hottestCelsius": lambda sample: max((one.celsius for one in sample.temperatures), default=None),
}

log = structlog.get_logger("host")


class Metering:
    """Samples until it is cancelled.

    Args:
        bus: where each sample is told.
        node: this host's name.
        pids: the main processes of the services here, by unit.
        every: seconds between two samples.
    """

    def __init__(
        self,
        bus: Bus,
        node: str,
        pids: Callable[[], Awaitable[Mapping[str, int]]],
        *,
        every: float = EVERY_SECONDS,
    ) -> None:
        self._bus = bus
        self._node = node
        self._pids = pids
        self._every = every
        self._last: HostSample | None = None
        self._history = History(tuple(FIGURES), time.time())

    def asks(self) -> tuple[Ask, ...]:
        """What can be asked of it."""
        return (
            Ask(("metrics",), Nothing, self._answer),
            Ask(("metrics", "history"), MetricsHistoryQuery, self._recall),
        )

    async def run(self) -> None:
        """Sample for as long as it is not cancelled."""
        sampler = await asyncio.to_thread(Sampler, self._node)
        await asyncio.sleep(min(_FIRST_SECONDS, self._every))
        while True:
            # In a thread, as a disk that hangs would hold up everything else here.
            sample = await asyncio.to_thread(sampler.take, await self._processes())
            self._last = sample
            self._history.add(sample.at.timestamp(), [read(sample) for read in FIGURES.values()])
            await self._tell(sample)
            await asyncio.sleep(self._every)

    async def _processes(self) -> Mapping[str, int]:
        try:
            return await self._pids()
        except Unavailable:
            # The host's manager is away, which is told of where services are.
            return {}

    async def _tell(self, sample: HostSample) -> None:
        try:
            await self._bus.publish(subject("host", self._node, "metrics", "sampled"), sample.encode())
        except Unavailable as fault:
            # The next one comes in a few seconds.
            log.warning("not told", what="metrics", problem=fault.detail)

    async def _answer(self, _: Nothing) -> HostSample:
        """The last sample. Raises Unavailable: there is none yet."""
        if self._last is None:
            raise Unavailable(detail="The host is being measured for the first time. Ask again in a second.")
        return self._last

    async def _recall(self, wanted: MetricsHistoryQuery) -> MetricsHistory:
        since = None if wanted.since is None else wanted.since.timestamp()
        return self._history.read(self._node, time.time(), since, wanted.step)


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None
