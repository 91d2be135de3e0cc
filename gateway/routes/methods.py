"""Direct methods and messages over HTTP: have a device do something, and hear what it answers; or tell it something."""

from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import MessageSend, MessageSent, MethodAnswer, MethodCall
from functions.domain.methods import DEFAULT_TIMEOUT, MARGIN_SECONDS, MOST_TIMEOUT
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import QUICK_SECONDS, SLOW_SECONDS, answer, call, json_body, no_body, path_name, prove
from gateway.openapi import operation, path_parameter
from gateway.queries import Parameters
from gateway.routes.devices import DEVICE

_NO_QUERY: Final = Parameters()
_METHOD: Final = path_parameter("method", "The name of the method, as the device knows it.")

_CALL_METHOD: Final = operation(
    tag="methods",
    summary="Call a method of a device",
    told="What the device answered: its own status, payload and message, as it gave them.",
    reply=MethodAnswer,
    example=examples.METHOD_ANSWER,
    scope=Scope.METHODS_CALL,
    faults=(404, 415),
    body=(MethodCall, examples.METHOD_CALL),
    is_body_needed=False,
    parameters=(DEVICE, _METHOD),
    others={202: "With 'queue': the device is not there, and the call waits for it until 'queuedUntil'."},
)
_SEND_MESSAGE: Final = operation(
    tag="methods",
    summary="Send a message to a device",
    told="The broker has the message: 'sent' to the device's session, or 'held' for one that is not connected.",
    reply=MessageSent,
    example=examples.MESSAGE_SENT,
    scope=Scope.METHODS_CALL,
    faults=(404, 415),
    body=(MessageSend, examples.MESSAGE_SEND),
    parameters=(DEVICE,),
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses of methods and messages."""
    app.add_api_route("/api/devices/{device}/methods/{method}", call_method, methods=["POST"], **_CALL_METHOD)
    app.add_api_route("/api/devices/{device}/messages", send_message, methods=["POST"], **_SEND_MESSAGE)


async def call_method(request: Request) -> Response:
    """A device that is offline, or does not listen, is 404 at once; one that does not answer in time is 504.

    ``timeout`` is in seconds, 30 unless given and 300 at most. A call that
    timed out may have been done, or be done still. With ``queue`` a call of a
    device that is not there is kept and sent once when it comes, within
    ``expiresIn`` seconds (a day unless given, 30 at most); that is 202.
    """
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    device, method = path_name(request, "device"), path_name(request, "method")
    body = await no_body(request)
    within = _timeout_of(body) + MARGIN_SECONDS + QUICK_SECONDS
    tokens = ("devices", device, "methods", method, "call")
    reply = answer(await call(request, proven, *tokens, payload=body, within=within))
    if "queuedUntil" in orjson.loads(reply.body):
        reply.status_code = 202
    return reply


async def send_message(request: Request) -> Response:
    """The payload is any JSON, and goes out with QoS 1 on ``messages/devicebound``.

    A device that is not connected gets it when its session goes on, for as
    long as the broker keeps that, or ``expiresIn`` seconds if given. Where no
    session of it is subscribed, connected or kept, it is 404.
    """
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    device, body = path_name(request, "device"), await json_body(request)
    tokens = ("devices", device, "messages", "send")
    return answer(await call(request, proven, *tokens, payload=body, within=SLOW_SECONDS))


def _timeout_of(body: bytes) -> float:
    """The seconds that a call asks for; whether the function takes them, it says itself."""
    try:
        values = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        return DEFAULT_TIMEOUT
    told = values.get("timeout") if isinstance(values, dict) else None
    return min(max(told, 0.0), MOST_TIMEOUT) if isinstance(told, int | float) else DEFAULT_TIMEOUT
