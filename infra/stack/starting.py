"""Starting a planned stack and waiting until all of it is ready, or saying which part is not and why."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from nats.aio.client import Client

from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import BUCKETS
from functions.adapters.preparing import LayoutError, prepare
from functions.domain.certificates import Certificate
from functions.domain.credentials import Credentials
from functions.domain.faults import Conflict, Unavailable
from infra.problem import Problem
from infra.settings import Address
from infra.stack import integrations, interrupts, leftovers, readiness, sockets
from infra.stack.certificates import server_entry
from infra.stack.paths import Paths
from infra.stack.plan import Plan
from infra.stack.preflight import listens, port_problems
from infra.stack.supervision import NotRunning, Process, Supervisor, is_alive, launch

READY_SECONDS = 60.0

_EVERY_SECONDS = 0.05
_TAIL_LINES = 15
_STOP_SECONDS = 120.0


async def bring_up(
    plan: Plan, environ: Mapping[str, str], wrapper: tuple[str, ...], *, within: float = READY_SECONDS
) -> "subprocess.Popen[bytes]":
    """Start everything; returns when all of it is ready.

    Args:
        plan: applied already.
        environ: of the caller.
        wrapper: a command that binds the supervisor's life to the caller's, or nothing.
        within: seconds that it may take.

    Raises:
        Problem: a part did not become ready; nothing is left running.
        KeyboardInterrupt: a signal asked to stop; nothing is left running.
    """
    with interrupts.heard() as asked:
        watch = _Watch(plan, environ, wrapper)
        starting = asyncio.create_task(_start(plan, watch))
        try:
            await asyncio.wait((starting, asked), timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                raise KeyboardInterrupt
            if not starting.done():
                raise watch.problem(watch.waiting_for, f"was not ready after {within:.0f} s")
            starting.result()
        except BaseException:
            # Whatever it was waiting for, it does not come any more.
            end(plan.paths, watch.process)
            await _give_up(starting)
            raise
    return watch.process


def end(paths: Paths, process: "subprocess.Popen[bytes]") -> None:
    """Stop a supervisor that this process started, and everything under it; returns when all have ended."""
    supervisor = Supervisor(paths)
    try:
        supervisor.stop()
    except NotRunning:
        process.terminate()
    if not _wait(supervisor, lambda: process.poll() is not None):
        process.kill()
        process.wait()
    leftovers.end(leftovers.find(paths.data))
    sockets.clear(paths)


def stop(paths: Paths) -> bool:
    """Stop a hub that any process started; returns when all has ended, and whether there was anything to stop."""
    supervisor = Supervisor(paths)
    try:
        pid = supervisor.stop()
    except NotRunning:
        pid = 0
    if pid:
        _wait(supervisor, lambda: not is_alive(pid))
    left = leftovers.find(paths.data)
    leftovers.end(left)
    sockets.clear(paths)
    return bool(pid or left)


def _wait(supervisor: Supervisor, is_over: Callable[[], bool]) -> bool:
    """Wait until a supervisor has ended; whether it has.

    It looks once a second whether the process it is waiting for has ended,
    and at once whenever it is spoken to.
    """
    deadline = time.monotonic() + _STOP_SECONDS
    while not is_over():
        if time.monotonic() > deadline:
            return False
        supervisor.poke()
        time.sleep(_EVERY_SECONDS)
    return True


async def _give_up(task: "asyncio.Task[None]") -> None:
    """Cancel a task until it has ended: a cancellation that meets an answer is lost to it."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_EVERY_SECONDS)
    await asyncio.gather(task, return_exceptions=True)


async def _start(plan: Plan, watch: "_Watch") -> None:
    node, paths = plan.node, plan.paths
    nats = readiness.nats_address(node.nats_url)
    broker = Address.parse(node.mqtt_listen).reach
    context = readiness.broker_context(paths.broker_trust)
    while not (await readiness.accepts(nats) and watch.has_its_port("nats")):
        await watch.pause("nats")
    password = _read_secret(paths.nats_password("admin"))
    mend = f"A server of your own needs the accounts and users that stand in {paths.nats_config}."
    async with readiness.bus_connection(node.nats_url, "admin", password, mend=mend) as client:
        try:
            await prepare(client)
            await _register_server(client, paths)
            if any(server.name == "nats" for server in plan.servers):
                await _admit_integrations(client, paths)
        except (LayoutError, Unavailable) as problem:
            raise watch.problem("nats", f"cannot keep the hub's data: {problem}") from problem
        while not await readiness.accepts(broker, context):
            await watch.pause("mosquitto")
        for part in plan.parts:
            watch.supervisor.start(part.name)
        wanted = {part.name: part.processes for part in plan.parts}
        while late := await _late(client, wanted):
            await watch.pause(late)


