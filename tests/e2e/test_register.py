"""The register of a whole hub: everything signed is in it, and what is revoked by it is cut off at once."""

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from tests.e2e.devices import Device
from tests.e2e.rig import Identity, RunningHub, keep, make_csr

WITHIN_SECONDS = 2.0


@pytest.fixture(scope="module")
def http(hub: RunningHub) -> Iterator[httpx.Client]:
    token = hub.json("token", "create", f"register-{uuid.uuid4().hex[:8]}", "--scope", "admin")["token"]
    base = f"http://127.0.0.1:{hub.http_port}"
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


def found(http: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
    answer = http.get("/api/certificates", params=asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def until_found(http: httpx.Client, **asked: Any) -> dict[str, Any]:
    """The one certificate that is asked for, as soon as the index has it: it follows what is stored."""
    end = time.monotonic() + 5
    while len(page := found(http, **asked)) != 1:
        assert time.monotonic() < end, page
        time.sleep(0.01)
    return page[0]


def serial_of(who: Identity) -> str:
    return f"{x509.load_pem_x509_certificate(who.certificate.read_bytes()).serial_number:x}"


def connects(hub: RunningHub, who: Identity) -> bool:
    """Whether mosquitto's own client gets in and is answered."""
    topic = f"$devicehub/devices/{who.name}/twin"
    command = ["mosquitto_rr", *hub.address(who, who.name), "-V", "5", "-W", "5"]
    command += ["-t", f"{topic}/get", "-e", f"{topic}/update/accepted", "-m", "{}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode == 0 and "operation" in done.stdout


def openssl_accepts(who: Identity, crl: Path) -> bool:
    command = ["openssl", "verify", "-crl_check", "-CRLfile", str(crl), "-CAfile", str(who.ca), str(who.certificate)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def rejoin(hub: RunningHub, at: Path, hardware: str) -> Identity:
    """Both rounds, with a key of its own."""
    hub.cli("enrolment", "open", "--minutes", "10")
    topic = f"$devicehub/devices/{hardware}/provision"
    asked = (hub.claim, f"{topic}/request")
    name = hub.ask(*asked, "{}", f"{topic}/accepted", client_id=hardware)["deviceId"]
    key, csr = make_csr(at, name)
    body = json.dumps({"csrPem": csr, "deviceId": name})
    return keep(at, name, key, hub.ask(*asked, body, f"{topic}/accepted", client_id=hardware))


def test_what_the_hub_signs_for_itself_is_in_it_too(hub: RunningHub, http: httpx.Client) -> None:
    server = x509.load_pem_x509_certificate((hub.data / "broker" / "server.pem").read_bytes())

    (listed,) = found(http, kind="server")
    claim = until_found(http, subject="claim-default")

    assert listed["serial"] == f"{server.serial_number:x}"
    assert (listed["subject"], listed["gate"], listed["state"]) == ("hub-broker", "system", "active")
    assert claim["serial"] == serial_of(hub.claim)
    assert (claim["kind"], claim["gate"]) == ("claim", "claim")


def test_a_revoked_certificate_is_cut_off_within_two_seconds_and_stays_out(
    hub: RunningHub, http: httpx.Client, tmp_path: Path
) -> None:
    taken = []
    for number in range(5):
        name = f"cut-{number}-{uuid.uuid4().hex[:6]}"
        who = hub.device(name, tmp_path / name)
        assert until_found(http, subject=name)["state"] == "active"
        session = Device(hub, who, clean=True).start("twin/update/accepted")
        try:
            session.update({"n": 1}, "before")
            began = time.monotonic()
            told = http.post(f"/api/certificates/{serial_of(who)}/revoke", json={"reason": "keyCompromise"})
            assert session.ended.wait(5), "the open session was not ended"
            taken.append(time.monotonic() - began)
        finally:
            session.stop()

        assert told.json()["consequence"] == "device_retired"
        assert not connects(hub, who)
        assert until_found(http, subject=name, state="revoked")["reason"] == "keyCompromise"
        assert hub.json("device", "show", name)["lifecycle"] == "retired"
    print(f"\nrevoked to session ended: {', '.join(f'{1000 * seconds:.0f}' for seconds in taken)} ms")
    assert max(taken) < WITHIN_SECONDS


def test_openssl_goes_by_the_list_that_anyone_may_have(hub: RunningHub, http: httpx.Client, tmp_path: Path) -> None:
    good, bad = (hub.device(f"{word}-{uuid.uuid4().hex[:6]}", tmp_path / word) for word in ("good", "bad"))
    serial = serial_of(bad)
    http.post(f"/api/certificates/{serial}/revoke", json={"reason": "privilegeWithdrawn"})

    # What the gateway believes is a second old at most.
    end = time.monotonic() + 5
    while True:
        answer = httpx.get(f"http://127.0.0.1:{hub.http_port}/api/crl", headers={"Accept": "application/pkix-crl"})
        entry = x509.load_der_x509_crl(answer.content).get_revoked_certificate_by_serial_number(int(serial, 16))
        if entry is not None:
            break
        assert time.monotonic() < end
        time.sleep(0.05)

    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.privilege_withdrawn
    crl = tmp_path / "crl.pem"
    hub.cli("crl", "--out", str(crl))
    assert openssl_accepts(good, crl)
    assert not openssl_accepts(bad, crl)


def test_a_superseded_certificate_goes_and_the_device_stays(
    hub: RunningHub, http: httpx.Client, tmp_path: Path
) -> None:
    hardware = str(uuid.uuid4())
    old = rejoin(hub, tmp_path / "old", hardware)
    new = rejoin(hub, tmp_path / "new", hardware)
    assert old.name == new.name
    assert until_found(http, subject=old.name, state="superseded")["serial"] == serial_of(old)
    assert connects(hub, old)

    told = hub.cli("certificate", "revoke", serial_of(old)).stdout

    assert f"The device '{old.name}' stays" in told
    assert not connects(hub, old)
    assert connects(hub, new)
    assert until_found(http, subject=old.name, state="active")["serial"] == serial_of(new)


def test_it_is_whole_after_a_restart_of_the_index(hub: RunningHub, http: httpx.Client) -> None:
    before = http.get("/api/certificates?limit=1").headers["x-total-count"]
    hub.kill("index")

    end = time.monotonic() + 30
    while (answer := http.get("/api/certificates?limit=1")).status_code != 200:
        assert time.monotonic() < end, answer.text
        time.sleep(0.05)

    assert answer.headers["x-total-count"] == before


def test_what_is_issued_again_for_the_broker_is_in_it_after_the_next_start(tools: None, tmp_path: Path) -> None:
    hub = RunningHub(tmp_path / "hub")
    hub.up()
    try:
        (first,) = hub.json("certificate", "list", "--kind", "server")["certificates"]
        told = hub.cli("certificate", "revoke", first["serial"]).stdout
        assert "start the hub again" in told
        # The keeper has it on its list before the hub goes down.
        end = time.monotonic() + 10
        while len(x509.load_pem_x509_crl((hub.data / "broker" / "crl.pem").read_bytes())) == 0:
            assert time.monotonic() < end
            time.sleep(0.05)
        hub.down()
        hub.up()
        states = {
            one["serial"]: one["state"] for one in hub.json("certificate", "list", "--kind", "server")["certificates"]
        }
    finally:
        hub.down()

    assert len(states) == 2
    assert states.pop(first["serial"]) == "revoked"
    assert [*states.values()] == ["active"]
