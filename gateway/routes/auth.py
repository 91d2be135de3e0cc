"""Signing in over HTTP: the first run, the session in its cookie, and one's own password."""

from datetime import UTC, datetime
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import (
    Done,
    PasswordChange,
    SessionProven,
    SetupComplete,
    SetupState,
    SignedIn,
    SignIn,
)
from functions.domain.callers import OPERATOR
from functions.domain.faults import Denied
from gateway import user_examples as examples
from gateway.calls import SLOW_SECONDS, answer, call, call_for_nobody, gateway_of, json_body, no_body, prove
from gateway.cookies import cleared, kept, refuse_foreign, session_text
from gateway.openapi import object_schema, operation
from gateway.problems import JUDGED
from gateway.proofs import Proven
from gateway.queries import Parameters

_NO_QUERY: Final = Parameters()
_TEXT: Final[dict[str, Any]] = {"type": "string"}
_TIME: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}
_ME: Final = object_schema(
    {
        "user": _TEXT,
        "role": {"type": "string", "enum": ["viewer", "operator", "admin"]},
        "session": _TEXT,
        "expiresAt": _TIME,
        "endsAt": _TIME,
        "serverTime": _TIME,
        "version": _TEXT,
    }
)
_COOKIE: Final = {"Set-Cookie": "The session: HttpOnly, SameSite=Lax, over HTTPS Secure."}
_TAG: Final = "auth"

_READ_SETUP: Final = operation(
    tag=_TAG,
    summary="Ask whether the hub is set up",
    told="Whether the first admin is still to be made.",
    reply=SetupState,
    example={"needed": False},
    faults=(429,),
)
_SET_UP: Final = operation(
    tag=_TAG,
    summary="Make the first admin",
    told="The hub is set up, and the admin signed in.",
    reply=_ME,
    example=examples.ME,
    faults=(401, 403, 409, 415, 429),
    body=(SetupComplete, examples.SETUP),
    headers=_COOKIE,
)
_SIGN_IN: Final = operation(
    tag=_TAG,
    summary="Sign in",
    told="Who is signed in, and until when; the session is in the cookie alone.",
    reply=_ME,
    example=examples.ME,
    faults=(401, 403, 415, 429),
    body=(SignIn, examples.SIGN_IN),
    headers=_COOKIE,
)
_SIGN_OUT: Final = operation(
    tag=_TAG,
    summary="Sign out",
    told="The session is over.",
    reply=Done,
    example={"done": True},
    is_signed_in=True,
    faults=(404, 415),
    headers=_COOKIE,
)
_REFRESH: Final = operation(
    tag=_TAG,
    summary="Keep the session from ending unused",
    told="Until when it is good now.",
    reply=_ME,
    example=examples.ME,
    is_signed_in=True,
    faults=(415,),
    headers=_COOKIE,
)
_CHANGE_PASSWORD: Final = operation(
    tag=_TAG,
    summary="Change your own password",
    told="It is changed. Every session of yours has ended, and a new one is in the cookie.",
    reply=_ME,
    example=examples.ME,
    is_signed_in=True,
    faults=(409, 415),
    body=(PasswordChange, examples.PASSWORD_CHANGE),
    headers=_COOKIE,
)
_READ_ME: Final = operation(
    tag=_TAG,
    summary="Ask who is signed in",
    told="User, role, until when the session is good if it is not used (expiresAt) and in any case (endsAt).",
    reply=_ME,
    example=examples.ME,
    is_signed_in=True,
)


