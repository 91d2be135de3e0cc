"""Telemetry at a fixed rate, heard as it happens: on the bus, and over many WebSockets."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
from nats.aio.msg import Msg
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.loads import HANDSHAKES_AT_ONCE
from tests.bench.measure import Tally
from tests.bench.mqtt import Session
from tests.bench.stage import Device, Stage, many

_BEATS_A_SECOND = 50


@asynccontextmanager
async def at_rate(stage: Stage, devices: Sequence[Device], rate: int) -> AsyncIterator[None]:
    """Telemetry at QoS 1, so many messages a second in all, each with the time at which it was sent."""
    sessions = await many(
        lambda device: Session.open(stage.broker, device.name, device.context), devices, HANDSHAKES_AT_ONCE
    )

    async def send() -> None:
        began, sent = time.perf_counter(), 0
        while True:
            due = int((time.perf_counter() - began) * rate)
            for index in range(sent, due):
                which = index % len(sessions)
                payload = b'{"sent":%.6f}' % time.perf_counter()
                sessions[which].publish(devices[which].topic("telemetry"), payload)
            sent = due
            await asyncio.sleep(1 / _BEATS_A_SECOND)

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        for session in sessions:
            await session.close()


@asynccontextmanager
async def on_the_bus(stage: Stage, devices: Sequence[Device], tally: Tally, *, rate: int) -> AsyncIterator[None]:
    """From sending to the moment at which the stream has it, by who listens on the bus."""

    async def heard(message: Msg) -> None:
        tally.done(orjson.loads(message.data)["sent"])

    subscription = await stage.admin.subscribe("devicehub.stored.telemetry.>", cb=heard)
    try:
        async with at_rate(stage, devices, rate):
            yield
    finally:
        await subscription.unsubscribe()


@asynccontextmanager
async def over_sockets(
    stage: Stage, devices: Sequence[Device], tally: Tally, *, rate: int, token: str, of_all: int
) -> AsyncIterator[None]:
    """From sending to each client: one for every device, and some that hear all of them."""
    wanted: list[list[str] | None] = [*([device.name] for device in devices), *([None] * of_all)]
    async with AsyncExitStack() as stack:
        for names in wanted:
            url = f"ws://127.0.0.1:{stage.hub.http_port}/ws?token={token}"
            socket = await stack.enter_async_context(connect(url, compression=None))
            asked = {"type": "subscribe", "topics": ["telemetry"], **({} if names is None else {"devices": names})}
            await socket.send(orjson.dumps(asked).decode())
            reading = asyncio.create_task(_read(socket, tally))
            stack.callback(reading.cancel)
        await stack.enter_async_context(at_rate(stage, devices, rate))
        yield


@asynccontextmanager
async def idle_sockets(stage: Stage, number: int, token: str) -> AsyncIterator[None]:
    """So many WebSockets that hear one device each, which says nothing."""
    url = f"ws://127.0.0.1:{stage.hub.http_port}/ws?token={token}"

    async def one(index: int) -> ClientConnection:
        socket = await connect(url, compression=None)
        asked = {"type": "subscribe", "topics": ["telemetry", "status"], "devices": [f"quiet-{index:05}"]}
        await socket.send(orjson.dumps(asked).decode())
        told = [orjson.loads(await socket.recv())["type"] for _ in range(2)]
        if told != ["connected", "subscribed"]:
            raise AssertionError(told)
        return socket

    sockets = await many(one, range(number), HANDSHAKES_AT_ONCE)
    try:
        yield
    finally:
        await many(lambda socket: socket.close(), sockets, HANDSHAKES_AT_ONCE)


async def _read(socket: ClientConnection, tally: Tally) -> None:
    async for text in socket:
        told = orjson.loads(text)
        if told["type"] == "message":
            tally.done(told["data"]["sent"])
        elif told["type"] not in ("connected", "subscribed"):
            tally.failed(str(told))
