"""A WebSocket into an app in this process, as an ASGI server hands it over."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI


class Socket:
    """The client's side: says, hears, and knows how it was closed."""

    def __init__(self, app: FastAPI, query: str, headers: list[tuple[bytes, bytes]], path: str = "/ws") -> None:
        self._scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "ws",
            "query_string": query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1234),
            "subprotocols": [],
        }
        self._app = app
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._said.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self._app(self._scope, self._said.get, self._send))

    async def say(self, **told: Any) -> None:
        await self.say_text(json.dumps(told))

    async def say_text(self, text: str) -> None:
        await self._said.put({"type": "websocket.receive", "text": text})

    async def say_bytes(self, frame: bytes) -> None:
        await self._said.put({"type": "websocket.receive", "bytes": frame})

    async def hear(self) -> dict[str, Any]:
        """The next message; of a closing, its code."""
        async with asyncio.timeout(10):
            message = await self._heard.get()
        if message["type"] == "websocket.close":
            return {"closed": message["code"]}
        told: dict[str, Any] = json.loads(message["text"])
        return told

    async def ask(self, **told: Any) -> dict[str, Any]:
        await self.say(**told)
        return await self.hear()

    async def leave(self) -> None:
        await self._said.put({"type": "websocket.disconnect", "code": 1000})
        assert self.task is not None
        async with asyncio.timeout(10):
            await self.task

    @property
    def is_silent(self) -> bool:
        return self._heard.empty()

    async def _send(self, message: Any) -> None:
        await self.may_read.wait()
        if message["type"] != "websocket.accept":
            await self._heard.put(message)


@asynccontextmanager
async def socket_into(
    app: FastAPI,
    token: str | None = None,
    *,
    bearer: str | None = None,
    path: str = "/ws",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Socket]:
    sent = [(b"authorization", f"Bearer {bearer}".encode())] if bearer else []
    sent += [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    socket = Socket(app, f"token={token}" if token else "", sent, path)
    socket.open()
    try:
        yield socket
    finally:
        socket.may_read.set()
        await socket.leave()
