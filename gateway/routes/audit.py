"""The audit trail over HTTP: who did what, to what, from where, and what it was before and after."""

from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import AuditQuery, AuditView
from functions.contract.views import split_page
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import SLOW_SECONDS, answer, call, prove
from gateway.openapi import operation, query_parameters
from gateway.queries import Parameters, page_links

_QUERY: Final = Parameters(AuditQuery)
_DEFAULT_LIMIT: Final = AuditQuery().limit

_TEXTS: Final = {
    "actor": "Only what this one did: 'user:anna', 'app:dashboard', 'device:pump-0001', 'system:cli'.",
    "action": "Only this action, 'device.suspended', or all of a kind of thing, 'device'.",
    "target": "Only what was done to this: an id, or 'device:pump-0001'.",
    "startTime": "Only what was done at this time and later.",
    "endTime": "Only what was done before this time.",
    "sort": "'-at' for the newest first, 'at' for the oldest.",
    "limit": "How many entries at most.",
    "offset": "How many entries to leave out first.",
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


def add_routes(app: FastAPI) -> None:
    """Add ``/api/audit``."""
    app.add_api_route("/api/audit", list_audit, methods=["GET"], **_LIST_AUDIT)


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
