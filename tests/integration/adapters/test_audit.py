"""The audit trail on a real nats-server, with the functions' permissions."""

import asyncio
from dataclasses import replace

import nats.js.errors
import pytest
import structlog
from nats.aio.client import Client

from functions.adapters import preparing
from functions.adapters.audit import CODEC, JetStreamAudit
from functions.adapters.layout import TRAILS
from functions.audit_checks import AuditChecks, Recorded, audit_entry
from functions.domain.audit import AuditEntry, Trail
from functions.domain.faults import Unavailable
from functions.testing import refused
from tests.integration.nats_server import NatsServer, until_connected


@pytest.fixture
async def audit(admin: Client, functions: Client) -> JetStreamAudit:
    await preparing.prepare(admin, buckets=(), streams=tuple(TRAILS.values()))
    return JetStreamAudit(functions)


@pytest.fixture
def recorded(admin: Client) -> Recorded:
    """Reads as an administrator would, by the names that the layout promises."""

    async def recorded(trail: Trail) -> list[AuditEntry]:
        name = TRAILS[trail].name
        context = admin.jetstream()
        last = (await context.stream_info(name)).state.last_seq
        records = [CODEC.decode((await context.get_msg(name, number)).data or b"") for number in range(1, last + 1)]
        return [entry for record in records for entry in record.entries]

    return recorded


class TestOnAServer(AuditChecks):
    """The checks of ``functions.audit_checks``; the fixtures above are theirs."""


async def test_an_entry_lies_under_what_it_is_about(admin: Client, audit: JetStreamAudit) -> None:
    await audit.append([audit_entry(1)])

    message = await admin.jetstream().get_msg("audit-changes", 1)

    assert message.subject == "devicehub.stored.audit.changes.device.EDGB-0001"


async def test_nobody_can_take_an_entry_out(admin: Client, audit: JetStreamAudit) -> None:
    await audit.append([audit_entry(1)])
    context = admin.jetstream()

    with pytest.raises(nats.js.errors.APIError):
        await context.delete_msg("audit-changes", 1)
    with pytest.raises(nats.js.errors.APIError):
        await context.purge_stream("audit-changes")

    assert (await context.stream_info("audit-changes")).state.messages == 1


async def test_what_could_not_be_kept_is_kept_when_the_server_is_back(
    nats_server: NatsServer, functions: Client, audit: JetStreamAudit, recorded: Recorded, admin: Client
) -> None:
    await audit.append([audit_entry(1)])
    nats_server.kill()
    for number in (2, 3):
        with refused(Unavailable):
            await audit.append([audit_entry(number)])
    with structlog.testing.capture_logs() as logs:
        await audit.catch_up()
    assert [line["event"] for line in logs] == ["audit entries wait"]
    nats_server.start()
    await until_connected(functions)
    await until_connected(admin)

    await audit.append([audit_entry(4)])

    assert sorted(one.id for one in await recorded(Trail.CHANGES)) == [audit_entry(n).id for n in (1, 2, 3, 4)]


async def test_an_entry_whose_call_ran_out_of_time_is_kept_all_the_same(
    nats_server: NatsServer, audit: JetStreamAudit, recorded: Recorded
) -> None:
    with nats_server.frozen(), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await audit.append([audit_entry(1)])

    await audit.catch_up()

    assert await recorded(Trail.CHANGES) == [audit_entry(1)]


async def test_of_very_many_refusals_some_are_kept_and_the_others_counted(
    functions: Client, audit: JetStreamAudit, recorded: Recorded
) -> None:
    now = [0.0]
    sparing = JetStreamAudit(functions, lambda: now[0])
    refusals = [replace(audit_entry(n), action="onboarding.refused") for n in range(400)]
    with structlog.testing.capture_logs() as logs:
        for one in refusals[:300]:
            await sparing.append([one])
    assert [line["event"] for line in logs] == ["refusals left out of the audit trail"]
    now[0] = 0.1
    await sparing.append([refusals[300]])
    await sparing.append([replace(audit_entry(500), action="onboarding.accepted")])

    kept = await recorded(Trail.ONBOARDING)

    assert [one.id for one in kept[:201]] == [one.id for one in (*refusals[:200], refusals[300])]
    assert (kept[201].action, kept[201].after, kept[201].target) == ("onboarding.left-out", {"refusals": 100}, "-")
    assert kept[202].action == "onboarding.accepted"
