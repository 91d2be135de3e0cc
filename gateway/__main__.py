"""``python -m gateway``: the gateway's process, its composition root.

It ends with 0 on SIGTERM, 1 when it cannot listen or the bus is lost for good
(a supervisor starts it again), 2 on wrong settings.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import structlog
import uvicorn
import uvloop

from functions.contract.environment import SettingsError
from functions.contract.logs import configure
from gateway.app import create_app, settings_of_environment
from gateway.connection import Connection
from gateway.protocol import Protocol
from gateway.serverless import Events
from gateway.service import GatewayService
from gateway.settings import Settings

_KEEP_ALIVE_SECONDS = 75
_FINISH_SECONDS = 10
_BACKLOG = 1024
# Who may say for whom it asks: a proxy on this machine.
_PROXIES = ["127.0.0.1", "::1"]

log = structlog.get_logger("gateway")


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    try:
        settings = settings_of_environment()
    except SettingsError as problem:
        sys.exit(_complain(str(problem), status=2))
    configure(settings.log_level, settings.log_format)
    logging.basicConfig(handlers=[_Forwarding()], level=logging.ERROR)
    try:
        listener = listen(settings.host, settings.port)
    except OSError as problem:
        sys.exit(_complain(f"cannot listen on {settings.host}:{settings.port}: {problem}", status=1))
    sys.exit(uvloop.run(Process(settings, listener).run()))


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


class Process:
    """The HTTP server and, beside it, the gateway's service on the bus."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._listener = listener
        self._stop = asyncio.Event()
        self._status = 0
        self._connection = Connection(settings, self._bus_closed)
        self._app = create_app(settings, self._connection)
        self._server = _Server(_server_config(self._app, settings))
        self._service: GatewayService | None = None

    async def run(self) -> int:
        """Serve until a signal, or until it cannot go on; gives the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        serving = asyncio.create_task(self._server.serve([self._listener]))
        announcing = asyncio.create_task(self._announce())
        serving.add_done_callback(self._server_ended)
        announcing.add_done_callback(self._announced)
        host, port = self._listener.getsockname()[:2]
        log.info("listening", host=host, port=port)
        await self._stop.wait()
        log.info("draining")
        announcing.cancel()
        self._server.should_exit = True
        await asyncio.gather(serving, announcing, return_exceptions=True)
        if self._service is not None and self._connection.is_connected:
            await self._service.drain()
        await self._connection.close()
        return self._status

    async def _announce(self) -> None:
        """Be found on the bus, once it is there: HTTP is answered already."""
        client = await self._connection.open()
        service = GatewayService(client, Events(self._app), version=version("devicehub"), stats=self._stats)
        await service.start()
        self._service = service
        # What was made until now stays: it need not be looked at again and again.
        gc.collect()
        gc.freeze()
        log.info("ready")

    def _stats(self) -> dict[str, int]:
        state = self._server.server_state
        return {"requests": state.total_requests, "answering": len(state.tasks), "connections": len(state.connections)}

    async def _bus_closed(self) -> None:
        if not self._stop.is_set():
            self._fail("the bus has closed the connection for good", None)

    def _server_ended(self, task: "asyncio.Task[None]") -> None:
        if not self._stop.is_set():
            self._fail("the HTTP server has ended", None if task.cancelled() else task.exception())

    def _announced(self, task: "asyncio.Task[None]") -> None:
        if not self._stop.is_set() and (problem := task.exception()) is not None:
            self._fail("the gateway cannot be found on the bus", problem)

    def _fail(self, what: str, problem: BaseException | None) -> None:
        log.error("gateway fails", message=what, exc_info=problem)
        self._status = 1
        self._stop.set()


class _Server(uvicorn.Server):
    """A server that leaves signals to its process, which has more to end than it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Forwarding(logging.Handler):
    """Errors of the libraries, as events of our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        log.error("library", name=record.name, message=record.getMessage(), exc_info=record.exc_info)


def _server_config(app: object, settings: Settings) -> uvicorn.Config:
    bounded = type("BoundedProtocol", (Protocol,), {"bounds": settings.bounds})
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="none",
        http=bounded,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=_PROXIES,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_FINISH_SECONDS,
    )


def _complain(text: str, *, status: int) -> int:
    print(f"gateway: {text}", file=sys.stderr)  # noqa: T201
    return status


if __name__ == "__main__":
    main()
