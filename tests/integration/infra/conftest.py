"""A planned and applied stack in a directory of its own, and its servers, started without a supervisor."""

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.problem import Problems
from infra.settings import Address, Settings
from infra.stack.paths import Paths
from infra.stack.plan import Plan, apply, make_plan
from infra.stack.programs import Programs, find_programs
from tests.ports import free_port

Planner = Callable[..., Plan]


@pytest.fixture(scope="session")
def programs() -> Programs:
    try:
        return find_programs(embedded_nats=True)
    except Problems as problems:
        pytest.skip(f"this machine cannot run a stack: {problems}")


@pytest.fixture
def plan_for(programs: Programs, tmp_path: Path) -> Planner:
    """Makes, and applies, the plan of a hub on free ports."""

    def make(data: Path = tmp_path / "hub", run: Path | None = None, **environ: str) -> Plan:
        settings = Settings.from_env(
            {
                "HUB_DATA_DIR": str(data),
                "HUB_HOSTNAMES": "localhost",
                "HUB_MQTT_LISTEN": f"127.0.0.1:{free_port()}",
                "HUB_NATS_LISTEN": f"127.0.0.1:{free_port()}",
                "HUB_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
                **environ,
            }
        )
        paths = Paths(data, run or Path(str(tmp_path / "r")))
        plan = asyncio.run(make_plan(settings, paths, None, programs))
        apply(plan)
        return plan

    return make


@contextlib.contextmanager
def running(plan: Plan, name: str, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """One server of the plan, with its words in a file; ended at the end."""
    server = next(server for server in plan.servers if server.name == name)
    with log.open("ab") as words:
        process = subprocess.Popen(server.command, stdout=words, stderr=words)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def wait_for(address: Address, log: Path) -> None:
    """Wait until a server takes connections."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((address.host, address.port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"it did not start:\n{log.read_text(errors='replace')}"
            time.sleep(0.02)


def secret(plan: Plan, name: str) -> str:
    return plan.paths.secret(name).read_text().strip()
