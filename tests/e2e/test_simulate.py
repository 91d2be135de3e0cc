"""Simulated devices against the whole hub: real certificates, real sessions, real answers."""

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import IO

import pytest

from tests.e2e.rig import COMMAND, RunningHub, until


class Simulation:
    """A running ``devicehub simulate``."""

    def __init__(self, hub: RunningHub, *words: str) -> None:
        self._process = subprocess.Popen(
            [COMMAND, "simulate", *words], env=hub.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        self.lines: IO[str] = self._process.stdout

    def until_line(self, text: str) -> str:
        return next(line for line in self.lines if text in line)

    def interrupt(self) -> tuple[int, str]:
        self._process.send_signal(signal.SIGINT)
        rest = self.lines.read()
        return self._process.wait(20), rest

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self.lines.close()


@pytest.fixture
def simulation(hub: RunningHub) -> Iterator[Simulation]:
    running = Simulation(hub, "--devices", "5", "--rate", "50")
    yield running
    running.end()


def test_devices_join_report_and_are_the_same_the_next_time(hub: RunningHub) -> None:
    first = hub.json("simulate", "--devices", "5", "--rate", "100", "--for", "3")
    second = hub.json("simulate", "--devices", "6", "--rate", "0", "--for", "0")

    assert (first["joining"]["joined"], first["joining"]["failed"], first["joining"]["errors"]) == (5, 0, {})
    assert first["reporting"]["telemetry"] > 50
    assert first["reporting"]["updates"] > 5
    assert first["reporting"]["errors"] == {}
    assert (second["joining"]["known"], second["joining"]["joined"]) == (5, 1)
    assert hub.json("device", "list", "--limit", "1")["total"] == 6


def test_devices_renew_their_certificates_and_go_on_with_the_new_ones(hub: RunningHub) -> None:
    hub.cli("simulate", "--devices", "6", "--for", "0")
    joined = hub.json("device", "list", "--sort", "createdAt", "--limit", "6")["devices"]
    before = {view["deviceName"]: view["certificate"]["serial"] for view in joined}

    told = hub.json("simulate", "--devices", "6", "--renew", "--rate", "50", "--for", "2")
    again = hub.json("simulate", "--devices", "6", "--renew", "--rate", "0", "--for", "0")

    assert (told["renewing"]["renewed"], told["renewing"]["errors"]) == (6, {})
    assert told["reporting"]["telemetry"] > 20
    # A device that has come back may be ended once more by what ends another's old certificate; it connects again.
    assert all("connection" in reason for reason in told["reporting"]["errors"])
    after = {name: hub.json("device", "show", name)["certificate"]["serial"] for name in before}
    assert len(before) == 6
    assert not set(before.values()) & set(after.values())
    # Not twice in an hour.
    assert (again["renewing"]["renewed"], again["renewing"]["failed"]) == (0, 6)
    assert all("rate_limited" in reason for reason in again["renewing"]["errors"])


def test_enrolment_is_closed_again_after_the_joining_and_left_open_if_it_was(hub: RunningHub) -> None:
    closed = hub.cli("simulate", "--devices", "8", "--for", "0")
    assert hub.json("enrolment", "show")["isOpen"] is False

    hub.cli("enrolment", "open", "--minutes", "5")
    opened = hub.cli("simulate", "--devices", "9", "--for", "0")

    assert hub.json("enrolment", "show")["isOpen"] is True
    assert "Enrolment is closed: it is opened while the devices join." in closed.stdout
    assert "Enrolment" not in opened.stdout
    hub.cli("enrolment", "close")


async def test_a_simulated_device_becomes_what_is_desired_of_it_and_ctrl_c_ends_it_cleanly(
    hub: RunningHub, simulation: Simulation
) -> None:
    simulation.until_line("5 of 5 connected")
    online = hub.json("device", "list", "--limit", "50")["devices"]
    name = next(view["deviceName"] for view in online if view["status"] == "online")
    hub.cli("twin", "set", name, '{"rate": 12}')

    async def shown() -> bool:
        return bool(hub.json("twin", "get", name)["reported"].get("rate") == 12)

    await until(shown)
    code, rest = simulation.interrupt()

    assert code == 0
    assert "Stopping." in rest
    assert "deltas: 1" in rest
    assert "Traceback" not in rest


def test_ctrl_c_while_devices_join_ends_it_and_closes_enrolment(hub: RunningHub) -> None:
    joining = Simulation(hub, "--devices", "400")
    try:
        joining.until_line("it is opened while the devices join")
        code, rest = joining.interrupt()
    finally:
        joining.end()

    assert code == 1
    assert "Enrolment is closed again." in rest
    assert "devices did not join." in rest
    assert "Traceback" not in rest
    assert hub.json("enrolment", "show")["isOpen"] is False


def test_devices_that_the_whitelist_refuses_are_told_with_the_reason(hub: RunningHub) -> None:
    hub.cli("whitelist", "enforce", "on")
    try:
        done = hub.cli("simulate", "--devices", "500", "--for", "0", "--json", check=False)
    finally:
        hub.cli("whitelist", "enforce", "off")

    told = json.loads(done.stdout)["joining"]
    assert done.returncode == 1
    assert told["failed"] > 0
    assert [reason.partition(":")[0] for reason in told["errors"]] == ["uuid_not_whitelisted"]
    assert "The whitelist is enforced" in done.stderr


def test_what_is_no_claim_bundle_is_told_as_such(hub: RunningHub) -> None:
    done = hub.cli("simulate", "--devices", "1", "--claim", str(hub.data / "log"), check=False)

    assert done.returncode == 1
    assert "is no claim bundle" in done.stderr
