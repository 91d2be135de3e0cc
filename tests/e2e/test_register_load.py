"""Every certificate that a device got is in the register, whatever dies while it joins; and ten thousand join."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import pytest
from nats.aio.client import Client

from functions.adapters.layout import open_stores
from functions.contract import subjects
from functions.contract.messages import CertificatePage, CertificateQuery
from functions.domain.devices import Device
from functions.domain.faults import Unavailable
from functions.storage import Kept, Store
from tests.bench.stage import many
from tests.e2e.joiners import Joiners
from tests.e2e.rig import CLI, RunningHub, until

# How often the soak run kills the functions.
T = TypeVar("T")

KILLS = int(os.environ.get("HUB_SOAK_KILLS", "40"))
THOUSANDS = int(os.environ.get("HUB_SOAK_THOUSANDS", "10"))
PARTS = ("functions", "index", "bridge", "gateway", "nats", "mosquitto")
# What must not grow with the devices that have joined, but for what each process remembers within bounds: of a
# function worker the last 4,096 claims, some 8 MiB, and 0.1 KiB of each device; of the bridge the last 8,192 topics.
FLAT = ("functions", "bridge", "gateway")
FLAT_MIB = 16.0
# A device and its certificate in the index, with what Python and SQLite take beside them.
INDEX_BYTES_A_DEVICE = 8 * 1024


@asynccontextmanager
async def open_enrolment(hub: RunningHub) -> AsyncIterator[Client]:
    """A connection that may read the stores, with enrolment open without end."""
    await asyncio.to_thread(hub.cli, "enrolment", "open")
    _, client = await hub.bus("admin")
    try:
        yield client
    finally:
        await client.close()


async def patiently(store: Store[T], key: str) -> Kept[T] | None:
    """Read, and again when a busy machine does not answer in time."""
    for _ in range(10):
        with suppress(Unavailable):
            return await store.get(key)
    return await store.get(key)


async def check(client: Client, joiners: Joiners) -> None:
    """All that was given is in the register word for word, and is what the device's record names."""
    stores = open_stores(client)

    async def same(serial: str) -> bool:
        kept = await patiently(stores["certificates"], serial)
        return kept is not None and kept.value.pem == joiners.given[serial] and kept.value.revoked_at is None

    devices: Store[Device] = stores["devices"]

    async def named(name: str) -> bool:
        kept = await patiently(devices, name)
        return kept is not None and kept.value.certificate == joiners.joined[name]

    serials, names = list(joiners.given), list(joiners.joined)
    missing = [s for s, ok in zip(serials, await many(same, serials, 50), strict=True) if not ok]
    unnamed = [n for n, ok in zip(names, await many(named, names, 50), strict=True) if not ok]
    assert not missing
    assert not unnamed


async def listed(hub: RunningHub) -> int:
    """How many certificates of devices the register lists."""
    bus, client = await hub.bus()
    try:
        wish = CertificateQuery(kind="device", limit=1)
        page = await bus.call(subjects.subject("certificates", "query"), wish, CertificatePage, caller=CLI)
        return page.total
    finally:
        await client.close()


def memory(hub: RunningHub) -> dict[str, float]:
    """MiB that each part has to itself, all its processes together."""
    return {part: sum(process.memory_full_info().uss for process in hub.processes(part)) / 2**20 for part in PARTS}


@pytest.mark.parametrize("kills", [4, pytest.param(KILLS, marks=pytest.mark.soak)])
async def test_nothing_is_handed_out_that_the_register_does_not_know(own_hub: RunningHub, kills: int) -> None:
    joiners = Joiners(own_hub)
    dice = random.Random(kills)
    async with open_enrolment(own_hub) as client:
        load = asyncio.create_task(joiners.run(10**9))
        try:
            for _ in range(kills):
                before = len(joiners.given)

                async def goes_on(wanted: int = before + 20) -> bool:
                    assert not load.done(), load
                    return len(joiners.given) >= wanted

                # The hub has come back when devices join again; then somewhere in the middle of their calls.
                await until(goes_on, seconds=60)
                await asyncio.sleep(dice.random() * 0.1)
                await asyncio.to_thread(own_hub.kill, "functions")
        finally:
            load.cancel()
            await asyncio.wait({load})
        await until(lambda: asyncio.to_thread(_serves, own_hub), seconds=30)
        await check(client, joiners)
    print(f"\n{kills} kills of all functions, {len(joiners.given)} certificates given, {joiners.retries} asked again")
    assert not joiners.refusals


def _serves(hub: RunningHub) -> bool:
    return hub.cli("enrolment", "open", check=False).returncode == 0


@pytest.mark.soak
async def test_ten_thousand_devices_join_in_one_run_with_flat_memory(own_hub: RunningHub) -> None:
    joiners = Joiners(own_hub)
    taken: list[dict[str, float]] = []
    async with open_enrolment(own_hub) as client:
        idle = await asyncio.to_thread(memory, own_hub)
        workers = {part: len(own_hub.processes(part)) for part in FLAT}
        began = time.monotonic()
        for _ in range(THOUSANDS):
            await joiners.run(1000)
            taken.append(await asyncio.to_thread(memory, own_hub))
        seconds = time.monotonic() - began
        print(
            f"\n{len(joiners.given)} joined in {seconds:.0f} s ({len(joiners.given) / seconds:.0f}/s), "
            f"{joiners.retries} asked again, slowest {joiners.slowest:.2f} s"
        )
        print("MiB       " + "".join(f"{part:>11}" for part in PARTS))
        for thousands, row in enumerate([idle, *taken]):
            print(f"{thousands * 1000:<10}" + "".join(f"{row[part]:>11.1f}" for part in PARTS))
        await check(client, joiners)
        await until(lambda: _all_listed(own_hub, len(joiners.given)))

    assert not joiners.refusals
    # After the first thousands, when buffers and caches have their size.
    warm = taken[len(taken) // 4]
    for part in FLAT:
        assert taken[-1][part] - warm[part] < FLAT_MIB * workers[part], part
    grown = (taken[-1]["index"] - warm["index"]) * 2**20
    assert grown < INDEX_BYTES_A_DEVICE * 1000 * (len(taken) - 1 - len(taken) // 4)


async def _all_listed(hub: RunningHub, number: int) -> bool:
    return await listed(hub) >= number
