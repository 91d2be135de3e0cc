"""The hub's certificate authority over HTTP: inspect, replace until it is in use, download."""

from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import CaCreate, CaImport, CaReplaced, CaView
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import SLOW_SECONDS, answer, call, json_body, no_body, prove
from gateway.openapi import operation
from gateway.queries import Parameters

PATH: Final = "/api/settings/certs/root"

_NO_QUERY: Final = Parameters()
_PEM: Final = "application/x-pem-file"
# A little longer than the function gives itself: an RSA key takes its time.
_CREATED_WITHIN_SECONDS: Final = 31.0

_READ_CA: Final = operation(
    tag="certificate authority",
    summary="Look at the hub's CA",
    told="What its certificates say, the issuing one first, and whether it can still be replaced; never its key.",
    reply=CaView,
    example=examples.CA,
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
)
_CREATE_CA: Final = operation(
    tag="certificate authority",
    summary="Make another root CA for the hub",
    told="It signs from now on. The claim certificates of the one before have ended; the broker follows (settled).",
    reply=CaReplaced,
    example=examples.CA_REPLACED,
    scope=Scope.ADMIN,
    faults=(409, 415),
    body=(CaCreate, examples.CA_CREATE),
)
_IMPORT_CA: Final = operation(
    tag="certificate authority",
    summary="Give the hub a CA that was made elsewhere",
    told="A root, or an intermediate with those above it: it signs from now on, as one made here would.",
    reply=CaReplaced,
    example=examples.CA_REPLACED,
    scope=Scope.ADMIN,
    faults=(409, 415),
    body=(CaImport, examples.CA_IMPORT),
)
_DOWNLOAD_CA: Final = operation(
    tag="certificate authority",
    summary="Download what devices need to trust the hub",
    told="The certificate of the CA and those above it, in PEM.",
    reply={"type": "string"},
    media_type=_PEM,
    example=examples.PEM,
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses of the CA."""
    app.add_api_route(PATH, read_ca, methods=["GET"], **_READ_CA)
    app.add_api_route(PATH, create_ca, methods=["POST"], **_CREATE_CA)
    app.add_api_route(f"{PATH}/import", import_ca, methods=["POST"], **_IMPORT_CA)
    app.add_api_route(f"{PATH}/download", download_ca, methods=["GET"], **_DOWNLOAD_CA)


async def read_ca(request: Request) -> Response:
    """``inUse`` says whether a device has a certificate of it: then it stays."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    return answer(await call(request, proven, "ca", "get"))


async def create_ca(request: Request) -> Response:
    """P-256 unless another key is asked for. A repeat makes another one: name the one it ``replaces``."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await no_body(request)
    return answer(await call(request, proven, "ca", "create", payload=body, within=_CREATED_WITHIN_SECONDS))


async def import_ca(request: Request) -> Response:
    """Its key passes through here: over a line that others can read, use the command on the hub's machine."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await json_body(request)
    return answer(await call(request, proven, "ca", "import", payload=body, within=SLOW_SECONDS))


async def download_ca(request: Request) -> Response:
    """As the ``ca.crt`` of every bundle."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    pem = orjson.loads(await call(request, proven, "ca", "get"))["caPem"]
    return Response(pem, headers={"Content-Disposition": 'attachment; filename="ca.crt"'}, media_type=_PEM)
