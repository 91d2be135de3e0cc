"""The doctor at a whole hub, well and hurt."""

import json
import signal
from typing import Any

from tests.e2e.rig import RunningHub


def _wrong(hub: RunningHub) -> dict[str, list[dict[str, Any]]]:
    """What is wrong, by check; the exit code says whether anything is."""
    done = hub.cli("doctor", "--json", timeout=60, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == (0 if told["well"] else 1)
    return {
        check["check"]: [finding for finding in check["findings"] if not finding["well"]]
        for check in told["checks"]
        if not check["well"]
    }


def test_a_hub_that_runs_is_well(hub: RunningHub) -> None:
    done = hub.cli("doctor", timeout=60)

    assert done.stdout.endswith("\nAll is well.\n")
    assert "A claim certificate opens a session" in done.stdout
    assert "agrees with the file system, the NATS server, the broker, the gateway" in done.stdout


def test_a_secret_that_others_can_read_is_wrong_until_it_is_closed(hub: RunningHub) -> None:
    secret = hub.data / "secrets" / "nats-admin"
    secret.chmod(0o644)
    found = _wrong(hub)
    secret.chmod(0o600)

    assert list(found) == ["secrets"]
    assert found["secrets"][0]["mend"] == f"Run: chmod 600 {secret}"
    assert _wrong(hub) == {}


def test_a_part_that_hangs_is_named_with_where_to_look(hub: RunningHub) -> None:
    (index,) = hub.processes("index")
    index.send_signal(signal.SIGSTOP)
    try:
        found = _wrong(hub)
    finally:
        index.send_signal(signal.SIGCONT)

    assert list(found) == ["parts"]
    assert found["parts"][0]["what"] == "index is running, but not ready."
    assert "devicehub logs index" in found["parts"][0]["mend"]


def test_a_broker_that_hangs_is_found_by_port_and_by_device(hub: RunningHub) -> None:
    (broker,) = hub.processes("mosquitto")
    broker.send_signal(signal.SIGSTOP)
    try:
        found = _wrong(hub)
    finally:
        broker.send_signal(signal.SIGCONT)

    assert "broker" in found
    assert "parts" in found


def test_a_hub_that_is_stopped_is_told_to_be_started(own_hub: RunningHub) -> None:
    own_hub.down()

    found = _wrong(own_hub)

    assert list(found) == ["parts"]
    assert found["parts"][0]["mend"] == "Start it with 'devicehub up'."
