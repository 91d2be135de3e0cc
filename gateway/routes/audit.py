"""The audit trail over HTTP: who did what, to what, from where, and what it was before and after."""

from collections.abc import Sequence
from typing import Final

import orjson
from fastapi import FastAPI, Request
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from functions.contract.lines import CSV, NDJSON
from functions.contract.messages import AuditFilter, AuditQuery, AuditView
from functions.contract.views import split_page
from functions.domain.tokens import Scope
from gateway import audit_examples as examples
from gateway.calls import SLOW_SECONDS, answer, call, prove
from gateway.exports import AUDIT_COLUMNS, audit_parts, lines_text
from gateway.openapi import operation, query_parameters
from gateway.queries import Parameters, page_links
from gateway.routes.transfer import media_type_of


class ExportOptions(AuditFilter):
    """Which entries are exported, and as what."""

    format: str = Field(default="ndjson", json_schema_extra={"enum": ["csv", "ndjson"]})


_QUERY: Final = Parameters(AuditQuery)
_EXPORT_QUERY: Final = Parameters(ExportOptions)
_DEFAULT_LIMIT: Final = AuditQuery().limit

_TEXTS: Final = {
    "actor": "Only what this one did: 'user:anna', 'app:dashboard', 'device:pump-0001', 'system:cli'.",
    "action": "Only this action, 'device.suspended', or all of a kind of thing, 'device'.",
    "target": "Only what was done to this: an id, or 'device:pump-0001'.",
    "startTime": "Only what was done at this time and later.",
    "endTime": "Only what was done before this time.",
    "outcome": "'done', or 'refused' for attempts that were refused, of which those after the first are summed.",
    "sort": "'-at' for the newest first, 'at' for the oldest.",
    "limit": "How many entries at most.",
    "offset": "How many entries to leave out first.",
    "format": "'csv' or 'ndjson'; without it what 'Accept' prefers, else NDJSON.",
}

_LIST_AUDIT: Final = operation(
    tag="audit",
    summary="List audit entries",
    told="A page of the entries that match, the newest first.",
    reply=AuditView,
    is_list=True,
    example=[examples.AUDIT],
    scope=Scope.ADMIN,
    parameters=query_parameters(_QUERY, _TEXTS),
    headers={
        "X-Total-Count": "How many entries match in all; beyond 10,000 at most a second old.",
        "Link": "The first, previous, next and last page (RFC 8288), relative to this one.",
    },
)


_EXPORT_AUDIT: Final = operation(
    tag="audit",
    summary="Export audit entries",
    told="Every entry that matches, one a line, the oldest first.",
    reply={"type": "string"},
    media_type=NDJSON,
    also={CSV: {"type": "string"}},
    example=examples.AUDIT_LINE,
    scope=Scope.ADMIN,
    parameters=query_parameters(_EXPORT_QUERY, _TEXTS),
    headers={"Content-Disposition": "The file's name."},
)


def add_routes(app: FastAPI) -> None:
    """Add ``/api/audit`` and its export."""
    app.add_api_route("/api/audit", list_audit, methods=["GET"], **_LIST_AUDIT)
    app.add_api_route("/api/audit/export", export_audit, methods=["GET"], **_EXPORT_AUDIT)


async def list_audit(request: Request) -> Response:
    """What was done a moment ago may be missing."""
    proven = await prove(request)
    pairs, values = _QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "audit", "query", payload=orjson.dumps(values), within=SLOW_SECONDS)
    total, entries = split_page(body, b"entries")
    links = page_links(
        request.scope["path"], pairs, values.get("limit", _DEFAULT_LIMIT), values.get("offset", 0), total
    )
    return answer(entries, **{"X-Total-Count": str(total), "Link": links})


async def export_audit(request: Request) -> Response:
    """It may be of any length: the part that is being sent is all that is held of it.

    A connection that ends early without the end of the body says that
    something is missing.
    """
    await prove(request)
    _, values = _EXPORT_QUERY.read(request.scope["query_string"])
    media_type = media_type_of(request, values)
    wanted = {name: value for name, value in values.items() if name != "format"}

    async def ask(tokens: Sequence[str], payload: bytes) -> bytes:
        # Each time: who may not ask any more meanwhile gets no more.
        return await call(request, await prove(request), *tokens, payload=payload, within=SLOW_SECONDS)

    found = audit_parts(ask, wanted)
    # Asked for before the answer begins, so that a refusal can still be one.
    first = await anext(found)
    name = "audit.csv" if media_type == CSV else "audit.ndjson"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(
        lines_text(media_type, found, AUDIT_COLUMNS, first), headers=headers, media_type=media_type
    )
