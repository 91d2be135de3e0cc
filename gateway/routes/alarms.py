"""Alarms over HTTP: what a person must look at."""

from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import AlarmQuery, AlarmView
from functions.contract.views import split_page
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import SLOW_SECONDS, answer, call, path_name, prove
from gateway.openapi import operation, path_parameter, query_parameters
from gateway.queries import Parameters, page_links

_QUERY: Final = Parameters(AlarmQuery)
_NO_QUERY: Final = Parameters()
_DEFAULT_LIMIT: Final = AlarmQuery().limit

_ALARM: Final = path_parameter("alarm", "The id of an alarm.")
_TEXTS: Final = {
    "q": "Text that is found in kind, subject or text.",
    "state": "Only alarms that are so.",
    "severity": "Only alarms of this severity.",
    "kind": "Only alarms of this kind.",
    "sort": "Fields of an alarm, separated by commas; '-' before one turns its order round.",
    "limit": "How many alarms at most.",
    "offset": "How many alarms to leave out first.",
}

_LIST_ALARMS: Final = operation(
    tag="alarms",
    summary="List alarms",
    told="A page of the alarms that match, what needs attention first.",
    reply=AlarmView,
    is_list=True,
    example=[examples.ALARM],
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
    parameters=query_parameters(_QUERY, _TEXTS),
    headers={
        "X-Total-Count": "How many alarms match in all.",
        "Link": "The first, previous, next and last page (RFC 8288), relative to this one.",
    },
)
_ACKNOWLEDGE: Final = operation(
    tag="alarms",
    summary="Acknowledge an alarm",
    told="The alarm, which stays open until its cause is gone.",
    reply=AlarmView,
    example={
        **examples.ALARM,
        "state": "acknowledged",
        "acknowledgedAt": "2035-01-01T13:00:00Z",
        "acknowledgedBy": "user:anna",
    },
    scope=Scope.ADMIN,
    least=UserRole.OPERATOR,
    faults=(404,),
    parameters=(_ALARM,),
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses below ``/api/alarms``."""
    app.add_api_route("/api/alarms", list_alarms, methods=["GET"], **_LIST_ALARMS)
    app.add_api_route("/api/alarms/{alarm}/ack", acknowledge_alarm, methods=["POST"], **_ACKNOWLEDGE)


async def list_alarms(request: Request) -> Response:
    """Past alarms are listed too; 'state=open' leaves them out."""
    proven = await prove(request)
    pairs, values = _QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "alarms", "list", payload=orjson.dumps(values), within=SLOW_SECONDS)
    total, alarms = split_page(body, b"alarms")
    links = page_links(
        request.scope["path"], pairs, values.get("limit", _DEFAULT_LIMIT), values.get("offset", 0), total
    )
    return answer(alarms, **{"X-Total-Count": str(total), "Link": links})


async def acknowledge_alarm(request: Request) -> Response:
    """The first to do so is shown as who looks after it; a repeat changes nothing."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    return answer(await call(request, proven, "alarms", path_name(request, "alarm"), "ack"))
