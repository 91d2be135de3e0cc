"""README's commands, taken from the page and run as a newcomer would paste them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.rig import COMMAND, RunningHub

README = Path(__file__).resolve().parents[2] / "README.md"


def _blocks(heading: str) -> str:
    """The shell blocks below a heading, up to the next one, as one script."""
    page = README.read_text(encoding="utf-8")
    section = re.search(rf"^### {re.escape(heading)}\n(.*?)^##", page, re.DOTALL | re.MULTILINE)
    assert section is not None, heading
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE))


def _paste(hub: RunningHub, at: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as it stands, but on this hub's ports and with this environment's command."""
    script = script.replace("8883", str(hub.mqtt_port)).replace("8080", str(hub.http_port))
    script = script.replace(".venv/bin/devicehub", COMMAND)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=at,
        env={**os.environ, **hub.environ},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{hub.tails()}"
    return done


def test_a_device_that_the_operator_registers(hub: RunningHub, tmp_path: Path) -> None:
    done = _paste(hub, tmp_path, _blocks("A device that you register"))

    assert '"reported":{"version":1,"doc":{"rate":3}}' in done.stdout
    assert '"delta":{"rate":12}' in done.stdout
    assert re.search(r"desired +1 +system:cli +{\"rate\": 12}$", done.stdout, re.MULTILINE)
    assert re.search(r"desired +/rate +- +12 +1 +system:cli", done.stdout)


@pytest.mark.skipif(shutil.which("python3") is None, reason="the page makes JSON with python3")
def test_a_device_that_joins_by_itself(hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(hub.data)

    done = _paste(hub, tmp_path, _blocks("A device that joins by itself"))

    assert '{"deviceId":"EDGB-9205"}' in done.stdout
    assert "EDGB-9205/device.crt: OK" in done.stdout
    assert re.search(r"^Device +EDGB-9205$", done.stdout, re.MULTILINE)
    assert re.search(r'^{"deviceId":"EDGB-9205","certificateId":"[0-9a-f]+"}$', done.stdout, re.MULTILINE)
    assert "The device EDGB-9205 is suspended." in done.stdout
    assert "The device EDGB-9205 takes part." in done.stdout


def test_a_program_that_asks_and_wishes(hub: RunningHub, tmp_path: Path) -> None:
    # Unless the page's first steps have just made it.
    hub.cli("device", "create", "pump-0001", "--out", str(tmp_path / "pump-0001"), check=False)

    done = _paste(hub, tmp_path, _blocks("Ask and wish with curl"))

    assert '"deviceName":"pump-0001"' in done.stdout
    assert '"desired":{"rate":15}' in done.stdout
    assert '"neverSeen":' in done.stdout


def test_every_certificate_it_ever_issued(hub: RunningHub, tmp_path: Path) -> None:
    done = _paste(hub, tmp_path, _blocks("Every certificate it ever issued"))

    assert re.search(r"^No certificate matches\.$|^Serial +Subject +Kind", done.stdout, re.MULTILINE)
    assert "nextUpdate=" in done.stdout


def test_a_fleet_that_is_not_there(hub: RunningHub, tmp_path: Path) -> None:
    done = _paste(hub, tmp_path, _blocks("A fleet that is not there"))

    assert "50 of 50 connected" in done.stdout
    assert " 0 errors." in done.stdout
    assert done.stdout.endswith("All is well.\n")


def test_what_devices_measured(hub: RunningHub, tmp_path: Path) -> None:
    hub.cli("device", "create", "pump-0001", "--out", str(tmp_path / "pump-0001"), check=False)
    done = _paste(hub, tmp_path, _blocks("What devices measured"))

    assert re.search(r"^pump-0001 has measured nothing\.$|^Key +Value +Time$", done.stdout, re.MULTILINE)
    assert re.search(r"^\d+ messages are in telemetry\.csv\.$", done.stdout, re.MULTILINE)


def test_what_was_done_and_what_needs_you(hub: RunningHub, tmp_path: Path) -> None:
    hub.cli("enrolment", "close")
    done = _paste(hub, tmp_path, _blocks("What was done, and what needs you"))

    assert "enrolment.closed" in done.stdout
    assert "There is no alarm" in done.stdout or "seen" in done.stdout
