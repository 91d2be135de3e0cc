"""Metrics over HTTP: what the hosts that the hub lives on are busy with, and were."""

from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import HostMetrics, MetricsHistory, MetricsHistoryQuery, MetricsQuery
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import metrics_examples
from gateway.calls import SLOW_SECONDS, answer, call, prove
from gateway.openapi import operation, query_parameters
from gateway.queries import Parameters

_QUERY: Final = Parameters(MetricsQuery)
_HISTORY_QUERY: Final = Parameters(MetricsHistoryQuery)

_GET_METRICS: Final = operation(
    tag="metrics",
    summary="Get what hosts are busy with",
    told="The last sample of every host, taken every five seconds; of one that does not answer, why.",
    reply=HostMetrics,
    is_list=True,
    example=[metrics_examples.METRICS],
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
    faults=(404,),
    parameters=query_parameters(_QUERY, {"node": "The node name of a host; all if it is not given."}),
)
_GET_HISTORY: Final = operation(
    tag="metrics",
    summary="Get what a host was busy with",
    told="Figures over time since the host's shim began, of the last day at most.",
    reply=MetricsHistory,
    example=metrics_examples.HISTORY,
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
    faults=(404, 409),
    parameters=query_parameters(
        _HISTORY_QUERY,
        {
            "node": "The node name of a host; needed where there are several.",
            "since": "The beginning of the time; all that is kept if it is not given.",
            "step": "Seconds a step: 10, kept for an hour, or 60, kept for a day; by default what reaches back so far.",
        },
    ),
)


def add_routes(app: FastAPI) -> None:
    """Add ``/api/metrics`` and ``/api/metrics/history``."""
    app.add_api_route("/api/metrics", get_metrics, methods=["GET"], **_GET_METRICS)
    app.add_api_route("/api/metrics/history", get_history, methods=["GET"], **_GET_HISTORY)


async def get_metrics(request: Request) -> Response:
    """Each host is asked; one that does not answer within three seconds has a problem instead of a sample."""
    proven = await prove(request)
    _, values = _QUERY.read(request.scope["query_string"])
    payload = orjson.dumps(values)
    found = orjson.loads(await call(request, proven, "metrics", "get", payload=payload, within=SLOW_SECONDS))
    return answer(orjson.dumps(found["hosts"]))


async def get_history(request: Request) -> Response:
    """A series for each figure, all over the same times."""
    proven = await prove(request)
    _, values = _HISTORY_QUERY.read(request.scope["query_string"])
    payload = orjson.dumps(values)
    return answer(await call(request, proven, "metrics", "history", payload=payload, within=SLOW_SECONDS))
