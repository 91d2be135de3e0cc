"""One sample of a host: asked of the kernel by psutil, in about 2 ms; it may block where a disk hangs."""

import ctypes
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Final

import psutil

from bridge.host.metrics.parts import PartMeter
from functions.contract.messages import CpuUse, DiskUse, HostSample, MemoryUse, NetworkUse, Temperature

# A host with hundreds of mounts, as container hosts have, must not make a sample of any length.
_MOST: Final = 32
# Read-only images: always full, and nobody's worry.
_IMAGES: Final = frozenset({"squashfs", "iso9660", "erofs"})
_UNSYNCHRONISED: Final = 5
_TIMEX_BYTES: Final = 512

_Counters = tuple[int, int]


class _Rates:
    """How fast pairs of counters grew since they were looked at last."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, _Counters]] = {}

    def of(self, name: str, counters: _Counters, now: float) -> tuple[float | None, float | None]:
        """Per second; None the first time, and where a counter began anew."""
        before = self._before.get(name)
        self._before[name] = (now, counters)
        if before is None or now <= before[0] or any(new < old for new, old in zip(counters, before[1], strict=True)):
            return None, None
        first, second = (
            round((new - old) / (now - before[0]), 1) for new, old in zip(counters, before[1], strict=True)
        )
        return first, second

    def forget_all_but(self, names: set[str]) -> None:
        """Interfaces of containers come and go."""
        for name in self._before.keys() - names:
            del self._before[name]


class Sampler:
    """Takes samples of this host; one at a time, and each rate is of the time since the one before.

    Args:
        node: this host's name.
        wall: seconds since 1970.
        moments: seconds, never running backwards.
    """

    def __init__(
        self, node: str, wall: Callable[[], float] = time.time, moments: Callable[[], float] = time.monotonic
    ) -> None:
        self._node = node
        self._wall = wall
        self._moments = moments
        self._disk_rates, self._network_rates = _Rates(), _Rates()
        self._parts = PartMeter()
        # Processor time is counted from one call to the next; the first has nothing to go by.
        psutil.cpu_percent(percpu=True)
        self._disks()
        self._networks()

    def take(self, pids: Mapping[str, int]) -> HostSample:
        """Measure now; ``pids`` are the main processes of services, by unit."""
        now = self._wall()
        cores = psutil.cpu_percent(percpu=True)
        return HostSample(
            node=self._node,
            at=datetime.fromtimestamp(now, UTC),
            uptime_seconds=max(0, int(now - psutil.boot_time())),
            clock_synchronised=clock_synchronised(),
            cpu=CpuUse(
                percent=round(sum(cores) / len(cores), 1) if cores else 0.0,
                cores=cores,
                load=[round(load, 2) for load in psutil.getloadavg()],
            ),
            memory=_memory(),
            disks=self._disks(),
            networks=self._networks(),
            temperatures=_temperatures(),
            parts=self._parts.measure(pids),
        )

    def _disks(self) -> list[DiskUse]:
        now, counters = self._moments(), psutil.disk_io_counters(perdisk=True) or {}
        found: dict[str, DiskUse] = {}
        for device, mount, kind in _mounts():
            if len(found) == _MOST:
                break
            try:
                usage = psutil.disk_usage(mount)
            except OSError:
                # Unmounted meanwhile, or not for this user to see.
                continue
            name = PurePath(device).name
            counted = counters.get(name)
            rates: tuple[float | None, float | None] = (None, None)
            if counted is not None:
                rates = self._disk_rates.of(name, (counted.read_bytes, counted.write_bytes), now)
            found.setdefault(
                device,
                DiskUse(
                    mount=mount,
                    device=device,
                    file_system=kind,
                    total_bytes=usage.total,
                    used_bytes=usage.used,
                    free_bytes=usage.free,
                    percent=usage.percent,
                    read_bytes_per_second=rates[0],
                    written_bytes_per_second=rates[1],
                ),
            )
        return list(found.values())

    def _networks(self) -> list[NetworkUse]:
        now, up = self._moments(), psutil.net_if_stats()
        all_counted: Mapping[str, Any] = psutil.net_io_counters(pernic=True)
        shown = [name for name in sorted(all_counted) if name != "lo"][:_MOST]
        self._network_rates.forget_all_but(set(shown))
        found = []
        for name in shown:
            counted = all_counted[name]
            rates = self._network_rates.of(name, (counted.bytes_recv, counted.bytes_sent), now)
            found.append(
                NetworkUse(
                    name=name,
                    is_up=name in up and up[name].isup,
                    received_bytes=counted.bytes_recv,
                    sent_bytes=counted.bytes_sent,
                    received_bytes_per_second=rates[0],
                    sent_bytes_per_second=rates[1],
                    errors=counted.errin + counted.errout,
                    dropped=counted.dropin + counted.dropout,
                )
            )
        return found


def _mounts() -> list[tuple[str, str, str]]:
    """Device, mount and kind of every file system on a disk, each device once, and of the root whatever it lies on."""
    found: dict[str, tuple[str, str, str]] = {}
    every = psutil.disk_partitions(all=False)
    if not any(one.mountpoint == "/" for one in every):
        every = [*(one for one in psutil.disk_partitions(all=True) if one.mountpoint == "/"), *every]
    for one in every:
        if one.fstype not in _IMAGES and PurePath(one.mountpoint).is_absolute():
            found.setdefault(one.device, (one.device, one.mountpoint, one.fstype))
    return list(found.values())


def _memory() -> MemoryUse:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return MemoryUse(
        total_bytes=memory.total,
        used_bytes=memory.total - memory.available,
        available_bytes=memory.available,
        swap_total_bytes=swap.total,
        swap_used_bytes=swap.used,
    )


def _temperatures() -> list[Temperature]:
    read = [
        Temperature(sensor=f"{chip} {one.label}".strip(), celsius=round(one.current, 1))
        for chip, sensors in sorted(psutil.sensors_temperatures().items())
        for one in sensors
    ]
    return read[:_MOST]


def clock_synchronised() -> bool | None:
    """Whether the kernel was told that the clock follows a time server; None where it does not say.

    ``adjtimex`` with nothing to adjust answers the state of the clock alone,
    so nothing of its structure, which differs between machines, need be known.
    """
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED
