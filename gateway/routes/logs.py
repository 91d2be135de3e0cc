"""Logs of a host's units over HTTP: what they have written, and what they write as it comes."""

from typing import Final
from urllib.parse import urlencode

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse

from functions.contract.messages import LogEntry, LogFollow, LogQuery
from functions.domain.faults import Malformed
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import host_examples
from gateway.calls import SLOW_SECONDS, answer, call, prove
from gateway.live.logstream import LogStream
from gateway.openapi import operation, query_parameters
from gateway.queries import Parameters

_QUERY: Final = Parameters(LogQuery)
_FOLLOW: Final = Parameters(LogFollow)
_STREAM: Final = "text/event-stream"

_NODE: Final = "The node name of a host; needed where several have such a unit."
_TEXTS: Final = {
    "unit": "The name of a unit, as the list of services has it.",
    "node": _NODE,
    "lines": "How many lines at most.",
    "before": "The cursor of a line: only older ones.",
    "priority": "Only lines as severe as this, or more: emerg, alert, crit, err, warning, notice, info, debug.",
    "q": "Only lines that contain this text, in capitals or not.",
    "since": "Only what was written at this time and later.",
    "until": "Only what was written until this time.",
}

_READ_LOG: Final = operation(
    tag="logs",
    summary="Read a log",
    told="The last lines of a unit's log that match, the newest first. Text is as it was written: escape it.",
    reply=LogEntry,
    is_list=True,
    example=[host_examples.LOG_ENTRY],
    scope=Scope.ADMIN,
    least=UserRole.OPERATOR,
    faults=(404, 409),
    parameters=query_parameters(_QUERY, _TEXTS),
    headers={"Link": "Older lines (rel=next), where there are some or the search has not come to the end (RFC 8288)."},
)
_STREAM_LOG: Final = operation(
    tag="logs",
    summary="Follow a log",
    told="Server-sent events for as long as the client stays: each line is a message, its id the line's cursor. "
    "'gap' says that lines are missing, and how many as soon as that is known; 'ended' that the log cannot be followed "
    "now; a comment every 10 s is a sign of life. It begins with the last 10 lines, or after the line that "
    "'Last-Event-ID' names.",
    reply={"type": "string"},
    media_type=_STREAM,
    example="id: f=1;o=42\ndata: {}\n\n",
    scope=Scope.ADMIN,
    least=UserRole.OPERATOR,
    faults=(404, 409),
    parameters=query_parameters(_FOLLOW, {"unit": _TEXTS["unit"], "node": _NODE}),
)


def add_routes(app: FastAPI) -> None:
    """Add ``/api/logs`` and ``/api/logs/stream``."""
    app.add_api_route("/api/logs", read_log, methods=["GET"], **_READ_LOG)
    app.add_api_route("/api/logs/stream", stream_log, methods=["GET"], **_STREAM_LOG)


async def read_log(request: Request) -> Response:
    """The host looks for them anew; a long search goes on at the link."""
    proven = await prove(request)
    pairs, values = _QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "logs", "read", payload=orjson.dumps(values), within=SLOW_SECONDS)
    page = orjson.loads(body)
    headers = {}
    if page["older"] is not None:
        others = [pair for pair in pairs if pair[0] != "before"]
        headers["Link"] = f'<{request.scope["path"]}?{urlencode([*others, ("before", page["older"])])}>; rel="next"'
    return answer(orjson.dumps(page["entries"]), **headers)


async def stream_log(request: Request) -> Response:
    """It is refused before it begins, as any request; then it goes on until the client leaves."""
    _, values = _FOLLOW.read(request.scope["query_string"])
    if "aws.event" in request.scope:
        raise Malformed(detail="An event gets one answer, so a log cannot be followed by it. Ask /api/logs.")
    stream = LogStream(request, values, request.headers.get("last-event-id") or None)
    await stream.open()
    return StreamingResponse(stream.text(), media_type=_STREAM, headers={"Cache-Control": "no-store"})
