"""Users on the whole stack: the first run, sessions over two gateways, limits over a restart, the way back in."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.rig import COMMAND, RunningHub, until
from tests.ports import free_port

PASSWORD = "correct horse battery"
MARK = {"X-Device-Hub": "1"}


def browser(hub: RunningHub, port: int = 0) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port or hub.http_port}", headers=MARK, timeout=20)


def sign_in(client: httpx.Client, user: str, password: str = PASSWORD) -> httpx.Response:
    return client.post("/api/auth/login", json={"user": user, "password": password})


@contextmanager
def second_gateway(hub: RunningHub) -> Iterator[int]:
    port = free_port()
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HUB_")},
        "HUB_HTTP_LISTEN": f"127.0.0.1:{port}",
        "HUB_NATS_URL": f"nats://127.0.0.1:{hub.nats_port}",
        "HUB_NATS_PASSWORD_FILE": str(hub.data / "secrets" / "nats-gateway"),
    }
    process = subprocess.Popen(
        [COMMAND, "serve", "gateway"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


def password_file(at: Path, text: str = PASSWORD) -> str:
    file = at / "password"
    file.write_text(f"{text}\n")
    return str(file)


@pytest.fixture(scope="module")
def hub(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = RunningHub(tmp_path_factory.mktemp("hub"))
    try:
        done = running.cli("up", "--detach", timeout=90)
        code = re.search(r"with the code +([0-9A-Z-]{19}) ", done.stdout)
        assert code is not None, done.stdout
        with browser(running) as client:
            wish = {"code": code[1], "name": "anna", "password": PASSWORD, "hostnames": ["localhost", "hub.example"]}
            made = client.post("/api/setup", json=wish)
            assert (made.status_code, made.json()["role"]) == (200, "admin"), made.text
            assert client.get("/api/auth/me").json()["user"] == "anna"
            assert client.post("/api/setup", json=wish).json()["error"] == "already_set_up"
        yield running
    finally:
        running.down()


def test_roles_hold_on_the_whole_path(hub: RunningHub, tmp_path: Path) -> None:
    device = hub.device("role-0001", tmp_path / "bundle").name
    for role in ("viewer", "operator"):
        hub.cli("user", "add", role, "--role", role, "--password-file", password_file(tmp_path))
    with browser(hub) as client:
        found: dict[str, list[int]] = {}
        for user in ("viewer", "operator", "anna"):
            assert sign_in(client, user).status_code == 200
            twin = client.patch(f"/api/devices/{device}/twin", json={"desired": {"by": user}})
            found[user] = [
                client.get(f"/api/devices/{device}").status_code,
                twin.status_code,
                client.get("/api/users").status_code,
            ]
    told = hub.json("twin", "history", device)

    assert found == {"viewer": [200, 403, 403], "operator": [200, 200, 403], "anna": [200, 200, 200]}
    assert {change["by"] for change in told["changes"]} == {"user:operator", "user:anna"}
    assert [user["name"] for user in hub.json("user", "list")] == ["anna", "operator", "viewer"]


async def test_a_session_ends_at_every_gateway_and_its_socket_closes(hub: RunningHub) -> None:
    with second_gateway(hub) as port, browser(hub) as client, browser(hub, port) as other:

        async def is_there() -> bool:
            try:
                return other.get("/readyz").status_code == 200
            except httpx.HTTPError:
                return False

        await until(is_there)
        told = sign_in(client, "anna").json()
        other.cookies = client.cookies
        assert other.get("/api/auth/me").json()["session"] == told["session"]
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        url = f"ws://127.0.0.1:{port}/api/ws"
        async with connect(url, additional_headers={"Cookie": cookie}) as socket:
            assert '"connected"' in str(await socket.recv())
            assert told["session"] in {one["id"] for one in hub.json("session", "list")}

            hub.cli("session", "end", told["session"])

            assert '"unauthenticated"' in str(await socket.recv())
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        assert [one.get("/api/auth/me").status_code for one in (client, other)] == [401, 401]


def test_limits_outlive_a_restart_and_the_machine_is_the_way_back_in(hub: RunningHub) -> None:
    def answers(client: httpx.Client, count: int) -> list[Any]:
        return [sign_in(client, "anna", "not the password").status_code for _ in range(count)]

    with browser(hub) as client:
        assert answers(client, 12) == [401] * 10 + [429] * 2
        hub.down()
        up = hub.cli("up", "--detach", timeout=90)
        assert "with the code" not in up.stdout
        limited = sign_in(client, "anna", "not the password")
        assert limited.status_code == 429
        assert 1 <= int(limited.headers["retry-after"]) <= 30
    new = hub.cli("user", "reset-password", "anna").stdout.strip()
    # Another address of this machine, which was not limited.
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=f"http://127.0.0.1:{hub.http_port}", transport=transport, timeout=20) as client:
        assert sign_in(client, "anna").status_code == 401
        assert sign_in(client, "anna", new).json()["role"] == "admin"
    logs = hub.tails()
    assert new not in logs
    assert "not the password" not in logs
