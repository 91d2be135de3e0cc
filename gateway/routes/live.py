"""The WebSocket for applications: what devices say and do as it happens, and calls to them."""

import asyncio
import time
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final

import structlog
from fastapi import FastAPI, WebSocket
from pydantic_core import to_json
from starlette.websockets import WebSocketDisconnect, WebSocketState

from functions.contract import subjects
from functions.domain.faults import Denied, Fault, Unavailable
from gateway.callers import Proven, bearer_token
from gateway.calls import Gateway, origin_of
from gateway.live.conversation import Conversation
from gateway.live.members import BELIEVED_SECONDS
from gateway.problems import Refusal

PATH: Final = "/ws"

# Close codes: of RFC 6455, of its registry, and of the interface for a session that has expired.
_POLICY: Final = 1008
_TRY_AGAIN: Final = 1013
_EXPIRED: Final = 4401

log = structlog.get_logger("gateway")


def add_routes(app: FastAPI) -> None:
    """Add the address of the WebSocket."""
    app.add_api_websocket_route(PATH, serve)


async def serve(socket: WebSocket) -> None:
    """Talk with an application until it leaves, or its token is good no longer."""
    gateway: Gateway = socket.app.state.gateway
    token = socket.query_params.get("token") or bearer_token(socket.scope)
    await socket.accept()
    try:
        proven = await gateway.callers.prove_token(token, socket.scope)
    except (Fault, Refusal) as problem:
        fault = problem.fault if isinstance(problem, Refusal) else problem
        await _dismiss(socket, fault, _TRY_AGAIN if isinstance(fault, Unavailable) else _POLICY)
        return
    if gateway.counters.sockets >= gateway.bounds.sockets:
        await _dismiss(socket, Unavailable(detail="The gateway has as many sockets open as it can."), _TRY_AGAIN)
        return
    with gateway.counters.socket():
        await _Talk(socket, gateway, token or "", proven).run()


async def _dismiss(socket: WebSocket, fault: Fault, code: int) -> None:
    told = {"type": "error", "message": fault.detail or str(fault), "error": str(fault.reason)}
    await socket.send_text(to_json(told).decode())
    await socket.close(code)


class _Talk:
    """One socket, whose caller was proven."""

    def __init__(self, socket: WebSocket, gateway: Gateway, token: str, proven: Proven) -> None:
        self._socket = socket
        self._gateway = gateway
        self._token = token
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
            await self._conversation.hear(
                text if text is not None else (message["bytes"] or b"").decode(errors="replace")
            )

    async def _send(self) -> None:
        while True:
            await self._socket.send_text(await self._conversation.listener.take())

    async def _watch(self) -> None:
        """See now and then that the token is still good, and who is in the groups."""
        while True:
            await asyncio.sleep(BELIEVED_SECONDS)
            try:
                await self._gateway.callers.prove_token(self._token, self._socket.scope)
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
            proven = await self._gateway.callers.prove_token(self._token, self._socket.scope)
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
            path=PATH,
            by="client" if is_left else "hub",
            seconds=round(time.monotonic() - self._began, 1),
            sent=listener.sent,
            gaps=listener.gaps,
            client=client.host if client else None,
            caller=str(self._caller),
        )
