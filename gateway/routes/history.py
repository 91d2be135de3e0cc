"""The history of a device's twin over HTTP."""

from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import TwinChange, TwinCompare, TwinComparison, TwinHistoryQuery, TwinMoment, TwinView
from functions.contract.views import split_page
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import SLOW_SECONDS, answer, call, path_name, prove
from gateway.openapi import operation, query_parameters
from gateway.queries import Pairs, Parameters, page_links
from gateway.routes.devices import DEVICE
from gateway.routes.twins import ETAG, IF_NONE_MATCH, twin_unless_known

_CHANGES: Final = Parameters(TwinHistoryQuery)
_MOMENT: Final = Parameters(TwinMoment)
_COMPARE: Final = Parameters(TwinCompare)
_DEFAULT_LIMIT: Final = TwinHistoryQuery().limit

_TIME: Final = "Both halves as they were at the end of this time's millisecond"
_TEXTS: Final = {
    "half": "Only changes of this half.",
    "limit": "How many at most.",
    "offset": "How many to leave out first.",
    "time": f"{_TIME}.",
    "desired": "The version of the desired half, beside 'reported'; 0 is from before the first change.",
    "reported": "The version of the reported half, beside 'desired'; 0 is from before the first change.",
    "fromTime": f"{_TIME}; the earlier twin.",
    "fromDesired": "The version of the desired half of the earlier twin, beside 'fromReported'.",
    "fromReported": "The version of the reported half of the earlier twin, beside 'fromDesired'.",
    "toTime": f"{_TIME}; the later twin, today's if none is named.",
    "toDesired": "The version of the desired half of the later twin, beside 'toReported'.",
    "toReported": "The version of the reported half of the later twin, beside 'toDesired'.",
}

_LIST_CHANGES: Final = operation(
    tag="twins",
    summary="List the changes of a twin",
    told="A page of the changes, newest first: the last 64 of the reported half, more of the desired one.",
    reply=TwinChange,
    is_list=True,
    example=[examples.CHANGE],
    scope=Scope.TWINS_READ,
    faults=(404,),
    parameters=(DEVICE, *query_parameters(_CHANGES, _TEXTS)),
    headers={
        "X-Total-Count": "How many changes are known in all.",
        "Link": "The first, previous, next and last page (RFC 8288), relative to this one.",
    },
)
_READ_PAST_TWIN: Final = operation(
    tag="twins",
    summary="Read a twin as it was",
    told="Both halves as they were, the difference that was open, and when each leaf had changed.",
    reply=TwinView,
    example=examples.TWIN,
    scope=Scope.TWINS_READ,
    faults=(404, 410),
    parameters=(DEVICE, *query_parameters(_MOMENT, _TEXTS), IF_NONE_MATCH),
    headers=ETAG,
    others={304: "The twin is the one that If-None-Match names."},
)
_COMPARE_TWINS: Final = operation(
    tag="twins",
    summary="Compare a twin with an earlier one",
    told="Each place at which they differ, and who changed it last.",
    reply=TwinComparison,
    example=examples.COMPARISON,
    scope=Scope.TWINS_READ,
    faults=(404, 410),
    parameters=(DEVICE, *query_parameters(_COMPARE, _TEXTS)),
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses of twins' histories."""
    app.add_api_route("/api/devices/{device}/twin/history", list_twin_changes, methods=["GET"], **_LIST_CHANGES)
    app.add_api_route("/api/devices/{device}/twin/at", read_past_twin, methods=["GET"], **_READ_PAST_TWIN)
    app.add_api_route("/api/devices/{device}/twin/compare", compare_twins, methods=["GET"], **_COMPARE_TWINS)


async def list_twin_changes(request: Request) -> Response:
    """Each with the merge patch (RFC 7396) that it was, who made it and when."""
    pairs, values, body = await _ask(request, _CHANGES, "history")
    total, changes = split_page(body, b"changes")
    links = page_links(
        request.scope["path"], pairs, values.get("limit", _DEFAULT_LIMIT), values.get("offset", 0), total
    )
    return answer(changes, **{"X-Total-Count": str(total), "Link": links})


async def read_past_twin(request: Request) -> Response:
    """Named by a time, or by the versions of both halves; 410 where that is older than what is kept."""
    _, _, body = await _ask(request, _MOMENT, "at")
    return twin_unless_known(request, body)


async def compare_twins(request: Request) -> Response:
    """The earlier twin is named by a time or two versions; so is the later, or it is today's."""
    _, _, body = await _ask(request, _COMPARE, "compare")
    return answer(body)


async def _ask(request: Request, parameters: Parameters, operation: str) -> tuple[Pairs, dict[str, Any], bytes]:
    """The parameters of a request, as they came and as values, and what the function answers to them."""
    proven = await prove(request)
    pairs, values = parameters.read(request.scope["query_string"])
    device = path_name(request, "device")
    payload = orjson.dumps(values)
    return pairs, values, await call(request, proven, "twins", device, operation, payload=payload, within=SLOW_SECONDS)
