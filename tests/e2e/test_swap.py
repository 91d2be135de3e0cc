"""One device in the place of another, on the whole stack, and with every function process killed in the middle."""

import asyncio
import os
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.layout import open_stores
from functions.contract.bus import Bus
from functions.contract.messages import (
    DeviceCreate,
    DeviceRecord,
    DeviceRetire,
    DeviceSwap,
    DeviceUpdate,
    Issued,
    Nothing,
    TwinDesire,
    TwinView,
)
from functions.contract.requests import make_request
from functions.domain.faults import Fault
from tests.e2e.devices import Device
from tests.e2e.rig import CLI, RunningHub, until

# How often the soak run kills the functions.
ROUNDS = int(os.environ.get("HUB_SOAK_ROUNDS", "15"))
PAIRS = 12


def test_the_replacement_takes_over_and_the_old_certificate_is_cut(hub: RunningHub, tmp_path: Path) -> None:
    suffix = uuid.uuid4().hex[:6]
    old_name, new_name, role = f"swap-old-{suffix}", f"swap-new-{suffix}", f"swap-role-{suffix}"
    old, new = (hub.device(name, tmp_path / name) for name in (old_name, new_name))
    hub.cli("device", "update", old_name, "--role", role, "--group", "yard", "--tag", "site=A")
    hub.cli("twin", "set", role, '{"rate": 12}')
    leaving = Device(hub, old, clean=True).start("twin/update/accepted")
    joining = Device(hub, new, clean=True).start("twin/update/delta")
    try:
        began = time.monotonic()
        hub.cli("device", "swap", role, new_name)
        assert leaving.ended.wait(2), "the old device's session was not ended"
        print(f"\nswapped and cut off in {1000 * (time.monotonic() - began):.0f} ms, the command's start included")
        topic, payload = joining.messages.get(timeout=5)
        assert (topic.rsplit("/", 1)[1], b'"rate":12' in payload) == ("delta", True)
    finally:
        leaving.stop()
        joining.stop()

    shown = hub.json("device", "show", role)
    assert (shown["deviceName"], shown["groups"], shown["tags"]) == (new_name, ["yard"], {"site": "A"})
    assert hub.json("device", "show", old_name)["lifecycle"] == "retired"
    refused = subprocess.run(
        ["mosquitto_pub", *hub.address(old, old_name), "-t", f"$devicehub/devices/{old_name}/heartbeat", "-m", "{}"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert refused.returncode != 0


class Fleet:
    """Pairs of devices, the first of each with a role and all that moves with it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.run = uuid.uuid4().hex[:6]

    def pair(self, number: int) -> tuple[str, str, str]:
        return f"old-{self.run}-{number}", f"new-{self.run}-{number}", f"role-{self.run}-{number}"

    async def make(self, count: int) -> None:
        await asyncio.gather(*(self._make(number) for number in range(count)))

    async def _make(self, number: int) -> None:
        old, new, role = self.pair(number)
        for name in (old, new):
            csr, _ = make_request(name)
            subject = f"devicehub.registry.devices.{name}.create"
            await self._bus.call(subject, DeviceCreate(csr_pem=csr), Issued, caller=CLI, within=15)
        await self.ask(old, "update", DeviceUpdate(role=role, groups=["yard"], tags={"site": "A"}))
        await self._bus.call(
            f"devicehub.twins.{old}.desire", TwinDesire(desired={"rate": number}), TwinView, caller=CLI
        )

    async def ask(self, name: str, verb: str, body: Any) -> DeviceRecord:
        subject = f"devicehub.registry.devices.{name}.{verb}"
        return await self._bus.call(subject, body, DeviceRecord, caller=CLI, within=5)

    async def attempt(self, number: int) -> None:
        """Swap, or of every third pair retire the old one; what becomes of it is not told to who loses the answer."""
        old, new, _ = self.pair(number)
        try:
            if number % 3 == 0:
                await self.ask(old, "retire", DeviceRetire())
            else:
                await self.ask(old, "swap", DeviceSwap(replacement=new))
        except Fault:
            return

    async def outcome(self, number: int) -> str:
        """``done`` or ``undone``, or else what is half."""
        old_name, new_name, role = self.pair(number)
        old, new = await self.ask(old_name, "get", Nothing()), await self.ask(new_name, "get", Nothing())
        twins = [
            (await self._bus.call(f"devicehub.twins.{name}.get", Nothing(), TwinView, caller=CLI)).desired
            for name in (old_name, new_name)
        ]
        found = (old.lifecycle, old.role, old.groups, new.role, new.groups, new.replaces, *twins)
        wish = {"rate": number}
        before: tuple[Any, ...] = ("active", role, ["yard"], None, [], None, wish, {})
        after: tuple[Any, ...] = ("retired", None, [], role, ["yard"], old_name, {}, wish)
        if number % 3 == 0:
            after = ("retired", None, ["yard"], None, [], None, wish, {})
        if found == before:
            return "undone"
        return "done" if found == after else str(found)


@pytest.mark.parametrize("rounds", [2, pytest.param(ROUNDS, marks=pytest.mark.soak)])
async def test_what_the_killing_of_every_function_cut_short_is_finished_or_undone(
    own_hub: RunningHub, rounds: int
) -> None:
    bus, client = await own_hub.bus()
    _, own = await own_hub.bus("functions")
    seen = {"done": 0, "undone": 0}
    try:
        for turn in range(rounds):
            fleet = Fleet(bus)
            await fleet.make(PAIRS)
            attempts = [asyncio.create_task(fleet.attempt(number)) for number in range(PAIRS)]
            # Ever later: from before the first is decided until most are done.
            await asyncio.sleep(0.002 + 0.012 * (turn % 10))
            await asyncio.to_thread(own_hub.kill, "functions")
            await asyncio.gather(*attempts)

            async def settled(fleet: Fleet = fleet) -> bool:
                try:
                    intents = [key async for key, _ in open_stores(own)["intents"].entries()]
                    outcomes = [await fleet.outcome(number) for number in range(PAIRS)]
                except Fault:
                    return False
                return not intents and {"done", "undone"} >= set(outcomes)

            await until(settled, seconds=60)
            for number in range(PAIRS):
                seen[await fleet.outcome(number)] += 1
    finally:
        await client.close()
        await own.close()
    print(f"\nof {sum(seen.values())} operations cut short or not: {seen}")
