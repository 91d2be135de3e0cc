"""The index follows the buckets on a real nats-server, also when the server dies under it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import structlog
from nats.aio.client import Client

from functions.adapters import preparing
from functions.adapters.clock import SystemClock
from functions.adapters.index import BucketIndex
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import BUCKETS
from functions.contract.views import view
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Unavailable
from functions.domain.grammar import parse_query
from functions.domain.groups import Group
from functions.domain.inventory import Counts, DeviceQuery, Written
from functions.domain.query import All
from functions.domain.sessions import Presence
from functions.domain.twins import Half, apply
from functions.storage import Page
from functions.testing import START
from tests.integration.nats_server import NatsServer, restart, until_connected

DEVICES, PRESENCE, GROUPS = BUCKETS["devices"], BUCKETS["presence"], BUCKETS["groups"]
DESIRED, REPORTED = BUCKETS["desired"], BUCKETS["reported"]
FOLLOWED = (DEVICES, PRESENCE, GROUPS, DESIRED, REPORTED)
PATHS = ("temp",)


def device(number: int) -> Device:
    return Device(f"EDGB-{number:04d}", START, START, name=f"Sensor {number}")


@pytest.fixture
async def devices(admin: Client, functions: Client) -> JetStreamStore[Device]:
    await preparing.prepare(admin, buckets=FOLLOWED, streams=())
    return JetStreamStore(functions, DEVICES.names, DEVICES.codec())


@pytest.fixture
def presence(functions: Client) -> JetStreamStore[Presence]:
    return JetStreamStore(functions, PRESENCE.names, PRESENCE.codec())


@pytest.fixture
async def index(devices: JetStreamStore[Device], functions: Client) -> AsyncIterator[BucketIndex]:
    index = BucketIndex(functions, SystemClock(), PATHS)
    yield index
    await index.stop()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until the index shows something; it tells nobody when it has taken a change in."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def create(store: JetStreamStore[Device], numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, 100):
        some = range(start, min(start + 100, numbers.stop))
        await asyncio.gather(*(store.create(device(number).id, device(number)) for number in some))


async def total(index: BucketIndex) -> int:
    return (await index.count(All(), drifted_for=timedelta())).total


def count(index: BucketIndex, query: str = "") -> int:
    return index._inventory.query(DeviceQuery(parse_query(query, paths=PATHS)), START).total


async def ids(index: BucketIndex, query: str = "", **asked: Any) -> list[str]:
    page = await index.query(DeviceQuery(parse_query(query), **asked))
    return [json.loads(one)["deviceName"] for one in page.entries]


async def test_an_empty_hub_is_ready_at_once(index: BucketIndex) -> None:
    await index.start()
    await asyncio.wait_for(index.ready(), 2)

    assert await index.query(DeviceQuery()) == Page([], 0)
    assert await index.count(All(), drifted_for=timedelta()) == Counts()


async def test_it_is_ready_when_it_has_read_everything(index: BucketIndex, devices: JetStreamStore[Device]) -> None:
    await create(devices, range(1000))

    await index.start()
    await asyncio.wait_for(index.ready(), 5)

    page = await index.query(DeviceQuery(parse_query('"sensor 99"'), limit=5))
    assert await total(index) == 1000
    assert page.total == 11
    assert await ids(index, '"sensor 99"', limit=5) == ["EDGB-0099", *(f"EDGB-099{n}" for n in range(4))]
    assert json.loads(page.entries[0]) == json.loads(view(device(99), None).encode())


async def test_it_sees_what_is_created_changed_and_removed(
    index: BucketIndex, devices: JetStreamStore[Device], presence: JetStreamStore[Presence]
) -> None:
    await index.start()
    await index.ready()

    revision = await devices.create("EDGB-0001", device(1))
    await until(lambda: count(index) == 1)
    revision = await devices.replace("EDGB-0001", replace(device(1), name="Door"), expect=revision)
    await until(lambda: count(index, "door") == 1)
    revision = await devices.replace("EDGB-0001", replace(device(1), lifecycle=Lifecycle.RETIRED), expect=revision)
    await until(lambda: count(index, "sensor lifecycle:retired") == 1)
    assert b'"lifecycle":"retired"' in (await index.query(DeviceQuery(parse_query("lifecycle:*")))).entries[0]
    seen = await presence.create("EDGB-0001", Presence(True, START, "connected"))
    await until(lambda: count(index, "lifecycle:* status:online") == 1)
    seen = await presence.replace("EDGB-0001", Presence(False, START, "timeout"), expect=seen)
    await until(lambda: count(index, "lifecycle:* status:offline") == 1)
    await presence.remove("EDGB-0001", expect=seen)
    await until(lambda: count(index, "lifecycle:* status:unknown") == 1)

    await devices.remove("EDGB-0001", expect=revision)
    await until(lambda: count(index) == 0)


async def test_it_misses_nothing_when_the_server_is_killed_under_it(
    nats_server: NatsServer, functions: Client, index: BucketIndex, devices: JetStreamStore[Device]
) -> None:
    await create(devices, range(100))
    await index.start()
    await index.ready()

    for turn in range(1, 4):
        await restart(nats_server, functions)
        # At once, while the index has yet to find out.
        await create(devices, range(turn * 100, turn * 100 + 100))
        await until(lambda turn=turn: count(index) == turn * 100 + 100)  # type: ignore[misc]

    assert await ids(index, limit=1000) == [device(n).id for n in range(400)]


async def test_it_begins_before_the_server_is_there_again(
    nats_server: NatsServer, index: BucketIndex, devices: JetStreamStore[Device]
) -> None:
    await create(devices, range(10))
    nats_server.kill()
    await index.start()
    ready = asyncio.create_task(index.ready())
    done, _ = await asyncio.wait((ready,), timeout=0.3)
    assert not done

    nats_server.start()
    await asyncio.wait_for(ready, 5)

    assert await total(index) == 10


async def test_a_server_that_hangs_and_wakes_costs_nothing(
    nats_server: NatsServer, functions: Client, index: BucketIndex, devices: JetStreamStore[Device]
) -> None:
    await create(devices, range(10))
    await index.start()
    await index.ready()

    with structlog.testing.capture_logs() as logs:
        with nats_server.frozen():
            await until(lambda: len(logs) == sum(len(bucket.names) for bucket in FOLLOWED))
        await until_connected(functions)
        await create(devices, range(10, 20))
        await until(lambda: count(index) == 20)


@pytest.mark.parametrize("end", [Client.drain, Client.close])
async def test_the_end_of_its_connection_is_no_failure_of_its_own(
    functions: Client, index: BucketIndex, devices: JetStreamStore[Device], end: Callable[[Client], Awaitable[None]]
) -> None:
    await create(devices, range(10))
    await index.start()
    await index.ready()

    with structlog.testing.capture_logs() as logs:
        await end(functions)
        await until(lambda: len(logs) == sum(len(bucket.names) for bucket in FOLLOWED))

    assert {line["event"] for line in logs} == {"waiting for the storage"}
    assert await total(index) == 10


async def test_a_record_that_cannot_be_read_hides_no_other(
    admin: Client, index: BucketIndex, devices: JetStreamStore[Device]
) -> None:
    await create(devices, range(10))
    for name in DEVICES.names:
        await admin.jetstream().publish(f"$KV.{name}.EDGB-9999", b"{secret")
    await create(devices, range(10, 20))

    with structlog.testing.capture_logs() as logs:
        await index.start()
        await index.ready()

    assert await total(index) == 20
    told = [line for line in logs if line["event"] == "unreadable record"]
    assert [line["key"] for line in told] == ["EDGB-9999"] * len(DEVICES.names)
    assert "secret" not in str(told)


# --- What was written just now


async def test_a_question_may_wait_for_what_was_written(index: BucketIndex, devices: JetStreamStore[Device]) -> None:
    await index.start()
    await index.ready()

    for number in range(200):
        revision = await devices.create(device(number).id, device(number))
        written = (Written(device(number).id, revision),)
        assert (await index.query(DeviceQuery(at_least=written))).total == number + 1


async def test_a_question_does_not_wait_for_ever(
    index: BucketIndex, devices: JetStreamStore[Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.adapters.index._REACH_SECONDS", 0.1)
    await index.start()
    await index.ready()

    with pytest.raises(Unavailable, match="has not heard of that revision"):
        await index.query(DeviceQuery(at_least=(Written("EDGB-0001", 10**9),)))


# --- Twins and groups


def half(*patches: dict[str, Any]) -> Half:
    made = Half()
    for patch in patches:
        made = apply(made, patch, at=START, by="test")
    return made


async def test_it_knows_which_twins_are_in_sync(
    functions: Client, index: BucketIndex, devices: JetStreamStore[Device]
) -> None:
    desired = JetStreamStore[Half](functions, DESIRED.names, DESIRED.codec())
    reported = JetStreamStore[Half](functions, REPORTED.names, REPORTED.codec())
    await create(devices, range(4))
    # The third never reported, of the fourth nothing is desired.
    for number in range(3):
        await desired.create(device(number).id, half({"rate": 3}))
    await reported.create(device(0).id, half({"rate": 3, "temp": 40}))
    shown = await reported.create(device(1).id, half({"rate": 2}))
    await index.start()
    await index.ready()
    assert await ids(index, "twinInSync:false") == ["EDGB-0001", "EDGB-0002"]
    assert count(index, "twin.reported.temp>30") == 1

    await reported.replace(device(1).id, half({"rate": 3, "temp": 50}), expect=shown)
    await until(lambda: count(index, "twin.reported.temp>30") == 2)
    assert await ids(index, "twinInSync:false") == ["EDGB-0002"]
    # Something else is desired of one that reported before, and nothing any more of another.
    kept = await desired.get(device(0).id)
    assert kept is not None
    await desired.replace(device(0).id, half({"rate": 4}), expect=kept.revision)
    await until(lambda: count(index, "twinInSync:false") == 2)
    kept = await desired.get(device(2).id)
    assert kept is not None
    await desired.remove(device(2).id, expect=kept.revision)
    await until(lambda: count(index, "twinInSync:false") == 1)
    assert await ids(index, "twinInSync:false") == ["EDGB-0000"]


async def test_a_group_is_what_its_query_is_now(
    functions: Client, index: BucketIndex, devices: JetStreamStore[Device]
) -> None:
    groups = JetStreamStore[Group](functions, GROUPS.names, GROUPS.codec())
    await create(devices, range(20))
    revision = await groups.create("ones", Group("ones", START, START, '"sensor 1"'))
    await index.start()
    await index.ready()
    assert await index.group_sizes() == {"ones": 11}

    revision = await groups.replace("ones", Group("ones", START, START, "name:*1"), expect=revision)
    await until(lambda: count(index, "group:ones") == 2)
    await groups.remove("ones", expect=revision)
    await until(lambda: count(index, "group:ones") == 0)
    assert await index.group_sizes() == {}
