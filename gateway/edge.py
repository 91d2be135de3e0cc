"""What every request passes, whatever it asks: an id, bounds, headers, a place in the counters, a line in the log."""

import asyncio
import secrets
import time
from collections.abc import Collection, Mapping
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.domain.faults import Malformed, Reason, Unavailable
from functions.domain.names import is_token
from gateway.counters import Counters
from gateway.problems import REQUEST_ID, Refusal, problem
from gateway.settings import Bounds

CALLER: Final = "devicehub.caller"

# Nginx's number for a client that left before its answer; never sent.
_GONE = 499
_SHOWN_CHARACTERS = 200
_UNKNOWN = "(none)"

_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Once reached by TLS, a name is asked by TLS for a year; browsers pass over it for bare addresses.
_BY_TLS = (b"strict-transport-security", b"max-age=31536000")
# For what states nothing of its own.
_DEFAULTS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)

log = structlog.get_logger("gateway")


class Edge:
    """The outermost layer of ours.

    Args:
        app: what answers.
        counters: where each answer is noted.
        bounds: what a request may be.
        larger: paths whose bodies may have more bytes than others'.
        streamed: paths whose bodies are worked on as they come: each piece is waited for anew.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        counters: Counters,
        bounds: Bounds,
        larger: Mapping[str, int] | None = None,
        streamed: Collection[str] = (),
    ) -> None:
        self._app = app
        self._counters = counters
        self._bounds = bounds
        self._larger = dict(larger or {})
        self._streamed = frozenset(streamed)
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; of anything else (the server's start and end) nothing is known here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, send)
        self._answering += 1
        self._counters.answering(self._answering)
        try:
            most = self._larger.get(scope["path"], self._bounds.body_bytes)
            refusal = self._refuse(passage.length, most)
            answer = problem(passage.scope, refusal) if refusal else self._app
            await answer(
                passage.scope, self._bounded(receive, most, is_streamed=scope["path"] in self._streamed), passage.send
            )
        finally:
            self._answering -= 1
            self._counters.answering(self._answering)
            self._note(passage)

    def _refuse(self, length: bytes, most: int) -> Malformed | Unavailable | None:
        """Why a request is not even begun."""
        if self._answering > self._bounds.requests:
            return Unavailable(detail="The gateway answers as many requests as it can. Try again in a moment.")
        # The server has refused what is no number.
        if length.isdigit() and int(length[:20]) > most:
            return _too_large(most)
        return None

    def _bounded(self, receive: Receive, most: int, *, is_streamed: bool) -> Receive:
        """Receive no more of a body than is taken, and wait for it no longer than is waited."""
        taken = 0
        until: float | None = None
        is_whole = False

        async def bounded() -> Message:
            nonlocal taken, until, is_whole
            if is_whole:
                # Who asks now waits for the client to leave, for as long as the answer takes.
                return await receive()
            if until is None or is_streamed:
                until = asyncio.get_running_loop().time() + self._bounds.body_seconds
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError as late:
                seconds = f"{self._bounds.body_seconds:g}"
                raise Refusal(Malformed(detail=f"The body did not come within {seconds} s."), status=408) from late
            is_whole = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > most:
                raise _too_large(most)
            return message

        return bounded

    def _note(self, passage: "_Passage") -> None:
        scope = passage.scope
        seconds = time.perf_counter() - passage.started
        pattern = getattr(scope.get("route"), "path", _UNKNOWN)
        self._counters.request(passage.method, pattern, passage.status, seconds)
        client = scope.get("client")
        log.info(
            "request",
            call=passage.id,
            method=passage.method[:_SHOWN_CHARACTERS],
            path=scope["path"][:_SHOWN_CHARACTERS],
            status=passage.status,
            ms=round(seconds * 1000, 2),
            client=client[0][:_SHOWN_CHARACTERS] if client and client[0] else None,
            caller=scope.get(CALLER),
        )


class _Passage:
    """One request on its way through: what was found on it, and what is put on its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.started = time.perf_counter()
        self.status = _GONE
        self.method: str = scope["method"]
        self.length = b""
        given = b""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                given = value
            elif name == b"content-length":
                self.length = value
        self.id = _request_id(given)
        self.is_head = self.method == "HEAD"
        # A HEAD is answered as the GET it is, without the body.
        self.scope = {**scope, "method": "GET"} if self.is_head else scope
        self.scope[REQUEST_ID] = self.id
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass a message of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.id.encode()), *_SECURITY]
            if self.scope.get("scheme") == "https":
                headers.append(_BY_TLS)
            told = {name for name, _ in headers}
            headers += [default for default in _DEFAULTS if default[0] not in told]
            message = {**message, "headers": headers}
        elif self.is_head:
            message = {**message, "body": b""}
        await self._send(message)


def _too_large(most: int) -> Malformed:
    return Malformed(Reason.TOO_LARGE, f"The body is over {most} bytes.")


def _request_id(given: bytes) -> str:
    """The id that the client gave, if it has the form of a name, else a new one."""
    text = given.decode("latin-1")
    return text if is_token(text) else secrets.token_hex(8)
