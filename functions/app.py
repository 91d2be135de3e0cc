"""The composition root of a function process: settings, connections, hub, routes, and a clean end.

The only place of this part that names ``os.environ``.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version

import structlog
import uvloop
from nats.aio.client import Client

from functions.adapters.audit import JetStreamAudit
from functions.adapters.authority import LocalAuthority
from functions.adapters.clock import SystemClock
from functions.adapters.downlink import NatsDownlink
from functions.adapters.events import NatsEvents
from functions.adapters.hasher import HmacHasher
from functions.adapters.heard import BusHeard
from functions.adapters.hosts import BusHosts
from functions.adapters.index import BucketIndex
from functions.adapters.keeping import FileKeeping
from functions.adapters.keyring import SecretKeyring
from functions.adapters.layout import open_stores
from functions.adapters.passwords import Argon2Passwords
from functions.adapters.projecting import Projector
from functions.adapters.register_index import SqliteRegister
from functions.adapters.roots import UnlockError
from functions.adapters.roster import BucketRoster
from functions.adapters.streams import JetStreamStreams
from functions.adapters.telemetry import SqliteTelemetry
from functions.adapters.trails import SqliteTrails
from functions.adapters.whitelist_index import BucketWhitelist
from functions.chores import start_chores, start_watching
from functions.contract import bus
from functions.contract.environment import SettingsError
from functions.contract.logs import configure
from functions.contract.memory import settle_memory
from functions.contract.notify import Starter
from functions.domain.faults import Fault, Unavailable
from functions.domain.refusals import RefusalSums
from functions.handlers import refusing
from functions.jobs import Jobs
from functions.plugins import PluginError, load_routes
from functions.ports import Hub
from functions.route import Role, Route
from functions.routes import ROUTES
from functions.runtime.attempts import attempt
from functions.runtime.serving import Runtime
from functions.settings import Settings

log = structlog.get_logger("functions")

_LAST_ANSWER_SECONDS = 5.0
_SERVICE_NAMES = {Role.WORKER: "functions", Role.INDEX: "index"}


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit 1 when it cannot start or the bus is lost for good, 2 on wrong settings."""
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as problem:
        sys.exit(_complain(str(problem), status=2))
    configure(settings.log_level, settings.log_format, os.environ.get("JOURNAL_STREAM"))
    settle_memory()
    try:
        lost = uvloop.run(serve(settings, Starter(os.environ)))
    except UnlockError as problem:
        sys.exit(_complain(f"{problem} Name the file of its passphrase in HUB_CA_PASSPHRASE_FILE.", status=2))
    except (Fault, PluginError, OSError, ValueError) as problem:
        sys.exit(_complain(str(problem), status=1))
    sys.exit(1 if lost else 0)


async def serve(settings: Settings, starter: Starter) -> bool:
    """Serve the role's routes until a signal; True if the connection was lost for good instead.

    ``starter`` is told when it serves and when it ends.

    Raises:
        Fault: the bus or its buckets cannot be reached.
        PluginError: an installed package's routes cannot be served.
        ValueError: the certificate authority cannot be used.
    """
    routes = [route for route in load_routes(ROUTES) if route.role is settings.role]
    stop = _until_signalled()
    authority = _open_authority(settings)
    client = await _connect(settings, stop)
    if client is None:
        return False
    index = BucketIndex(client, SystemClock(), settings.query_paths)
    register, whitelist, roster = SqliteRegister(client), BucketWhitelist(client), BucketRoster(client)
    trails, telemetry = SqliteTrails(client, settings.index_dir), SqliteTelemetry(settings.telemetry_dir)
    downlink, heard, hosts = NatsDownlink(client), BusHeard(client), BusHosts(client, SystemClock())
    projector = Projector(client, telemetry, settings.keeping, SystemClock())
    ports = (index, register, whitelist, trails, roster, downlink, heard, telemetry, hosts)
    hub = make_hub(settings, client, authority, *ports)
    if settings.role is Role.INDEX:
        await _start_index(index, whitelist, register, trails)
        await _start_telemetry(telemetry, projector)
    else:
        for one in (roster, downlink, heard, hosts):
            await one.start()
    settle_memory()
    more = {"devices-methods-call": downlink.counts}
    runtime = Runtime(client, hub, routes, name=_SERVICE_NAMES[settings.role], version=version("devicehub"), more=more)
    await runtime.start()
    log.info("serving", role=settings.role, routes=len(routes))
    starter.ready()
    chores, jobs = _begin(hub, routes, settings.role)
    await stop.wait()
    starter.stopping()
    for chore in chores:
        chore.cancel()
    if client.is_closed:
        log.error("the bus closed the connection for good")
        return True
    log.info("draining")
    # Who waits for a device may wait longer than a supervisor does.
    asyncio.get_running_loop().call_later(_LAST_ANSWER_SECONDS, downlink.end)
    if jobs is not None:
        await jobs.stop()
    await _end(runtime, hub, projector, telemetry)
    return False


