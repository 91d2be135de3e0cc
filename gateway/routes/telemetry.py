"""What devices measured and what happened to them, over HTTP."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from functions.contract import messages
from functions.contract.lines import CSV, NDJSON
from functions.contract.views import split_page
from functions.domain.tokens import Scope
from gateway import measured_examples as examples
from gateway.calls import SLOW_SECONDS, answer, call, json_body, path_name, prove
from gateway.exports import EVENT_COLUMNS, TELEMETRY_COLUMNS, lines_text, measured_parts
from gateway.openapi import operation, query_parameters
from gateway.queries import Parameters, page_links
from gateway.routes.devices import DEVICE
from gateway.routes.transfer import media_type_of


class DeviceEvents(messages.Request):
    """Which events of a device."""

    event_type: str = Field(default="", max_length=64)
    start_time: str = ""
    end_time: str = ""
    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=10_000_000)


class TelemetryOptions(messages.TelemetryFilter):
    """Which telemetry is exported, and as what."""

    format: str = Field(default="ndjson", json_schema_extra={"enum": ["csv", "ndjson"]})


class EventOptions(TelemetryOptions):
    """Which events are exported, and as what."""

    event_type: str = ""


_TELEMETRY: Final = Parameters(messages.TelemetryQuery)
_EVENTS: Final = Parameters(messages.EventQuery)
_DEVICE_EVENTS: Final = Parameters(DeviceEvents)
_TELEMETRY_EXPORT: Final = Parameters(TelemetryOptions)
_EVENT_EXPORT: Final = Parameters(EventOptions)
_NO_QUERY: Final = Parameters()
_DEFAULT_LIMIT: Final = messages.EventQuery().limit

_TEXTS: Final = {
    "deviceId": "Only of this device: its id, or its role.",
    "group": "Only of the devices of this group.",
    "eventType": "Only events of this type.",
    "startTime": "Only of this time and later.",
    "endTime": "Only of before this time.",
    "limit": "How many at most; a page ends earlier where messages are large, and 'Link' says where to go on.",
    "offset": "How many to leave out first.",
    "aggregation": "'hourly' or 'daily' (UTC) for min, max, mean, last and count of each key that is a number.",
    "points": "With an aggregation: over longer spans, so that there are so many at most.",
    "format": "'csv' or 'ndjson'; without it what 'Accept' prefers, else NDJSON.",
}
_PAGED: Final = {
    "X-Total-Count": "How many match in all.",
    "Link": "The first, previous, next and last page (RFC 8288), relative to this one.",
}
_FILE: Final = {"Content-Disposition": "The file's name."}
_TEXT: Final = {"type": "string"}

_LIST_TELEMETRY: Final = operation(
    tag="telemetry",
    summary="List telemetry",
    told="A page of what devices measured, or of its numbers over hours or days; newest first.",
    reply=messages.TelemetryView,
    is_list=True,
    example=[examples.TELEMETRY],
    scope=Scope.TELEMETRY_READ,
    faults=(404,),
    parameters=query_parameters(_TELEMETRY, _TEXTS),
    headers=_PAGED,
)
_REPORT_TELEMETRY: Final = operation(
    tag="telemetry",
    summary="Store telemetry for a device that cannot send it",
    told="It is durable.",
    reply=messages.Done,
    status=201,
    example={"done": True},
    scope=Scope.DEVICES_WRITE,
    faults=(404, 409, 415),
    body=(messages.TelemetryReport, examples.TELEMETRY_REPORT),
)
_READ_LATEST: Final = operation(
    tag="telemetry",
    summary="Read the latest values of a device",
    told="The newest value of each key that it has sent, with its time; keys inside others with dots between.",
    reply=messages.TelemetryLatest,
    example=examples.TELEMETRY_LATEST,
    scope=Scope.TELEMETRY_READ,
    faults=(404,),
    parameters=(DEVICE,),
)


def _listing(summary: str, parameters: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return operation(
        tag="telemetry",
        summary=summary,
        told="A page of what happened, newest first.",
        reply=messages.EventView,
        is_list=True,
        example=[examples.EVENT],
        scope=Scope.TELEMETRY_READ,
        faults=(404,),
        parameters=parameters,
        headers=_PAGED,
    )


def _exporting(summary: str, parameters: Parameters, example: str) -> dict[str, Any]:
    return operation(
        tag="telemetry",
        summary=summary,
        told="Every message that is meant, one a line, oldest first.",
        reply=_TEXT,
        media_type=NDJSON,
        also={CSV: _TEXT},
        example=example,
        scope=Scope.TELEMETRY_READ,
        faults=(404,),
        parameters=query_parameters(parameters, _TEXTS),
        headers=_FILE,
    )


def add_routes(app: FastAPI) -> None:
    """Add the addresses of telemetry and events."""
    app.add_api_route("/api/telemetry", list_telemetry, methods=["GET"], **_LIST_TELEMETRY)
    app.add_api_route("/api/telemetry", report_telemetry, methods=["POST"], **_REPORT_TELEMETRY)
    app.add_api_route("/api/devices/{device}/telemetry/latest", read_latest, methods=["GET"], **_READ_LATEST)
    app.add_api_route(
        "/api/devices/{device}/events",
        list_device_events,
        methods=["GET"],
        **_listing("List the events of a device", (DEVICE, *query_parameters(_DEVICE_EVENTS, _TEXTS))),
    )
    app.add_api_route(
        "/api/events",
        list_events,
        methods=["GET"],
        **_listing("List events", query_parameters(_EVENTS, _TEXTS)),
    )
    app.add_api_route(
        "/api/export/telemetry",
        export_telemetry,
        methods=["GET"],
        **_exporting("Export telemetry", _TELEMETRY_EXPORT, examples.TELEMETRY_LINE),
    )
    app.add_api_route(
        "/api/export/events",
        export_events,
        methods=["GET"],
        **_exporting("Export events", _EVENT_EXPORT, examples.EVENT_LINE),
    )


async def list_telemetry(request: Request) -> Response:
    """What was stored less than a second ago may be missing. What was no JSON is in base64, and says so."""
    return await _page(request, ("telemetry", "query"), _TELEMETRY)


async def list_events(request: Request) -> Response:
    """What was stored less than a second ago may be missing. What was no JSON is in base64, and says so."""
    return await _page(request, ("events", "query"), _EVENTS)


async def list_device_events(request: Request) -> Response:
    """What was stored less than a second ago may be missing. What was no JSON is in base64, and says so."""
    return await _page(request, ("events", "query"), _DEVICE_EVENTS, of_device=True)


async def read_latest(request: Request) -> Response:
    """Also of texts, truth and null; of at most 256 keys."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    device = path_name(request, "device")
    return answer(await call(request, proven, "telemetry", device, "latest", within=SLOW_SECONDS))


