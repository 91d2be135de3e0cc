"""A device's twin over HTTP."""

import re
from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import TwinDesire, TwinView
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import call, json_body, path_name, prove
from gateway.conditions import Tags, change
from gateway.openapi import header_parameter, operation
from gateway.queries import Parameters
from gateway.routes.devices import DEVICE

_NO_QUERY: Final = Parameters()
_TAGS: Final = Tags(re.compile(r'"d([0-9]{1,15})\.r[0-9]{1,15}"'), '"d3.r7"', "twin", "the desired half")
IF_NONE_MATCH: Final = header_parameter("If-None-Match", "An ETag; answered with 304 if the twin is still that one.")
ETAG: Final = {"ETag": 'The versions of both halves: "d<desired>.r<reported>".'}


_READ_TWIN: Final = operation(
    tag="twins",
    summary="Read a twin",
    told="Both halves, the open difference, and when each leaf changed.",
    reply=TwinView,
    example=examples.TWIN,
    scope=Scope.TWINS_READ,
    faults=(404,),
    parameters=(DEVICE, IF_NONE_MATCH),
    headers=ETAG,
    others={304: "The twin is still the one that If-None-Match names."},
)
_DESIRE: Final = operation(
    tag="twins",
    summary="Change the desired half of a twin",
    told="The twin after the change, which is durable.",
    reply=TwinView,
    example=examples.TWIN,
    scope=Scope.TWINS_WRITE,
    faults=(404, 409, 412, 415),
    body=(TwinDesire, examples.WISH),
    parameters=(DEVICE, header_parameter("If-Match", "An ETag, of which the desired part is compared.")),
    headers=ETAG,
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses of twins."""
    app.add_api_route("/api/devices/{device}/twin", read_twin, methods=["GET"], **_READ_TWIN)
    app.add_api_route("/api/devices/{device}/twin", desire, methods=["PATCH"], **_DESIRE)


async def read_twin(request: Request) -> Response:
    """A device that never reported has an empty twin."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "twins", path_name(request, "device"), "get")
    return twin_unless_known(request, body)


async def desire(request: Request) -> Response:
    """Merge a patch (RFC 7396) into what the device should be; null removes a key.

    With ``If-Match``, only if the desired half is still the one that the ETag
    names (else 412); with ``expectedVersion``, only if it has that version
    (else 409).
    """
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    device = path_name(request, "device")
    body = await json_body(request)
    reply = await change(
        request, _TAGS, body, lambda wish: call(request, proven, "twins", device, "desire", payload=wish)
    )
    return _twin(reply)


def twin_unless_known(request: Request, body: bytes) -> Response:
    """A twin with its ETag, or 304 where ``If-None-Match`` names it."""
    etag = _etag(body)
    known = request.headers.get("if-none-match")
    if known is not None and (known.strip() == "*" or etag in known):
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "private, no-cache"})
    return _twin(body, etag)


def _twin(body: bytes, etag: str = "") -> Response:
    headers = {"ETag": etag or _etag(body), "Cache-Control": "private, no-cache"}
    return Response(body, headers=headers, media_type="application/json")


def _etag(body: bytes) -> str:
    twin = orjson.loads(body)
    return f'"d{twin["desiredVersion"]}.r{twin["reportedVersion"]}"'
