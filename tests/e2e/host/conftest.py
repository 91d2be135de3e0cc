"""One hub with two hosts: the one that it runs on, of its own supervisor, and a systemd on another."""

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, TypeVar

import httpx
import psutil
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.box import INFRA, Box
from tests.e2e.rig import RunningHub

T = TypeVar("T")

# Looked after; of those, what polkit refuses as its name is not of the hub; and what the shim refuses by its own list.
UNIT, REFUSED, OTHER = "devicehub-demo.service", "foreign-demo.service", "devicehub-other.service"
BAD, BURST, ODD = "devicehub-bad.service", "devicehub-burst.service", "devicehub-odd.service"
RATE, SECONDS = 5_000, 2
# A twentieth of a second's lines at once, as a program does that writes through a buffer.
_BURST = f"""
import time
begin, some = time.monotonic(), {RATE // 20}
for tick in range({SECONDS * 20}):
    lines = ["burst %d\\n" % number for number in range(tick * some, (tick + 1) * some)]
    print("".join(lines), end="", flush=True)
    time.sleep(max(0.0, begin + (tick + 1) / 20 - time.monotonic()))
"""
_RUNS = "[Service]\nType=exec\nExecStart=/bin/sleep 1000\n"
_ONCE = "[Service]\nType=oneshot\nLogRateLimitBurst=0\nLineMax=2M\nExecStart="


@pytest.fixture(scope="package")
def hub(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """One running hub for all of these tests, which leave it as they found it."""
    running = RunningHub(tmp_path_factory.mktemp("hub"))
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture(scope="package")
def token(hub: RunningHub) -> str:
    return hub.cli("token", "create", f"host-{uuid.uuid4().hex[:8]}", "--scope", "admin").stdout.strip()


@pytest.fixture(scope="package")
def web(hub: RunningHub, token: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{hub.http_port}", headers=headers, timeout=70) as client:
        yield client


@pytest.fixture(scope="package")
def local(hub: RunningHub) -> str:
    """The node name of the hub's own host."""
    return str(json.loads((hub.data / "node.json").read_text())["node"]["1"]["name"])


@pytest.fixture(scope="package")
def remote(hub: RunningHub, box: Box, web: httpx.Client) -> Iterator[str]:
    """The node name of a shim in the box, which has what an installed hub has: its user, its rules, its policies."""
    program = box.folder / "run" / "burst.py"
    program.write_text(_BURST)
    for unit in (UNIT, REFUSED, OTHER):
        box.write(unit, _RUNS)
    box.write(BAD, "[Service]\nType=exec\nExecStart=/nonexistent/program\n")
    box.write(BURST, f"{_ONCE}/usr/bin/python3 /run/burst.py\n")
    box.write(ODD, f"{_ONCE}/usr/bin/printf '\\\\033[31mred\\\\033[0m\\\\n\\\\377\\\\n<script>\\\\n<3>bad\\\\n'\n")
    box.install(INFRA / "systemd" / "40-devicehub-host.rules", "/etc/polkit-1/rules.d")
    for policy in sorted((INFRA / "dbus").glob("*.conf")):
        box.install(policy, "/etc/dbus-1/system.d")
    box.run("busctl", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ReloadConfig")
    password = box.folder / "run" / "nats-host"
    password.write_bytes((hub.data / "secrets" / "nats-host").read_bytes())
    password.chmod(0o600)
    process = box.start_shim(
        HUB_NATS_URL=f"nats://127.0.0.1:{hub.nats_port}",
        HUB_NATS_PASSWORD_FILE="/run/nats-host",
        HUB_NODE_NAME="site-2",
        HUB_HOST_UNITS=f"{UNIT},{REFUSED},{BAD},{BURST},{ODD},gateway,devicehub-none.service",
        HUB_DBUS_INTERFACE="on",
    )
    try:
        shown(web, "site-2", UNIT)
        yield "site-2"
    finally:
        for child in psutil.Process(process.pid).children():
            child.terminate()
        assert process.wait(20) == 0


def until(look: Callable[[], T | None], *, seconds: float = 20.0) -> T:
    """What is looked for, as soon as it is there; over HTTP nothing tells when that is."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return found


def shown(web: httpx.Client, node: str, unit: str) -> dict[str, Any]:
    """A service as the list has it, as soon as it does."""

    def look() -> dict[str, Any] | None:
        answer = web.get("/api/services")
        found = answer.json() if answer.status_code == 200 else []
        return next((one for one in found if (one["node"], one["unit"]) == (node, unit)), None)

    return until(look)


@dataclass(frozen=True)
class Ears:
    """A client of the WebSocket that heard what it is told of one topic."""

    socket: ClientConnection

    def hear(self, seconds: float = 20.0) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.socket.recv(timeout=seconds))
        return told

    def ask(self, **told: Any) -> dict[str, Any]:
        self.socket.send(json.dumps(told))
        return self.hear()


@contextmanager
def listening(hub: RunningHub, token: str, *topics: str) -> Iterator[Ears]:
    """A WebSocket that is subscribed to topics."""
    address = f"ws://127.0.0.1:{hub.http_port}/ws?token={token}"
    with connect(address, open_timeout=20, max_size=None) as socket:
        ears = Ears(socket)
        assert ears.hear()["type"] == "connected"
        told = ears.ask(type="subscribe", topics=list(topics))
        assert told["type"] == "subscribed", told
        yield ears


class Events:
    """A client of server-sent events, which reads from its connection only when a test reads from it."""

    def __init__(self, hub: RunningHub, buffer: int | None) -> None:
        connection = socket.socket()
        if buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", hub.http_port))
        self._http = HTTPConnection("127.0.0.1", hub.http_port)
        self._http.sock = connection

    def begin(self, token: str, query: str, **headers: str) -> None:
        self._http.request("GET", f"/api/logs/stream?{query}", headers={"Authorization": f"Bearer {token}", **headers})
        self._answer = self._http.getresponse()
        assert self._answer.status == 200, self._answer.read()

    def hear(self) -> tuple[str, Any]:
        """The next event, by its kind and what it tells; signs of life are passed over."""
        kind = "line"
        while line := self._answer.readline():
            name, _, told = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                kind = told
            if name == "data":
                return kind, json.loads(told)
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        self._http.close()


@contextmanager
def following(
    hub: RunningHub, token: str, unit: str, *, after: str = "", buffer: int | None = None
) -> Iterator[Events]:
    """A followed log, as server-sent events."""
    events = Events(hub, buffer)
    try:
        events.begin(token, f"unit={unit}", **({"Last-Event-ID": after} if after else {}))
        yield events
    finally:
        events.close()
