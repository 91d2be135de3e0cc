"""Enrolment over HTTP: the window in which devices may join, and whether the whitelist counts."""

from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import EnrolmentChange, EnrolmentView
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import answer, call, json_body, prove
from gateway.openapi import operation
from gateway.queries import Parameters

_PATH: Final = "/api/settings/enrolment"
_NO_QUERY: Final = Parameters()

_READ: Final = operation(
    tag="enrolment",
    summary="Read the enrolment settings",
    told="As they hold now: a window whose time is over is closed.",
    reply=EnrolmentView,
    example=examples.ENROLMENT,
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
)
_CHANGE: Final = operation(
    tag="enrolment",
    summary="Open or close enrolment, and switch the whitelist",
    told="The settings as they hold from now on.",
    reply=EnrolmentView,
    example=examples.ENROLMENT,
    scope=Scope.ADMIN,
    faults=(404, 409, 415),
    body=(EnrolmentChange, examples.ENROLMENT_CHANGE),
)


def add_routes(app: FastAPI) -> None:
    """Add the address of the enrolment settings."""
    app.add_api_route(_PATH, read_enrolment, methods=["GET"], **_READ)
    app.add_api_route(_PATH, change_enrolment, methods=["PUT"], **_CHANGE)


async def read_enrolment(request: Request) -> Response:
    """Enrolment is closed unless someone opened it."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    return answer(await call(request, proven, "enrolment", "get"))


async def change_enrolment(request: Request) -> Response:
    """What is not given stays. ``minutes`` opens the window for so long, ``isOpen`` alone until it is closed.

    ``serveFiles`` names a claim certificate whose files any device may fetch
    without login while the window is open.
    """
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    return answer(await call(request, proven, "enrolment", "change", payload=await json_body(request)))
