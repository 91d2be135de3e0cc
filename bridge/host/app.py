"""The host shim's process, its composition root: what it can be asked and what it does of itself stand in ``_work``."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

import structlog
import uvloop
from nats.aio.client import Client

from bridge.host.announcing import Announcer
from bridge.host.asks import Desk
from bridge.host.journal.asking import Logs
from bridge.host.journal.files import LogFiles
from bridge.host.journal.journalctl import Journalctl
from bridge.host.journal.leases import Leases
from bridge.host.journal.port import Journal
from bridge.host.metrics.metering import Metering
from bridge.host.ports import Services
from bridge.host.settings import Settings
from bridge.host.supervisord import Supervised
from bridge.host.units import Units
from functions.contract import bus
from functions.contract.environment import SettingsError
from functions.contract.logs import configure
from functions.contract.memory import settle_memory
from functions.contract.notify import Starter

log = structlog.get_logger("host")


def main() -> None:
    """Run until SIGTERM or SIGINT.

    It ends with 0 then, with 1 when the bus is lost for good or something
    unforeseen happens (a supervisor starts it again), with 2 on wrong settings.
    """
    try:
        settings = Settings.from_env(os.environ)
        services = open_services(settings)
    except SettingsError as problem:
        print(f"host: {problem}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    configure(settings.log_level, settings.log_format, os.environ.get("JOURNAL_STREAM"))
    sys.exit(uvloop.run(Process(settings, services, Starter(os.environ)).run()))


def open_services(settings: Settings) -> Services:
    """Who looks after the units of this host.

    Raises:
        SettingsError: what is needed for that is not installed.
    """
    if settings.source == "supervisor":
        return Supervised(settings.supervisor_socket)
    # Only here: a host without systemd need not have pydbus.
    try:
        from bridge.host.systemd import Systemd
    except ImportError as problem:
        raise SettingsError(
            f"HUB_HOST_SOURCE is systemd, which is reached with pydbus and PyGObject, and one is missing: {problem}."
            " Install the hub's extra 'host' and the system's python3-gi, and link 'gi' into the hub's environment."
        ) from problem

    return Systemd()


def open_journal(settings: Settings) -> Journal:
    """Where the units of this host write."""
    if settings.source == "supervisor":
        return LogFiles(lambda unit: settings.logs / f"{unit}.log")
    return Journalctl()


async def _processes(services: Services, names: Sequence[str]) -> dict[str, int]:
    """The main processes of the services that run, by unit."""
    return {unit.name: unit.pid for unit in await services.list(names) if unit.pid}


async def _offer(functions: bus.Bus, told: str) -> None:
    """Have programs of this machine reach the hub over D-Bus, where GLib's bindings are installed."""
    try:
        # Not a part of the hub's environment: it is the machine's own, linked in.
        from bridge.host.local.publishing import LocalInterface
    except ImportError as problem:
        log.error(
            "local interface cannot be offered", problem=str(problem), mend="install python3-gi and gir1.2-glib-2.0"
        )
        return
    await LocalInterface(functions, told).run()


class Process:
    """One shim."""

    def __init__(self, settings: Settings, services: Services, starter: Starter) -> None:
        self._starter = starter
        self._settings = settings
        self._services = services
        self._stop = asyncio.Event()
        self._status = 0
        self._leaving = False
        self._problem = ""

    async def run(self) -> int:
        """Work until a signal, or until it cannot go on; gives the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        work = asyncio.create_task(self._work())
        work.add_done_callback(self._ended)
        await self._stop.wait()
        self._starter.stopping()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return self._status

    async def _work(self) -> None:
        settings, told = self._settings, version("devicehub")
        client = await bus.connect(
            settings.nats_url,
            user="host",
            password=settings.nats_password,
            closed=self._closed,
            failed=self._failed,
        )
        functions = bus.Bus(client)
        services = self._services
        units = Units(services, settings.allowed, node=settings.node, version=told)
        announcer = Announcer(functions, units, services, settings.node)
        journal = open_journal(settings)
        logs = Logs(journal, Leases(journal, functions, settings.node), settings.allowed, settings.node)
        metering = Metering(functions, settings.node, partial(_processes, services, settings.allowed.units))
        desk = Desk(client, settings.node, told, (*units.asks(), *logs.asks(), *metering.asks()))
        try:
            await desk.start()
            settle_memory()
            self._starter.ready()
            log.info("ready", node=settings.node, source=settings.source, units=len(settings.allowed.units))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(announcer.run())
                tasks.create_task(metering.run())
                if settings.offers_dbus:
                    tasks.create_task(_offer(functions, told))
        finally:
            await logs.close()
            await self._leave(client, desk, announcer, services)

    async def _leave(self, client: Client, desk: Desk, announcer: Announcer, services: Services) -> None:
        self._leaving = True
        if not client.is_closed:
            await announcer.leave()
            await desk.finish()
            await bus.leave(client)
        await services.close()

    async def _closed(self) -> None:
        if not self._leaving:
            log.error("the bus closed the connection for good")
            self._status = 1
            self._stop.set()

    async def _failed(self, problem: Exception) -> None:
        # The client tries five times a second; the same failure is told once in an outage.
        told = repr(problem)
        if told != self._problem:
            log.warning("bus", problem=told)
        self._problem = told

    def _ended(self, work: asyncio.Task[None]) -> None:
        if not work.cancelled() and not self._stop.is_set():
            log.error("host shim fails", exc_info=work.exception())
            self._status = 1
            self._stop.set()
