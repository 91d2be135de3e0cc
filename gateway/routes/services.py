"""Services over HTTP: the units that the hub lives on, of every host."""

from functools import partial
from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import ServiceActed, ServiceQuery, ServiceView, VerbWord
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import host_examples
from gateway.calls import SLOW_SECONDS, answer, call, prove
from gateway.openapi import operation, path_parameter, query_parameters
from gateway.queries import Parameters

_QUERY: Final = Parameters(ServiceQuery)
# A little longer than the function gives itself.
_ACT_SECONDS: Final = 60.5

_UNIT: Final = path_parameter("unit", "The name of a unit, as the list has it.", pattern=r"^[A-Za-z0-9:_.\\@-]{1,255}$")
_NODE: Final = query_parameters(_QUERY, {"node": "The node name of a host; needed where several have such a unit."})

_LIST_SERVICES: Final = operation(
    tag="services",
    summary="List services",
    told="The units that may be looked after, of every host; those of a host that does not answer as it told last.",
    reply=ServiceView,
    is_list=True,
    example=[host_examples.SERVICE],
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
    faults=(404,),
    parameters=_NODE,
)
_GET_SERVICE: Final = operation(
    tag="services",
    summary="Get a service",
    told="The unit as it is now.",
    reply=ServiceView,
    example=host_examples.SERVICE,
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
    faults=(404, 409),
    parameters=(_UNIT, *_NODE),
)
_TOLD: Final[dict[VerbWord, str]] = {
    "start": "Start a service",
    "stop": "Stop a service",
    "restart": "Restart a service",
}


def add_routes(app: FastAPI) -> None:
    """Add the addresses below ``/api/services``."""
    app.add_api_route("/api/services", list_services, methods=["GET"], **_LIST_SERVICES)
    app.add_api_route("/api/services/{unit}", get_service, methods=["GET"], **_GET_SERVICE)
    for verb, summary in _TOLD.items():
        described = operation(
            tag="services",
            summary=summary,
            told="The unit as it is when that is done; 'begun' where the unit itself carries the answer.",
            reply=ServiceActed,
            example={**host_examples.SERVICE_ACTED, "verb": verb},
            scope=Scope.ADMIN,
            least=UserRole.OPERATOR,
            faults=(404, 409),
            parameters=(_UNIT, *_NODE),
        )
        act = partial(act_on_service, verb)
        app.add_api_route(f"/api/services/{{unit}}/{verb}", act, methods=["POST"], name=f"{verb}_service", **described)


async def list_services(request: Request) -> Response:
    """Each host is asked; one that does not answer within three seconds is passed over."""
    proven = await prove(request)
    _, values = _QUERY.read(request.scope["query_string"])
    found = orjson.loads(
        await call(request, proven, "services", "list", payload=orjson.dumps(values), within=SLOW_SECONDS)
    )
    return answer(orjson.dumps(found["services"]))


async def get_service(request: Request) -> Response:
    """The host looks at it anew."""
    proven = await prove(request)
    return answer(await call(request, proven, "services", "get", payload=_named(request), within=SLOW_SECONDS))


async def act_on_service(verb: str, request: Request) -> Response:
    """The answer comes when the job has ended, or after a minute."""
    proven = await prove(request)
    return answer(await call(request, proven, "services", verb, payload=_named(request), within=_ACT_SECONDS))


def _named(request: Request) -> bytes:
    _, values = _QUERY.read(request.scope["query_string"])
    return orjson.dumps({"unit": request.path_params["unit"], **values})
