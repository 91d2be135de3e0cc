"""Claim certificates over HTTP: what a fleet shares to join with."""

from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import ClaimFact, ClaimIssue, ClaimNamed, ClaimQuery, ClaimRevoke, ClaimView, Done
from functions.contract.views import split_page
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import SLOW_SECONDS, answer, call, json_body, no_body, path_name, prove
from gateway.openapi import operation, path_parameter, query_parameters
from gateway.queries import Parameters, page_links

PATH: Final = "/api/settings/certs/provisioning"
NAME: Final = path_parameter("name", "The name of a claim certificate, without 'claim-' before it.")

_QUERY: Final = Parameters(ClaimQuery)
_NO_QUERY: Final = Parameters()
_DEFAULT_LIMIT: Final = ClaimQuery().limit
_TEXTS: Final = {
    "revoked": "Whether those are listed too that were deleted.",
    "limit": "How many at most.",
    "offset": "How many to leave out first.",
}

_LIST_CLAIMS: Final = operation(
    tag="claims",
    summary="List claim certificates",
    told="Claim certificates by name; those that have expired are among them.",
    reply=ClaimFact,
    is_list=True,
    example=[examples.CLAIM],
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
    parameters=query_parameters(_QUERY, _TEXTS),
    headers={
        "X-Total-Count": "How many there are in all.",
        "Link": "The first, previous, next and last page (RFC 8288), relative to this one.",
    },
)
_ISSUE_CLAIM: Final = operation(
    tag="claims",
    summary="Issue a claim certificate",
    told="It is issued, and devices may join with it from now on while enrolment is open.",
    status=201,
    reply=ClaimView,
    example=examples.CLAIM_DETAIL,
    scope=Scope.ADMIN,
    faults=(409, 415),
    body=(ClaimIssue, examples.CLAIM_ISSUE),
    headers={"Location": "Where it is."},
)
_READ_CLAIM: Final = operation(
    tag="claims",
    summary="Look at a claim certificate",
    told="The certificate in PEM, and what is known of it; never its key.",
    reply=ClaimView,
    example=examples.CLAIM_DETAIL,
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
    faults=(404,),
    parameters=(NAME,),
)
_DELETE_CLAIM: Final = operation(
    tag="claims",
    summary="Delete a claim certificate",
    told="It is revoked: its sessions end, and nobody joins with it any more. Devices that did stay.",
    reply=Done,
    example={"done": True},
    scope=Scope.ADMIN,
    faults=(404, 415),
    parameters=(NAME,),
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses of claim certificates, but for their bundles'."""
    app.add_api_route(PATH, list_claims, methods=["GET"], **_LIST_CLAIMS)
    app.add_api_route(PATH, issue_claim, methods=["POST"], **_ISSUE_CLAIM)
    app.add_api_route(f"{PATH}/{{name}}", read_claim, methods=["GET"], **_READ_CLAIM)
    app.add_api_route(f"{PATH}/{{name}}", delete_claim, methods=["DELETE"], **_DELETE_CLAIM)


async def list_claims(request: Request) -> Response:
    """Deleted ones are left out unless asked for."""
    proven = await prove(request)
    pairs, values = _QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "claims", "list", payload=orjson.dumps(values), within=SLOW_SECONDS)
    total, claims = split_page(body, b"claims")
    links = page_links(
        request.scope["path"], pairs, values.get("limit", _DEFAULT_LIMIT), values.get("offset", 0), total
    )
    return answer(claims, **{"X-Total-Count": str(total), "Link": links})


async def issue_claim(request: Request) -> Response:
    """The hub makes its key and keeps it, sealed, so that the bundle can be downloaded until it is deleted."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "claims", "issue", payload=await json_body(request), within=SLOW_SECONDS)
    made = answer(body, Location=f"{PATH}/{orjson.loads(body)['name']}")
    made.status_code = 201
    return made


async def read_claim(request: Request) -> Response:
    """One that was deleted is not found."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    wanted = ClaimNamed(name=path_name(request, "name"))
    return answer(await call(request, proven, "claims", "get", payload=wanted.encode()))


async def delete_claim(request: Request) -> Response:
    """Its key is gone with it; the certificate stays in the register, revoked."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    await no_body(request)
    wish = ClaimRevoke(name=path_name(request, "name"))
    return answer(await call(request, proven, "claims", "revoke", payload=wish.encode(), within=SLOW_SECONDS))
