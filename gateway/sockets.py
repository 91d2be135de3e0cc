"""A WebSocket on a connection: uvicorn's protocol, which at the end of the process says that it goes away (1001)."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_GOING_AWAY = 1001
_GOODBYE_SECONDS = 2.0


class SocketProtocol(WebSocketsSansIOProtocol):
    """As uvicorn's; it would say 1012 (restart), and hang up without hearing the client's own goodbye."""

    def shutdown(self) -> None:
        """Say goodbye; the connection ends when the client has answered, or a little later."""
        if not self.handshake_complete or self.close_sent or self.disconnected or self.transport.is_closing():
            super().shutdown()
            return
        self.stop_keepalive()
        # The app ends its work with this socket, as if the client had left; what it still sends finds nobody.
        self.disconnected = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": _GOING_AWAY})
        self.conn.send_close(_GOING_AWAY)
        self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_timer = self.loop.call_later(_GOODBYE_SECONDS, self.transport.close)
