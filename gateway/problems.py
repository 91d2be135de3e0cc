"""Problem pages (RFC 9457): what a caller is told where a request is refused or fails.

``type, title, status, detail, error, requestId`` and, for input errors,
``fields``. Reasons, statuses and sentences are the catalogue's.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ExceptionHandler, Scope

from functions.contract.faults import CATALOGUE
from functions.domain.faults import Fault, Malformed, NotFound, Reason

MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = "devicehub.request_id"
# On a request whose refusal is not the gateway's own to note: a function was asked, or nothing was attempted.
JUDGED: Final = "devicehub.judged"

_RETRY_SECONDS = "1"
_REFUSED_PROOF = 'Bearer realm="devicehub"'

log = structlog.get_logger("gateway")


class Refusal(Exception):
    """A fault whose answer has what only HTTP knows: a status of its own, or headers.

    Args:
        fault: what is refused and why.
        status: the catalogue's where none is given.
        headers: to be sent with it.
    """

    def __init__(self, fault: Fault, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.status = status
        self.headers = dict(headers or {})


def problem(
    scope: Scope,
    fault: Fault,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """The problem page of a fault.

    Args:
        scope: of the request.
        fault: what is wrong.
        status: the catalogue's where none is given.
        headers: sent with it.
        more: further members of the page.
    """
    entry = CATALOGUE[fault.reason]
    status = status or entry.status
    body = {
        "type": f"urn:devicehub:problem:{fault.reason}",
        "title": entry.sentence,
        "status": status,
        "detail": fault.detail or entry.sentence,
        "error": str(fault.reason),
        "requestId": scope.get(REQUEST_ID, ""),
        **({"fields": fault.fields} if fault.fields else {}),
        **({} if fault.position is None else {"position": fault.position}),
        **(more or {}),
    }
    told = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        told.setdefault("WWW-Authenticate", _REFUSED_PROOF)
    elif status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        told.setdefault("Retry-After", _RETRY_SECONDS if fault.retry_after is None else str(fault.retry_after))
    elif status == HTTPStatus.REQUEST_TIMEOUT:
        # What is left of the request may never come.
        told["Connection"] = "close"
    return Response(orjson.dumps(body), status, told, MEDIA_TYPE)


async def _on_fault(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, Fault)
    request.app.state.gateway.attempts.note(request.scope, fault)
    return problem(request.scope, fault)


async def _on_refusal(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    request.app.state.gateway.attempts.note(request.scope, refusal.fault)
    return problem(request.scope, refusal.fault, status=refusal.status, headers=refusal.headers)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """What the router refuses: an address there is not, or a method it does not take."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem(request.scope, NotFound(detail="There is nothing at this address. /openapi.json lists them."))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_methods_at(request))
        fault = Malformed(Reason.METHOD_NOT_ALLOWED, f"This address takes {allowed}.")
        return problem(request.scope, fault, headers={"Allow": allowed})
    return problem(request.scope, Malformed(), status=error.status_code, headers=error.headers)


async def _on_invalid(request: Request, error: Exception) -> Response:
    """What a route with typed parameters refuses."""
    assert isinstance(error, RequestValidationError)
    fields = {".".join(map(str, one["loc"][1:])) or "body": str(one["msg"]) for one in error.errors()}
    detail = "; ".join(f"{name}: {wrong}" for name, wrong in fields.items())
    return problem(request.scope, Malformed(detail=detail, fields=fields))


async def _on_gone(request: Request, error: Exception) -> None:
    """Nobody is there to be told."""


async def on_unforeseen(request: Request, error: Exception) -> Response:
    """Tell the request id and nothing else; the log has the rest."""
    call = request.scope.get(REQUEST_ID, "")
    log.error("request failed", call=call, exc_info=error)
    detail = f"Something unforeseen went wrong; request {call} in the gateway's log."
    return problem(request.scope, Fault(Reason.INTERNAL, detail))


HANDLERS: Final[Mapping[type[Exception], ExceptionHandler]] = {
    Fault: _on_fault,
    Refusal: _on_refusal,
    HTTPException: _on_http_error,
    RequestValidationError: _on_invalid,
    ClientDisconnect: _on_gone,  # type: ignore[dict-item]  # Starlette sends nothing for None.
}


def _methods_at(request: Request) -> list[str]:
    """Every method that the address takes; Starlette's own answer has those of one route."""
    found: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= route.methods
    return sorted(found | ({"HEAD"} if "GET" in found else set()))
