"""HTTP on a connection: uvicorn's protocol, with the bounds that it leaves open.

Uvicorn's httptools protocol takes headers of any size, waits for a request
for ever, and tells of broken ones in plain text.
"""

from asyncio import TimerHandle, Transport
from collections.abc import Collection
from secrets import token_hex
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from functions.domain.faults import Fault, Malformed, Unavailable
from gateway.problems import REQUEST_ID, problem
from gateway.settings import Bounds


class Protocol(HttpToolsProtocol):
    """A connection that holds to ``bounds``; a subclass says which, and whose bodies take as long as they go on."""

    bounds = Bounds()
    streamed: Collection[str] = ()

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._head_bytes = 0
        self._is_in_head = False
        self._is_arriving = False
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Take a connection, if there are not too many."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            self._refuse(Unavailable(detail="The gateway has as many connections as it can. Try again in a moment."))
        else:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and see that a request which begins also ends."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.bounds.head_bytes:
                text = f"The headers are over {self.bounds.head_bytes} bytes."
                self._refuse(Malformed(detail=text), status=431)
                return
        if not self._is_arriving:
            self._disarm()
        elif self._timer is None:
            self._arm()
        elif not self._is_in_head and self.scope["path"] in self.streamed:
            # It may take as long as it takes, as long as it goes on.
            self._disarm()
            self._arm()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection on: a WebSocket stays open for as long as it likes."""
        self._disarm()
        self._is_arriving = False
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        super().on_message_begin()
        self._is_in_head = self._is_arriving = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Note that its headers are there."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that all of it is there."""
        self._is_arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(Malformed(detail="This is no HTTP/1.1 request that can be read."))

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.bounds.request_seconds, self._be_late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _be_late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if not self._is_in_head and self.flow.read_paused and self.scope["path"] in self.streamed:
            # It is the gateway that lets the client wait.
            self._arm()
            return
        # What is being answered has its own bounds, and its answer would be cut.
        if self._is_in_head:
            self._refuse(Malformed(detail=f"The request did not come within {self.bounds.request_seconds:g} s."), 408)
        else:
            self.transport.close()

    def _refuse(self, fault: Fault, status: int | None = None) -> None:
        """Answer without the app, and close."""
        request_id = token_hex(8)
        page = problem({"type": "http", REQUEST_ID: request_id}, fault, status=status)
        page.headers["x-request-id"] = request_id
        page.headers["connection"] = "close"
        headers = [*self.server_state.default_headers, *page.raw_headers]
        lines = [b"%s: %s\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[page.status_code], *lines, b"\r\n", bytes(page.body)]))
        self.transport.close()
