"""Services on the whole stack: of its own supervisor, and of a systemd on another host, over HTTP and the WebSocket."""

import uuid
from typing import Any

import httpx
import pytest

from tests.box import Box
from tests.e2e.host.conftest import BAD, OTHER, REFUSED, UNIT, listening, shown, until
from tests.e2e.rig import RunningHub


def test_the_stack_lists_its_own_processes(hub: RunningHub, web: httpx.Client, local: str) -> None:
    shown(web, local, "gateway")

    found = {one["unit"]: one for one in web.get("/api/services", params={"node": local}).json()}

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
    web: httpx.Client, local: str, unit: str
) -> None:
    before = shown(web, local, unit)

    assert web.post(f"/api/services/{unit}/stop").json()["error"] == "verb_not_allowed"
    answer = web.post(f"/api/services/{unit}/restart", params={"node": local})
    assert (answer.status_code, answer.json()["result"]) == (200, "begun")

    def look() -> bool:
        try:
            now = web.get(f"/api/services/{unit}", params={"node": local})
        except httpx.TransportError:
            return False
        return now.status_code == 200 and now.json()["pid"] not in (None, before["pid"])

    until(look, seconds=30)


def test_a_unit_of_another_hosts_systemd_is_restarted_over_http_and_told_as_it_happens(
    hub: RunningHub, box: Box, web: httpx.Client, token: str, remote: str
) -> None:
    with listening(hub, token, "services") as ears:
        before = web.get(f"/api/services/{UNIT}").json()
        acted = web.post(f"/api/services/{UNIT}/restart").json()

        assert (acted["result"], acted["service"]["node"], acted["service"]["state"]) == ("done", remote, "active")
        told: dict[str, Any] = {}
        while (told.get("unit"), told.get("pid")) != (UNIT, acted["service"]["pid"]):
            message = ears.hear()
            assert message["topic"] == "services"
            told = message["data"]
    assert told["pid"] not in (None, before["pid"])
    assert str(told["pid"]) == box.run("systemctl", "show", "-P", "MainPID", UNIT).strip()
    assert told["node"] == remote


def test_what_is_not_on_a_hosts_list_or_is_no_unit_is_refused_by_name(web: httpx.Client, remote: str) -> None:
    def error(unit: str, verb: str = "restart") -> tuple[int, str]:
        answer = web.post(f"/api/services/{unit}/{verb}", params={"node": remote})
        return answer.status_code, answer.json()["error"]

    assert error(OTHER) == (403, "unit_not_allowed")
    assert error("devicehub-none.service") == (404, "unknown_unit")
    assert error(BAD, "start") == (409, "job_failed")
    for unit in ("devicehub-demo", "devicehub-@x.service", "dbus.service", "-.mount"):
        assert error(unit) == (403, "unit_not_allowed")
    for unit in ("a%20b", "a;b", "%2A", "%C3%A4"):
        assert error(unit) == (400, "bad_request")
    assert error("..%2Fetc") == (404, "not_found")
    assert error(UNIT, "kill") == (404, "not_found")
    assert web.post(f"/api/services/{UNIT}/start", params={"node": "site-9"}).json()["error"] == "unknown_node"


def test_what_polkit_does_not_allow_is_refused_in_its_name_and_not_done(
    box: Box, web: httpx.Client, remote: str
) -> None:
    box.run("systemctl", "start", REFUSED)
    before = web.get(f"/api/services/{REFUSED}").json()

    for verb in ("restart", "stop"):
        answer = web.post(f"/api/services/{REFUSED}/{verb}")
        assert (answer.status_code, answer.json()["error"]) == (403, "host_refused")
        assert "polkit" in answer.json()["detail"]
    now = web.get(f"/api/services/{REFUSED}").json()

    assert (now["node"], now["state"], now["pid"]) == (remote, "active", before["pid"])


def test_the_shim_may_ask_systemd_for_nothing_else(box: Box, remote: str) -> None:
    def call(method: str, signature: str, *arguments: str) -> tuple[int, str]:
        systemd = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
        done = box.ask("busctl", "call", *systemd, method, signature, *arguments, user="devicehub-host")
        return done.returncode, done.stderr

    assert call("LoadUnit", "s", UNIT) == (0, "")
    for method, *arguments in (("KillUnit", "ssi", UNIT, "all", "9"), ("Reload", ""), ("GetUnit", "s", UNIT)):
        status, said = call(method, *arguments)
        assert status != 0
        assert "Access denied" in said, said


def test_who_may_only_read_devices_restarts_nothing(hub: RunningHub, web: httpx.Client) -> None:
    token = hub.cli("token", "create", f"reader-{uuid.uuid4().hex[:8]}", "--scope", "devices:read").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}

    assert web.get("/api/services", headers=headers).status_code == 403
    assert web.post("/api/services/bridge/restart", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "upset",
    [("systemctl", "daemon-reexec"), ("systemctl", "kill", "--signal=KILL", "dbus.service")],
    ids=["systemd is executed anew", "the message bus is restarted"],
)
def test_a_shim_that_runs_goes_on_through_what_befalls_its_host(
    hub: RunningHub, box: Box, web: httpx.Client, token: str, remote: str, upset: tuple[str, ...]
) -> None:
    before = web.post(f"/api/services/{UNIT}/start").json()["service"]
    with listening(hub, token, "services") as ears:
        box.run(*upset)

        def order() -> dict[str, Any] | None:
            answer = web.post(f"/api/services/{UNIT}/restart")
            # Until the host can be asked again, the refusal has a name.
            assert answer.status_code in (200, 503, 504), answer.text
            return answer.json()["service"] if answer.status_code == 200 else None

        restarted = until(order)
        told: dict[str, Any] = {}
        while (told.get("unit"), told.get("pid")) != (UNIT, restarted["pid"]):
            told = ears.hear()["data"]

    assert restarted["state"] == "active"
    assert restarted["pid"] not in (None, before["pid"])
    until(lambda: shown(web, remote, UNIT)["problem"] is None)
    assert box.run("systemctl", "show", "-P", "MainPID", UNIT).strip() == str(restarted["pid"])
