"""A suspended device is cut off and denied everything, whatever is started again; resumed, it is as before."""

import asyncio
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.devices import Device
from tests.e2e.rig import Identity, RunningHub, until

ANSWERS = ("twin/update/accepted", "twin/update/rejected", "twin/update/delta")


@pytest.fixture
def who(hub: RunningHub, tmp_path: Path) -> Identity:
    name = f"susp-{uuid.uuid4().hex[:8]}"
    return hub.device(name, tmp_path / name)


@pytest.fixture
def device(hub: RunningHub, who: Identity) -> Iterator[Device]:
    connected = Device(hub, who, clean=True).start(*ANSWERS)
    try:
        connected.update({"a": 1}, "before")
        yield connected
    finally:
        connected.stop()


def is_mute(hub: RunningHub, who: Identity) -> bool:
    """Whether the broker keeps from the device what it asks for, in a session of mosquitto's clients."""
    topic = f"$devicehub/devices/{who.name}/twin"
    command = ["mosquitto_rr", *hub.address(who, who.name), "-V", "5", "-W", "2"]
    command += ["-t", f"{topic}/get", "-e", f"{topic}/update/accepted", "-m", "{}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert "onnection" not in done.stderr, done.stderr
    return not done.stdout


def reported(hub: RunningHub, who: Identity) -> object:
    return hub.json("twin", "get", who.name)["reported"]


def test_an_open_session_ends_and_nothing_is_let_through_until_it_is_resumed(
    hub: RunningHub, who: Identity, device: Device
) -> None:
    began = time.monotonic()
    hub.cli("device", "suspend", who.name)
    # Much of the time until here is the command's own start.
    assert device.ended.wait(2), "the open session was not ended"
    took = time.monotonic() - began
    print(f"\nsuspended and cut off in {1000 * took:.0f} ms, the command's start included")
    device.stop()

    assert hub.json("device", "show", who.name)["lifecycle"] == "suspended"
    hub.publish(who, f"$devicehub/devices/{who.name}/twin/update", '{"reported":{"a":2}}')
    assert is_mute(hub, who)
    assert reported(hub, who) == {"a": 1}
    hub.cli("twin", "set", who.name, '{"rate":3}')

    hub.cli("device", "resume", who.name)
    assert not is_mute(hub, who)
    again = Device(hub, who, clean=True).start(*ANSWERS)
    try:
        again.update({"a": 3}, "after")
    finally:
        again.stop()
    shown = hub.json("twin", "get", who.name)
    assert (shown["reported"], shown["desired"]) == ({"a": 3}, {"rate": 3})


def test_a_device_that_stayed_connected_is_served_again_by_itself(hub: RunningHub, device: Device) -> None:
    """It connects again at once, is let in and denied; it must not stay so when it is resumed."""
    hub.cli("device", "suspend", device.name)
    assert device.ended.wait(5)
    assert device.connected.wait(10), "a suspended device may connect, and is denied what it asks"
    device.send("twin/update", {"reported": {"a": 2}, "clientToken": "muted"})
    assert device.answer("muted", 1) is None

    hub.cli("device", "resume", device.name)

    device.update({"a": 3}, "after", patience=2)


def test_others_do_not_notice(hub: RunningHub, who: Identity, device: Device, tmp_path: Path) -> None:
    other = hub.device(f"calm-{uuid.uuid4().hex[:8]}", tmp_path / "calm")
    calm = Device(hub, other, clean=True).start(*ANSWERS)
    try:
        hub.cli("device", "suspend", who.name)
        assert device.ended.wait(5)
        calm.update({"a": 1}, "t1")
        hub.cli("device", "resume", who.name)
        calm.update({"a": 2}, "t2")
        assert not calm.ended.is_set()
    finally:
        calm.stop()


@pytest.mark.parametrize("part", ["mosquitto", "bridge", "functions"])
async def test_a_suspension_survives_the_sudden_end_of_any_part(own_hub: RunningHub, part: str, tmp_path: Path) -> None:
    who = own_hub.device("kept-0001", tmp_path / "kept")
    own_hub.cli("device", "suspend", who.name)
    if part == "mosquitto":
        # As after a restore from a copy that is older than the suspension.
        (own_hub.data / "broker" / "dynsec.json").write_text("{}\n")
    own_hub.kill(part)

    async def works() -> bool:
        return own_hub.cli("status", check=False).returncode == 0

    await until(works, seconds=60)

    # The keeper brings back at once what the broker has lost.
    assert await asyncio.to_thread(is_mute, own_hub, who)
    own_hub.publish(who, f"$devicehub/devices/{who.name}/twin/update", '{"reported":{"a":2}}')
    assert reported(own_hub, who) == {}
    own_hub.cli("device", "resume", who.name)
    again = Device(own_hub, who, clean=True).start(*ANSWERS)
    try:
        await asyncio.to_thread(again.update, {"a": 3}, "after")
    finally:
        again.stop()


def test_two_suspensions_outlive_a_restart_of_the_hub(own_hub: RunningHub, tmp_path: Path) -> None:
    whose = [own_hub.device(f"kept-000{number}", tmp_path / str(number)) for number in range(2)]
    for who in whose:
        own_hub.cli("device", "suspend", who.name)

    own_hub.down()
    own_hub.up()

    assert all(is_mute(own_hub, who) for who in whose)
