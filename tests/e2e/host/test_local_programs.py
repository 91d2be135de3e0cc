"""Programs of a host reach the registry and twins over its D-Bus, through the shim that runs there."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.box import Box
from tests.e2e.host.conftest import until
from tests.e2e.rig import RunningHub

HUB, PATH = "io.edgeberry.devicehub", "/io/edgeberry/devicehub"
DEVICE = "dbus-device-1"

Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def ask(hub: RunningHub, box: Box, remote: str, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Calls a method with busctl, as a user of the host."""
    hub.device(DEVICE, tmp_path_factory.mktemp("device"))

    def call(method: str, *arguments: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        interface, _, name = method.rpartition(".")
        address = (HUB, PATH, f"{HUB}.{interface}", name)
        return box.ask("busctl", "--system", "--json=short", "--", "call", *address, *arguments, user=user)

    until(lambda: call("Registry1.Get", "s", DEVICE).returncode == 0)
    return call


def document(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(json.loads(done.stdout)["data"][0])


def test_busctl_reads_the_registry_and_changes_a_twin(hub: RunningHub, ask: Ask) -> None:
    page = document(ask("Registry1.Query", "ssuu", "", "", "10", "0"))
    changed = document(ask("Twin1.Update", "ssx", DEVICE, '{"rate": 12}', "-1"))

    assert DEVICE in [one["deviceId"] for one in page["devices"]]
    assert changed["desired"] == document(ask("Twin1.Get", "s", DEVICE))["desired"] == {"rate": 12}
    assert hub.json("twin", "get", DEVICE)["desired"] == {"rate": 12}
    assert hub.json("audit", "--target", DEVICE)[0]["actor"] == "system:dbus/0"


def test_gdbus_does_too_and_is_told_of_a_fault_by_name(box: Box, ask: Ask) -> None:
    def gdbus(method: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        words = ("gdbus", "call", "--system", "-d", HUB, "-o", PATH, "-m", f"{HUB}.{method}", "--", *arguments)
        return box.ask(*words)

    assert '"rate":7' in gdbus("Twin1.Update", DEVICE, '{"rate": 7}', "-1").stdout
    assert f"{HUB}.Error.UnknownDevice" in gdbus("Registry1.Get", "nobody-has-this-id").stderr


def test_another_user_is_refused_by_the_policy_of_the_bus_and_a_member_is_not(box: Box, ask: Ask) -> None:
    box.run("useradd", "--groups", "devicehub", "hub-member")
    box.run("useradd", "hub-stranger")
    before = document(ask("Twin1.Get", "s", DEVICE))

    refused = [
        ask("Registry1.Get", "s", DEVICE, user="hub-stranger"),
        ask("Twin1.Update", "ssx", DEVICE, '{"rate": 99}', "-1", user="hub-stranger"),
    ]

    assert [done.returncode == 0 for done in refused] == [False, False]
    assert all("Access denied" in done.stderr for done in refused), refused
    assert document(ask("Twin1.Get", "s", DEVICE, user="hub-member")) == before
