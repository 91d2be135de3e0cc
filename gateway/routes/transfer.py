"""All devices out and in over HTTP, as CSV or NDJSON, a part at a time however many there are."""

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from typing import Any, Final

from fastapi import FastAPI, Request
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from functions.contract import messages
from functions.contract.lines import CSV, NDJSON
from functions.domain.faults import Malformed
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import JSON, SLOW_SECONDS, call, prove
from gateway.exports import parts, written
from gateway.imports import Import
from gateway.openapi import object_schema, operation, query_parameters
from gateway.problems import Refusal
from gateway.queries import Parameters

EXPORT: Final = "/api/export/devices"
IMPORT: Final = "/api/import/devices"

_MEDIA_TYPES: Final = {
    "text/csv": CSV,
    "application/x-ndjson": NDJSON,
    "application/ndjson": NDJSON,
    "application/jsonl": NDJSON,
}
_FORMATS: Final = {"csv": CSV, "ndjson": NDJSON}
_IMPORT_SECONDS: Final = 31.0


class ExportOptions(messages.Request):
    """What is exported, and as what."""

    format: str = Field(default="ndjson", json_schema_extra={"enum": list(_FORMATS)})
    twins: bool = True


class ImportOptions(messages.Request):
    """How a body is imported."""

    dry_run: bool = False


_EXPORT_QUERY: Final = Parameters(ExportOptions)
_IMPORT_QUERY: Final = Parameters(ImportOptions)
_COUNT: Final = {"type": "integer"}
_TEXT: Final = {"type": "string"}

_EXPORT: Final = operation(
    tag="devices",
    summary="Export all devices",
    told="Every device in any state of its life, one a line, by id; with its twin, unless 'twins' is false.",
    reply=_TEXT,
    media_type=NDJSON,
    also={CSV: _TEXT},
    example=examples.DEVICE_LINE,
    scope=Scope.DEVICES_READ,
    parameters=query_parameters(
        _EXPORT_QUERY,
        {
            "format": "'csv' or 'ndjson'; without it what 'Accept' prefers, else NDJSON.",
            "twins": "Whether both halves of each twin are in it, for which the token needs 'twins:read' too.",
        },
    ),
    headers={"Content-Disposition": "The file's name."},
)
_IMPORT: Final = operation(
    tag="devices",
    summary="Import devices",
    told="What became of each line, or with 'dryRun' what would; a line that is wrong stops no other.",
    reply=object_schema(
        {
            "dryRun": {"type": "boolean"},
            **dict.fromkeys(("total", "created", "updated", "unchanged", "failed"), _COUNT),
            "lines": {"type": "array", "items": object_schema({"line": _COUNT, "deviceId": _TEXT, "result": _TEXT})},
        }
    ),
    example=examples.IMPORT_REPORT,
    scope=Scope.ADMIN,
    faults=(415,),
    body=(_TEXT, examples.DEVICE_LINE),
    body_type=NDJSON,
    also_body={CSV: examples.DEVICES_CSV},
    parameters=query_parameters(_IMPORT_QUERY, {"dryRun": "Only say what would be done."}),
)


def add_routes(app: FastAPI) -> None:
    """Add export and import."""
    app.add_api_route(EXPORT, export_devices, methods=["GET"], **_EXPORT)
    app.add_api_route(IMPORT, import_devices, methods=["POST"], **_IMPORT)


async def export_devices(request: Request) -> Response:
    """It can be imported again, here or in another hub. What changes meanwhile is in it as it was or as it is.

    The part that is being sent is all that is held of it, so it may be of any
    length. A connection that ends early without the end of the body says that
    something is missing.
    """
    await prove(request)
    _, values = _EXPORT_QUERY.read(request.scope["query_string"])
    media_type, with_twins = media_type_of(request, values), _switch(values, "twins", default=True)

    async def ask(tokens: Sequence[str], payload: bytes) -> bytes:
        # Each time: a token that is revoked meanwhile gets no more.
        return await call(request, await prove(request), *tokens, payload=payload, within=SLOW_SECONDS)

    found = parts(ask, with_twins=with_twins)
    # Asked for before the answer begins, so that a refusal can still be one.
    first = await anext(found)
    name = "devices.csv" if media_type == CSV else "devices.ndjson"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(written(media_type, found, first), headers=headers, media_type=media_type)


async def import_devices(request: Request) -> Response:
    """Each line is one device by its ``deviceId``: registered if it is not here, else changed where it differs.

    What a line does not give stays. Certificates are not in it: a device that
    is new here joins with the hardware of its ``uuidHash``, or under its id.
    What is here is not suspended, resumed or retired by it, and keeps what it
    reports. To send the same again is harmless. Lines have 256 KiB at most.
    """
    await prove(request)
    _, values = _IMPORT_QUERY.read(request.scope["query_string"])
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _MEDIA_TYPES or "content-encoding" in request.headers:
        told = "Send devices as 'Content-Type: text/csv' or 'application/x-ndjson', in UTF-8, not compressed."
        raise Refusal(Malformed(detail=told), status=415, headers={"Accept-Post": f"{CSV}, {NDJSON}"})

    async def send(batch: bytes) -> bytes:
        # Each time, as above.
        proven = await prove(request)
        return await call(request, proven, "registry", "import", payload=batch, within=_IMPORT_SECONDS)

    importing = Import(_MEDIA_TYPES[kind], send, dry_run=_switch(values, "dryRun", default=False))
    with ExitStack() as refused:
        refused.callback(importing.close)
        await importing.take(request.stream())
        # From here on who sends the report closes it.
        refused.pop_all()
    return StreamingResponse(_reported(importing), media_type=JSON)


async def _reported(importing: Import) -> AsyncIterator[bytes]:
    try:
        async for piece in importing.answer():
            yield piece
    finally:
        importing.close()


def media_type_of(request: Request, values: dict[str, Any]) -> str:
    """As what an export is wanted: by ``format``, else what ``Accept`` prefers. Raises Malformed."""
    if "format" in values:
        if values["format"] not in _FORMATS:
            raise Malformed(detail="format: must be csv or ndjson", fields={"format": "must be csv or ndjson"})
        return _FORMATS[values["format"]]
    return CSV if CSV in request.headers.get("accept", "") else NDJSON


def _switch(values: dict[str, Any], name: str, *, default: bool) -> bool:
    """A parameter that is on or off; named without a value it is on."""
    value = values.get(name, default)
    if value in ("", "1"):
        return True
    if not isinstance(value, bool):
        raise Malformed(detail=f"{name}: must be true or false", fields={name: "must be true or false"})
    return value
