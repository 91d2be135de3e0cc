"""A device joins with nothing but openssl and mosquitto's clients."""

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.rig import Identity, RunningHub, keep, make_csr


@pytest.fixture(autouse=True)
def enrolment(hub: RunningHub) -> None:
    hub.cli("enrolment", "open", "--minutes", "10")


def provision(hub: RunningHub, name: str, body: dict[str, str], answer: str = "accepted") -> dict[str, Any]:
    topic = f"$devicehub/devices/{name}/provision"
    return hub.ask(hub.claim, f"{topic}/request", json.dumps(body), f"{topic}/{answer}", client_id=name)


def two_rounds(hub: RunningHub, at: Path, hardware: str, *, key: str = "ec:P-256") -> Identity:
    named = provision(hub, hardware, {})
    assert set(named) == {"deviceId"}
    device = named["deviceId"]
    key_path, csr = make_csr(at, device, key=key)
    issued = provision(hub, hardware, {"csrPem": csr, "deviceId": device})
    assert set(issued) == {"deviceId", "certPem", "caChainPem", "expiresAt"}
    assert issued["deviceId"] == device
    return keep(at, device, key_path, issued)


def openssl_accepts(identity: Identity) -> bool:
    done = subprocess.run(
        [
            *("openssl", "verify", "-purpose", "sslclient", "-x509_strict"),
            *("-CAfile", str(identity.ca), str(identity.certificate)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0


def twin(hub: RunningHub, who: Identity) -> dict[str, object]:
    topic = f"$devicehub/devices/{who.name}/twin"
    return hub.ask(who, f"{topic}/get", "{}", f"{topic}/update/accepted")


@pytest.mark.parametrize("key", ["ec:P-256", "ec:P-384", "ed25519", "rsa:2048"])
def test_a_device_joins_in_two_rounds_and_uses_its_certificate(hub: RunningHub, tmp_path: Path, key: str) -> None:
    hardware = str(uuid.uuid4())

    device = two_rounds(hub, tmp_path, hardware, key=key)

    assert device.name.startswith(f"EDGB-{hardware[:4]}".upper()[:5])
    assert openssl_accepts(device)
    assert twin(hub, device)["operation"] == "get"


def test_a_device_joins_in_one_round(hub: RunningHub, tmp_path: Path) -> None:
    name = f"one-{uuid.uuid4().hex[:8]}"
    key, csr = make_csr(tmp_path, name)

    device = keep(tmp_path, name, key, provision(hub, name, {"csrPem": csr}))

    assert openssl_accepts(device)
    assert twin(hub, device)["deviceId"] == name


def test_a_device_joins_with_create_from_csr(hub: RunningHub, tmp_path: Path) -> None:
    name = f"csr-{uuid.uuid4().hex[:8]}"
    key, csr = make_csr(tmp_path, name)
    topic = "$devicehub/certificates/create-from-csr"

    answer = hub.ask(
        hub.claim, topic, json.dumps({"csrPem": csr, "requestId": "r1"}), f"{topic}/accepted", client_id=name
    )

    assert answer["requestId"] == "r1"
    assert answer["deviceId"] == name
    assert openssl_accepts(keep(tmp_path, name, key, answer))


def test_closed_enrolment_refuses_by_name(hub: RunningHub, tmp_path: Path) -> None:
    hub.cli("enrolment", "close")
    name = f"late-{uuid.uuid4().hex[:8]}"
    _, csr = make_csr(tmp_path, name)

    refused = provision(hub, name, {"csrPem": csr}, "rejected")

    assert (refused["error"], refused["code"]) == ("enrolment_closed", 403)


def test_the_whitelist_lets_in_only_what_is_on_it(hub: RunningHub, tmp_path: Path) -> None:
    known, stranger = str(uuid.uuid4()), str(uuid.uuid4())
    hub.cli("whitelist", "add", known)
    hub.cli("whitelist", "enforce", "on")
    try:
        assert provision(hub, stranger, {}, "rejected")["error"] == "uuid_not_whitelisted"
        assert openssl_accepts(two_rounds(hub, tmp_path, known))
    finally:
        hub.cli("whitelist", "enforce", "off")


@pytest.mark.parametrize(
    ("key", "extra", "words"),
    [
        ("rsa:1024", (), "1024 bits"),
        ("ec:P-521", (), "curve"),
        ("ec:secp256k1", (), "curve"),
        ("ec:P-256", ("-addext", "basicConstraints=critical,CA:TRUE"), "CA"),
        ("ec:P-256", ("-sha1",), "sha1"),
    ],
)
def test_a_weak_request_is_refused_with_what_is_wrong(
    hub: RunningHub, tmp_path: Path, key: str, extra: tuple[str, ...], words: str
) -> None:
    name = f"weak-{uuid.uuid4().hex[:8]}"
    _, csr = make_csr(tmp_path, name, key=key, extra=extra)

    refused = provision(hub, name, {"csrPem": csr}, "rejected")

    assert refused["error"] == "bad_csr"
    assert words in refused["message"]


def test_a_request_with_a_spoilt_signature_is_refused(hub: RunningHub, tmp_path: Path) -> None:
    name = f"spoilt-{uuid.uuid4().hex[:8]}"
    _, csr = make_csr(tmp_path, name)
    lines = csr.strip().splitlines()
    last = lines[-2]
    lines[-2] = ("A" if last[0] != "A" else "B") + last[1:]

    assert provision(hub, name, {"csrPem": "\n".join(lines)}, "rejected")["error"] == "bad_csr"


def test_nobody_takes_the_identity_of_a_device_that_exists(hub: RunningHub, tmp_path: Path) -> None:
    victim = hub.device(f"mine-{uuid.uuid4().hex[:8]}", tmp_path / "mine")
    _, csr = make_csr(tmp_path / "thief", victim.name)
    topic = "$devicehub/certificates/create-from-csr"

    taken = hub.ask(
        hub.claim, topic, json.dumps({"csrPem": csr, "requestId": "r1"}), f"{topic}/rejected", client_id="thief-1"
    )

    assert (taken["error"], taken["requestId"]) == ("device_exists", "r1")
    assert twin(hub, victim)["deviceId"] == victim.name


def test_a_device_that_joins_again_keeps_its_name_and_loses_its_old_certificate(
    hub: RunningHub, tmp_path: Path
) -> None:
    hardware = str(uuid.uuid4())
    first = two_rounds(hub, tmp_path / "first", hardware)

    second = two_rounds(hub, tmp_path / "second", hardware)

    assert second.name == first.name
    assert twin(hub, second)["deviceId"] == first.name


def test_a_claim_certificate_is_good_for_nothing_else(hub: RunningHub) -> None:
    topic = "$devicehub/devices/claim-default/twin"
    listener = hub.listen(hub.claim, f"{topic}/update/#", client_id="claim-default", wait=3)
    try:
        hub.publish(hub.claim, f"{topic}/update", '{"reported":{"a":1}}', client_id="claim-other-1")
        assert listener.next() is None
    finally:
        listener.close()
