"""The hub itself over HTTP: that it lives, whether it is ready, its counters, and what there is to ask."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import FleetStats
from functions.domain.faults import NotFound, Unavailable
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import answer, call, gateway_of, prove
from gateway.counters import MEDIA_TYPE
from gateway.openapi import document, object_schema, operation
from gateway.problems import problem
from gateway.queries import Parameters
from gateway.readiness import UP

_NO_QUERY: Final = Parameters()
_ALIVE: Final = b'{"status":"ok"}'
_SERVICE: Final = "devicehub"

_TEXT: Final = {"type": "string"}
_STATUS: Final = {"status": {"type": "string"}}
_PARTS: Final = {"type": "object", "additionalProperties": {"type": "string", "enum": ["up", "down"]}}


_READ_HEALTH: Final = operation(
    tag="hub",
    summary="Ask whether the gateway runs",
    told="It does.",
    reply=object_schema({**_STATUS, "service": _TEXT, "version": _TEXT, "timestamp": {**_TEXT, "format": "date-time"}}),
    example=examples.HEALTH,
)
_READ_LIVENESS: Final = operation(
    tag="hub",
    summary="Ask whether this process lives",
    told="It does.",
    reply=object_schema(_STATUS),
    example={"status": "ok"},
)
_READ_READINESS: Final = operation(
    tag="hub",
    summary="Ask whether the whole hub is ready",
    told="Every part answers. Where one does not, the problem page (503) has 'parts' too.",
    reply=object_schema({**_STATUS, "parts": _PARTS}),
    example=examples.READY,
)
_READ_METRICS: Final = operation(
    tag="hub",
    summary="Read the counters",
    told="Counters of this gateway, of the other parts that answer, and of the fleet, as Prometheus reads them.",
    reply=_TEXT,
    media_type="text/plain",
    example='devicehub_part_up{part="nats"} 1.0\n',
    scope=Scope.DEVICES_READ,
)


def add_routes(app: FastAPI) -> None:
    """Add what anyone may ask, and ``/metrics``."""
    app.add_api_route("/health", read_health, methods=["GET"], **_READ_HEALTH)
    app.add_api_route("/healthz", read_liveness, methods=["GET"], **_READ_LIVENESS)
    app.add_api_route("/readyz", read_readiness, methods=["GET"], **_READ_READINESS)
    app.add_api_route("/metrics", read_metrics, methods=["GET"], **_READ_METRICS)
    app.add_api_route("/openapi.json", read_description, methods=["GET"], include_in_schema=False)
    app.add_api_route("/asyncapi.json", read_messages, methods=["GET"], include_in_schema=False)


async def read_health(request: Request) -> Response:
    """Nothing else is asked: see /readyz."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    version = gateway_of(request).version
    return answer(orjson.dumps({"status": "ok", "service": _SERVICE, "version": version, "timestamp": now}))


async def read_liveness(request: Request) -> Response:
    """A process that does not answer this should be started again."""
    return answer(_ALIVE)


async def read_readiness(request: Request) -> Response:
    """Asked at most once a second, whoever asks; it recovers by itself."""
    state = await gateway_of(request).readiness.state()
    if state.is_ready:
        return answer(orjson.dumps({"status": "ready", "parts": state.parts}))
    down = ", ".join(name for name, part in state.parts.items() if part != UP)
    fault = Unavailable(detail=f"Not ready: {down} down.")
    return problem(request.scope, fault, more={"parts": state.parts})


async def read_metrics(request: Request) -> Response:
    """What a token may see of the fleet is the functions' to say, so a token is needed that may read devices."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    gateway = gateway_of(request)
    stats = FleetStats.model_validate_json(await call(request, proven, "registry", "stats"))
    state, others = await asyncio.gather(gateway.readiness.state(), gateway.figures.gather())
    gateway.counters.devices(stats)
    for name, part in state.parts.items():
        gateway.counters.part(name, is_up=part == UP)
    return Response(gateway.counters.page(others), media_type=MEDIA_TYPE)


async def read_description(request: Request) -> Response:
    """The description of the interface; it is the same for everyone."""
    app: FastAPI = request.app
    if app.openapi_schema is None:
        app.openapi_schema = document(app, gateway_of(request).version)
    return answer(orjson.dumps(app.openapi_schema))


async def read_messages(request: Request) -> Response:
    """The description of what is said over NATS, MQTT and the WebSocket, as it was made for this gateway.

    Raises:
        NotFound: it was given none.
    """
    written: bytes | None = request.app.state.asyncapi
    if written is None:
        raise NotFound(detail="This gateway was given no description of messages: HUB_ASYNCAPI_FILE names none.")
    return answer(written)
