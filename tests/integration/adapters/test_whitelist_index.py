"""The whitelist's index follows its bucket on a real nats-server, and is asked only once it knows what was written."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from nats.aio.client import Client

from functions.adapters import preparing
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import BUCKETS
from functions.adapters.whitelist_index import BucketWhitelist
from functions.domain.enrolment import Whitelisted
from functions.domain.faults import Unavailable
from functions.domain.whitelist import Wanted
from functions.testing import START
from tests.integration.nats_server import NatsServer, restart

BUCKET = BUCKETS["whitelist"]


def entry(number: int) -> Whitelisted:
    return Whitelisted(f"{number:064x}", f"{number:04}", START + timedelta(seconds=number), note=f"lot {number % 3}")


@pytest.fixture
async def store(admin: Client, functions: Client) -> JetStreamStore[Whitelisted]:
    await preparing.prepare(admin, buckets=(BUCKET,), streams=())
    return JetStreamStore(functions, BUCKET.names, BUCKET.codec())


@pytest.fixture
async def index(store: JetStreamStore[Whitelisted], functions: Client) -> AsyncIterator[BucketWhitelist]:
    index = BucketWhitelist(functions)
    yield index
    await index.stop()


async def create(store: JetStreamStore[Whitelisted], numbers: range) -> None:
    for number in numbers:
        await store.create(entry(number).uuid_hash, entry(number))


ANY = Wanted()


async def hints(index: BucketWhitelist, wanted: Wanted = ANY, limit: int = 100, offset: int = 0) -> list[str]:
    return [one.hint for one in (await index.find(wanted, limit, offset)).entries]


async def test_an_empty_whitelist_is_answered(index: BucketWhitelist) -> None:
    await index.start()
    await asyncio.wait_for(index.ready(), 5)

    found = await index.find(Wanted(), 10, 0)
    assert (found.entries, found.total) == ([], 0)


async def test_what_was_there_before_is_found_in_pages(
    store: JetStreamStore[Whitelisted], index: BucketWhitelist
) -> None:
    await create(store, range(7))
    await index.start()
    await index.ready()

    assert await hints(index, limit=3) == ["0006", "0005", "0004"]
    assert await hints(index, limit=3, offset=6) == ["0000"]
    assert await hints(index, Wanted(q="lot 1")) == ["0004", "0001"]


async def test_what_was_written_before_the_question_is_always_in_the_answer(
    store: JetStreamStore[Whitelisted], index: BucketWhitelist
) -> None:
    await index.start()
    await index.ready()
    for number in range(50):
        key = entry(number).uuid_hash
        revision = await store.create(key, entry(number))
        assert (await hints(index, limit=1)) == [f"{number:04}"]
        await store.replace(key, replace(entry(number), disabled=True), expect=revision)
        assert (await hints(index, Wanted(is_disabled=False))) == []
        if number % 2:
            kept = await store.get(key)
            assert kept is not None
            await store.remove(key, expect=kept.revision)
            assert key not in {one.uuid_hash for one in (await index.find(Wanted(), 100, 0)).entries}


async def test_many_ask_while_many_write(store: JetStreamStore[Whitelisted], index: BucketWhitelist) -> None:
    await index.start()
    await index.ready()

    async def write_and_ask(number: int) -> bool:
        await store.create(entry(number).uuid_hash, entry(number))
        return f"{number:04}" in await hints(index, limit=1000)

    assert all(await asyncio.gather(*(write_and_ask(number) for number in range(200))))
    assert (await index.find(Wanted(), 1, 0)).total == 200


async def test_a_record_that_cannot_be_read_is_not_waited_for(
    store: JetStreamStore[Whitelisted], index: BucketWhitelist, admin: Client
) -> None:
    await create(store, range(2))
    await index.start()
    await index.ready()

    await admin.jetstream().publish(f"$KV.{BUCKET.name}.{entry(1).uuid_hash}", b"no JSON")

    assert await hints(index) == ["0000"]


async def test_it_goes_on_after_the_server_was_killed(
    nats_server: NatsServer, functions: Client, store: JetStreamStore[Whitelisted], index: BucketWhitelist
) -> None:
    await create(store, range(2))
    await index.start()
    await index.ready()

    await restart(nats_server, functions)

    async def settled() -> list[str]:
        while True:
            try:
                return await hints(index)
            except Unavailable:
                await asyncio.sleep(0.05)

    assert await asyncio.wait_for(settled(), 20) == ["0001", "0000"]
    await create(store, range(2, 3))
    assert await hints(index, limit=1) == ["0002"]
