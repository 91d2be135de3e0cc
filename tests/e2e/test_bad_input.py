"""Whatever a device sends, it is answered by name or refused by the broker; the parts stay up, nothing is stored."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.devices import Device
from tests.e2e.rig import Identity, RunningHub, make_csr

REJECTED_ON = {
    "twin/get": "twin/update/rejected",
    "twin/update": "twin/update/rejected",
    "telemetry": "telemetry/rejected",
    "heartbeat": "heartbeat/rejected",
}
ANY_JSON_REJECTED_ON = {
    "events/alarm": "events/alarm/rejected",
    "messages/events": "messages/events/rejected",
    "status": "status/rejected",
}
NOT_JSON: dict[str, bytes] = {
    "half a document": b'{"reported":',
    "bytes that are no text": b"\xff\xfe\x00\x01",
    "a lone surrogate": b'{"reported":{"a":"\\ud800"}}',
    "NaN": b'{"reported":{"a":NaN}}',
    "a key twice": b'{"reported":{"a":1,"a":2}}',
    "nested 5,000 deep": b'{"reported":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
    "300 KB": b'{"reported":{"a":"' + b"x" * 300_000 + b'"}}',
}
WRONG_TYPE: dict[str, bytes] = {"a list": b"[1,2]", "a number": b"7", "a string": b'"text"', "null": b"null"}


@pytest.fixture(scope="module")
def device(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    who = hub.device(f"bad-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("bad"))
    running = Device(hub, who, clean=True).start("#")
    yield running
    running.stop()


def heard(device: Device, topic: str, seconds: float = 15.0) -> dict[str, Any]:
    while True:
        found, payload = device.messages.get(timeout=seconds)
        if found == device.topic(topic):
            return dict(json.loads(payload))


# What is measured or happens is kept even where it is no JSON: see test_telemetry.
KEPT = ("telemetry", "events/alarm", "messages/events")


@pytest.mark.parametrize(
    ("rest", "what"),
    [
        (rest, what)
        for rest in (*REJECTED_ON, *ANY_JSON_REJECTED_ON)
        for what in NOT_JSON
        if rest not in KEPT or what == "300 KB"
    ],
)
def test_what_is_no_json_is_rejected(device: Device, rest: str, what: str) -> None:
    device.send(rest, NOT_JSON[what])

    refused = heard(device, {**REJECTED_ON, **ANY_JSON_REJECTED_ON}[rest])

    assert refused["error"] in {"bad_request", "too_large", "too_deep"}
    assert refused["code"] in {400, 413}
    assert refused["message"]


@pytest.mark.parametrize("what", WRONG_TYPE)
@pytest.mark.parametrize("rest", REJECTED_ON)
def test_what_is_of_the_wrong_type_is_rejected(device: Device, rest: str, what: str) -> None:
    device.send(rest, WRONG_TYPE[what])

    assert heard(device, REJECTED_ON[rest])["error"] == "bad_request"


def test_ten_megabytes_end_the_connection_and_nothing_else(hub: RunningHub, tmp_path: Path) -> None:
    who = hub.device(f"big-{uuid.uuid4().hex[:8]}", tmp_path)
    device = Device(hub, who, clean=True).start("twin/update/accepted")
    try:
        device.send("telemetry", b"x" * 10_000_000, qos=0)
        assert device.ended.wait(15)
    finally:
        device.stop()
    again = Device(hub, who, clean=True).start("twin/update/accepted")
    try:
        assert again.update({"alive": True}, "t1")["reported"]["doc"] == {"alive": True}
    finally:
        again.stop()


@pytest.mark.parametrize("level", ["x" * 5_000, "a b", "a.b", "é"])
def test_a_level_that_no_subject_may_carry_goes_nowhere(device: Device, level: str) -> None:
    device.send(f"events/{level}", b"{}")

    assert device.update({"after": level[:20]}, uuid.uuid4().hex)["operation"] == "update"


def test_a_control_character_in_a_topic_ends_the_connection(hub: RunningHub, tmp_path: Path) -> None:
    device = Device(hub, hub.device(f"ctrl-{uuid.uuid4().hex[:8]}", tmp_path), clean=True).start("twin/update/accepted")
    try:
        device.send("events/a\u0001b", b"{}", qos=0)
        assert device.ended.wait(15)
    finally:
        device.stop()


@pytest.mark.parametrize("name", ["*", ">", "a.b", "+", "#", "a/b", "a b", "claim-x", "HUB-x", "x" * 65])
def test_no_certificate_is_made_for_a_name_with_tricks(hub: RunningHub, tmp_path: Path, name: str) -> None:
    done = hub.cli("device", "create", name, "--out", str(tmp_path / "out"), check=False)

    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert name not in [each["deviceName"] for each in hub.json("device", "list", "--limit", "1000")["devices"]]


def signed_by_the_hub(hub: RunningHub, directory: Path, name: str, *, days: int) -> Identity:
    """A certificate made with the hub's own CA key, behind the back of its register."""
    key, csr = make_csr(directory, name)
    request = directory / f"{name}.csr"
    request.write_text(csr)
    ca = hub.data / "ca"
    start = datetime.now(UTC) - timedelta(days=10)
    certificate = openssl_ca(directory, request, ca, start, start + timedelta(days=10 + days))
    return Identity(name, hub.claim.ca, certificate, key)


def openssl_ca(directory: Path, request: Path, ca: Path, start: datetime, end: datetime) -> Path:
    (directory / "index.txt").write_text("")
    (directory / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={directory}/index.txt\nnew_certs_dir={directory}\nrand_serial=yes\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    out = request.with_suffix(".crt")
    subprocess.run(
        [
            *("openssl", "ca", "-batch", "-notext", "-config", str(directory / "ca.cnf"), "-in", str(request)),
            *("-cert", str(ca / "root.crt"), "-keyfile", str(ca / "root.key"), "-out", str(out)),
            *("-startdate", f"{start:%Y%m%d%H%M%SZ}", "-enddate", f"{end:%Y%m%d%H%M%SZ}"),
        ],
        capture_output=True,
        check=True,
    )
    return out


def test_an_expired_certificate_is_not_let_in(hub: RunningHub, tmp_path: Path) -> None:
    name = f"expired-{uuid.uuid4().hex[:8]}"

    who = signed_by_the_hub(hub, tmp_path, name, days=-1)

    assert hub.publish(who, f"$devicehub/devices/{name}/status", "{}") != 0


@pytest.mark.parametrize("rest", [*REJECTED_ON, *ANY_JSON_REJECTED_ON])
def test_a_device_that_the_registry_does_not_know_is_told_so(hub: RunningHub, tmp_path: Path, rest: str) -> None:
    name = f"unknown-{uuid.uuid4().hex[:8]}"
    stranger = Device(hub, signed_by_the_hub(hub, tmp_path, name, days=1), clean=True).start("#")
    try:
        stranger.send(rest, {"reported": {"a": 1}} if rest == "twin/update" else {})
        refused = heard(stranger, {**REJECTED_ON, **ANY_JSON_REJECTED_ON}[rest])
    finally:
        stranger.stop()

    assert (refused["error"], refused["code"]) == ("unknown_device", 404)


def test_the_parts_are_all_still_the_ones_that_started(hub: RunningHub) -> None:
    for part in ("nats", "mosquitto", "functions", "index", "bridge"):
        assert hub.processes(part), f"{part} is gone"
    for log in (hub.data / "log").glob("supervisor*"):
        assert "exited" not in log.read_text()