async def report_telemetry(request: Request) -> Response:
    """As if the device had sent it; ``timestamp`` in it is the time that it is of."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await json_body(request)
    done = answer(await call(request, proven, "telemetry", "report", payload=body, within=SLOW_SECONDS))
    done.status_code = 201
    return done


async def export_telemetry(request: Request) -> Response:
    """It may be of any length: the part that is being sent is all that is held of it.

    A connection that ends early without the end of the body says that
    something is missing.
    """
    return await _export(request, _TELEMETRY_EXPORT, "telemetry", TELEMETRY_COLUMNS)


async def export_events(request: Request) -> Response:
    """It may be of any length: the part that is being sent is all that is held of it.

    A connection that ends early without the end of the body says that
    something is missing.
    """
    return await _export(request, _EVENT_EXPORT, "events", EVENT_COLUMNS)


async def _page(
    request: Request, tokens: Sequence[str], parameters: Parameters, *, of_device: bool = False
) -> Response:
    proven = await prove(request)
    pairs, values = parameters.read(request.scope["query_string"])
    asked = {**values, "deviceId": path_name(request, "device")} if of_device else values
    body = await call(request, proven, *tokens, payload=orjson.dumps(asked), within=SLOW_SECONDS)
    total, entries = split_page(body, b"entries")
    limit, offset = values.get("limit", _DEFAULT_LIMIT), values.get("offset", 0)
    # The next page begins where this one ended, which may be before its limit.
    shown = min(limit, len(orjson.loads(entries)) or limit)
    links = page_links(request.scope["path"], pairs, shown if offset + shown < total else limit, offset, total)
    return answer(entries, **{"X-Total-Count": str(total), "Link": links})


async def _export(request: Request, parameters: Parameters, kind: str, columns: Sequence[str]) -> Response:
    await prove(request)
    _, values = parameters.read(request.scope["query_string"])
    media_type = media_type_of(request, values)
    wanted = {"kind": kind, **{name: value for name, value in values.items() if name != "format"}}

    async def ask(tokens: Sequence[str], payload: bytes) -> bytes:
        # Each time: a token that is revoked meanwhile gets no more.
        return await call(request, await prove(request), *tokens, payload=payload, within=SLOW_SECONDS)

    found = measured_parts(ask, wanted)
    # Asked for before the answer begins, so that a refusal can still be one.
    first = await anext(found)
    name = f"{kind}.{'csv' if media_type == CSV else 'ndjson'}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines_text(media_type, found, columns, first), headers=headers, media_type=media_type)
