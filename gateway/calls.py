"""From a request to a call of a function and back: the caller is proven, bytes go through as they are."""

from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.responses import Response

from functions.contract import subjects
from functions.domain.faults import Malformed
from functions.domain.names import is_token
from gateway.attempts import Attempts, origin_of
from gateway.callers import GATEWAY, Bus, Callers
from gateway.counters import Counters
from gateway.edge import CALLER
from gateway.figures import Figures
from gateway.live.feed import Feed
from gateway.live.members import Members
from gateway.problems import JUDGED, REQUEST_ID, Refusal
from gateway.proofs import Proven
from gateway.readiness import Readiness
from gateway.revocations import RevocationList
from gateway.settings import Bounds
from gateway.strangers import Strangers

JSON: Final = "application/json"

# A little longer than the functions give themselves: what was not answered by
# then died with the process that had it.
QUICK_SECONDS: Final = 2.5
SLOW_SECONDS: Final = 4.5


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the routes share, at ``app.state.gateway``."""

    bus: Bus
    callers: Callers
    attempts: Attempts
    counters: Counters
    readiness: Readiness
    figures: Figures
    revocations: RevocationList
    strangers: Strangers
    feed: Feed
    members: Members
    bounds: Bounds
    version: str


def gateway_of(request: Request) -> Gateway:
    """The gateway that a request has come to."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def prove(request: Request) -> Proven:
    """Who makes the request.

    Raises:
        Fault, Refusal: no token, or none that is good, or it cannot be known now.
    """
    proven = await gateway_of(request).callers.prove(request.scope)
    request.scope[CALLER] = str(proven.caller)
    return proven


async def call(
    request: Request, proven: Proven, *tokens: str, payload: bytes = b"", within: float = QUICK_SECONDS
) -> bytes:
    """Call the function of a subject for the caller of a request, and give its answer as it is.

    Args:
        request: whose id the call carries.
        proven: for whom.
        tokens: of the subject, below the hub's root.
        payload: passed on as it is; the function says what is wrong with it.
        within: seconds until nobody will answer any more.

    Raises:
        Fault: what the function answered instead, or ``unavailable``.
    """
    request.scope[JUDGED] = True
    return await gateway_of(request).bus.request(
        subjects.subject(*tokens),
        payload,
        caller=proven.caller,
        within=within,
        headers={
            subjects.CALL: request.scope[REQUEST_ID],
            subjects.SCOPES: proven.scopes,
            subjects.ORIGIN: origin_of(request.scope),
        },
    )


async def call_for_nobody(request: Request, *tokens: str, payload: bytes = b"", within: float = QUICK_SECONDS) -> bytes:
    """Call a function for who is not signed in; it is told from where the request came. Raises as ``call`` does."""
    headers = {subjects.CALL: request.scope[REQUEST_ID], subjects.ORIGIN: origin_of(request.scope)}
    bus = gateway_of(request).bus
    request.scope[JUDGED] = True
    return await bus.request(subjects.subject(*tokens), payload, caller=GATEWAY, within=within, headers=headers)


def path_name(request: Request, parameter: str) -> str:
    """A name in the path, of the form that any name has.

    Raises:
        Malformed: it has another.
    """
    name: str = request.path_params[parameter]
    if not is_token(name):
        wrong = "must be 1 to 64 letters, digits, '_' or '-'"
        raise Malformed(detail=f"{parameter}: {wrong}", fields={parameter: wrong})
    return name


async def json_body(request: Request) -> bytes:
    """The body of a request that must have a JSON one, unread.

    Raises:
        Refusal: it says that it is something else (415).
        Malformed: it is too large or came too slowly; there is none.
    """
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.partition("charset=")[2].strip().strip('"').lower()
    if kind.strip().lower() != JSON or charset not in ("", "utf-8") or "content-encoding" in request.headers:
        raise Refusal(
            Malformed(detail=f"Send the body as 'Content-Type: {JSON}', in UTF-8, not compressed."),
            status=415,
            headers={"Accept-Patch": JSON},
        )
    body = await request.body()
    if not body:
        # The function would take it for an empty object.
        raise Malformed(detail="The body is empty; it must be a JSON object.")
    return body


async def no_body(request: Request) -> bytes:
    """The body of a request that needs none: nothing, or a JSON object that the function looks at.

    Raises:
        Refusal, Malformed: as ``json_body``, where there is one.
    """
    return await json_body(request) if await request.body() else b""


def answer(body: bytes, **headers: str) -> Response:
    """A function's answer as a response, byte for byte."""
    return Response(body, headers=headers or None, media_type=JSON)
