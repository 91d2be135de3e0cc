"""Functions served on a real nats-server, their inventory followed from its buckets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from functions.adapters import preparing
from functions.adapters.clock import SystemClock
from functions.adapters.index import BucketIndex
from functions.adapters.layout import BUCKETS, open_stores
from functions.contract.views import split_page
from functions.domain.devices import Device
from functions.domain.sessions import Presence
from functions.routes import ROUTES
from functions.runtime.serving import Runtime
from functions.testing import START, MemoryHub, memory_hub
from tests.integration.conftest import Connect

KINDS = ("devices", "presence", "desired", "reported", "groups", "certificates", "tokens")


@pytest.fixture
async def hub(admin: Client, functions: Client, connect: Connect) -> AsyncIterator[MemoryHub]:
    await preparing.prepare(admin, buckets=[BUCKETS[kind] for kind in KINDS], streams=())
    stores: dict[str, Any] = {kind: store for kind, store in open_stores(functions).items() if kind in KINDS}
    index = BucketIndex(functions, SystemClock())
    await index.start()
    await index.ready()
    hub = replace(memory_hub(), index=index, **stores)
    runtime = Runtime(await connect("admin"), hub, ROUTES, name="functions", version="0.0.1")
    await runtime.start()
    yield hub
    await runtime.drain()
    await index.stop()


async def ask(client: Client, subject: str, scopes: str = "devices:read", **body: Any) -> Any:
    headers = {"Hub-Caller": "app:dashboard", "Hub-Scopes": scopes}
    async with asyncio.timeout(5):
        while True:
            # The server may not have told this connection of a new subscription yet.
            with suppress(nats.errors.NoRespondersError):
                name = f"devicehub.{subject}"
                answer = await client.request(name, json.dumps(body).encode(), timeout=5, headers=headers)
                return json.loads(answer.data)


async def until_total(client: Client, wanted: int) -> None:
    """Wait until the inventory has so many devices; it tells nobody when it has taken a change in."""
    async with asyncio.timeout(5):
        while (await ask(client, "registry.stats"))["total"] != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_pages_and_counts_are_answered_over_the_bus(hub: MemoryHub, admin: Client) -> None:
    for number in range(30):
        device = Device(
            f"EDGB-{number:04d}", START, START, model="lamp" if number % 2 else "pump", tags={"floor": str(number % 3)}
        )
        if number < 10:
            await hub.presence.create(device.id, Presence(number < 5, START, "connected"))
        await hub.devices.create(device.id, device)
    await until_total(admin, 30)

    page = await ask(admin, "registry.query", status="online", tag=["floor=0"], sort="-model", limit=1)
    stats = await ask(admin, "registry.stats")

    assert page["total"] == 2
    assert [device["deviceName"] for device in page["devices"]] == ["EDGB-0000"]
    assert stats == {
        "total": 30, "online": 5, "offline": 5, "neverSeen": 20, "byGroup": {}, "byModel": {"lamp": 15, "pump": 15},
        "outOfSync": 0, "retired": 0,
    }  # fmt: skip


async def test_who_lacks_the_scope_is_refused(hub: MemoryHub, admin: Client) -> None:
    for subject in ("registry.query", "registry.stats", "registry.devices.EDGB-0001.get"):
        told = await ask(admin, subject, scopes="twins:read")
        assert (told["error"], told["code"]) == ("denied", 403)
        assert "devices:read" in told["message"]


async def test_a_wrong_question_names_its_field(hub: MemoryHub, admin: Client) -> None:
    assert set((await ask(admin, "registry.query", sort="colour"))["fields"]) == {"sort"}
    assert set((await ask(admin, "registry.query", status="lost", limit=0))["fields"]) == {"status", "limit"}
    assert set((await ask(admin, "registry.query", colour="red"))["fields"]) == {"colour"}


async def test_a_page_too_large_to_be_sent_is_refused_and_a_smaller_one_is_not(hub: MemoryHub, admin: Client) -> None:
    for number in range(6):
        large = Device(f"EDGB-{number:04d}", START, START, metadata={"text": "x" * 200_000})
        await hub.devices.create(large.id, large)
    await until_total(admin, 6)

    refused = await ask(admin, "registry.query")
    headers = {"Hub-Caller": "app:dashboard", "Hub-Scopes": "admin"}
    answer = await admin.request("devicehub.registry.query", b'{"limit":5}', timeout=5, headers=headers)

    assert (refused["error"], refused["code"]) == ("too_large", 413)
    total, devices = split_page(answer.data)
    assert (total, len(json.loads(devices))) == (6, 5)
