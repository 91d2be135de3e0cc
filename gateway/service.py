"""The gateway on the bus: it answers the service protocol, and events on ``devicehub.http.event``."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from functions.contract import subjects
from functions.contract.faults import encode_fault
from functions.domain.callers import OPERATOR, SYSTEM, parse_caller
from functions.domain.faults import Denied, Fault, Malformed, Reason
from gateway.serverless import Events

NAME: Final = "gateway"

_EVENTS_AT_ONCE = 64

log = structlog.get_logger("gateway")


class GatewayService:
    """Found by ``$SRV.PING``; takes events as one of the queue group of gateways.

    Args:
        client: connected.
        events: what answers them.
        version: of the hub.
        stats: what ``$SRV.STATS`` tells.
    """

    def __init__(self, client: Client, events: Events, *, version: str, stats: Callable[[], dict[str, Any]]) -> None:
        self._client = client
        self._events = events
        self._service = Service(client, ServiceConfig(name=NAME, version=version, stats_handler=lambda _: stats()))
        self._slots = asyncio.Semaphore(_EVENTS_AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Subscribe; returns when the server knows."""
        await self._service.start()
        await self._service.add_endpoint(
            EndpointConfig(
                name="http-event", subject=subjects.subject("http", "event"), queue_group=NAME, handler=self._take
            )
        )
        await self._client.flush()

    async def drain(self) -> None:
        """Take no new events, and finish those taken; the connection stays open."""
        await asyncio.gather(*(one._subscription.drain() for one in self._service._endpoints))
        while self._running:
            await asyncio.wait(self._running)

    async def _take(self, request: Request) -> None:
        # The library awaits one of these at a time.
        await self._slots.acquire()
        task = asyncio.create_task(self._serve(request))
        self._running.add(task)
        task.add_done_callback(self._release)

    def _release(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._slots.release()

    async def _serve(self, request: Request) -> None:
        headers: dict[str, str] = {}
        try:
            body = await self._answer(request.data, request.headers or {})
        except Fault as fault:
            headers, body = encode_fault(fault, datetime.now(UTC))
        try:
            await request.respond(body, headers or None)
        except (ValueError, nats.errors.Error) as problem:
            log.warning("reply lost", subject=request.subject, problem=repr(problem))

    async def _answer(self, payload: bytes, headers: Mapping[str, str]) -> bytes:
        admit(headers)
        try:
            event = orjson.loads(payload)
        except orjson.JSONDecodeError as problem:
            raise Malformed(detail=f"The event is not JSON: {problem}.") from problem
        body = orjson.dumps(await self._events.answer(event))
        if len(body) > self._client.max_payload:
            raise Malformed(Reason.TOO_LARGE, "The answer is too large for one message of the bus. Ask for less.")
        return body


def admit(headers: Mapping[str, str]) -> None:
    """Refuse all but the hub's own parts and operators; whom the event is for, its token says.

    Raises:
        Denied: the caller is another.
    """
    if subjects.REQUEST_INFO in headers:
        raise Denied()
    if parse_caller(headers.get(subjects.CALLER, "")).kind not in OPERATOR | SYSTEM:
        raise Denied()
