"""Processes that are killed while they change things, and the entries that they leave to others."""

import asyncio
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from nats.aio.client import Client

from functions.adapters import preparing
from functions.adapters.audit import CODEC, JetStreamAudit
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import BUCKETS, TRAILS
from functions.adapters.trails import SqliteTrails
from functions.domain.audit import Trail
from functions.handlers.pledging import PLEDGED, Pledges
from functions.testing import MemoryHub, memory_hub
from tests.integration.nats_server import NatsServer

WORKER = "tests.integration.handlers.pledging_worker"
KILLS = 12


@pytest.fixture
async def hub(admin: Client, functions: Client) -> MemoryHub:
    buckets = [BUCKETS[name] for name in PLEDGED]
    await preparing.prepare(admin, buckets=buckets, streams=tuple(TRAILS.values()))
    parts: dict[str, Any] = {
        name: JetStreamStore(functions, BUCKETS[name].names, BUCKETS[name].codec()) for name in PLEDGED
    }
    parts["audit"] = JetStreamAudit(functions)
    return replace(memory_hub(), **parts)


async def kill_one(server: NatsServer, number: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", WORKER, server.url, str(number), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    # No event tells of a moment within a write: each worker is killed a little later than the one before.
    await asyncio.sleep(0.05 + number * 0.0013)
    process.kill()
    await process.wait()


async def written(admin: Client) -> Counter[str]:
    """How often each entry is in the trail of changes, by its id."""
    context, name = admin.jetstream(), TRAILS[Trail.CHANGES].name
    last = (await context.stream_info(name)).state.last_seq
    records = [CODEC.decode((await context.get_msg(name, number)).data or b"") for number in range(1, last + 1)]
    return Counter(entry.id for record in records for entry in record.entries)


async def test_every_change_of_killed_processes_has_its_entry_once(
    hub: MemoryHub, admin: Client, functions: Client, nats_server: NatsServer
) -> None:
    for number in range(KILLS):
        await kill_one(nats_server, number)
    pledged = {one.id for one in await hub.groups.pledged({})}
    missing = pledged - (await written(admin)).keys()
    print(f"{len(pledged)} changes, {KILLS} processes killed, {len(missing)} entries missing")
    hub.clock.advance(60)

    # A process that has just been started: it has read the trail whole.
    trails = SqliteTrails(functions)
    await trails.start()
    await trails.filled()
    await Pledges().keep(replace(hub, trails=trails))
    await trails.stop()

    now = await written(admin)
    assert pledged <= now.keys()
    assert set(now.values()) == {1}
