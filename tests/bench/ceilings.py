"""What broker, bus, storage and cryptography do bare, on the same machine in the same minutes.

The broker is a second one with the hub's own configuration, so that nothing
of the hub hears it; the NATS server is the hub's. What answers is a process
of its own, as the bridge and the functions are.
"""

import asyncio
import os
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from nats.js.api import KeyValueConfig, StorageType
from pydantic_core import from_json

from infra.settings import Address
from infra.stack.mosquitto import BRIDGE_USER, render, render_acl
from infra.stack.paths import Paths
from infra.stack.programs import find_programs
from tests.bench.loads import asking
from tests.bench.measure import Tally
from tests.bench.mqtt import Refused, Session, Where
from tests.bench.stage import Device, Stage
from tests.ports import free_port

BUCKETS = 8
_START_SECONDS = 10.0
# What a half of a twin takes in its bucket, about.
_VALUE = b"x" * 400


@dataclass(frozen=True)
class Broker:
    """A bare broker: where devices reach it, and where a plain client does."""

    devices: Where
    plain: Where
    password: str


@asynccontextmanager
async def broker(stage: Stage) -> AsyncIterator[Broker]:
    """A broker with the configuration, certificates and users of the hub's."""
    # The socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="bare-") as run:
        own = Paths(stage.hub.data / "bare", Path(run))
        address = _prepare(stage, own)
        program = find_programs(embedded_nats=True).mosquitto
        with (own.broker / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(program), "-c", str(own.broker_config), stdout=log, stderr=log
            )
        try:
            await _until_listening(address, process)
            password = stage.paths.secret("broker-bridge").read_text().strip()
            with _also(stage, "bare broker", process.pid):
                yield Broker(Where(port=address.port), Where(path=str(own.broker_socket)), password)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _prepare(stage: Stage, own: Paths) -> Address:
    """Write what the bare broker needs; where it will listen."""
    own.broker.mkdir(parents=True, exist_ok=True)
    address = Address("127.0.0.1", free_port())
    files = {
        name: (stage.paths.broker / name).read_text()
        for name in ("server.pem", "ca.crt", "crl.pem", "passwd", "dynsec.json")
    }
    plugin = find_programs(embedded_nats=True).plugin
    files["mosquitto.conf"] = render(own, listen=address, plugin=plugin, runs_as_root=os.geteuid() == 0)
    everyone = "pattern readwrite bare/%u/#\n"
    acl = render_acl(["$devicehub"]).replace(f"user {BRIDGE_USER}\n", f"user {BRIDGE_USER}\ntopic readwrite bare/#\n")
    files["acl"] = acl + everyone
    for name, text in files.items():
        (own.broker / name).write_text(text)
        (own.broker / name).chmod(0o600)
    return address


@asynccontextmanager
async def broker_echo(stage: Stage, bare: Broker, devices: Sequence[Device], tally: Tally) -> AsyncIterator[None]:
    """From publishing to the answer of a plain client on the unix socket: the way of a twin update, and no hub."""
    asked = asking(bare.devices, devices, tally, topic="bare/{}/ask", answers=["bare/{}/answer"])
    async with _answering(stage, "broker", bare.plain.path, bare.password), asked:
        yield


@asynccontextmanager
async def bus_echo(stage: Stage, tally: Tally, *, at_once: int) -> AsyncIterator[None]:
    """NATS requests that another process answers with what they hold."""

    async def ask(_number: int) -> None:
        began = time.perf_counter()
        await stage.admin.request("bare.echo", _VALUE, timeout=5)
        tally.done(began)

    password = stage.paths.nats_password("admin").read_text().strip()
    async with _answering(stage, "bus", f"nats://127.0.0.1:{stage.hub.nats_port}", password), loops(ask, at_once):
        yield


@asynccontextmanager
async def durable_puts(stage: Stage, tally: Tally, *, at_once: int) -> AsyncIterator[None]:
    """Compare-and-swap puts, each at its own key, over several buckets of the hub's NATS server."""
    context = stage.admin.jetstream()
    for number in range(BUCKETS):
        config = KeyValueConfig(bucket=f"bare-{number}", history=64, storage=StorageType.FILE)
        await context.create_key_value(config)
    revisions = [0] * at_once

    async def put(number: int) -> None:
        began = time.perf_counter()
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revisions[number])}
        subject = f"$KV.bare-{number % BUCKETS}.key-{number}"
        reply = await stage.admin.request(subject, _VALUE, timeout=5, headers=headers)
        revisions[number] = from_json(reply.data)["seq"]
        tally.done(began)

    try:
        async with loops(put, at_once):
            yield
    finally:
        for number in range(BUCKETS):
            await context.delete_key_value(f"bare-{number}")


@asynccontextmanager
async def connects(claim: ssl.SSLContext, bare: Broker, tally: Tally, *, at_once: int) -> AsyncIterator[None]:
    """Mutual TLS handshake, CONNECT, CONNACK, goodbye."""

    async def connect(number: int) -> None:
        began = time.perf_counter()
        try:
            session = await Session.open(bare.devices, f"bare-{number}", claim)
            await session.close()
            tally.done(began)
        except (Refused, OSError, TimeoutError) as problem:
            tally.failed(str(problem) or type(problem).__name__)

    async with loops(connect, at_once):
        yield


def signatures(seconds: float) -> float:
    """P-256 signatures a second on one core."""
    key = ec.generate_private_key(ec.SECP256R1())
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        key.sign(_VALUE, ec.ECDSA(hashes.SHA256()))
        number += 1
    return number / (time.perf_counter() - began)


@asynccontextmanager
async def _answering(stage: Stage, kind: str, where: str, password: str) -> AsyncIterator[None]:
    """The process that answers, ready."""
    command = [sys.executable, "-m", "tests.bench.echo", kind, where]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(password.encode() + b"\n")
    try:
        async with asyncio.timeout(_START_SECONDS):
            told = await process.stdout.readline()
        assert told == b"ready\n", f"the {kind} echo did not start"
        with _also(stage, "echo", process.pid):
            yield
    finally:
        process.stdin.close()
        await process.wait()


@contextmanager
def _also(stage: Stage, name: str, pid: int) -> Iterator[None]:
    """Count one more process's time."""
    stage.extra[name] = [psutil.Process(pid)]
    try:
        yield
    finally:
        del stage.extra[name]


@asynccontextmanager
async def loops(work: Callable[[int], Coroutine[None, None, None]], at_once: int) -> AsyncIterator[None]:
    """Do the work again and again, so many times at once; each is told its number."""
    running = True

    async def repeat(number: int) -> None:
        # A flag besides the cancellation, which ``asyncio.wait_for`` of Python 3.11 loses when the
        # answer comes in the same turn of the loop.
        while running:
            await work(number)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(repeat(number)) for number in range(at_once)]
        try:
            yield
        finally:
            running = False
            for task in tasks:
                task.cancel()


async def _until_listening(address: Address, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"the bare broker ended by itself with {process.returncode}")
            try:
                _, writer = await asyncio.open_connection(address.host, address.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
