"""The WebSockets for applications and users: what devices say and do as it happens, and calls to them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final

import structlog
from fastapi import FastAPI, WebSocket
from pydantic_core import to_json
from starlette.websockets import WebSocketDisconnect, WebSocketState

from functions.contract import subjects
from functions.domain.faults import Denied, Fault, Unavailable
from gateway.attempts import origin_of
from gateway.callers import bearer_token
from gateway.calls import Gateway
from gateway.cookies import refuse_foreign, session_text
from gateway.live.conversation import Conversation
from gateway.live.members import BELIEVED_SECONDS
from gateway.problems import Refusal
from gateway.proofs import Proven

PATH: Final = "/ws"
USERS_PATH: Final = "/api/ws"

# Proves the caller once more; quietly, where the client did nothing itself.
Prove = Callable[[bool], Awaitable[Proven]]

# Close codes: of RFC 6455, of its registry, and of the interface for a session that has expired.
_POLICY: Final = 1008
_TRY_AGAIN: Final = 1013
_EXPIRED: Final = 4401

log = structlog.get_logger("gateway")


def add_routes(app: FastAPI) -> None:
    """Add the addresses of the WebSockets."""
    app.add_api_websocket_route(PATH, serve)
    app.add_api_websocket_route(USERS_PATH, serve_user)


async def serve(socket: WebSocket) -> None:
    """Talk with an application until it leaves, or its token is good no longer."""
    gateway: Gateway = socket.app.state.gateway
    token = socket.query_params.get("token") or bearer_token(socket.scope)

    async def prove(_: bool) -> Proven:
        return await gateway.callers.prove_token(token, socket.scope)

    await _serve(socket, gateway, prove, _POLICY)


async def serve_user(socket: WebSocket) -> None:
    """Talk with a user's browser until it leaves, or the session is over."""
    gateway: Gateway = socket.app.state.gateway
    text = session_text(socket.scope)

    async def prove(is_quiet: bool) -> Proven:
        return await gateway.callers.prove_session(text, socket.scope, quiet=is_quiet)

    try:
        # Browsers let any page open a socket, and send the cookie along.
        refuse_foreign(socket.scope)
    except Denied as fault:
        gateway.attempts.note(socket.scope, fault)
        await socket.accept()
        await _dismiss(socket, fault, _POLICY)
        return
    await _serve(socket, gateway, prove, _EXPIRED)


async def _serve(socket: WebSocket, gateway: Gateway, prove: Prove, refused: int) -> None:
    """Talk with a caller; who is not let in is closed with a code."""
    await socket.accept()
    try:
        proven = await prove(False)
    except (Fault, Refusal) as problem:
        fault = problem.fault if isinstance(problem, Refusal) else problem
        gateway.attempts.note(socket.scope, fault)
        await _dismiss(socket, fault, _TRY_AGAIN if isinstance(fault, Unavailable) else refused)
        return
    if gateway.counters.sockets >= gateway.bounds.sockets:
        await _dismiss(socket, Unavailable(detail="The gateway has as many sockets open as it can."), _TRY_AGAIN)
        return
    watched = gateway.callers.watched(proven) if proven.session else nullcontext(asyncio.Event())
    with gateway.counters.socket(), watched as doubted:
        await _Talk(socket, gateway, prove, proven, doubted).run()


async def _dismiss(socket: WebSocket, fault: Fault, code: int) -> None:
    told = {"type": "error", "message": fault.detail or str(fault), "error": str(fault.reason)}
    await socket.send_text(to_json(told).decode())
    await socket.close(code)


class _Talk:
    """One socket, whose caller was proven."""

    def __init__(
        self, socket: WebSocket, gateway: Gateway, prove: Prove, proven: Proven, doubted: asyncio.Event
    ) -> None:
        self._socket = socket
        self._gateway = gateway
        self._prove = prove
        self._doubted = doubted
        self._caller = proven.caller
        self._id = token_hex(8)
        self._began = time.monotonic()
        self._conversation = Conversation(self._ask, gateway.feed, gateway.members)

    async def run(self) -> None:
        """Read, write and watch until one of these ends."""
        await self._write({"type": "connected", "message": "Welcome.", "timestamp": datetime.now(UTC)})
        tasks = [asyncio.create_task(work) for work in (self._read(), self._send(), self._watch())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        except WebSocketDisconnect:
            # It left while something was sent.
            pass
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._conversation.end()
            self._note()

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            # Bytes are JSON in UTF-8 as well, or nothing that could be read.
            text = message.get("text")
            await self._conversation.hear(text if text is not None else message["bytes"] or b"")

    async def _send(self) -> None:
        while True:
            await self._socket.send_text(await self._conversation.listener.take())

    async def _watch(self) -> None:
        """See now and then, and when there is doubt, that the caller is still let in, and who is in the groups."""
        while True:
            try:
                async with asyncio.timeout(BELIEVED_SECONDS):
                    await self._doubted.wait()
            except TimeoutError:
                # Nothing was heard, which is no proof.
                pass
            self._doubted.clear()
            try:
                await self._prove(True)
                await self._conversation.refresh()
            except (Denied, Refusal) as problem:
                fault = problem.fault if isinstance(problem, Refusal) else problem
                if isinstance(fault, Denied):
                    await _dismiss(self._socket, fault, _EXPIRED)
                    return
            except Fault as fault:
                # What was heard is heard on; the next time may know more.
                log.warning("socket not refreshed", call=self._id, reason=str(fault.reason))

    async def _ask(self, tokens: tuple[str, ...], payload: bytes, within: float) -> bytes:
        try:
            proven = await self._prove(False)
        except Refusal as refusal:
            raise refusal.fault from refusal
        return await self._gateway.bus.request(
            subjects.subject(*tokens),
            payload,
            caller=proven.caller,
            within=within,
            headers={
                subjects.CALL: self._id,
                subjects.SCOPES: proven.scopes,
                subjects.ORIGIN: origin_of(self._socket.scope),
            },
        )

    async def _write(self, told: dict[str, Any]) -> None:
        await self._socket.send_text(to_json(told).decode())

    def _note(self) -> None:
        client = self._socket.client
        listener = self._conversation.listener
        self._gateway.counters.told(listener.sent, listener.gaps)
        is_left = self._socket.client_state is WebSocketState.DISCONNECTED
        log.info(
            "socket closed",
            call=self._id,
            path=self._socket.scope["path"],
            by="client" if is_left else "hub",
            seconds=round(time.monotonic() - self._began, 1),
            sent=listener.sent,
            gaps=listener.gaps,
            client=client.host if client else None,
            caller=str(self._caller),
        )
