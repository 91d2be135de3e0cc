"""A device renews its certificate over its own session, with nothing but openssl and mosquitto's clients."""

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.devices import Device
from tests.e2e.rig import Identity, RunningHub, keep, make_csr


@pytest.fixture
def who(hub: RunningHub, tmp_path: Path) -> Identity:
    name = f"ren-{uuid.uuid4().hex[:8]}"
    return hub.device(name, tmp_path / "old")


def ask(hub: RunningHub, who: Identity, rest: str, body: dict[str, Any], answer: str = "accepted") -> dict[str, Any]:
    topic = f"$devicehub/devices/{who.name}/certificates/{rest}"
    return hub.ask(who, topic, json.dumps(body), f"{topic}/{answer}")


def renew(hub: RunningHub, who: Identity, at: Path, name: str = "new") -> tuple[Identity, str]:
    """The renewed identity, and the certificate's id."""
    key, csr = make_csr(at / name, who.name)
    answer = ask(hub, who, "renew", {"csrPem": csr, "requestId": "r1"})
    assert set(answer) == {"requestId", "deviceId", "certificateId", "certPem", "caChainPem", "expiresAt"}
    assert (answer["requestId"], answer["deviceId"]) == ("r1", who.name)
    return keep(at / name, who.name, key, answer), answer["certificateId"]


def is_let_in(hub: RunningHub, who: Identity) -> bool:
    return hub.publish(who, f"$devicehub/devices/{who.name}/heartbeat", "{}") == 0


def refused_within(hub: RunningHub, who: Identity, seconds: float) -> float:
    began = time.monotonic()
    while is_let_in(hub, who):
        assert time.monotonic() - began < seconds, "the certificate still opens sessions"
    return time.monotonic() - began


