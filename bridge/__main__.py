"""``python -m bridge [--lane control] [--lane telemetry]``: the MQTT bridge's process, its composition root.

The only place of this part that names ``os.environ``. It ends with 0 on
SIGTERM, 1 when the bus is lost for good or something unforeseen happens (a
supervisor starts it again), 2 on wrong settings.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import orjson
import structlog
import uvloop
from nats.aio.client import Client
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from bridge.broker.alarms import Alarms
from bridge.broker.keeper import Keeper
from bridge.broker.mosquitto import Files, Mosquitto
from bridge.broker.sessions import Sessions
from bridge.broker.sockets import peers
from bridge.mqtt.delivery import Deliveries
from bridge.mqtt.heard import Heard
from bridge.mqtt.lanes import Lane, Login
from bridge.mqtt.topics import Lane as Name
from bridge.settings import Settings
from functions.contract import bus
from functions.contract.environment import SettingsError
from functions.contract.logs import configure
from functions.contract.memory import settle_memory
from functions.contract.messages import BridgeEpoch, BridgeName
from functions.contract.notify import Starter
from functions.contract.subjects import subject
from functions.domain.callers import SYSTEM, Caller
from functions.domain.faults import Unavailable

_SELF = Caller(SYSTEM, "bridge")
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 5.0

T = TypeVar("T")

log = structlog.get_logger("bridge")


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m bridge", description="Carries MQTT to the bus and back.")
    parser.add_argument("--lane", action="append", choices=list(Name), type=Name, help="default: all of them")
    names = tuple(dict.fromkeys(parser.parse_args().lane or Name))
    try:
        settings = Settings.from_env(os.environ, names)
    except SettingsError as problem:
        print(f"bridge: {problem}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    configure(settings.log_level, settings.log_format, os.environ.get("JOURNAL_STREAM"))
    sys.exit(uvloop.run(_run(settings, names)))


async def _run(settings: Settings, names: Collection[Name]) -> int:
    return await Process(settings, names, Starter(os.environ)).run()


class Process:
    """The lanes of this process and, beside the control lane, the broker's keeper."""

    def __init__(self, settings: Settings, names: Collection[Name], starter: Starter) -> None:
        self._settings = settings
        self._starter = starter
        self._names = names
        self._lanes: list[Lane] = []
        self._keeper: Keeper | None = None
        self._admin: Mosquitto | None = None
        self._heard = Heard(settings.broker)
        self._client: Client | None = None
        self._stop = asyncio.Event()
        self._status = 0
        self._bus_problem = ""

    async def run(self) -> int:
        """Work until a signal, or until it cannot go on; gives the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.set_exception_handler(lambda _loop, context: self._fail(context))
        work = asyncio.create_task(self._work())
        work.add_done_callback(self._ended)
        await self._stop.wait()
        self._starter.stopping()
        if self._status == 0:
            log.info("draining")
            await asyncio.gather(*(lane.stop() for lane in self._lanes))
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await self._close()
        return self._status

    async def _work(self) -> None:
        client = self._client = await _until_there("bus", self._connect)
        functions = bus.Bus(client)
        for name in self._names:
            self._lanes.append(await self._make_lane(name, functions))
        settle_memory()
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes:
                if lane.name is Name.CONTROL:
                    self._keeper = self._make_keeper(lane, functions)
                    lane.listen(self._keeper)
                    await Deliveries(lane.session, self._settings.prefixes, lane.counters).start(functions)
                    tasks.create_task(self._keeper.run())
                tasks.create_task(lane.run())
            tasks.create_task(self._heard.tell(functions, self._reads_log))
            tasks.create_task(self._announce(client))

    def _reads_log(self) -> bool | None:
        """Whether the keeper knows who is connected; None where it runs in another process, or has not begun."""
        if self._admin is None or self._keeper is None or not self._keeper.ready.is_set():
            return None
        return self._admin.log_is_there

    async def _connect(self) -> Client:
        return await bus.connect(
            self._settings.nats_url,
            user="bridge",
            password=self._settings.nats_password,
            closed=self._bus_closed,
            disconnected=self._bus_away,
            reconnected=self._bus_back,
            failed=self._bus_failed,
        )

    async def _make_lane(self, name: Name, functions: bus.Bus) -> Lane:
        """A lane whose orders are of an epoch of its own, asked for before anything is taken in."""
        settings = self._settings
        bridge = f"{settings.broker}-{name}"
        start, body = subject("broker", "bridges", "start"), BridgeName(bridge=bridge)
        epoch = await _until_there("functions", partial(functions.call, start, body, BridgeEpoch, caller=_SELF))
        login = Login(settings.address, settings.client_ids[name], settings.user, settings.password)
        lane = Lane(name, login, settings.prefixes, functions, order=f"{bridge}/{epoch.epoch}/", heard=self._heard.note)
        if not functions.is_connected:
            lane.queues.hold("bus")
        return lane

    def _make_keeper(self, lane: Lane, functions: bus.Bus) -> Keeper:
        settings = self._settings
        sessions, alarms = Sessions(settings.broker), Alarms(functions)
        admin = self._admin = Mosquitto(
            lane.session,
            sessions,
            prefixes=settings.prefixes,
            files=Files(settings.crl_file, settings.pid_file, settings.broker_log, settings.server_files),
            lanes=self._lanes,
            alarms=alarms,
        )
        here = partial(peers, settings.mqtt_port)
        return Keeper(
            admin,
            sessions,
            lane.session,
            lane,
            functions,
            own=settings.user,
            alarms=alarms,
            peers=here,
        )

    # --- for operators ----------------------------------------------------------

    async def _announce(self, client: Client) -> None:
        """Serve the counters, and so be found by ``$SRV.PING``, once devices can be served."""
        for lane in self._lanes:
            await lane.subscribed.wait()
        if self._keeper is not None:
            await self._keeper.ready.wait()
        service = Service(
            client,
            ServiceConfig(name="bridge", version=version("devicehub"), stats_handler=lambda _: self._to_json()),
        )
        await service.start()
        name = subject("bridge", self._settings.broker, "counters")
        await service.add_endpoint(EndpointConfig(name="counters", subject=name, handler=self._count))
        self._starter.ready()
        log.info("ready", lanes=[lane.name for lane in self._lanes])

    async def _count(self, request: Request) -> None:
        await request.respond(orjson.dumps(self._to_json()))

    def _to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"broker": self._settings.broker}
        told["lanes"] = {
            str(lane.name): {"connected": lane.subscribed.is_set(), **lane.counters.to_json()} for lane in self._lanes
        }
        if self._keeper is not None:
            told["keeper"] = self._keeper.to_json()
        return told

    # --- when something ends ----------------------------------------------------

    async def _bus_away(self) -> None:
        log.warning("bus lost")
        for lane in self._lanes:
            lane.queues.hold("bus")

    async def _bus_back(self) -> None:
        log.info("bus is back")
        self._bus_problem = ""
        for lane in self._lanes:
            lane.queues.release("bus")
        if self._keeper is not None:
            self._keeper.hub_is_back()

    async def _bus_closed(self) -> None:
        if not self._stop.is_set():
            self._fail({"message": "the bus has closed the connection for good"})

    async def _bus_failed(self, problem: Exception) -> None:
        # The client tries five times a second; the same failure is told once in an outage.
        told = repr(problem)
        if told != self._bus_problem:
            log.warning("bus", problem=told)
        self._bus_problem = told

    def _ended(self, work: asyncio.Task[None]) -> None:
        if not work.cancelled() and not self._stop.is_set():
            self._fail({"message": "the work has ended", "exception": work.exception()})

    def _fail(self, context: dict[str, Any]) -> None:
        problem = context.get("exception")
        log.error("bridge fails", message=context["message"], exc_info=problem)
        self._status = 1
        self._stop.set()

    async def _close(self) -> None:
        for lane in self._lanes:
            await lane.session.close()
        if self._client is not None:
            await bus.leave(self._client)


async def _until_there(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until it is there: parts may start in any order."""
    delay = _FIRST_DELAY
    while True:
        try:
            return await attempt()
        except Unavailable as problem:
            log.warning("waiting", what=what, problem=str(problem), seconds=delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, _LONGEST_DELAY)


if __name__ == "__main__":
    main()
