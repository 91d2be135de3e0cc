"""What a process tells systemd, over the sockets that systemd would listen on."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import structlog

from functions.contract.notify import Starter


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A socket that hears, and the environment that names it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@devicehub-{uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(name.replace("@", "\0", 1))
        heard.setblocking(False)
        yield heard, {"NOTIFY_SOCKET": name}


async def _next(heard: socket.socket) -> bytes:
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(heard, 100)


async def test_tells_that_it_is_ready_and_that_it_ends(ear: tuple[socket.socket, dict[str, str]]) -> None:
    heard, environ = ear
    starter = Starter(environ)

    starter.ready()
    starter.stopping()

    assert [await _next(heard), await _next(heard)] == [b"READY=1", b"STOPPING=1"]


async def test_shows_again_and_again_that_its_loop_turns(ear: tuple[socket.socket, dict[str, str]]) -> None:
    heard, environ = ear

    Starter(environ | {"WATCHDOG_USEC": "30000", "WATCHDOG_PID": str(os.getpid())}).ready()

    assert await _next(heard) == b"READY=1"
    assert [await _next(heard) for _ in range(3)] == [b"WATCHDOG=1"] * 3


@pytest.mark.parametrize("watchdog", [{"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}])
async def test_a_watchdog_of_another_process_is_not_fed(
    ear: tuple[socket.socket, dict[str, str]], watchdog: dict[str, str]
) -> None:
    heard, environ = ear
    starter = Starter(environ | watchdog)

    starter.ready()
    starter.stopping()

    assert [await _next(heard), await _next(heard)] == [b"READY=1", b"STOPPING=1"]


async def test_outside_systemd_nothing_is_told() -> None:
    starter = Starter({"WATCHDOG_USEC": "30000"})

    starter.ready()
    starter.stopping()


async def test_goes_on_when_nobody_listens(tmp_path: Path) -> None:
    starter = Starter({"NOTIFY_SOCKET": str(tmp_path / "nobody")})

    with structlog.testing.capture_logs() as said:
        starter.ready()

    assert [line["event"] for line in said] == ["systemd cannot be told"]
