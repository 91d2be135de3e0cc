"""The storage port on a real nats-server, with the functions' permissions and no more."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from nats.aio.client import Client

from functions.adapters import preparing
from functions.adapters.codec import Codec
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import Bucket
from functions.adapters.recent import Recent
from functions.checks import StoreChecks, half
from functions.domain.faults import Conflict, Fault, Unavailable
from functions.domain.twins import Half
from functions.testing import collect, refused
from tests.integration.nats_server import NatsServer, until_connected

Connect = Callable[[str], Awaitable[Client]]

HALVES = Bucket("halves", Half, shards=3, history=64)
PLAIN = Bucket("plain", Half)
BATCHED = Bucket("batched", Half, shards=2, history=64, batched=True)


def open_store(client: Client, bucket: Bucket) -> JetStreamStore[Half]:
    return JetStreamStore(client, bucket.names, bucket.codec())


class TestOnAServer(StoreChecks):
    @pytest.fixture
    async def store(self, prepared: Client) -> JetStreamStore[Half]:
        return open_store(prepared, HALVES)

    @pytest.fixture
    async def foreign(self, prepared: Client) -> JetStreamStore[str]:
        return JetStreamStore(prepared, HALVES.names, Codec(str))

    @pytest.fixture
    async def plain(self, prepared: Client) -> JetStreamStore[Half]:
        return open_store(prepared, PLAIN)


class TestInBatches(StoreChecks):
    """The same, where many keys are created in one step."""

    @pytest.fixture
    async def store(self, batched: Client) -> JetStreamStore[Half]:
        return JetStreamStore(batched, BATCHED.names, BATCHED.codec(), is_batched=True)

    @pytest.fixture
    async def foreign(self, batched: Client) -> JetStreamStore[str]:
        return JetStreamStore(batched, BATCHED.names, Codec(str))

    @pytest.fixture
    async def plain(self, batched: Client) -> JetStreamStore[Half]:
        return open_store(batched, PLAIN)


@pytest.fixture
async def batched(admin: Client, functions: Client) -> Client:
    # As a bucket that an earlier version made, to which batches are added.
    await preparing.prepare(admin, buckets=(replace(BATCHED, batched=False), PLAIN), streams=())
    await preparing.prepare(admin, buckets=(BATCHED, PLAIN), streams=())
    return functions


@pytest.fixture
async def prepared(admin: Client, functions: Client) -> Client:
    await preparing.prepare(admin, buckets=(HALVES, PLAIN), streams=())
    return functions


async def test_two_processes_never_both_write_over_one_revision(prepared: Client, connect: Connect) -> None:
    other = open_store(await connect("functions"), HALVES)
    store = open_store(prepared, HALVES)
    revision = await store.create("D1", half(0))

    for number in range(1, 30):
        outcomes = await asyncio.gather(
            *(each.replace("D1", half(number), expect=revision) for each in (store, other, store, other)),
            return_exceptions=True,
        )
        (revision,) = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 3

    assert [kept.value.version for kept in await store.history("D1")] == list(range(30))


async def test_what_was_answered_is_there_after_the_server_was_killed(
    nats_server: NatsServer, prepared: Client
) -> None:
    """Writers go on while it is killed and restarted: what they were told is true of every key."""
    store = open_store(prepared, HALVES)
    underway = asyncio.Semaphore(0)
    told: dict[str, int] = {}
    tried: dict[str, int] = {}

    async def write(key: str) -> None:
        revision = await store.create(key, half(0))
        told[key] = 0
        for version in range(1, 100_000):
            tried[key] = version
            revision = await store.replace(key, half(version), expect=revision)
            told[key] = version
            if version == 20:
                underway.release()

    for turn in range(3):
        writers = [asyncio.create_task(write(f"D{turn}-{number}")) for number in range(10)]
        for _ in writers:
            await underway.acquire()
        nats_server.kill()
        outcomes = await asyncio.gather(*writers, return_exceptions=True)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes), outcomes
        nats_server.start()
        await until_connected(prepared)

    found = await collect(store.entries())
    assert set(found) == set(told)
    for key, kept in found.items():
        # The one that was on its way when the server died may have been done.
        assert kept.value.version in (told[key], tried[key]), key
        assert [k.value.version for k in await store.history(key)] == list(range(kept.value.version + 1))[-64:]


async def test_while_the_server_is_away_every_operation_says_so(nats_server: NatsServer, prepared: Client) -> None:
    store = open_store(prepared, HALVES)
    revision = await store.create("D1", half(1))
    nats_server.kill()

    # The first may be on its way when the end of the connection is seen, the others are not sent.
    for _ in range(2):
        with refused(Unavailable):
            await store.get("D1")
        with refused(Unavailable):
            await store.create("D2", half(2))
        with refused(Unavailable):
            await store.replace("D1", half(2), expect=revision)
        with refused(Unavailable):
            await store.remove("D1", expect=revision)
        with refused(Unavailable):
            await store.history("D1")
        with refused(Unavailable):
            await collect(store.entries())

    nats_server.start()
    await until_connected(prepared)
    assert await store.get("D2") is None
    assert await store.replace("D1", half(2), expect=revision) > revision


async def test_a_server_that_hangs_is_unavailable_after_a_second(nats_server: NatsServer, prepared: Client) -> None:
    store = open_store(prepared, HALVES)
    await store.create("D1", half(1))
    loop = asyncio.get_running_loop()

    with nats_server.frozen():
        started = loop.time()
        with refused(Unavailable):
            await store.get("D1")
        assert loop.time() - started < 2
        with refused(Unavailable):
            await store.history("D1")
        with refused(Unavailable):
            await collect(store.entries())

    assert await store.get("D1") is not None


async def test_a_bucket_that_was_never_made_is_unavailable(prepared: Client) -> None:
    store = JetStreamStore(prepared, ("missing",), Codec(Half))

    for operation in (store.get("D1"), store.create("D1", half(1)), store.history("D1"), collect(store.entries())):
        with refused(Unavailable):
            await operation


async def test_entries_are_complete_while_keys_are_written(prepared: Client) -> None:
    """Rewriting a key moves it to the end of its stream, behind the reader or ahead of it."""
    store = open_store(prepared, HALVES)
    keys = [f"D{number}" for number in range(1500)]
    revisions: dict[str, int] = {}
    # A slow disk syncs a few hundred within the second that each may take.
    for start in range(0, len(keys), 150):
        some = keys[start : start + 150]
        made = await asyncio.gather(*(store.create(key, half(0)) for key in some))
        revisions |= dict(zip(some, made, strict=True))
    stop = asyncio.Event()

    async def rewrite(mine: list[str]) -> None:
        version = 0
        while not stop.is_set():
            version += 1
            for key in mine:
                revisions[key] = await store.replace(key, half(version), expect=revisions[key])

    writers = [asyncio.create_task(rewrite(keys[start::10])) for start in range(10)]
    for _ in range(5):
        assert set(await collect(store.entries())) == set(keys)
    stop.set()
    await asyncio.gather(*writers)

    found = await collect(store.entries())
    assert {key: kept.revision for key, kept in found.items()} == revisions


async def test_keys_are_spread_over_the_shards(admin: Client, prepared: Client) -> None:
    store = open_store(prepared, HALVES)
    for number in range(30):
        await store.create(f"D{number}", half(number))

    counts = [(await admin.jetstream().stream_info(f"KV_{name}")).state.messages for name in HALVES.names]

    assert sum(counts) == 30
    assert min(counts) > 0


async def test_other_tools_read_what_a_store_wrote(admin: Client, prepared: Client) -> None:
    """The buckets are ordinary key-value buckets, removals included."""
    store = open_store(prepared, PLAIN)
    revision = await store.create("D1", half(1))
    bucket = await admin.jetstream().key_value("plain")

    entry = await bucket.get("D1")
    assert (entry.value, entry.revision) == (Codec(Half).encode(half(1)), revision)

    await bucket.delete("D1")
    assert await store.get("D1") is None
    assert await store.create("D1", half(2)) > revision
    assert (await bucket.get("D1")).value == Codec(Half).encode(half(2))
    await bucket.purge("D1")
    assert await store.get("D1") is None
    assert await collect(store.entries()) == {}


@dataclass(frozen=True)
class Blob:
    text: str


async def test_a_value_over_the_servers_own_limit_is_refused(admin: Client, functions: Client) -> None:
    large = Bucket("large", Blob, limit_bytes=8 * 1024 * 1024)
    await preparing.prepare(admin, buckets=(large,), streams=())
    store: JetStreamStore[Blob] = JetStreamStore(functions, large.names, large.codec())

    with refused(Fault):
        await store.create("D1", Blob("x" * 4_000_000))

    assert await store.get("D1") is None


async def test_what_was_read_or_written_here_is_recalled_for_one_write(prepared: Client, connect: Connect) -> None:
    store = JetStreamStore(prepared, HALVES.names, HALVES.codec(), Recent(HALVES.codec().decode))
    other = open_store(await connect("functions"), HALVES)
    assert store.recall("D1") is None

    revision = await store.create("D1", half(0))
    assert store.recall("D1") == (half(0), revision)
    moved = await other.replace("D1", half(1), expect=revision)
    with refused(Conflict):
        await store.replace("D1", half(2), expect=revision)
    assert store.recall("D1") is None, "what lost a race is wrong"

    await store.get("D1")
    assert store.recall("D1") == (half(1), moved)
    await store.remove("D1", expect=moved)
    assert store.recall("D1") is None
    assert other.recall("D1") is None, "a store that remembers nothing recalls nothing"


async def test_many_keys_are_created_in_a_few_steps(batched: Client) -> None:
    store: JetStreamStore[Half] = JetStreamStore(batched, BATCHED.names, BATCHED.codec(), is_batched=True)
    begun = batched.stats["in_msgs"]

    assert await store.create_all({f"D{number}": half(number) for number in range(2_000)}) == {}

    assert batched.stats["in_msgs"] - begun <= 6