def add_routes(app: FastAPI) -> None:
    """Add ``/api/setup`` and the addresses below ``/api/auth``."""
    app.add_api_route("/api/setup", read_setup, methods=["GET"], **_READ_SETUP)
    app.add_api_route("/api/setup", complete_setup, methods=["POST"], **_SET_UP)
    app.add_api_route("/api/auth/login", sign_in, methods=["POST"], **_SIGN_IN)
    app.add_api_route("/api/auth/logout", sign_out, methods=["POST"], **_SIGN_OUT)
    app.add_api_route("/api/auth/refresh", refresh_session, methods=["POST"], **_REFRESH)
    app.add_api_route("/api/auth/change-password", change_password, methods=["POST"], **_CHANGE_PASSWORD)
    app.add_api_route("/api/auth/me", read_me, methods=["GET"], **_READ_ME)


async def read_setup(request: Request) -> Response:
    """The code is printed by 'devicehub up' where it is needed."""
    _NO_QUERY.read(request.scope["query_string"])
    gateway_of(request).strangers.admit(request.scope)
    return answer(await call_for_nobody(request, "setup", "get"))


async def complete_setup(request: Request) -> Response:
    """Only the first run has a code. Host names that are given are those of the broker's certificate."""
    return await _begin(request, "setup", "complete")


async def sign_in(request: Request) -> Response:
    """Always begins a new session, whatever the request shows. Wrong ones are limited by address and by name."""
    return await _begin(request, "sessions", "create")


async def sign_out(request: Request) -> Response:
    """The browser forgets it, too."""
    _NO_QUERY.read(request.scope["query_string"])
    proven = await _signed_in(request)
    await no_body(request)
    body = await call(request, proven, "sessions", proven.session, "end")
    gateway_of(request).callers.doubt(proven)
    return answer(body, **{"Set-Cookie": cleared(request.scope)})


async def refresh_session(request: Request) -> Response:
    """As any request does that shows the session; how long it lasts in any case does not change."""
    await no_body(request)
    return await _tell(request, is_kept=True)


async def change_password(request: Request) -> Response:
    """Needs the current one. Wrong ones are limited as at signing in."""
    _NO_QUERY.read(request.scope["query_string"])
    proven = await _signed_in(request)
    body = await json_body(request)
    made = await call(request, proven, "users", "change-password", payload=body, within=SLOW_SECONDS)
    gateway_of(request).callers.doubt(proven)
    return _welcome(request, SignedIn.model_validate_json(made))


async def read_me(request: Request) -> Response:
    """Programs with a token have no session: they are refused."""
    return await _tell(request, is_kept=False)


async def _begin(request: Request, *tokens: str) -> Response:
    _NO_QUERY.read(request.scope["query_string"])
    refuse_foreign(request.scope)
    made = await call_for_nobody(request, *tokens, payload=await json_body(request), within=SLOW_SECONDS)
    return _welcome(request, SignedIn.model_validate_json(made))


def _welcome(request: Request, begun: SignedIn) -> Response:
    proven = SessionProven(
        **begun.model_dump(exclude={"session"}),
        server_time=datetime.now(UTC),
    )
    return answer(_me(request, proven), **{"Set-Cookie": kept(request.scope, begun.session, begun.ends_at)})


async def _tell(request: Request, *, is_kept: bool) -> Response:
    if session_text(request.scope) is None and "authorization" not in request.headers:
        # So pages ask whether somebody is signed in: nobody tries anything.
        request.scope[JUDGED] = True
    _NO_QUERY.read(request.scope["query_string"])
    proven = await _signed_in(request)
    found = await gateway_of(request).callers.look_at_session(proven.session)
    text = session_text(request.scope)
    if not is_kept or text is None:
        return answer(_me(request, found))
    return answer(_me(request, found), **{"Set-Cookie": kept(request.scope, text, found.ends_at)})


async def _signed_in(request: Request) -> Proven:
    proven = await prove(request)
    if proven.caller.kind is not OPERATOR:
        raise Denied(detail="This is for users who are signed in; a token has no session and no password.")
    return proven


def _me(request: Request, proven: SessionProven) -> bytes:
    told = orjson.loads(proven.encode())
    told["session"] = told.pop("id")
    return orjson.dumps({**told, "version": gateway_of(request).version})
