"""The server's settings over HTTP: where devices are told to connect, and how long certificates are good for."""

import re
from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import ServerChange, ServerView
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import answer, call, json_body, prove
from gateway.conditions import Tags, change
from gateway.openapi import header_parameter, operation
from gateway.queries import Parameters

_PATH: Final = "/api/settings/server"
_NO_QUERY: Final = Parameters()
_TAGS: Final = Tags(re.compile(r'"r([0-9]{1,15})"'), '"r3"', "settings", "the settings")
_ETAG: Final = {"ETag": 'The version of the settings: "r<version>".'}

_READ: Final = operation(
    tag="settings",
    summary="Read the server's settings",
    told="As they hold now, with what they are where nothing is set, and what only another start can change.",
    reply=ServerView,
    example=examples.SERVER,
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
    headers=_ETAG,
)
_CHANGE: Final = operation(
    tag="settings",
    summary="Change the server's settings",
    told="The settings as they hold from now on.",
    reply=ServerView,
    example=examples.SERVER,
    scope=Scope.ADMIN,
    faults=(409, 412, 415),
    body=(ServerChange, examples.SERVER_CHANGE),
    parameters=(header_parameter("If-Match", "An ETag of the settings; they are changed only if they are those."),),
    headers=_ETAG,
)


def add_routes(app: FastAPI) -> None:
    """Add the address of the server's settings."""
    app.add_api_route(_PATH, read_server_settings, methods=["GET"], **_READ)
    app.add_api_route(_PATH, change_server_settings, methods=["PUT"], **_CHANGE)


async def read_server_settings(request: Request) -> Response:
    """``defaults`` is what null brings back; ``fixed`` is said by the environment that the hub is started in."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    return _tagged(await call(request, proven, "settings", "server", "get"))


async def change_server_settings(request: Request) -> Response:
    """What is not given stays, and null sets one back to its default.

    Bundles that are made from now on name ``mqttHost`` and ``mqttPort``; the
    broker's certificate has ``mqttHost`` and every one of ``hostnames`` about
    a second later. Certificates that were issued keep their time.
    """
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await json_body(request)

    async def send(wish: bytes) -> bytes:
        return await call(request, proven, "settings", "server", "change", payload=wish)

    return _tagged(await change(request, _TAGS, body, send))


def _tagged(body: bytes) -> Response:
    return answer(body, ETag=f'"r{orjson.loads(body)["version"]}"')
