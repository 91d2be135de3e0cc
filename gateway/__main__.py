"""``python -m gateway``: the gateway's process, its composition root.

It ends with 0 on SIGTERM, 1 when it cannot listen or the bus is lost for good
(a supervisor starts it again), 2 on wrong settings.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from importlib.metadata import version

import structlog
import uvloop

from functions.contract.environment import SettingsError
from functions.contract.logs import configure
from functions.contract.memory import settle_memory
from functions.contract.notify import Starter
from gateway.app import create_app, settings_of_environment
from gateway.connection import Connection
from gateway.encryption import Encryption
from gateway.server import Server, listen
from gateway.serverless import Events
from gateway.service import GatewayService
from gateway.settings import Settings

log = structlog.get_logger("gateway")


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    try:
        settings = settings_of_environment()
    except SettingsError as problem:
        sys.exit(_complain(str(problem), status=2))
    configure(settings.log_level, settings.log_format, os.environ.get("JOURNAL_STREAM"))
    logging.basicConfig(handlers=[_Forwarding()], level=logging.ERROR)
    try:
        encryption = None if settings.tls is None else Encryption(settings.tls)
    except (OSError, ValueError) as problem:
        text = f"HUB_HTTP_CERTIFICATE_FILE and HUB_HTTP_KEY_FILE are no certificate with its key: {problem}"
        sys.exit(_complain(text, status=2))
    try:
        listener = listen(settings.host, settings.port)
    except OSError as problem:
        sys.exit(_complain(f"cannot listen on {settings.host}:{settings.port}: {problem}", status=1))
    sys.exit(uvloop.run(Process(settings, listener, Starter(os.environ), encryption).run()))


class Process:
    """The HTTP server and, beside it, the gateway's service on the bus."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        starter: Starter,
        encryption: Encryption | None = None,
    ) -> None:
        self._listener = listener
        self._starter = starter
        self._encryption = encryption
        self._stop = asyncio.Event()
        self._status = 0
        self._connection = Connection(settings, self._bus_closed)
        self._app = create_app(settings, self._connection)
        self._server = Server(
            self._app,
            settings.bounds,
            proxies=settings.proxies,
            context=None if encryption is None else encryption.context,
        )
        self._service: GatewayService | None = None

    async def run(self) -> int:
        """Serve until a signal, or until it cannot go on; gives the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        serving = asyncio.create_task(self._server.serve([self._listener]))
        announcing = asyncio.create_task(self._announce())
        following = None if self._encryption is None else asyncio.create_task(self._encryption.follow())
        serving.add_done_callback(self._server_ended)
        announcing.add_done_callback(self._announced)
        host, port = self._listener.getsockname()[:2]
        log.info("listening", host=host, port=port, tls=self._encryption is not None)
        await self._stop.wait()
        self._starter.stopping()
        log.info("draining")
        announcing.cancel()
        if following is not None:
            following.cancel()
        self._server.should_exit = True
        await asyncio.gather(serving, announcing, return_exceptions=True)
        if self._service is not None and self._connection.is_connected:
            await self._service.drain()
        await self._app.state.gateway.attempts.end()
        await self._connection.close()
        return self._status

    async def _announce(self) -> None:
        """Be found on the bus, once it is there: HTTP is answered already."""
        client = await self._connection.open()
        service = GatewayService(client, Events(self._app), version=version("devicehub"), stats=self._stats)
        await service.start()
        self._service = service
        settle_memory()
        self._starter.ready()
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


class _Forwarding(logging.Handler):
    """Errors of the libraries, as events of our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        log.error("library", name=record.name, message=record.getMessage(), exc_info=record.exc_info)


def _complain(text: str, *, status: int) -> int:
    print(f"gateway: {text}", file=sys.stderr)  # noqa: T201
    return status


if __name__ == "__main__":
    main()
