"""The roster follows the devices on a real nats-server, and knows nothing while it cannot."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from nats.aio.client import Client

from functions.adapters import preparing
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import BUCKETS
from functions.adapters.roster import BucketRoster
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Unavailable
from functions.testing import START
from tests.integration.nats_server import NatsServer, until_disconnected

DEVICES = BUCKETS["devices"]
ONE = Device("EDGB-0001", START, START)


@pytest.fixture
async def devices(admin: Client, functions: Client) -> JetStreamStore[Device]:
    await preparing.prepare(admin, buckets=(DEVICES,), streams=())
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


async def test_ids_come_in_order_a_page_at_a_time_retired_ones_too(
    roster: BucketRoster, devices: JetStreamStore[Device]
) -> None:
    names = [f"EDGB-{number:04}" for number in range(40)]
    for number, name in reversed([*enumerate(names[:30])]):
        lifecycle = Lifecycle.RETIRED if number % 7 == 0 else Lifecycle.ACTIVE
        await devices.create(name, replace(ONE, id=name, lifecycle=lifecycle))
    await roster.start()
    await roster.filled()

    assert roster.ids_after("", 12) == names[:12]
    assert roster.ids_after(names[11], 12) == names[12:24]
    assert roster.ids_after("EDGB-0028x", 12) == names[29:30]
    assert roster.ids_after(names[29], 12) == []

    # What comes later takes its place among them, and what changes is there once.
    for name in names[30:]:
        await devices.create(name, replace(ONE, id=name))
    kept = await devices.get(names[0])
    assert kept is not None
    await devices.replace(names[0], replace(kept.value, notes="x"), expect=kept.revision)
    await until(lambda: len(roster.ids_after("", 100)) == 40)
    assert roster.ids_after("", 100) == names


async def test_ids_are_told_only_while_all_are_known(
    roster: BucketRoster, devices: JetStreamStore[Device], nats_server: NatsServer
) -> None:
    await devices.create(ONE.id, ONE)
    with pytest.raises(Unavailable):
        roster.ids_after("", 10)
    await roster.start()
    await until(lambda: roster.is_active(ONE.id))
    assert roster.ids_after("", 10) == [ONE.id]

    nats_server.kill()

    def is_refused() -> bool:
        try:
            return not roster.ids_after("", 10)
        except Unavailable:
            return True

    await until(is_refused)
