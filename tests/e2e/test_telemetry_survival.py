"""Telemetry that was acknowledged to a device is kept and can be asked for, whichever part is killed at rate."""

import asyncio
import json
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.enums import MQTTErrorCode

from tests.e2e.devices import Device
from tests.e2e.rig import RunningHub, until

DEVICES = 4
ROUNDS = int(os.environ.get("HUB_SOAK_ROUNDS", "15"))
# How often each part is killed, and how much each device sends a second: in all 200 and 1,000.
RUNS = [pytest.param(1, 50), pytest.param(ROUNDS, 250, marks=pytest.mark.soak)]
# Not the broker: what it has acknowledged and not yet handed on is in its memory, and the README says so.
PARTS = ("functions", "bridge", "nats", "index")


@dataclass
class Load:
    """Devices that each send so much numbered telemetry a second, and which of it was acknowledged."""

    rate: int
    acknowledged: dict[str, set[int]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, device: Device) -> None:
        done = self.acknowledged.setdefault(device.name, set())
        # Acknowledged in the order of sending.
        waiting: deque[tuple[int, Any]] = deque()
        number, began = 0, time.monotonic()
        while not self.stop.is_set() or waiting:
            while not self.stop.is_set() and number < (time.monotonic() - began) * self.rate:
                number += 1
                info = device.send("telemetry", {"n": number})
                if info.rc is MQTTErrorCode.MQTT_ERR_NO_CONN:
                    # It is sent when there is a connection, and then acknowledged.
                    info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS
                waiting.append((number, info))
            while waiting and waiting[0][1].is_published():
                done.add(waiting.popleft()[0])
            time.sleep(0.02)

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


@asynccontextmanager
async def running(load: Load, devices: list[Device]) -> AsyncIterator[None]:
    """The load until the end of this, and then until all that was sent is acknowledged."""
    with ThreadPoolExecutor(DEVICES) as pool:
        runs = [pool.submit(load.run, device) for device in devices]
        try:
            yield
        finally:
            load.stop.set()
        for run in runs:
            await asyncio.wrap_future(run)


async def advanced(load: Load, seconds: float = 2) -> None:
    """Wait until what devices send in so many seconds is acknowledged."""
    before = load.count()

    async def is_so() -> bool:
        return load.count() >= before + seconds * DEVICES * load.rate

    await until(is_so, seconds=60)


async def missing(hub: RunningHub, load: Load, file: Path, seconds: float) -> dict[str, set[int]]:
    """What was acknowledged and the store does not have, of each device, after waiting for it for so long."""
    lost: dict[str, set[int]] = {}

    async def all_there() -> bool:
        for name, sent in load.acknowledged.items():
            lost[name] = set(sent) - set(await kept(hub, file, name))
        return not any(lost.values())

    try:
        await until(all_there, seconds=seconds)
    except TimeoutError:
        return lost
    return lost


@pytest.mark.parametrize(("rounds", "rate"), RUNS)
async def test_what_was_acknowledged_is_kept_whichever_part_is_killed(
    own_hub: RunningHub, devices: list[Device], rounds: int, rate: int, tmp_path: Path
) -> None:
    load = Load(rate)
    began = time.monotonic()
    async with running(load, devices):
        for part in PARTS * rounds:
            await asyncio.to_thread(own_hub.kill, part)
            await advanced(load)
    took = time.monotonic() - began
    lost = await missing(own_hub, load, tmp_path / "out.ndjson", 180)

    assert {name: len(numbers) for name, numbers in lost.items() if numbers} == {}
    stored = 0
    for name in load.acknowledged:
        found = await kept(own_hub, tmp_path / "out.ndjson", name)
        stored += len(found)
        # What came twice is there twice; what is there is counted once.
        hours = own_hub.json("telemetry", "list", name, "--hourly")
        assert sum(hour["data"]["n"]["count"] for hour in hours) == len(found)
    sent = load.count()
    print(f"{len(PARTS) * rounds} kills in {took:.0f} s: {sent} acknowledged, none lost, {stored - sent} twice")


# A client whose broker dies in the middle of its handshake leaves its socket to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("rounds", "rate"), RUNS)
async def test_a_killed_broker_loses_no_more_than_it_held(
    own_hub: RunningHub, devices: list[Device], rounds: int, rate: int, tmp_path: Path
) -> None:
    load, held = Load(rate), list[int]()
    could: dict[str, set[int]] = {device.name: set() for device in devices}
    async with running(load, devices):
        for _ in range(rounds):
            await advanced(load)
            (broker,) = own_hub.processes("mosquitto")
            # From here on it acknowledges nothing and hands nothing on: what the hub has of it comes to be stored.
            broker.suspend()
            try:
                now = await settled(own_hub, load, tmp_path / "out.ndjson")
            finally:
                broker.kill()
            held.append(sum(map(len, now.values())))
            for name, numbers in now.items():
                could[name] |= numbers
            await advanced(load)
    lost = await missing(own_hub, load, tmp_path / "out.ndjson", 60)

    for name, numbers in lost.items():
        assert numbers <= could[name], f"{name} lost what the broker did not hold: {sorted(numbers - could[name])[:20]}"
    gone = sum(map(len, lost.values()))
    print(f"{rounds} kills of the broker: {load.count()} acknowledged, it held {held} of them, {gone} are lost")


async def settled(hub: RunningHub, load: Load, file: Path) -> dict[str, set[int]]:
    """What was acknowledged and is not stored, of each device, once no more comes to be stored."""
    last: list[dict[str, set[int]]] = [{}]

    async def is_so() -> bool:
        # The projector looks every tenth of a second.
        await asyncio.sleep(1)
        now = {name: set(sent) - set(await kept(hub, file, name)) for name, sent in load.acknowledged.items()}
        before, last[0] = last[0], now
        return now == before

    await until(is_so, seconds=120)
    return last[0]
