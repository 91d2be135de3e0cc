"""What was answered is kept, in order, whichever part is killed under load."""

import asyncio
import json
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from functions.contract import subjects
from functions.contract.messages import Nothing, TwinView
from tests.e2e.devices import Device
from tests.e2e.rig import CLI, RunningHub, until

DEVICES = 6
KEYS = 10
# How often the soak run kills every part.
ROUNDS = int(os.environ.get("HUB_SOAK_ROUNDS", "15"))
PARTS = ("functions", "bridge", "nats", "mosquitto")


@dataclass
class Load:
    """Devices that report numbered updates one after the other until told to stop."""

    devices: list[Device]
    accepted: dict[str, list[int]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, device: Device) -> None:
        number = 0
        done = self.accepted.setdefault(device.name, [])
        while not self.stop.is_set():
            number += 1
            device.update({"n": number, f"k{number % KEYS}": number}, f"{device.name}-{number}")
            done.append(number)

    def counts(self) -> list[int]:
        return [len(self.accepted.get(device.name, ())) for device in self.devices]


@pytest.fixture
def devices(own_hub: RunningHub, tmp_path: Path) -> Iterator[list[Device]]:
    names = [f"dev-{number}-{uuid.uuid4().hex[:6]}" for number in range(DEVICES)]
    running = [
        Device(own_hub, own_hub.device(name, tmp_path / name)).start("twin/update/accepted", "twin/update/rejected")
        for name in names
    ]
    yield running
    for device in running:
        device.stop()


async def kept(hub: RunningHub, name: str) -> TwinView:
    bus, client = await hub.bus()
    try:
        return await bus.call(subjects.subject("twins", name, "get"), Nothing(), TwinView, caller=CLI)
    finally:
        await client.close()


async def numbers_in_history(hub: RunningHub, name: str) -> list[int]:
    """The ``n`` of each kept revision of the reported half, oldest first, read from the stream itself."""
    _, client = await hub.bus("admin")
    found: list[tuple[int, int]] = []
    try:
        js = client.jetstream()
        for stream in await js.streams_info():
            if "reported" not in str(stream.config.name):
                continue
            subscription = await js.subscribe(f"$KV.*.{name}", stream=stream.config.name, ordered_consumer=True)
            pending = (await subscription.consumer_info()).num_pending
            for _ in range(pending):
                message = await subscription.next_msg(timeout=5)
                found.append((message.metadata.sequence.stream, json.loads(message.data)["doc"]["n"]))
            await subscription.unsubscribe()
    finally:
        await client.close()
    return [number for _, number in sorted(found)]


@pytest.mark.parametrize("rounds", [1, pytest.param(ROUNDS, marks=pytest.mark.soak)])
async def test_every_answered_update_survives_the_killing_of_every_part(
    own_hub: RunningHub, devices: list[Device], rounds: int
) -> None:
    load = Load(devices)

    async def advanced(before: list[int], by: int) -> bool:
        return all(now >= then + by for now, then in zip(load.counts(), before, strict=True))

    with ThreadPoolExecutor(DEVICES) as pool:
        runs = [pool.submit(load.run, device) for device in devices]
        try:
            await until(lambda: advanced([0] * DEVICES, 20), seconds=30)
            for part in PARTS * rounds:
                before = load.counts()
                await asyncio.to_thread(own_hub.kill, part)
                # The hub has come back when every device is answered again.
                await until(lambda before=before: advanced(before, 20), seconds=60)  # type: ignore[misc]
        finally:
            load.stop.set()
        for run in runs:
            await asyncio.wrap_future(run)

    for device in devices:
        last = {number % KEYS: number for number in load.accepted[device.name]}
        view = await kept(own_hub, device.name)
        assert view.reported == {"n": max(last.values()), **{f"k{key}": number for key, number in last.items()}}
        history = await numbers_in_history(own_hub, device.name)
        assert history == sorted(history)


@pytest.mark.parametrize("killed", [None, "bridge"])
async def test_the_last_of_a_thousand_updates_back_to_back_wins(
    own_hub: RunningHub, devices: list[Device], killed: str | None
) -> None:
    device = devices[0]
    infos = [device.send("twin/update", {"reported": {"n": number}}) for number in range(1, 501)]
    if killed:
        infos[200].wait_for_publish(20)
        await asyncio.to_thread(own_hub.kill, killed)
    infos += [device.send("twin/update", {"reported": {"n": number}}) for number in range(501, 1001)]

    async def done() -> Any:
        return (await kept(own_hub, device.name)).reported.get("n") == 1000

    await until(done, seconds=60)
    await asyncio.to_thread(device.update, {"after": True}, "after")
    assert (await kept(own_hub, device.name)).reported["n"] == 1000
    history = await numbers_in_history(own_hub, device.name)
    assert history == sorted(history)
