"""The least HTTP/1.1 client that a load needs: over connections that are kept, one request at a time on each."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

from tests.bench.measure import Tally

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


class _Asking(asyncio.Protocol):
    """One connection that asks for the next thing when it has the last."""

    def __init__(self, paths: Callable[[], str], token: str, tally: Tally, body: Callable[[], bytes] | None) -> None:
        self._paths = paths
        self._body = body
        self._head = f"Host: hub\r\nAuthorization: Bearer {token}\r\n".encode()
        self._tally = tally
        self._data = b""
        self._size = 0
        self._began = 0.0
        self._transport: asyncio.Transport | None = None
        self.is_closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one without being a subclass.
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        if not self._size:
            head, end, _ = self._data.partition(_HEAD_END)
            if not end:
                return
            at = head.lower().index(_LENGTH) + len(_LENGTH)
            self._size = len(head) + len(end) + int(head[at:].partition(b"\r\n")[0])
        if len(self._data) < self._size:
            return
        if self._data.startswith(b"HTTP/1.1 200 "):
            self._tally.done(self._began)
        else:
            self._tally.failed(self._data.partition(b"\r\n")[0].decode())
        self._data, self._size = b"", 0
        if not self.is_closing:
            self._ask()

    def connection_lost(self, problem: Exception | None) -> None:
        if not self.is_closing:
            self._tally.failed(f"connection lost: {problem}")

    def close(self) -> None:
        self.is_closing = True
        if self._transport is not None:
            self._transport.close()

    def _ask(self) -> None:
        assert self._transport is not None
        self._began = time.perf_counter()
        path = self._paths().encode()
        if self._body is None:
            self._transport.write(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, self._head))
        else:
            body = self._body()
            self._transport.write(
                b"PATCH %b HTTP/1.1\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (path, self._head, len(body), body)
            )


@asynccontextmanager
async def asking(
    port: int,
    paths: Callable[[], str],
    token: str,
    tally: Tally,
    *,
    at_once: int,
    body: Callable[[], bytes] | None = None,
) -> AsyncIterator[None]:
    """Requests for one path after the other, over so many connections: GET, or PATCH with what ``body`` gives."""
    loop = asyncio.get_running_loop()
    made: Sequence[tuple[asyncio.BaseTransport, _Asking]] = [
        await loop.create_connection(lambda: _Asking(paths, token, tally, body), "127.0.0.1", port)
        for _ in range(at_once)
    ]
    try:
        yield
    finally:
        for _, asking in made:
            asking.close()


async def get(port: int, path: str, token: str) -> tuple[str, bytes]:
    """One request; head and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()
        )
        head, _, body = (await reader.read()).partition(_HEAD_END)
    finally:
        writer.close()
    return head.decode(), body
