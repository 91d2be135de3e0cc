"""Who is online, after every way in which a device, a part of the hub or the hub itself can go."""

import asyncio
import json
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.devices import Device
from tests.e2e.rig import Identity, RunningHub, until


@contextmanager
def mosquitto_sub(hub: RunningHub, who: Identity, *, keepalive: int) -> Iterator[subprocess.Popen[bytes]]:
    """A device that only listens; at the end it is killed, whatever state it is in."""
    command = [
        "mosquitto_sub",
        *hub.address(who, who.name),
        "-k",
        str(keepalive),
        "-t",
        f"$devicehub/devices/{who.name}/#",
    ]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def make_device(hub: RunningHub, at: Path) -> Identity:
    name = f"here-{uuid.uuid4().hex[:8]}"
    return hub.device(name, at / name)


async def presence(hub: RunningHub, name: str) -> Any:
    """What the hub says, or None while a part of it is down."""
    done = await asyncio.to_thread(hub.cli, "device", "show", name, "--json", check=False)
    return json.loads(done.stdout)["presence"] if done.returncode == 0 else None


async def until_(hub: RunningHub, name: str, *, online: bool, seconds: float = 30) -> Any:
    async def is_so() -> Any:
        told = await presence(hub, name)
        return told if told is not None and told["online"] is online else None

    return await until(is_so, seconds=seconds)


async def test_a_device_without_power_is_offline_when_its_keepalive_is_over(hub: RunningHub, tmp_path: Path) -> None:
    who = make_device(hub, tmp_path)
    with mosquitto_sub(hub, who, keepalive=5) as process:
        await until_(hub, who.name, online=True)
        # It says no more, and its connection stays open: what the broker sees of a power cut.
        process.send_signal(signal.SIGSTOP)

        told = await until_(hub, who.name, online=False, seconds=45)

    assert told["evidence"] == "timeout"
    (last,) = hub.json("device", "connections", who.name)["connections"]
    assert (last["evidence"], last["disconnectedAt"]) == ("timeout", told["at"])


async def test_a_killed_broker_is_one_event_and_its_devices_come_back_in_silence(
    own_hub: RunningHub, tmp_path: Path
) -> None:
    devices = [Device(own_hub, make_device(own_hub, tmp_path)).start() for _ in range(5)]
    for device in devices:
        await until_(own_hub, device.name, online=True)
    _, client = await own_hub.bus("admin")
    try:
        events = await client.subscribe("devicehub.devices.*.presence")
        restarts = await client.subscribe("devicehub.broker.changed")
        await client.flush()
        await asyncio.to_thread(own_hub.kill, "mosquitto")
        told = json.loads((await restarts.next_msg(timeout=30)).data)
        for device in devices:
            assert await asyncio.to_thread(device.connected.wait, 30)

        async def back() -> bool:
            return all(
                [(await presence(own_hub, device.name))["at"] >= told["timestamp"] for device in devices]
            ) and all([(await presence(own_hub, device.name))["online"] for device in devices])

        await until(back, seconds=30)
        assert (told["change"], told["sessions"]) == ("restarted", 5)
        assert events.pending_msgs == 0
        assert restarts.pending_msgs == 0
    finally:
        await client.close()
        for device in devices:
            device.stop()


async def test_who_came_and_went_while_a_part_was_down_is_known_when_it_is_back(
    own_hub: RunningHub, tmp_path: Path
) -> None:
    for part in ("bridge", "functions", "nats"):
        stays, goes, comes = (Device(own_hub, make_device(own_hub, tmp_path)) for _ in range(3))
        for device in (stays, goes):
            device.start()
            await until_(own_hub, device.name, online=True)
        await asyncio.to_thread(own_hub.kill, part)
        goes.stop()
        comes.start()

        await until_(own_hub, goes.name, online=False, seconds=60)
        await until_(own_hub, comes.name, online=True, seconds=60)

        assert (await presence(own_hub, stays.name))["online"] is True
        stays.stop()
        comes.stop()


async def test_after_the_whole_hub_was_down_nobody_stays_online(own_hub: RunningHub, tmp_path: Path) -> None:
    stays, goes = (Device(own_hub, make_device(own_hub, tmp_path)).start() for _ in range(2))
    for device in (stays, goes):
        await until_(own_hub, device.name, online=True)

    await asyncio.to_thread(own_hub.down)
    goes.stop()
    await asyncio.to_thread(own_hub.up)

    await until_(own_hub, goes.name, online=False)
    await until_(own_hub, stays.name, online=True)
    stays.stop()


async def test_what_was_heard_of_a_device_is_told_with_its_times(hub: RunningHub, tmp_path: Path) -> None:
    device = Device(hub, make_device(hub, tmp_path)).start()
    await until_(hub, device.name, online=True)
    device.send("heartbeat", {})
    device.send("telemetry", {"n": 1})

    async def heard() -> Any:
        told = await presence(hub, device.name)
        return told if told["heartbeatAt"] and told["messageAt"] else None

    async def begun() -> bool:
        return "messageAt" in await presence(hub, device.name)

    await until(begun)
    told = await until(heard)
    device.stop()
    assert told["lastWillAt"] is None
    assert told["evidence"] == "connected"


async def test_without_a_log_all_are_unknown_until_they_are_heard_of(own_hub: RunningHub, tmp_path: Path) -> None:
    quiet, loud = (Device(own_hub, make_device(own_hub, tmp_path)).start() for _ in range(2))
    for device in (quiet, loud):
        await until_(own_hub, device.name, online=True)

    async def status(name: str, wanted: str) -> bool:
        return bool((await asyncio.to_thread(own_hub.json, "device", "show", name))["status"] == wanted)

    (own_hub.data / "broker" / "broker.log").unlink()
    for device in (quiet, loud):
        await until(lambda name=device.name: status(name, "unknown"), seconds=60)  # type: ignore[misc]
    loud.send("telemetry", {"n": 1})
    await until(lambda: status(loud.name, "online"), seconds=60)
    assert (await presence(own_hub, loud.name))["evidence"] == "message"
    assert await status(quiet.name, "unknown")
    quiet.stop()
    loud.stop()
