"""The gateway on the bus: it answers the service protocol, and events on ``devicehub.http.event``."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from nats.aio.client import Client
from nats.micro.request import Request

from functions.contract import subjects
from functions.contract.faults import encode_fault
from functions.contract.service import Endpoints, respond
from functions.domain.callers import OPERATOR, SYSTEM, parse_caller
from functions.domain.faults import Denied, Fault, Malformed, Reason
from gateway.serverless import Events

NAME: Final = "gateway"

_EVENTS_AT_ONCE = 64


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
        self._endpoints = Endpoints(
            client, name=NAME, version=version, stats=lambda _: stats(), at_once=_EVENTS_AT_ONCE
        )

    async def start(self) -> None:
        """Subscribe; returns when the server knows."""
        await self._endpoints.start()
        event = subjects.subject("http", "event")
        await self._endpoints.add(name="http-event", subject=event, queue=NAME, handler=self._serve)
        await self._endpoints.ready()

    async def drain(self) -> None:
        """Take no new events, and finish those taken; the connection stays open."""
        await self._endpoints.finish()

    async def _serve(self, request: Request) -> None:
        headers: dict[str, str] = {}
        try:
            body = await self._answer(request.data, request.headers or {})
        except Fault as fault:
            headers, body = encode_fault(fault, datetime.now(UTC))
        await respond(request, body, headers)

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
