"""What comes in the streams of a real nats-server is in the telemetry store, once, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from nats.aio.client import Client

from functions.adapters import preparing
from functions.adapters.clock import SystemClock
from functions.adapters.layout import STREAMS
from functions.adapters.projecting import Projector
from functions.adapters.streams import JetStreamStreams
from functions.adapters.telemetry import SqliteTelemetry
from functions.domain.faults import Unavailable
from functions.domain.names import DeviceId
from functions.domain.telemetry import Kind, TelemetryWanted
from functions.telemetry_checks import EVERYTHING, FOR_EVER
from tests.integration.nats_server import NatsServer, until_connected

PUMP = DeviceId("pump-0001")
EVENTS = TelemetryWanted(kind=Kind.EVENTS)


@pytest.fixture
async def streams(admin: Client, functions: Client) -> JetStreamStreams:
    await preparing.prepare(admin, buckets=(), streams=tuple(STREAMS.values()))
    return JetStreamStreams(functions)


@asynccontextmanager
async def projected(client: Client, folder: Path) -> AsyncIterator[SqliteTelemetry]:
    """A store that is being filled; what the streams held at the beginning is in it."""
    store = SqliteTelemetry(folder)
    await store.open()
    projector = Projector(client, store, FOR_EVER, SystemClock())
    await projector.start()
    async with asyncio.timeout(10):
        await projector.filled()
    yield store
    await projector.stop()
    await store.close()


async def until(store: SqliteTelemetry, number: int, wanted: TelemetryWanted = EVERYTHING) -> None:
    """Another task fills it; there is no event to await."""
    async with asyncio.timeout(10):
        while True:
            if await store.count(wanted) >= number:
                break
            await asyncio.sleep(0.01)
    assert await store.count(wanted) == number


async def test_a_message_is_read_with_its_times_and_its_type(
    functions: Client, streams: JetStreamStreams, tmp_path: Path
) -> None:
    async with projected(functions, tmp_path) as store:
        await streams.append(
            "events", PUMP, b'{"timestamp":1700000000000}', {"Hub-Type": "boot", "Hub-Time": "1700000000005"}
        )
        await until(store, 1, EVENTS)

        (found,) = await store.find(EVENTS)
        assert (found.device, found.type, found.at, found.hub_time) == (PUMP, "boot", 1700000000000, 1700000000005)


POISON = [b"", b"\xff\xfe", b"{", b"[" * 100_000, b'{"a":1,"a":2}', b'{"n":1e999}', b'{"\\ud800":1}', b"x" * 700_000]


async def test_a_payload_that_is_no_json_is_kept_as_bytes_and_stops_nothing(
    functions: Client, streams: JetStreamStreams, tmp_path: Path
) -> None:
    async with projected(functions, tmp_path) as store:
        for number, payload in enumerate(POISON):
            await streams.append("telemetry", PUMP, payload, {"Hub-Time": str(number)})
            odd = ("soon", "9" * 40, "-1")[number % 3]
            await streams.append("telemetry", PUMP, b'{"n":%d}' % number, {"Hub-Time": odd})
        await until(store, 2 * len(POISON))

        found = [one.payload for one in await store.find(TelemetryWanted(end=1000)) if one.is_bytes]
        assert found[::-1] == POISON
        ((latest,),) = [await store.latest(PUMP)]
        assert latest.value == b"%d" % (len(POISON) - 1)


async def test_a_store_goes_on_where_it_was(functions: Client, streams: JetStreamStreams, tmp_path: Path) -> None:
    for number in range(1000):
        await streams.append("telemetry", DeviceId(f"pump-{number % 9:04}"), b'{"n":1}', {})
    async with projected(functions, tmp_path) as store:
        assert await store.count(EVERYTHING) == 1000
    await streams.append("telemetry", PUMP, b'{"n":1}', {})

    async with projected(functions, tmp_path) as store:
        assert await store.count(EVERYTHING) == 1001
        assert sum(span.numbers["n"].count for span in await store.spans(None, 0, 2**62)) == 1001


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(
    admin: Client, functions: Client, streams: JetStreamStreams, tmp_path: Path
) -> None:
    for _ in range(3):
        await streams.append("telemetry", PUMP, b"{}", {})
    async with projected(functions, tmp_path) as store:
        assert await store.count(EVERYTHING) == 3
    for name in STREAMS["telemetry"].names:
        await admin.jetstream().delete_stream(name)
    await preparing.prepare(admin, buckets=(), streams=tuple(STREAMS.values()))
    for _ in range(4):
        await streams.append("telemetry", PUMP, b"{}", {})

    async with projected(functions, tmp_path) as store:
        assert await store.count(EVERYTHING) == 7


async def test_what_the_stream_has_dropped_stays(
    admin: Client, functions: Client, streams: JetStreamStreams, tmp_path: Path
) -> None:
    for number in range(3):
        await streams.append("telemetry", PUMP, b"%d" % number, {})
    async with projected(functions, tmp_path):
        pass
    for name in STREAMS["telemetry"].names:
        await admin.jetstream().purge_stream(name)
    await streams.append("telemetry", PUMP, b"3", {})

    async with projected(functions, tmp_path) as store:
        assert [one.payload for one in await store.find(EVERYTHING)] == [b"3", b"2", b"1", b"0"]


async def test_nothing_is_missed_or_counted_twice_over_a_kill_of_the_server(
    nats_server: NatsServer, functions: Client, streams: JetStreamStreams, tmp_path: Path
) -> None:
    async with projected(functions, tmp_path) as store:
        for number in range(100):
            await streams.append("telemetry", PUMP, b'{"n":%d}' % number, {})
        nats_server.kill()
        nats_server.start()
        await until_connected(functions)
        # A server that has just started may be too slow for one write.
        with suppress(Unavailable):
            await streams.append("telemetry", PUMP, b'{"n":100}', {})
        await streams.append("telemetry", PUMP, b'{"n":101}', {})

        async with asyncio.timeout(10):
            while True:
                if b'{"n":101}' in [one.payload for one in await store.find(EVERYTHING)]:
                    break
                await asyncio.sleep(0.01)
        found = [one.payload for one in await store.find(TelemetryWanted(limit=1000, oldest_first=True))]
        assert found[:100] == [b'{"n":%d}' % number for number in range(100)]
        assert len(found) == len(set(found))
