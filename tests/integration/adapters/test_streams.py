"""Streams and events on a real nats-server, with the functions' permissions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import pytest
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from functions.adapters import preparing
from functions.adapters.events import NatsEvents
from functions.adapters.streams import JetStreamStreams
from functions.checks import Read, StreamsChecks
from functions.contract.messages import AccessChanged
from functions.contract.stored import stored_subject
from functions.domain.faults import Unavailable
from functions.domain.names import DeviceId
from functions.testing import refused
from tests.integration.nats_server import NatsServer, until_connected

EDGB_0001 = DeviceId("EDGB-0001")


@pytest.fixture
async def streams(admin: Client, functions: Client) -> JetStreamStreams:
    await preparing.prepare(admin, buckets=())
    return JetStreamStreams(functions)


@pytest.fixture
def read(admin: Client) -> Read:
    """Reads as an administrator would, by the subject that the layout promises."""

    async def read(stream: str, device: DeviceId) -> list[tuple[bytes, Mapping[str, str]]]:
        subject = stored_subject(stream, device, "*" if stream == "events" else "")
        context = admin.jetstream()
        name = await context.find_stream_name_by_subject(subject)
        reader = await context.pull_subscribe(subject, stream=name)
        waiting = (await reader.consumer_info()).num_pending
        messages: list[Msg] = await reader.fetch(waiting) if waiting else []
        return [(message.data, message.headers or {}) for message in messages]

    return read


class TestOnAServer(StreamsChecks):
    """The checks of ``functions.checks``; the fixtures above are theirs."""


async def test_what_was_appended_survives_the_server(
    nats_server: NatsServer, functions: Client, streams: JetStreamStreams, read: Read, admin: Client
) -> None:
    told = 0
    underway = asyncio.Event()

    async def send() -> None:
        nonlocal told
        for number in range(1_000_000):
            await streams.append("telemetry", EDGB_0001, b"%d" % number, {})
            told = number + 1
            if told == 100:
                underway.set()

    sender = asyncio.create_task(send())
    await underway.wait()
    nats_server.kill()
    with refused(Unavailable):
        await sender
    with refused(Unavailable):
        await streams.append("telemetry", EDGB_0001, b"away", {})
    nats_server.start()
    await until_connected(functions)
    await until_connected(admin)

    kept = [payload for payload, _ in await read("telemetry", EDGB_0001)]
    assert len(kept) in (told, told + 1)
    assert kept == [b"%d" % number for number in range(len(kept))]


async def test_a_device_is_always_in_the_same_shard(admin: Client, streams: JetStreamStreams) -> None:
    await streams.append("events", EDGB_0001, b"{}", {})

    states = [(await admin.jetstream().stream_info(f"events-{number}")).state for number in range(2)]

    assert sorted(state.messages for state in states) == [0, 1]


Listen = Callable[[str], Awaitable["asyncio.Queue[Msg]"]]


@pytest.fixture
def listen(admin: Client) -> Listen:
    async def listen(subject: str) -> asyncio.Queue[Msg]:
        heard: asyncio.Queue[Msg] = asyncio.Queue()
        await admin.subscribe(subject, cb=heard.put)
        await admin.flush()
        return heard

    return listen


@pytest.mark.parametrize(
    ("body", "told"), [(AccessChanged(end=["EDGB-0001"]), {"end": ["EDGB-0001"]}), ({"any": [1, None]},) * 2]
)
async def test_an_event_is_heard_as_json(admin: Client, listen: Listen, body: Any, told: Any) -> None:
    heard = await listen("devicehub.broker.access.changed")

    await NatsEvents(admin).publish("devicehub.broker.access.changed", body)

    assert orjson.loads((await asyncio.wait_for(heard.get(), 2)).data) == told


async def test_an_event_that_cannot_be_told_is_logged_and_lost(nats_server: NatsServer, functions: Client) -> None:
    await functions.close()

    with structlog.testing.capture_logs() as logs:
        await NatsEvents(functions).publish("devicehub.broker.access.changed", AccessChanged(end=[]))

    assert [(line["event"], line["subject"]) for line in logs] == [("event lost", "devicehub.broker.access.changed")]
