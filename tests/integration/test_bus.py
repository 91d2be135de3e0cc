"""What the connection sends, as a server sees it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from functions.contract import bus

INFO = b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"headers":true}\r\n'


@dataclass
class Witness:
    """A server that greets, answers each PING, and keeps what it was told in its order."""

    told: list[str] = field(default_factory=list)
    port: int = 0
    # Given the client's connection when it asks to unsubscribe, to send what was on its way.
    parting: Callable[[asyncio.StreamWriter], None] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO)
        while line := (await reader.readline()).decode().strip():
            self.told.append(line.split(" ")[0])
            if line == "PING":
                writer.write(b"PONG\r\n")
            if line.startswith("UNSUB") and self.parting is not None:
                self.parting(writer)
        writer.close()


@pytest.fixture
async def witness() -> AsyncIterator[Witness]:
    made = Witness()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
async def client(witness: Witness) -> AsyncIterator[Client]:
    made = await bus.connect(f"nats://127.0.0.1:{witness.port}", user="x", password="x")
    yield made
    await made.close()


async def test_after_a_flush_the_server_knows_every_subscription(witness: Witness, client: Client) -> None:
    del witness.told[:]
    for number in range(3):
        await client.subscribe(f"subject.{number}")
    await client.flush()

    assert witness.told == ["SUB", "SUB", "SUB", "PING"]


async def test_what_was_on_its_way_to_a_drained_subscription_is_handed_over(witness: Witness, client: Client) -> None:
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    subscription = await client.subscribe("subject", cb=hear)
    await client.flush()
    witness.parting = lambda writer: writer.write(b"MSG subject 1 4\r\nlast\r\n")

    await subscription.drain()  # type: ignore[no-untyped-call]

    assert witness.told[-2:] == ["UNSUB", "PING"]
    assert heard == [b"last"]


async def test_a_cancellation_that_meets_the_answer_is_not_lost(client: Client) -> None:
    asking = asyncio.create_task(client.request("subject", b"x", timeout=5))
    await client.flush()
    (answer,) = client._resp_map.values()

    answer.set_result(Msg(client))
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not client._resp_map


async def test_a_request_without_an_answer_ends_in_time_and_is_forgotten(client: Client) -> None:
    with pytest.raises(nats.errors.TimeoutError):
        await client.request("subject", b"x", timeout=0.01)

    assert not client._resp_map
