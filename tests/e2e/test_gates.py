"""Each gate of joining, and each refusal by its name, with nothing but openssl and mosquitto's clients."""

import asyncio
import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.devices import Device
from tests.e2e.rig import Identity, RunningHub, keep, make_csr

SIGN = "$devicehub/certificates/create-from-csr"


@pytest.fixture(autouse=True)
def enrolment(hub: RunningHub) -> None:
    hub.cli("enrolment", "open", "--minutes", "10")


def provision(hub: RunningHub, topic_id: str, body: Any, answer: str = "accepted") -> dict[str, Any]:
    topic = f"$devicehub/devices/{topic_id}/provision"
    payload = body if isinstance(body, str) else json.dumps(body)
    return hub.ask(hub.claim, f"{topic}/request", payload, f"{topic}/{answer}", client_id=topic_id)


def refused(hub: RunningHub, topic_id: str, body: Any) -> tuple[str, int]:
    told = provision(hub, topic_id, body, "rejected")
    assert told["message"]
    return told["error"], told["code"]


def sign_refused(hub: RunningHub, body: Any) -> dict[str, Any]:
    payload = body if isinstance(body, str) else json.dumps(body)
    return hub.ask(hub.claim, SIGN, payload, f"{SIGN}/rejected", client_id=f"asks-{uuid.uuid4().hex[:8]}")


