"""The audit trail's index over streams on a real nats-server."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from nats.aio.client import Client
from nats.js.api import StreamConfig

from functions.adapters import preparing
from functions.adapters.audit import JetStreamAudit
from functions.adapters.layout import TRAILS
from functions.adapters.trails import SqliteTrails
from functions.audit_checks import AUDITED, Find, TrailsChecks, audit_entry, fill
from functions.domain.audit import AuditEntry, AuditWanted, Trail
from functions.domain.faults import Unavailable
from functions.storage import Page
from functions.testing import refused
from tests.integration.nats_server import NatsServer, until_connected

EVERYTHING = AuditWanted()


@pytest.fixture
async def audit(admin: Client, functions: Client) -> JetStreamAudit:
    await preparing.prepare(admin, buckets=(), streams=tuple(TRAILS.values()))
    return JetStreamAudit(functions)


@pytest.fixture
async def trails(functions: Client, audit: JetStreamAudit) -> AsyncIterator[SqliteTrails]:
    trails = SqliteTrails(functions)
    await trails.start()
    await trails.filled()
    yield trails
    await trails.stop()


async def until(trails: SqliteTrails, number: int, wanted: AuditWanted = EVERYTHING) -> None:
    """Wait until the index has so many of the wanted entries."""
    async with asyncio.timeout(10):
        while True:
            if (await trails.find(wanted)).total == number:
                return
            await asyncio.sleep(0.01)


class TestOnAServer(TrailsChecks):
    @pytest.fixture
    def find(self, trails: SqliteTrails, admin: Client) -> Find:
        async def find(wanted: AuditWanted) -> Page[AuditEntry]:
            context = admin.jetstream()
            # Of the checks, each record has one entry.
            states = [(await context.stream_info(trail.name)).state for trail in TRAILS.values()]
            await until(trails, sum(state.messages for state in states))
            return await trails.find(wanted)

        return find


async def test_nothing_is_answered_before_it_is_read(functions: Client, audit: JetStreamAudit) -> None:
    trails = SqliteTrails(functions)

    with refused(Unavailable):
        await trails.find(AuditWanted())

    await trails.stop()


async def opened(functions: Client, folder: Path) -> SqliteTrails:
    trails = SqliteTrails(functions, folder)
    await trails.start()
    async with asyncio.timeout(5):
        await trails.filled()
    return trails


async def test_a_file_goes_on_where_it_was(functions: Client, audit: JetStreamAudit, tmp_path: Path) -> None:
    await fill(audit)
    trails = await opened(functions, tmp_path / "index")
    await trails.stop()
    await audit.append([audit_entry(100)])

    trails = await opened(functions, tmp_path / "index")

    assert (await trails.find(AuditWanted())).total == 13
    await trails.stop()
    assert (tmp_path / "index" / "audit.sqlite").stat().st_mode & 0o077 == 0


async def test_a_file_of_another_stream_is_made_anew(
    admin: Client, functions: Client, audit: JetStreamAudit, tmp_path: Path
) -> None:
    await fill(audit)
    trails = await opened(functions, tmp_path)
    await trails.stop()
    context = admin.jetstream()
    for trail in TRAILS.values():
        await context.delete_stream(trail.name)
    await preparing.prepare(admin, buckets=(), streams=tuple(TRAILS.values()))
    await audit.append([audit_entry(100)])

    trails = await opened(functions, tmp_path)

    assert [one.id for one in (await trails.find(AuditWanted())).entries] == [audit_entry(100).id]
    await trails.stop()


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_damaged_file_is_made_anew(
    functions: Client, audit: JetStreamAudit, tmp_path: Path, damage: bytes
) -> None:
    await fill(audit)
    trails = await opened(functions, tmp_path)
    await trails.stop()
    (tmp_path / "audit.sqlite").write_bytes(damage)

    trails = await opened(functions, tmp_path)

    assert (await trails.find(AuditWanted())).total == len(AUDITED)
    await trails.stop()


async def test_what_the_stream_has_dropped_is_dropped(
    admin: Client, functions: Client, audit: JetStreamAudit, tmp_path: Path
) -> None:
    await fill(audit)
    trails = await opened(functions, tmp_path)
    await trails.stop()
    name = TRAILS[Trail.CHANGES].name
    context = admin.jetstream()
    config: StreamConfig = (await context.stream_info(name)).config
    await context.update_stream(config.evolve(max_msgs=1))

    trails = await opened(functions, tmp_path)

    await until(trails, 1, AuditWanted(action="device"))
    assert (await trails.find(AuditWanted(action="device"))).entries == [AUDITED[9]]
    assert (await trails.find(AuditWanted(action="twin"))).total == 4
    await trails.stop()


async def test_nothing_is_missed_over_a_restart_of_the_server(
    nats_server: NatsServer, functions: Client, audit: JetStreamAudit, trails: SqliteTrails
) -> None:
    await fill(audit)
    await until(trails, 12)
    nats_server.restart()
    await until_connected(functions)

    # A server that has just started may be too slow for one write: then it is tried again.
    with suppress(Unavailable):
        await audit.append([audit_entry(100)])
    await audit.catch_up()

    await until(trails, 13)


async def test_a_file_that_can_no_longer_be_written_is_told_and_no_answer_grows_old(
    functions: Client, audit: JetStreamAudit, tmp_path: Path
) -> None:
    trails = await opened(functions, tmp_path)
    with sqlite3.connect(tmp_path / "audit.sqlite") as other:
        other.execute("DROP TABLE places")
    with structlog.testing.capture_logs() as logs:
        await audit.append([audit_entry(1)])
        async with asyncio.timeout(5):
            while True:
                if logs:
                    break
                await asyncio.sleep(0.01)

    assert logs[0]["event"] == "audit index cannot be written"
    with refused(Unavailable):
        await trails.find(EVERYTHING)
    await trails.stop()