async def _end(runtime: Runtime, hub: Hub, projector: Projector, telemetry: SqliteTelemetry) -> None:
    """Leave nothing behind that only this process knows."""
    await projector.stop()
    await attempt(refusing.write_rest, hub)
    await runtime.drain()
    await telemetry.close()


def _begin(hub: Hub, routes: Sequence[Route], role: Role) -> tuple[list[asyncio.Task[None]], Jobs | None]:
    """Begin with what a process of a role does of itself."""
    if role is not Role.WORKER:
        return start_watching(hub), None
    jobs = Jobs(hub, routes)
    jobs.start()
    return start_chores(hub), jobs


def _open_authority(settings: Settings) -> LocalAuthority:
    """The CA; the index signs nothing, and a worker reads it now, before anything is connected or served.

    Raises:
        ValueError: it cannot be used.
    """
    keeping = FileKeeping(settings.ca_certificate, settings.ca_key, settings.ca_passphrase)
    authority = LocalAuthority.kept(keeping, SystemClock())
    if settings.role is Role.WORKER:
        authority.read()
    return authority


def _until_signalled() -> asyncio.Event:
    """What is set when the process is told to end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _start_index(
    index: BucketIndex, whitelist: BucketWhitelist, register: SqliteRegister, trails: SqliteTrails
) -> None:
    """Have everything that can be asked follow the storage; what every page needs is there when this returns."""
    for one in (index, whitelist):
        await one.start()
    await asyncio.gather(index.ready(), whitelist.ready())
    # Who asks for these before they are read is told so; nothing else waits for that.
    await register.start()
    await trails.start()


async def _start_telemetry(telemetry: SqliteTelemetry, projector: Projector) -> None:
    try:
        await telemetry.open()
    except Unavailable as fault:
        # What else is asked here does not need it; who asks for telemetry is told.
        log.error(
            "telemetry store cannot be opened", cause=repr(fault.__cause__), mend="put its file aside, and restart"
        )
        return
    await projector.start()


async def _connect(settings: Settings, stop: asyncio.Event) -> Client | None:
    """A connection, or None if told to stop before there was one; ``stop`` is set when it is lost for good."""

    async def closed() -> None:
        stop.set()

    connecting = asyncio.create_task(
        bus.connect(settings.nats_url, user="functions", password=settings.nats_password, closed=closed, failed=_tell)
    )
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if connecting.done():
        return connecting.result()
    connecting.cancel()
    return None


def make_hub(
    settings: Settings,
    client: Client,
    authority: LocalAuthority,
    index: BucketIndex,
    register: SqliteRegister,
    whitelist: BucketWhitelist,
    trails: SqliteTrails,
    roster: BucketRoster,
    downlink: NatsDownlink,
    heard: BusHeard,
    telemetry: SqliteTelemetry,
    hosts: BusHosts,
) -> Hub:
    """The ports made real over one connection."""
    return Hub(
        renewal_grace=settings.renewal_grace,
        session_lifetime=settings.session_lifetime,
        clock=SystemClock(),
        authority=authority,
        hasher=HmacHasher(settings.uuid_key),
        keyring=SecretKeyring(settings.uuid_key),
        passwords=Argon2Passwords(),
        site=settings.site,
        events=NatsEvents(client),
        streams=JetStreamStreams(client),
        downlink=downlink,
        heard=heard,
        audit=JetStreamAudit(client),
        trails=trails,
        refusals=RefusalSums(),
        telemetry=telemetry,
        hosts=hosts,
        index=index,
        register=register,
        whitelist_index=whitelist,
        roster=roster,
        **open_stores(client),
    )


async def _tell(problem: Exception) -> None:
    log.warning("bus", problem=repr(problem))


def _complain(text: str, *, status: int) -> int:
    print(f"functions: {text}", file=sys.stderr)  # noqa: T201
    return status
