"""The runtime on a real nats-server: many calls at once, none lost when it is told to end."""

import asyncio
import json

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from functions.contract.messages import Done, Nothing
from functions.domain.callers import SYSTEM
from functions.ports import Call, Hub
from functions.route import Route
from functions.runtime.serving import Runtime
from functions.testing import memory_hub
from tests.integration.conftest import Connect
from tests.integration.nats_server import NatsServer, until_connected, until_disconnected

CALLER = {"Hub-Caller": "system:test"}


class Gate:
    """A function that waits until it is let go; it counts who came."""

    def __init__(self) -> None:
        self.begun = 0
        self.arrived = asyncio.Condition()
        self.open = asyncio.Event()

    async def pass_(self, call: Call[Nothing], hub: Hub) -> Done:
        self.begun += 1
        async with self.arrived:
            self.arrived.notify_all()
        await self.open.wait()
        return Done()

    async def until(self, begun: int) -> None:
        async with asyncio.timeout(5), self.arrived:
            await self.arrived.wait_for(lambda: self.begun >= begun)


async def quick(call: Call[Nothing], hub: Hub) -> Done:
    return Done()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def runtime(connect: Connect, gate: Gate) -> Runtime:
    routes = (
        Route("tests.gate", gate.pass_, Nothing, SYSTEM, 10.0),
        Route("tests.*.quick", quick, Nothing, SYSTEM, 10.0),
    )
    runtime = Runtime(await connect("admin"), memory_hub(), routes, name="functions", version="1.2.3")
    await runtime.start()
    return runtime


def ask(client: Client, subject: str = "devicehub.tests.gate") -> "asyncio.Task[Msg]":
    return asyncio.create_task(client.request(subject, b"", timeout=10, headers=CALLER))


async def test_a_slow_call_does_not_hold_up_the_next(runtime: Runtime, connect: Connect, gate: Gate) -> None:
    client = await connect("admin")
    slow = [ask(client) for _ in range(3)]
    await gate.until(3)
    gate.open.set()

    assert [(await one).data for one in slow] == [b'{"done":true}'] * 3


async def test_calls_taken_and_queued_are_finished_before_it_ends(
    runtime: Runtime, connect: Connect, gate: Gate
) -> None:
    client = await connect("admin")
    # More than run at once, so that some still wait in the subscription.
    calls = [ask(client) for _ in range(300)]
    await gate.until(256)

    draining = asyncio.create_task(runtime.drain())
    gate.open.set()
    await asyncio.wait_for(draining, 10)

    assert {(await one).data for one in calls} == {b'{"done":true}'}
    assert gate.begun == 300


async def test_it_ends_also_when_the_server_is_away(
    runtime: Runtime, nats_server: NatsServer, connect: Connect
) -> None:
    client = await connect("admin")
    nats_server.kill()
    await until_disconnected(client)

    await asyncio.wait_for(runtime.drain(), 5)
    nats_server.start()
    await until_connected(client)


async def test_any_nats_tool_sees_what_is_served_and_how_it_does(runtime: Runtime, connect: Connect) -> None:
    client = await connect("admin")
    await ask(client, "devicehub.tests.d1.quick")
    refused = await client.request("devicehub.tests.d1.quick", b"[", timeout=5, headers=CALLER)

    assert (refused.headers or {})["Nats-Service-Error"] == "bad_request"
    told = json.loads((await client.request("$SRV.STATS.functions", b"", timeout=5)).data)
    assert (told["name"], told["version"]) == ("functions", "1.2.3")
    stats = {endpoint["subject"]: endpoint["data"] for endpoint in told["endpoints"]}
    assert stats["devicehub.tests.*.quick"]["calls"] == 2
    assert stats["devicehub.tests.*.quick"]["faults"] == 1
    assert stats["devicehub.tests.*.quick"]["averageMicroseconds"] > 0
