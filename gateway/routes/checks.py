"""Checks over HTTP: what is wrong with certificates, sessions and clocks, and what to do about it."""

from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import CheckView
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import answer, call, prove
from gateway.openapi import operation
from gateway.queries import Parameters

_NO_QUERY: Final = Parameters()
# A little longer than the function gives itself.
_SECONDS: Final = 10.5

_LIST_CHECKS: Final = operation(
    tag="checks",
    summary="Check the hub",
    told="Every check, with what it finds now; of very many findings of one check the first hundred.",
    reply=CheckView,
    is_list=True,
    example=[examples.CHECK],
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
)


def add_routes(app: FastAPI) -> None:
    """Add ``/api/checks``."""
    app.add_api_route("/api/checks", list_checks, methods=["GET"], **_LIST_CHECKS)


async def list_checks(request: Request) -> Response:
    """Everything is looked at anew; the alarms that follow are opened every five minutes."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    found = orjson.loads(await call(request, proven, "checks", "list", within=_SECONDS))
    return answer(orjson.dumps(found["checks"]))
