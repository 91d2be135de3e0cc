"""The roster follows the devices on a real nats-server, and knows nothing while it cannot."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from nats.aio.client import Client

from functions.adapters import layout
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import BUCKETS
from functions.adapters.roster import BucketRoster
from functions.domain.devices import Device, Lifecycle
from functions.testing import START
from tests.integration.nats_server import NatsServer, until_disconnected

DEVICES = BUCKETS["devices"]
ONE = Device("EDGB-0001", START, START)


@pytest.fixture
async def devices(admin: Client, functions: Client) -> JetStreamStore[Device]:
    await layout.prepare(admin, buckets=(DEVICES,), streams=())
    return JetStreamStore(functions, DEVICES.names, DEVICES.codec())


@pytest.fixture
async def roster(devices: JetStreamStore[Device], functions: Client) -> AsyncIterator[BucketRoster]:
    roster = BucketRoster(functions)
    yield roster
    await roster.stop()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until the roster shows something; it tells nobody when it has taken a change in."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_it_knows_nobody_before_it_has_read(roster: BucketRoster, devices: JetStreamStore[Device]) -> None:
    await devices.create(ONE.id, ONE)

    assert not roster.is_active(ONE.id)


async def test_it_knows_who_takes_part_and_who_does_no_more(
    roster: BucketRoster, devices: JetStreamStore[Device]
) -> None:
    revision = await devices.create(ONE.id, ONE)
    await roster.start()
    await asyncio.wait_for(roster.filled(), 5)
    assert roster.is_active(ONE.id)
    assert not roster.is_active("EDGB-0002")

    for lifecycle in (Lifecycle.SUSPENDED, Lifecycle.ACTIVE, Lifecycle.RETIRED):
        revision = await devices.replace(ONE.id, replace(ONE, lifecycle=lifecycle), expect=revision)
        wanted = lifecycle is Lifecycle.ACTIVE
        await until(lambda wanted=wanted: roster.is_active(ONE.id) is wanted)  # type: ignore[misc]

    await devices.create("EDGB-0002", replace(ONE, id="EDGB-0002"))
    await until(lambda: roster.is_active("EDGB-0002"))


async def test_it_says_nothing_while_the_server_is_away(
    roster: BucketRoster, devices: JetStreamStore[Device], nats_server: NatsServer, functions: Client
) -> None:
    await devices.create(ONE.id, ONE)
    await roster.start()
    await until(lambda: roster.is_active(ONE.id))

    nats_server.kill()
    await until_disconnected(functions)
    await until(lambda: not roster.is_active(ONE.id), seconds=2.0)
    nats_server.start()

    await until(lambda: roster.is_active(ONE.id), seconds=10.0)
