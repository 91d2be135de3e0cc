"""A registry full of devices, written through the storage adapters as the functions would: real records, no load."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

from functions.adapters.authority import LocalAuthority
from functions.adapters.clock import SystemClock
from functions.adapters.layout import open_stores
from functions.contract.messages import DevicePage, RegistryQuery
from functions.contract.requests import make_request
from functions.domain.callers import DEVICE, Caller
from functions.domain.certificates import Certificate, Purpose, Signed, entry_of
from functions.domain.devices import Device
from functions.domain.faults import Conflict, Fault, Unavailable
from functions.domain.sessions import Presence
from functions.domain.twins import Half, apply
from functions.storage import Store
from tests.bench.ceilings import loops
from tests.bench.measure import Tally
from tests.bench.stage import Stage, many
from tests.e2e.rig import CLI, until

MODELS = ("edge-3", "edge-4", "pump-controller", "gateway-2", "sensor-9")
GROUPS = tuple(f"plant-{number}" for number in range(10))
SITES = tuple(f"site-{number}" for number in range(50))
_AT_ONCE = 64


def name(number: int) -> str:
    return f"FLEET-{number:06}"


async def fill(stage: Stage, size: int) -> None:
    """Have the registry hold so many of these devices, and the index know them.

    Their certificates come from one signature, with numbers, fingerprints and
    names of their own: 100,000 signatures take a quarter of a minute.
    """
    missing = range(await _known(stage), size)
    _, client = await stage.hub.bus("functions")
    try:
        stores = open_stores(client)
        ca = LocalAuthority(stage.paths.ca_certificate.read_text(), stage.paths.ca_key.read_text(), SystemClock())
        signed = await _sign(ca)

        async def write(number: int) -> None:
            device, certificate = _record(number, signed)
            await _keep(stores["certificates"], certificate.serial, certificate)
            await _keep(stores["devices"], device.id, device)
            for half in ("desired", "reported"):
                await _keep(stores[half], device.id, _half(half, number, device.created_at))
            if number % 10:
                await _keep(stores["presence"], device.id, _presence(number))

        await many(write, missing, _AT_ONCE)
    finally:
        await client.close()

    async def known() -> bool:
        return await _known(stage) >= size

    await until(known, seconds=120)


async def _keep(store: Store[Any], key: str, value: Any) -> None:
    """Write a record, however long the disk takes: what was written without an answer is a conflict the next time."""
    with suppress(Conflict):
        while True:
            with suppress(Unavailable):
                await store.create(key, value)
                return
            await asyncio.sleep(0.2)


async def _known(stage: Stage) -> int:
    asked = RegistryQuery(q="FLEET-", limit=1)
    return (await stage.bus.call("devicehub.registry.query", asked, DevicePage, caller=CLI, within=15)).total


async def _sign(ca: LocalAuthority) -> Signed:
    csr, _ = make_request("fleet")
    ends = datetime.now(UTC) + timedelta(days=365)
    return await ca.sign(csr, common_name="fleet", purpose=Purpose.DEVICE, not_after=ends)


def _record(number: int, one: Signed) -> tuple[Device, Certificate]:
    now = datetime.now(UTC)
    signed = replace(
        one,
        serial=token_hex(20),
        fingerprint=token_hex(32),
        not_after=now + timedelta(days=365 + number % 700),
    )
    certificate = entry_of(
        signed,
        purpose=Purpose.DEVICE,
        common_name=name(number),
        at=now,
        gate="provision",
        issued_to="claim:default",
        csr_digest=f"{number:064x}",
    )
    device = Device(
        id=name(number),
        created_at=now - timedelta(minutes=number),
        updated_at=now,
        uuid_hash=f"{number:064x}",
        certificate=signed.serial,
        fingerprint=signed.fingerprint,
        not_after=signed.not_after,
        name=f"Pump {number * 7919 % 100_000}",
        groups=(GROUPS[number % 10], GROUPS[number * 3 % 10]) if number % 3 else (GROUPS[number % 10],),
        tags={"site": SITES[number % 50], "row": str(number % 20)},
        model=MODELS[number % 5],
        firmware=f"2.{number % 4}.{number % 7}",
        metadata={"board": {"revision": number % 9, "serial": f"B{number:08}"}},
    )
    return device, certificate


def _half(which: str, number: int, at: datetime) -> Half:
    values = {"rate": number % 40, "mode": {"night": number % 2 == 0, "limit": 70}, "labels": ["a", "b"]}
    if which == "reported":
        values |= {"firmware": "2.1.0", "network": {"rssi": -60 - number % 30, "ip": "10.0.0.1"}}
    return apply(Half(), values, at=at, by="operator:bench")


def _presence(number: int) -> Presence:
    at = datetime.now(UTC) - timedelta(seconds=number * 37 % 86_400)
    online = number % 4 != 0
    evidence = "connected" if online else "timeout"
    return Presence(online, at, evidence, f"10.0.{number // 250 % 250}.{number % 250}:4000")


@asynccontextmanager
async def updating(stage: Stage, size: int, tally: Tally, *, at_once: int) -> AsyncIterator[None]:
    """Twin updates over the bus, as the bridge asks them, of every device of the fleet in turn.

    A worker remembers 4,096 halves as they are and others packed, of 130,000 such devices in all: each is read once.
    """
    own, client = await stage.hub.bus("bridge")
    turn = itertools.count()

    async def update(_number: int) -> None:
        number = next(turn)
        device = name(number * 7919 % size)
        body = b'{"reported":{"rate":%d,"state":"running","pump":{"rpm":1480,"hours":%d}}}' % (number, number // 100)
        began = time.perf_counter()
        try:
            await own.request(f"devicehub.devices.{device}.twin.update", body, caller=Caller(DEVICE, device))
            tally.done(began)
        except Fault as fault:
            tally.failed(str(fault.reason))

    try:
        async with loops(update, at_once):
            yield
    finally:
        await client.close()


def twins(size: int) -> Sequence[str]:
    """Requests for twins all over the fleet, in no order."""
    # 7919 is a prime that divides no size: each comes once.
    return [f"/api/devices/{name(index * 7919 % size)}/twin" for index in range(size)]


def pages(size: int) -> Sequence[str]:
    """Requests for pages of 50 with filter and sort, as operators make them: different filters, orders and places."""
    paths = []
    for number in range(200):
        sort = ("-lastSeen", "displayName", "-createdAt", "model,-lastSeen")[number % 4]
        wanted = (
            f"status=online&group={GROUPS[number % 10]}",
            f"status=online&tag=site%3D{SITES[number % 50]}",
            f"model={MODELS[number % 5]}",
            f"q={number % 100:02}&status=offline",
        )[number // 4 % 4]
        offset = number % 3 * 50 if size > 1000 else 0
        paths.append(f"/api/devices?{wanted}&sort={sort}&limit=50&offset={offset}")
    return paths