def a_name() -> str:
    return f"gate-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize("body", ["{", "[]", "7", '{"csrPem": 5}', '{"csrPem": "x", "meta": []}', '{"uuid": {}}'])
def test_what_is_no_request_is_a_bad_one(hub: RunningHub, body: str) -> None:
    assert refused(hub, a_name(), body) == ("bad_request", 400)


@pytest.mark.parametrize("body", ["{", "{}", '{"csrPem": null}', '{"uuid": "u"}'])
def test_what_is_no_request_to_sign_is_a_bad_one(hub: RunningHub, body: str) -> None:
    told = sign_refused(hub, body)

    assert (told["error"], told["code"]) == ("bad_request", 400)


def test_what_is_no_csr_is_a_bad_one(hub: RunningHub) -> None:
    for told in (
        provision(hub, a_name(), {"csrPem": "-----BEGIN CERTIFICATE REQUEST-----"}, "rejected"),
        sign_refused(hub, {"csrPem": "no CSR"}),
    ):
        assert (told["error"], told["code"]) == ("bad_csr", 400)


def test_a_csr_for_another_name_is_refused_in_either_handshake(hub: RunningHub, tmp_path: Path) -> None:
    _, other = make_csr(tmp_path, a_name())
    hardware = str(uuid.uuid4())
    kept = provision(hub, hardware, {})["deviceId"]

    assert refused(hub, a_name(), {"csrPem": other}) == ("cn_mismatch", 400)
    assert refused(hub, hardware, {"csrPem": other, "deviceId": kept}) == ("cn_mismatch", 400)


@pytest.mark.parametrize("name", ["abc", "claim-7", "HUB-0001", "a b c d", "@bridge", "a.b.c.d"])
def test_a_csr_for_what_can_be_no_device_is_refused(hub: RunningHub, tmp_path: Path, name: str) -> None:
    _, csr = make_csr(tmp_path, name)

    told = sign_refused(hub, {"csrPem": csr, "requestId": "r1"})

    assert (told["error"], told["code"], told["requestId"]) == ("cn_mismatch", 400, "r1")


def test_a_uuid_that_is_not_the_topics_is_refused(hub: RunningHub) -> None:
    assert refused(hub, str(uuid.uuid4()), {"uuid": str(uuid.uuid4())}) == ("uuid_mismatch", 400)


def test_a_second_round_without_a_first_is_refused(hub: RunningHub, tmp_path: Path) -> None:
    name = a_name()
    _, csr = make_csr(tmp_path, name)

    assert refused(hub, str(uuid.uuid4()), {"csrPem": csr, "deviceId": name}) == ("no_claim_in_progress", 409)


def test_closed_enrolment_refuses_every_way_in(hub: RunningHub, tmp_path: Path) -> None:
    name = a_name()
    _, csr = make_csr(tmp_path, name)
    hub.cli("enrolment", "close")

    assert refused(hub, str(uuid.uuid4()), {}) == ("enrolment_closed", 403)
    assert refused(hub, name, {"csrPem": csr}) == ("enrolment_closed", 403)
    told = sign_refused(hub, {"csrPem": csr})
    assert (told["error"], told["code"]) == ("enrolment_closed", 403)


def test_the_whitelist_refuses_every_way_in(hub: RunningHub, tmp_path: Path) -> None:
    name, stranger = a_name(), str(uuid.uuid4())
    _, csr = make_csr(tmp_path, name)
    hub.cli("whitelist", "enforce", "on")
    try:
        assert refused(hub, stranger, {}) == ("uuid_not_whitelisted", 403)
        # Also who tells no UUID at all.
        assert refused(hub, name, {"csrPem": csr}) == ("uuid_not_whitelisted", 403)
        told = sign_refused(hub, {"csrPem": csr, "uuid": stranger})
        assert (told["error"], told["code"]) == ("uuid_not_whitelisted", 403)
        hub.cli("whitelist", "add", stranger)
        assert provision(hub, name, {"csrPem": csr, "uuid": stranger})["deviceId"] == name
    finally:
        hub.cli("whitelist", "enforce", "off")


def test_payload_and_csr_are_judged_before_the_gates(hub: RunningHub, tmp_path: Path) -> None:
    hub.cli("enrolment", "close")
    _, weak = make_csr(tmp_path, "weak-0001", key="rsa:1024")

    assert refused(hub, a_name(), "{") == ("bad_request", 400)
    assert refused(hub, "weak-0001", {"csrPem": weak}) == ("bad_csr", 400)
    assert refused(hub, str(uuid.uuid4()), {"uuid": str(uuid.uuid4())}) == ("uuid_mismatch", 400)


def test_a_name_that_is_taken_is_refused_in_whatever_case(hub: RunningHub, tmp_path: Path) -> None:
    taken = hub.device(a_name(), tmp_path / "taken")
    for name in (taken.name, taken.name.upper()):
        _, csr = make_csr(tmp_path / name, name)
        assert refused(hub, name, {"csrPem": csr}) == ("device_exists", 409)


def test_ever_new_keys_are_refused_for_a_while(hub: RunningHub, tmp_path: Path) -> None:
    hardware = str(uuid.uuid4())
    name = provision(hub, hardware, {})["deviceId"]
    for number in range(9):
        _, csr = make_csr(tmp_path / str(number), name)
        provision(hub, hardware, {"csrPem": csr, "deviceId": name})
    _, tenth = make_csr(tmp_path / "tenth", name)

    assert refused(hub, hardware, {"csrPem": tenth, "deviceId": name}) == ("rate_limited", 429)
    # What was given last is still given.
    assert provision(hub, hardware, {"csrPem": csr, "deviceId": name})["deviceId"] == name


@pytest.fixture
def silent(own_hub: RunningHub) -> Iterator[RunningHub]:
    """A hub whose functions do not answer."""
    own_hub.cli("enrolment", "open")
    stopped = own_hub.processes("functions")
    for process in stopped:
        process.suspend()
    yield own_hub
    for process in stopped:
        process.resume()


def test_a_hub_that_cannot_answer_says_so(silent: RunningHub) -> None:
    """At QoS 0, which nobody holds for it; at QoS 1 the message waits until the hub can."""
    hardware = str(uuid.uuid4())
    topic = f"$devicehub/devices/{hardware}/provision"
    address = [word if word != "1" else "0" for word in silent.address(silent.claim, hardware)]

    told = subprocess.run(
        [
            *("mosquitto_rr", *address, "-V", "5", "-W", "20"),
            *("-t", f"{topic}/request", "-e", f"{topic}/rejected", "-m", "{}"),
        ],
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
    )

    refused = json.loads(told.stdout)
    assert refused["error"] in ("unavailable", "timeout")
    assert refused["code"] in (503, 504)


async def test_64_devices_that_join_at_once_with_one_certificate_see_nobody_elses_answers(
    hub: RunningHub, tmp_path: Path
) -> None:
    whose = [(str(uuid.uuid4()), tmp_path / str(number)) for number in range(64)]
    claimers = {
        hardware: Device(hub, Identity(hardware, hub.claim.ca, hub.claim.certificate, hub.claim.key), clean=True)
        for hardware, _ in whose
    }

    def join(hardware: str, at: Path) -> Identity:
        claimer = claimers[hardware]
        claimer.start("provision/accepted", "provision/rejected")
        claimer.send("provision/request", {})
        _, payload = claimer.messages.get(timeout=30)
        name = json.loads(payload)["deviceId"]
        key, csr = make_csr(at, name)
        claimer.send("provision/request", {"deviceId": name, "csrPem": csr})
        topic, payload = claimer.messages.get(timeout=30)
        assert topic.endswith(f"{hardware}/provision/accepted"), payload
        answer = json.loads(payload)
        assert answer["deviceId"] == name
        return keep(at, name, key, answer)

    try:
        joined = await asyncio.gather(*(asyncio.to_thread(join, *who) for who in whose))
    finally:
        for claimer in claimers.values():
            claimer.stop()

    assert len({who.name for who in joined}) == 64
    assert [claimer.messages.qsize() for claimer in claimers.values()] == [0] * 64
    # Each has the certificate for its own key: with it, it is let in.
    sample = joined[::16]
    assert [hub.publish(who, f"$devicehub/devices/{who.name}/heartbeat", "{}") for who in sample] == [0] * len(sample)


def test_a_claimer_cannot_hear_what_another_is_told(hub: RunningHub, tmp_path: Path) -> None:
    victim, name = str(uuid.uuid4()), a_name()
    listener = hub.listen(
        hub.claim,
        f"$devicehub/devices/{victim}/provision/#",
        "$devicehub/devices/+/provision/accepted",
        client_id=name,
        wait=4,
    )
    try:
        assert "deviceId" in provision(hub, victim, {})
        assert listener.next() is None
    finally:
        listener.close()


def test_certificates_of_two_hubs_never_mix(hub: RunningHub, tools: None, tmp_path: Path) -> None:
    other = RunningHub(tmp_path / "other")
    other.up()
    try:
        name = a_name()
        here, there = hub.device(name, tmp_path / "here"), other.device(name, tmp_path / "there")
        other.cli("enrolment", "open")
        for at, whose in ((hub, there), (other, here), (hub, other.claim), (other, hub.claim)):
            home = hub if at is other else other
            # Each trusts the broker that it comes to, so it is the broker that refuses.
            guest = Identity(whose.name, at.claim.ca, whose.certificate, whose.key)
            topic = f"$devicehub/devices/{whose.name}/heartbeat"
            assert at.publish(guest, topic, "{}", client_id=a_name() if "claim" in whose.name else name) != 0
            # And no device takes a foreign broker for its own.
            assert at.publish(whose, topic, "{}") != 0
            assert home.publish(whose, topic, "{}", client_id=a_name() if "claim" in whose.name else name) == 0

        serials = {at.json("device", "show", name)["certificate"]["serial"] for at in (hub, other)}
        assert len(serials) == 2
        other.cli("device", "revoke", name)
        assert hub.publish(here, f"$devicehub/devices/{name}/heartbeat", "{}") == 0
    finally:
        other.down()