def test_a_device_renews_reconnects_confirms_and_its_old_certificate_is_refused(
    hub: RunningHub, who: Identity, tmp_path: Path
) -> None:
    new, certificate = renew(hub, who, tmp_path)
    assert hub.json("device", "show", who.name)["certificate"]["serial"] == certificate
    checked = subprocess.run(
        ["openssl", "verify", "-purpose", "sslclient", "-x509_strict", "-CAfile", str(new.ca), str(new.certificate)],
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0
    # Both are good until the new one is confirmed.
    assert is_let_in(hub, who)
    assert is_let_in(hub, new)

    done = ask(hub, new, "renew/confirm", {"certificateId": certificate})

    assert done == {"deviceId": who.name, "certificateId": certificate}
    took = refused_within(hub, who, 2)
    print(f"\nold certificate refused {1000 * took:.0f} ms after the confirmation was accepted, at the latest")
    assert is_let_in(hub, new)
    # A repeat, the answer having been lost.
    assert ask(hub, new, "renew/confirm", {"certificateId": certificate}) == done
    assert hub.json("device", "show", who.name)["lifecycle"] == "active"


def test_a_message_that_is_sent_and_forgotten_confirms_too(hub: RunningHub, who: Identity, tmp_path: Path) -> None:
    """mosquitto_pub is gone before the hub has looked whose session it was."""
    new, certificate = renew(hub, who, tmp_path)

    topic = f"$devicehub/devices/{who.name}/certificates/renew/confirm"
    assert hub.publish(new, topic, json.dumps({"certificateId": certificate})) == 0

    refused_within(hub, who, 3)
    assert is_let_in(hub, new)


def test_the_session_that_asked_cannot_confirm_and_is_told_why(hub: RunningHub, who: Identity, tmp_path: Path) -> None:
    key, csr = make_csr(tmp_path / "new", who.name)
    device = Device(hub, who, clean=True).start("certificates/renew/accepted", "certificates/renew/confirm/rejected")
    try:
        device.send("certificates/renew", {"csrPem": csr})
        _, payload = device.messages.get(timeout=10)
        answer = json.loads(payload)
        device.send("certificates/renew/confirm", {"certificateId": answer["certificateId"]})
        _, payload = device.messages.get(timeout=10)
    finally:
        device.stop()

    refused = json.loads(payload)
    assert (refused["error"], refused["code"]) == ("session_too_old", 409)
    assert is_let_in(hub, who)
    new = keep(tmp_path / "new", who.name, key, answer)
    ask(hub, new, "renew/confirm", {"certificateId": answer["certificateId"]})
    refused_within(hub, who, 2)


def answer_of(hub: RunningHub, who: Identity, csr: str) -> dict[str, Any]:
    return ask(hub, who, "renew", {"csrPem": csr})


def test_an_open_session_of_the_old_certificate_ends_with_the_confirmation(
    hub: RunningHub, who: Identity, tmp_path: Path
) -> None:
    """It confirms from a later session, but one of the old certificate: it is out, and the new one lets it in."""
    new, certificate = renew(hub, who, tmp_path)
    device = Device(hub, who, clean=True).start("certificates/renew/confirm/+")
    try:
        device.send("certificates/renew/confirm", {"certificateId": certificate})
        assert device.ended.wait(5)
        refused_within(hub, who, 2)
        assert not device.connected.wait(2)
    finally:
        device.stop()
    assert is_let_in(hub, new)


def test_the_same_csr_gets_the_same_certificate_and_a_second_one_takes_its_place(
    hub: RunningHub, who: Identity, tmp_path: Path
) -> None:
    _, csr = make_csr(tmp_path / "new", who.name)
    first = answer_of(hub, who, csr)
    assert answer_of(hub, who, csr)["certPem"] == first["certPem"]

    second, certificate = renew(hub, who, tmp_path, "second")

    late = ask(hub, second, "renew/confirm", {"certificateId": first["certificateId"]}, "rejected")
    assert (late["error"], late["code"]) == ("superseded", 409)
    ask(hub, second, "renew/confirm", {"certificateId": certificate})
    refused_within(hub, who, 2)
    assert is_let_in(hub, second)


@pytest.mark.parametrize(
    ("rest", "body", "error", "code"),
    [
        ("renew", "{", "bad_request", 400),
        ("renew", "{}", "bad_request", 400),
        ("renew", '{"csrPem": "none", "requestId": "r1"}', "bad_csr", 400),
        ("renew", '{"csrPem": 5}', "bad_request", 400),
        ("renew/confirm", "[]", "bad_request", 400),
        ("renew/confirm", '{"certificateId": "../0f"}', "bad_request", 400),
        ("renew/confirm", '{"certificateId": "0f"}', "no_renewal_in_progress", 409),
    ],
)
def test_each_refusal_is_told_by_name(
    hub: RunningHub, who: Identity, rest: str, body: str, error: str, code: int
) -> None:
    topic = f"$devicehub/devices/{who.name}/certificates/{rest}"

    refused = hub.ask(who, topic, body, f"{topic}/rejected")

    assert (refused["error"], refused["code"]) == (error, code)
    assert refused["message"]
    assert is_let_in(hub, who)


def test_a_csr_for_another_device_is_refused(hub: RunningHub, who: Identity, tmp_path: Path) -> None:
    _, csr = make_csr(tmp_path, "pump-other")

    assert ask(hub, who, "renew", {"csrPem": csr, "requestId": "r7"}, "rejected") | {
        "message": "",
        "timestamp": "",
    } == {
        "error": "cn_mismatch",
        "code": 400,
        "requestId": "r7",
        "message": "",
        "timestamp": "",
    }


def test_revoking_the_device_revokes_both_certificates(hub: RunningHub, who: Identity, tmp_path: Path) -> None:
    new, _ = renew(hub, who, tmp_path)
    device = Device(hub, new, clean=True).start("twin/update/accepted")
    try:
        began = time.monotonic()
        hub.cli("device", "revoke", who.name)
        # Much of the time until here is the command's own start.
        assert device.ended.wait(2), "the open session was not ended"
        took = time.monotonic() - began
    finally:
        device.stop()
    print(f"\nrevoked and cut off in {1000 * took:.0f} ms, the command's start included")
    for each in (who, new):
        refused_within(hub, each, 2)


def test_a_suspended_device_renews_nothing(hub: RunningHub, who: Identity, tmp_path: Path) -> None:
    hub.cli("device", "suspend", who.name)
    before = hub.json("device", "show", who.name)["certificate"]["serial"]
    _, csr = make_csr(tmp_path, who.name)

    hub.publish(who, f"$devicehub/devices/{who.name}/certificates/renew", json.dumps({"csrPem": csr}))

    hub.cli("device", "resume", who.name)
    # The broker let nothing of it through: what is sent after it is answered, and it was not done.
    assert answer_of(hub, who, csr)["certificateId"] != before
    assert hub.json("device", "show", who.name)["certificate"]["serial"] != before


@pytest.fixture
def hasty_hub(tools: None, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub that gives devices ten seconds to confirm."""
    running = RunningHub(tmp_path / "hub", HUB_RENEWAL_GRACE_SECONDS="10")
    try:
        running.up()
        yield running
    finally:
        running.down()


def test_what_is_not_confirmed_ends_with_its_term_also_when_functions_start_again(
    hasty_hub: RunningHub, tmp_path: Path
) -> None:
    who = hasty_hub.device("ren-0001", tmp_path / "old")
    new, certificate = renew(hasty_hub, who, tmp_path)
    began = time.monotonic()
    device = Device(hasty_hub, who, clean=True).start("twin/update/accepted")
    try:
        hasty_hub.kill("functions")
        assert device.ended.wait(60), "the old certificate's session was not ended"
        took = time.monotonic() - began
    finally:
        device.stop()
    print(f"\nold certificate ended {took:.1f} s after the renewal, of which 10 s are its term")
    assert 9 < took < 60
    refused_within(hasty_hub, who, 2)
    assert is_let_in(hasty_hub, new)
    # Too late to matter, and no error.
    assert ask(hasty_hub, new, "renew/confirm", {"certificateId": certificate})["certificateId"] == certificate
