"""A nats-server of a test's own: started, killed, frozen and restarted at will."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client

from functions.adapters import layout
from tests.ports import free_port

_START_SECONDS = 10.0

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
        self.port: int = free_port()
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

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It holds its connections and answers nothing meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # The signal is sent, but the server's threads may still be running.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

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


async def restart(server: NatsServer, client: Client) -> None:
    """Restart a server under a client, and wait until the client is back."""
    before = client.stats["reconnects"]
    server.restart()
    async with asyncio.timeout(_START_SECONDS):
        # At first the client does not know that its server is another.
        while client.stats["reconnects"] == before:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await until_connected(client)


async def until_disconnected(client: Client) -> None:
    """Wait until a client has seen that its server is gone."""
    async with asyncio.timeout(_START_SECONDS):
        while client.is_connected:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_connected(client: Client) -> None:
    """Wait until a client has found its way back to its server."""
    async with asyncio.timeout(_START_SECONDS):
        # The client's own callbacks were given to it when it was connected.
        while not client.is_connected:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
