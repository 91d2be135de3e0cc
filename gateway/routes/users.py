"""Users and their sessions over HTTP."""

from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import Done, UserCreate, UserFact, UserSessionFact, UserUpdate
from functions.domain.roles import UserRole
from gateway import user_examples as examples
from gateway.calls import SLOW_SECONDS, answer, call, json_body, no_body, path_name, prove
from gateway.openapi import operation, path_parameter
from gateway.queries import Parameters

USERS: Final = "/api/users"
SESSIONS: Final = "/api/sessions"

_NO_QUERY: Final = Parameters()
_NAME: Final = path_parameter("name", "The name of a user, in any case.")
_ID: Final = path_parameter("id", "The id of a session.", pattern="^[0-9a-f]{32}$")
_COUNT: Final = {"X-Total-Count": "How many there are."}

_LIST_USERS: Final = operation(
    tag="users",
    summary="List users",
    told="Every user, by name.",
    reply=UserFact,
    is_list=True,
    example=[examples.USER],
    is_signed_in=True,
    least=UserRole.ADMIN,
    headers=_COUNT,
)
_CREATE_USER: Final = operation(
    tag="users",
    summary="Make a user",
    told="The user, who may sign in from now on.",
    status=201,
    reply=UserFact,
    example=examples.USER,
    is_signed_in=True,
    least=UserRole.ADMIN,
    faults=(409, 415),
    body=(UserCreate, examples.USER_CREATE),
    headers={"Location": "Where it is."},
)
_UPDATE_USER: Final = operation(
    tag="users",
    summary="Change a user",
    told="The user. A new password, and being disabled, end the sessions; a role holds from the next request on.",
    reply=UserFact,
    example=examples.USER,
    is_signed_in=True,
    least=UserRole.ADMIN,
    faults=(404, 409, 415),
    body=(UserUpdate, examples.USER_UPDATE),
    parameters=(_NAME,),
)
_DELETE_USER: Final = operation(
    tag="users",
    summary="Delete a user",
    told="The user is gone, and signed out everywhere.",
    reply=Done,
    example={"done": True},
    is_signed_in=True,
    least=UserRole.ADMIN,
    faults=(404, 409, 415),
    parameters=(_NAME,),
)
_LIST_SESSIONS: Final = operation(
    tag="users",
    summary="List sessions",
    told="Who is signed in, the latest first: everybody for an admin, for others they themselves.",
    reply=UserSessionFact,
    is_list=True,
    example=[examples.SESSION],
    is_signed_in=True,
    headers=_COUNT,
)
_END_SESSION: Final = operation(
    tag="users",
    summary="End a session",
    told="It is over at once; its WebSockets close with 4401.",
    reply=Done,
    example={"done": True},
    is_signed_in=True,
    faults=(404, 415),
    parameters=(_ID,),
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses below ``/api/users`` and ``/api/sessions``."""
    app.add_api_route(USERS, list_users, methods=["GET"], **_LIST_USERS)
    app.add_api_route(USERS, create_user, methods=["POST"], **_CREATE_USER)
    app.add_api_route(f"{USERS}/{{name}}", update_user, methods=["PATCH"], **_UPDATE_USER)
    app.add_api_route(f"{USERS}/{{name}}", delete_user, methods=["DELETE"], **_DELETE_USER)
    app.add_api_route(SESSIONS, list_sessions, methods=["GET"], **_LIST_SESSIONS)
    app.add_api_route(f"{SESSIONS}/{{id}}", end_session, methods=["DELETE"], **_END_SESSION)


async def list_users(request: Request) -> Response:
    """There are few, so all of them come."""
    return await _list(request, "users")


async def create_user(request: Request) -> Response:
    """Names that differ only in case are one. A password has 12 characters at least."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "users", "create", payload=await json_body(request), within=SLOW_SECONDS)
    made = answer(body, Location=f"{USERS}/{orjson.loads(body)['name']}")
    made.status_code = 201
    return made


async def update_user(request: Request) -> Response:
    """What is not given stays; the last admin stays one. Your own password you change with the current one."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    name, body = path_name(request, "name"), await json_body(request)
    return answer(await call(request, proven, "users", name, "update", payload=body, within=SLOW_SECONDS))


async def delete_user(request: Request) -> Response:
    """The last admin cannot be deleted."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    await no_body(request)
    return answer(await call(request, proven, "users", path_name(request, "name"), "delete"))


async def list_sessions(request: Request) -> Response:
    """Those that are over are not among them."""
    return await _list(request, "sessions")


async def end_session(request: Request) -> Response:
    """An admin may end anybody's, others their own."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    await no_body(request)
    return answer(await call(request, proven, "sessions", path_name(request, "id"), "end"))


async def _list(request: Request, things: str) -> Response:
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    found: list[Any] = orjson.loads(await call(request, proven, things, "list", within=SLOW_SECONDS))[things]
    return answer(orjson.dumps(found), **{"X-Total-Count": str(len(found))})
