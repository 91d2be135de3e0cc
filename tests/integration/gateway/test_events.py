"""The gateway's service on a real bus, with an app that answers what the hub's own does not."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Route

from functions.contract.bus import Bus
from functions.domain.faults import Malformed, Reason
from gateway.serverless import Events
from gateway.service import GatewayService
from tests.integration.gateway.conftest import CLI, SECONDS, Nats
from tests.unit.gateway.events import KINDS, Request, read

SUBJECT = "devicehub.http.event"


class App:
    """Answers with as many bytes as are asked for, or when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.let = asyncio.Event()
        self.app = Starlette(routes=[Route("/bytes/{number:int}", self.bytes), Route("/wait", self.wait)])

    async def bytes(self, request: StarletteRequest) -> Response:
        return Response(b"\xff" * int(request.path_params["number"]), media_type="application/octet-stream")

    async def wait(self, request: StarletteRequest) -> Response:
        self.asked.set()
        await self.let.wait()
        return Response("done", media_type="text/plain")


@pytest.fixture
async def served(nats: Nats) -> AsyncIterator[tuple[App, GatewayService, Bus]]:
    nats.start()
    gateway, cli = await nats.connect("gateway"), await nats.connect("cli")
    app = App()
    service = GatewayService(gateway, Events(app.app), version="0.0.1", stats=dict)
    await service.start()
    yield app, service, Bus(cli)
    await gateway.close()
    await cli.close()


def event(path: str) -> bytes:
    return orjson.dumps(KINDS["http-v2"](Request("GET", path, "", (("Host", "hub"),))))


async def test_an_answer_that_no_message_can_carry_is_refused_by_name(served: tuple[App, GatewayService, Bus]) -> None:
    _, _, bus = served
    fits = await bus.request(SUBJECT, event("/bytes/1000000"), caller=CLI)
    assert len(read(orjson.loads(fits)).body) == 1_000_000

    with pytest.raises(Malformed) as caught:
        await bus.request(SUBJECT, event("/bytes/9000000"), caller=CLI)

    assert caught.value.reason is Reason.TOO_LARGE


async def test_an_event_that_was_taken_is_answered_before_the_end(served: tuple[App, GatewayService, Bus]) -> None:
    app, service, bus = served
    waiting = asyncio.create_task(bus.request(SUBJECT, event("/wait"), caller=CLI))
    async with asyncio.timeout(SECONDS):
        await app.asked.wait()
    draining = asyncio.create_task(service.drain())
    done, _ = await asyncio.wait([draining], timeout=0.1)
    assert not done

    app.let.set()
    async with asyncio.timeout(SECONDS):
        await draining

    assert read(orjson.loads(await waiting)).body == b"done"