async def _register_server(client: Client, paths: Paths) -> None:
    """Have the register know the broker's certificate, which was signed before there was anyone to tell.

    At each start, so that one cut short in between is made up for.
    """
    bucket = BUCKETS["certificates"]
    store: JetStreamStore[Certificate] = JetStreamStore(client, bucket.names, bucket.codec())
    ca = x509.load_pem_x509_certificate(paths.ca_certificate.read_bytes())
    issuer = ca.fingerprint(hashes.SHA256()).hex()
    entry = server_entry(paths.broker_server.read_text(encoding="ascii"), issuer)
    with suppress(Conflict):
        await store.create(entry.serial, entry)


async def _admit_integrations(client: Client, paths: Paths) -> None:
    """Have the server admit the programs whose credentials are good now, with what this version opens to them."""
    bucket = BUCKETS["credentials"]
    store: JetStreamStore[Credentials] = JetStreamStore(client, bucket.names, bucket.codec())
    kept = {key: entry.value async for key, entry in store.entries()}
    if kept:
        await integrations.settle(paths, kept)


async def _late(client: Client, wanted: Mapping[str, int]) -> str:
    """The first part that does not answer with as many processes as it should; empty when all do."""
    found = await readiness.answering(client, wanted)
    return next((part for part, number in wanted.items() if found[part] < number), "")


def _read_secret(file: Path) -> str:
    return file.read_text(encoding="ascii").strip()


class _Watch:
    """Starts the supervisor, and sees at once when something that it started ends again."""

    def __init__(self, plan: Plan, environ: Mapping[str, str], wrapper: tuple[str, ...]) -> None:
        self.supervisor = Supervisor(plan.paths)
        self.waiting_for = ""
        self._paths = plan.paths
        self._pids: dict[str, int] = {}
        names = ["supervisor", *(server.name for server in plan.servers)]
        names += [name for part in plan.parts for name in part.process_names]
        self._begins = {name: _size(plan.paths.log(name)) for name in names}
        self._ports = dict(_ports(plan))
        self.process = launch(plan.paths, environ, wrapper=wrapper)

    async def pause(self, part: str) -> None:
        """Wait a moment for a part.

        Raises:
            Problem: it, or another, has ended.
        """
        self.waiting_for = part
        self._check()
        await asyncio.sleep(_EVERY_SECONDS)

    def problem(self, part: str, what: str) -> Problem:
        """A part's failure, with the last lines of its log since the start began."""
        logs = [name for name in self._begins if name == part or name.startswith(f"{part}-")]
        lines = [line for name in logs for line in self._said(name)]
        told = "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:]) or "  (it wrote nothing)"
        files = ", ".join(str(self._paths.log(name)) for name in logs)
        return Problem(f"'{part}' {what}. The last lines of its log ({files}):\n{told}", "Everything was stopped.")

    def has_its_port(self, part: str) -> bool:
        """Whether the part itself listens on its port, and not another program; so too where it is not started here."""
        if part not in self._ports:
            return True
        try:
            pids = [one.pid for one in self.supervisor.processes() if one.part == part and one.pid]
        except NotRunning:
            return False
        return any(listens(pid, self._ports[part][1].port) for pid in pids)

    def _check(self) -> None:
        if self.process.poll() is not None:
            raise self.problem("supervisor", f"ended with status {self.process.returncode}")
        try:
            processes = self.supervisor.processes()
        except NotRunning:
            # It has not opened its socket yet; if it never does, the time runs out.
            return
        for one in processes:
            known = self._pids.setdefault(one.name, one.pid) if one.pid else one.pid
            if one.has_failed or known != one.pid:
                raise self._why_not_its_port(one) or self.problem(one.name, _fate(one))

    def _why_not_its_port(self, one: Process) -> Problem | None:
        """What keeps a part from its port: looked at before the start, but others may have taken it since."""
        if one.part not in self._ports or self.has_its_port(one.part):
            return None
        return next(port_problems(*self._ports[one.part]), None)

    def _said(self, name: str) -> Iterable[str]:
        try:
            content = self._paths.log(name).read_bytes()
        except FileNotFoundError:
            return ()
        begin = self._begins[name]
        # Shorter than before: it was rotated, and all of it is new.
        return content[begin if begin <= len(content) else 0 :].decode(errors="replace").splitlines()


def _ports(plan: Plan) -> Iterable[tuple[str, tuple[str, Address]]]:
    """The parts that others connect to, each with the setting of its address and that."""
    if any(server.name == "nats" for server in plan.servers):
        yield "nats", ("HUB_NATS_LISTEN", readiness.nats_address(plan.node.nats_url))
    yield "mosquitto", ("HUB_MQTT_LISTEN", Address.parse(plan.node.mqtt_listen))
    if plan.node.http_listen:
        yield "gateway", ("HUB_HTTP_LISTEN", Address.parse(plan.node.http_listen))


def _fate(process: Process) -> str:
    """What became of a process, in words."""
    if process.error and not process.error.startswith(("Exited too quickly", "Bad exit code")):
        return f"could not be started: {process.error}"
    return "ended while it was starting"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
