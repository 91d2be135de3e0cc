"""Services on the whole stack: of its own supervisor, and of a systemd on another host, over HTTP and the WebSocket."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx
import pytest
from websockets.sync.client import connect

from tests.box import Box
from tests.e2e.rig import RunningHub

T = TypeVar("T")

UNIT, OTHER = "devicehub-demo.service", "devicehub-other.service"
RUNS = "[Service]\nType=exec\nExecStart=/bin/sleep 1000\n"
FAILS = "[Service]\nType=exec\nExecStart=/nonexistent/program\n"


@pytest.fixture(scope="module")
def web(hub: RunningHub) -> Iterator[httpx.Client]:
    token = hub.cli("token", "create", f"services-{uuid.uuid4().hex[:8]}", "--scope", "admin").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{hub.http_port}", headers=headers, timeout=70) as client:
        yield client


@pytest.fixture(scope="module")
def remote(hub: RunningHub, box: Box) -> Iterator[str]:
    """A shim with a systemd behind it, under a node name of its own."""
    box.write(UNIT, RUNS)
    box.write("devicehub-bad.service", FAILS)
    box.write(OTHER, RUNS)
    environ = {
        **os.environ,
        "DBUS_SYSTEM_BUS_ADDRESS": box.address,
        "HUB_NATS_URL": f"nats://127.0.0.1:{hub.nats_port}",
        "HUB_NATS_PASSWORD_FILE": str(hub.data / "secrets" / "nats-host"),
        "HUB_NODE_NAME": "site-2",
        "HUB_HOST_SOURCE": "systemd",
        "HUB_HOST_UNITS": f"{UNIT},devicehub-bad.service,gateway,devicehub-none.service",
    }
    process = subprocess.Popen([sys.executable, "-P", "-m", "bridge.host"], env=environ)
    try:
        yield "site-2"
    finally:
        process.terminate()
        assert process.wait(20) == 0


def local(hub: RunningHub) -> str:
    return str(json.loads((hub.data / "node.json").read_text())["node"]["1"]["name"])


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


def test_the_stack_lists_its_own_processes(hub: RunningHub, web: httpx.Client) -> None:
    shown(web, local(hub), "gateway")

    found = {one["unit"]: one for one in web.get("/api/services", params={"node": local(hub)}).json()}

    assert {"nats", "mosquitto", "index", "bridge", "host", "gateway"} <= found.keys()
    assert {one["state"] for one in found.values()} == {"active"}
    assert found["bridge"]["pid"] in [process.pid for process in hub.processes("bridge")]
    assert found["gateway"]["verbs"] == ["start", "restart"]


def test_a_part_is_restarted_stopped_and_started(hub: RunningHub, web: httpx.Client) -> None:
    before = web.get("/api/services/bridge").json()

    restarted = web.post("/api/services/bridge/restart").json()
    stopped = web.post("/api/services/bridge/stop").json()
    started = web.post("/api/services/bridge/start").json()

    assert (restarted["result"], restarted["service"]["state"]) == ("done", "active")
    assert restarted["service"]["pid"] not in (None, before["pid"])
    assert (stopped["service"]["state"], stopped["service"]["pid"]) == ("inactive", None)
    assert started["service"]["state"] == "active"
    acts = [one["action"] for one in hub.json("audit", "--target", "bridge")]
    assert sorted(acts[:3]) == ["service.restarted", "service.started", "service.stopped"]


@pytest.mark.parametrize("unit", ["gateway", "host", "functions", "nats"])
def test_what_carries_the_answer_is_restarted_after_it_and_never_stopped(
    hub: RunningHub, web: httpx.Client, unit: str
) -> None:
    node = local(hub)
    before = shown(web, node, unit)

    assert web.post(f"/api/services/{unit}/stop").json()["error"] == "verb_not_allowed"
    answer = web.post(f"/api/services/{unit}/restart", params={"node": node})
    assert (answer.status_code, answer.json()["result"]) == (200, "begun")

    def look() -> bool:
        try:
            now = web.get(f"/api/services/{unit}", params={"node": node})
        except httpx.TransportError:
            return False
        return now.status_code == 200 and now.json()["pid"] not in (None, before["pid"])

    until(look, seconds=30)


def test_a_unit_of_another_hosts_systemd_is_restarted_over_http_and_told_as_it_happens(
    hub: RunningHub, web: httpx.Client, remote: str
) -> None:
    shown(web, remote, UNIT)
    token = web.headers["Authorization"].removeprefix("Bearer ")
    with connect(f"ws://127.0.0.1:{hub.http_port}/ws?token={token}", open_timeout=20) as socket:
        assert json.loads(socket.recv(timeout=20))["type"] == "connected"
        socket.send(json.dumps({"type": "subscribe", "topics": ["services"]}))
        assert json.loads(socket.recv(timeout=20))["type"] == "subscribed"

        acted = web.post(f"/api/services/{UNIT}/restart").json()

        assert (acted["result"], acted["service"]["node"], acted["service"]["state"]) == ("done", remote, "active")
        told: dict[str, Any] = {}
        while (told.get("unit"), told.get("pid")) != (UNIT, acted["service"]["pid"]):
            message = json.loads(socket.recv(timeout=20))
            assert message["topic"] == "services"
            told = message["data"]
    assert told["node"] == remote


def test_what_is_not_on_a_hosts_list_or_is_no_unit_is_refused_by_name(web: httpx.Client, remote: str) -> None:
    shown(web, remote, UNIT)

    def error(unit: str, verb: str = "restart") -> tuple[int, str]:
        answer = web.post(f"/api/services/{unit}/{verb}", params={"node": remote})
        return answer.status_code, answer.json()["error"]

    assert error(OTHER) == (403, "unit_not_allowed")
    assert error("devicehub-none.service") == (404, "unknown_unit")
    assert error("devicehub-bad.service", "start") == (409, "job_failed")
    for unit in ("devicehub-demo", "devicehub-@x.service", "dbus.service", "-.mount"):
        assert error(unit) == (403, "unit_not_allowed")
    for unit in ("a%20b", "a;b", "%2A", "%C3%A4"):
        assert error(unit) == (400, "bad_request")
    assert error("..%2Fetc") == (404, "not_found")
    assert error(UNIT, "kill") == (404, "not_found")
    assert web.post(f"/api/services/{UNIT}/start", params={"node": "site-9"}).json()["error"] == "unknown_node"


def test_who_may_only_read_devices_restarts_nothing(hub: RunningHub, web: httpx.Client) -> None:
    token = hub.cli("token", "create", f"reader-{uuid.uuid4().hex[:8]}", "--scope", "devices:read").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}

    assert web.get("/api/services", headers=headers).status_code == 403
    assert web.post("/api/services/bridge/restart", headers=headers).status_code == 403
