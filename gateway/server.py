"""The HTTP server: uvicorn with our bounds, and without its hold on signals and logs."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from gateway.protocol import Protocol
from gateway.routes import transfer
from gateway.settings import THIS_MACHINE, Bounds
from gateway.sockets import SocketProtocol

_KEEP_ALIVE_SECONDS = 75
# Longer than any call of a function takes.
_FINISH_SECONDS = 10
_BACKLOG = 1024
# A WebSocket's client that has not answered for so long is gone.
_PING_SECONDS = 20.0


class Server(uvicorn.Server):
    """Serves an app until ``should_exit`` is set; what is being answered then is finished.

    Args:
        app: what answers.
        bounds: what a connection may do.
        proxies: addresses and networks that may say for whom they ask.
        context: of TLS, where it is spoken.
    """

    def __init__(
        self,
        app: FastAPI,
        bounds: Bounds,
        *,
        proxies: Sequence[str] = THIS_MACHINE,
        context: ssl.SSLContext | None = None,
    ) -> None:
        bounded = type("BoundedProtocol", (Protocol,), {"bounds": bounds, "streamed": (transfer.IMPORT,)})
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http=bounded,
                ws=SocketProtocol,
                ws_max_size=bounds.frame_bytes,
                ws_ping_interval=_PING_SECONDS,
                ws_ping_timeout=_PING_SECONDS,
                # Frames are small, and the same frame goes to many.
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=True,
                forwarded_allow_ips=list(proxies),
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_FINISH_SECONDS,
                ssl_context_factory=None if context is None else lambda *_: context,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process, which has more to end than this."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections.

    Raises:
        OSError: the address is in use, or not this host's.
    """
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
