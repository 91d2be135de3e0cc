"""Telemetry that was acknowledged to a device is kept and can be asked for, whichever part is killed at rate."""

import asyncio
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.devices import Device
from tests.e2e.rig import RunningHub, until

DEVICES = 4
# A second and device.
RATE = 50
ROUNDS = int(os.environ.get("HUB_SOAK_ROUNDS", "15"))
# Not the broker: what it has acknowledged and not yet handed on is in its memory, and the README says so.
PARTS = ("functions", "bridge", "nats", "index")


@dataclass
class Load:
    """Devices that send numbered telemetry at a rate, and which of it was acknowledged."""

    acknowledged: dict[str, set[int]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, device: Device) -> None:
        done = self.acknowledged.setdefault(device.name, set())
        waiting: dict[int, Any] = {}
        number = 0
        while not self.stop.is_set() or waiting:
            if not self.stop.is_set():
                number += 1
                waiting[number] = device.send("telemetry", {"n": number})
            for sent, info in list(waiting.items()):
                if info.is_published():
                    done.add(sent)
                    del waiting[sent]
            time.sleep(1 / RATE)

    def count(self) -> int:
        return sum(map(len, self.acknowledged.values()))


@pytest.fixture
def devices(own_hub: RunningHub, tmp_path: Path) -> Iterator[list[Device]]:
    names = [f"dev-{number}-{uuid.uuid4().hex[:6]}" for number in range(DEVICES)]
    running = [Device(own_hub, own_hub.device(name, tmp_path / name)).start() for name in names]
    yield running
    for device in running:
        device.stop()


async def kept(hub: RunningHub, file: Path, device: str) -> list[int]:
    """Every number of a device that the store has, in its order; none while the index is coming back."""
    words = ("telemetry", "export", str(file), "--device", device)
    done = await asyncio.to_thread(hub.cli, *words, timeout=60, check=False)
    if done.returncode != 0:
        return []
    text = await asyncio.to_thread(file.read_text)
    return [json.loads(line)["data"]["n"] for line in text.splitlines()]


@pytest.mark.parametrize("rounds", [1, pytest.param(ROUNDS, marks=pytest.mark.soak)])
async def test_what_was_acknowledged_is_kept_whichever_part_is_killed(
    own_hub: RunningHub, devices: list[Device], rounds: int, tmp_path: Path
) -> None:
    load = Load()

    async def advanced(before: int) -> bool:
        return load.count() >= before + 2 * DEVICES * RATE

    with ThreadPoolExecutor(DEVICES) as pool:
        runs = [pool.submit(load.run, device) for device in devices]
        try:
            for part in PARTS * rounds:
                before = load.count()
                await asyncio.to_thread(own_hub.kill, part)
                await until(lambda before=before: advanced(before), seconds=60)  # type: ignore[misc]
        finally:
            load.stop.set()
        for run in runs:
            await asyncio.wrap_future(run)

    for name, sent in load.acknowledged.items():
        found: list[int] = []

        async def all_there(name: str = name, sent: set[int] = sent, found: list[int] = found) -> bool:
            found[:] = await kept(own_hub, tmp_path / "out.ndjson", name)
            return sent <= set(found)

        try:
            await until(all_there, seconds=60)
        except TimeoutError:
            missing = sorted(sent - set(found))
            pytest.fail(f"{name}: of {len(sent)} are missing {len(missing)}: {missing[:20]}")
        # What came twice is there twice; what is there is counted once.
        hours = own_hub.json("telemetry", "list", name, "--hourly")
        assert sum(hour["data"]["n"]["count"] for hour in hours) == len(found)
