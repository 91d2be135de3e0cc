"""Presence when the clock of the hub's machine is set, in either direction."""

import asyncio
import json
import shutil
import struct
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.devices import Device
from tests.e2e.rig import RunningHub, until

# The time of day as every program with a C library asks for it, moved by what a file holds. libfaketime 0.9.10 does
# the same, but breaks sleeping until a monotonic time, and with it every Python that waits for a process.
_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long *ahead;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_FILE"), O_RDONLY);
    ahead = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
}

int clock_gettime(clockid_t which, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int told = real(which, out);
    if (!told && ahead && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) out->tv_sec += *ahead;
    return told;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


class Clock:
    """The time of day of a hub's processes, but for the NATS server's, which asks the kernel and no library."""

    def __init__(self, directory: Path, compiler: str) -> None:
        self._file = directory / "ahead"
        self._ahead = 0
        self._file.write_bytes(struct.pack("@l", 0))
        self._shim = directory / "clock.so"
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(self._shim), "-x", "c", "-", "-ldl"]
        subprocess.run(command, input=_SHIM, text=True, check=True, capture_output=True)

    def set(self, seconds: int) -> None:
        """Have it be so many seconds ahead of the machine's, in every process at once."""
        self._ahead = seconds
        with self._file.open("r+b") as file:
            file.write(struct.pack("@l", seconds))

    def now(self) -> datetime:
        """What the hub takes for the time."""
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    @property
    def settings(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._shim), "CLOCK_FILE": str(self._file)}


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a clock that can be set for one hub alone is compiled: apt-get install gcc libc6-dev")
    return Clock(tmp_path, compiler)


@pytest.fixture
def hub(tools: None, tmp_path: Path, clock: Clock) -> Iterator[RunningHub]:
    running = RunningHub(tmp_path / "hub", **clock.settings)
    try:
        running.up()
        yield running
    finally:
        running.down()


def make_device(hub: RunningHub, at: Path) -> Device:
    name = f"step-{uuid.uuid4().hex[:8]}"
    return Device(hub, hub.device(name, at / name))


async def is_(hub: RunningHub, device: Device, *, online: bool) -> Any:
    """The presence of a device once it is so; and for how long it stays so is looked at by who asks again."""

    async def known() -> Any:
        done = await asyncio.to_thread(hub.cli, "device", "show", device.name, "--json", check=False)
        told = json.loads(done.stdout)["presence"] if done.returncode == 0 else None
        return told if told is not None and told["online"] is online else None

    return await until(known, seconds=45)


async def not_ahead(hub: RunningHub, device: Device, clock: Clock) -> Any:
    """The presence of a device that is online, once its time is none that is still to come."""
    told = await is_(hub, device, online=True)
    return told if datetime.fromisoformat(told["at"]) <= clock.now() else None


@pytest.mark.parametrize("hours", [2, -2])
async def test_who_comes_and_goes_is_known_after_the_clock_was_set(
    hub: RunningHub, clock: Clock, tmp_path: Path, hours: int
) -> None:
    stays, goes, comes = (make_device(hub, tmp_path) for _ in range(3))
    again = Device(hub, goes.who)
    # Set back, what is known was told by a clock ahead of the one from then on.
    begin, then = (0, hours * 3600) if hours > 0 else (-hours * 3600, 0)
    clock.set(begin)
    try:
        for device in (stays, goes):
            device.start()
            await is_(hub, device, online=True)
        clock.set(then)
        goes.stop()
        comes.start()

        gone, came = await is_(hub, goes, online=False), await is_(hub, comes, online=True)
        await asyncio.to_thread(stays.send("telemetry", {"n": 1}).wait_for_publish, 10)
        stayed = await until(lambda: not_ahead(hub, stays, clock), seconds=45)
        # And round again, as whoever was met by the other clock is met by this one.
        comes.stop()
        again.start()
        back, left = await is_(hub, again, online=True), await is_(hub, comes, online=False)
    finally:
        for device in (stays, again, comes):
            device.stop()

    assert (gone["evidence"], came["evidence"], stayed["evidence"]) == ("disconnected", "connected", "connected")
    assert came["at"] <= left["at"]
    assert gone["at"] <= back["at"]
