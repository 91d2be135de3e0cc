"""Claim certificates, enrolment windows and the whitelist on the whole stack: what HTTP says, the broker does."""

import asyncio
import json
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.devices import Device
from tests.e2e.rig import Identity, RunningHub, keep, make_csr, until
from tests.e2e.test_http import client_of, make_token

CLAIMS = "/api/settings/certs/provisioning"
ENROLMENT = "/api/settings/enrolment"
WHITELIST = "/api/admin/uuid-whitelist"
FILES = "/api/provisioning/certs"
# A claim's role follows the answer by one message to the keeper and one to the broker.
FELT_SECONDS = 2.0


@pytest.fixture(scope="module")
def client(hub: RunningHub) -> Iterator[httpx.Client]:
    with client_of(hub, make_token(hub, "admin")) as client:
        yield client


@pytest.fixture(autouse=True)
def closed(client: httpx.Client) -> None:
    client.put(ENROLMENT, json={"isOpen": False, "whitelistEnforced": False}).raise_for_status()


def new_name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def issue(client: httpx.Client, at: Path, name: str) -> Identity:
    """A claim certificate issued over HTTP, with its bundle as tar unpacks it."""
    answer = client.post(CLAIMS, json={"name": name, "days": 30})
    assert answer.status_code == 201, answer.text
    bundle = client.get(f"{CLAIMS}/{name}/download")
    assert bundle.status_code == 200, bundle.text
    at.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xzf", "-", "-C", str(at)], input=bundle.content, check=True)
    return Identity(f"claim-{name}", at / "ca.crt", at / "provisioning.crt", at / "provisioning.key")


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    async def holds() -> bool:
        return condition()

    asyncio.run(until(holds, seconds=seconds))


def provision(
    hub: RunningHub, claim: Identity, topic_id: str, body: dict[str, str], answer: str = "accepted"
) -> dict[str, Any]:
    topic = f"$devicehub/devices/{topic_id}/provision"
    return hub.ask(claim, f"{topic}/request", json.dumps(body), f"{topic}/{answer}", client_id=topic_id)


def join(hub: RunningHub, claim: Identity, at: Path, hardware: str) -> Identity:
    name = provision(hub, claim, hardware, {})["deviceId"]
    key, csr = make_csr(at, name)
    return keep(at, name, key, provision(hub, claim, hardware, {"csrPem": csr, "deviceId": name}))


def roles(hub: RunningHub) -> set[str]:
    """The roles of claim certificates as the broker has stored them."""
    stored = json.loads((hub.data / "broker" / "dynsec.json").read_text())
    return {role["rolename"] for role in stored.get("roles", []) if role["rolename"].startswith("claim-")}


def test_a_claim_has_its_role_at_once_and_its_bundle_lets_a_device_join(
    hub: RunningHub, client: httpx.Client, tmp_path: Path
) -> None:
    begun = time.monotonic()
    claim = issue(client, tmp_path / "claim", new_name("line"))
    wait_for(lambda: claim.name in roles(hub), FELT_SECONDS)
    assert time.monotonic() - begun < FELT_SECONDS + 2
    client.put(ENROLMENT, json={"minutes": 5}).raise_for_status()
    config = json.loads((tmp_path / "claim" / "config.json").read_text())
    assert (config["host"], config["port"]) == ("localhost", hub.mqtt_port)
    assert config["topicPrefix"] == "$devicehub"
    assert (tmp_path / "claim" / config["keyFile"]).stat().st_mode & 0o777 == 0o600

    device = join(hub, claim, tmp_path / "device", str(uuid.uuid4()))

    topic = f"$devicehub/devices/{device.name}/twin"
    assert hub.ask(device, f"{topic}/get", "{}", f"{topic}/update/accepted")["deviceId"] == device.name
    # What only holders of a role may use.
    name = new_name("csr")
    key, csr = make_csr(tmp_path / "csr", name)
    topic = "$devicehub/certificates/create-from-csr"
    told = hub.ask(claim, topic, json.dumps({"csrPem": csr, "requestId": "r1"}), f"{topic}/accepted", client_id=name)
    assert keep(tmp_path / "csr", name, key, told).name == name


def test_a_deleted_claim_loses_its_session_its_role_and_the_next_one(
    hub: RunningHub, client: httpx.Client, tmp_path: Path
) -> None:
    name = new_name("line")
    claim = issue(client, tmp_path, name)
    client.put(ENROLMENT, json={"minutes": 5}).raise_for_status()
    wait_for(lambda: claim.name in roles(hub), FELT_SECONDS)
    session = Device(hub, claim, client_id="claimer-0001").start()
    try:
        begun = time.monotonic()
        assert client.delete(f"{CLAIMS}/{name}").status_code == 200
        assert session.ended.wait(FELT_SECONDS), "the open session lives on"
        assert time.monotonic() - begun < FELT_SECONDS
    finally:
        session.stop()
    assert hub.publish(claim, "$devicehub/devices/claimer-0001/provision/request", "{}", client_id="claimer-0001") != 0
    wait_for(lambda: claim.name not in roles(hub), FELT_SECONDS)
    assert client.get(f"{CLAIMS}/{name}").status_code == 404
    assert client.get(f"{CLAIMS}/{name}/download").status_code == 409


@pytest.mark.soak
def test_a_window_ends_by_itself_and_with_it_the_serving(hub: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    claim = issue(client, tmp_path, new_name("line"))
    name = claim.name.removeprefix("claim-")
    hub.cli("enrolment", "open", "--minutes", "1", "--serve-files", name)
    until_ = client.get(ENROLMENT).json()["openUntil"]

    with client_of(hub) as stranger:
        for file in ("ca.crt", "provisioning.crt", "provisioning.key"):
            assert stranger.get(f"{FILES}/{file}").content == (tmp_path / file).read_bytes()
        assert "deviceId" in provision(hub, claim, str(uuid.uuid4()), {})
        wait_for(lambda: stranger.get(f"{FILES}/ca.crt").status_code == 403, 75)
    assert client.get(ENROLMENT).json() == {
        "isOpen": False,
        "openUntil": None,
        "whitelistEnforced": False,
        "serveFiles": None,
    }
    assert until_ is not None
    refused = provision(hub, claim, str(uuid.uuid4()), {}, "rejected")
    assert (refused["error"], refused["code"]) == ("enrolment_closed", 403)


def test_the_whitelist_is_felt_at_the_next_gate(hub: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    hardware = str(uuid.uuid4())
    client.put(ENROLMENT, json={"minutes": 5, "whitelistEnforced": True}).raise_for_status()

    def refused() -> str:
        return str(provision(hub, hub.claim, hardware, {}, "rejected")["error"])

    assert refused() == "uuid_not_whitelisted"
    entry = client.post(WHITELIST, json={"uuid": hardware, "note": "bench"}).json()
    join(hub, hub.claim, tmp_path / "first", hardware)
    used = client.get(WHITELIST, params={"uuid": hardware}).json()[0]
    assert used["firstUsedAt"] is not None
    assert used["lastUsedAt"] is not None
    client.patch(f"{WHITELIST}/{entry['id']}", json={"disabled": True}).raise_for_status()
    assert refused() == "uuid_not_whitelisted"
    client.patch(f"{WHITELIST}/{entry['id']}", json={"disabled": False}).raise_for_status()
    assert "deviceId" in provision(hub, hub.claim, hardware, {})
    client.delete(f"{WHITELIST}/{entry['id']}").raise_for_status()
    assert refused() == "uuid_not_whitelisted"


def test_ten_thousand_lines_go_in_one_request_within_seconds(hub: RunningHub, client: httpx.Client) -> None:
    lot = uuid.uuid4().hex[:8]
    lines = "".join(f"{uuid.uuid4()},lot {lot},rev C,ACME Industries\n" for _ in range(10_000))
    content = "uuid,note,hardwareVersion,manufacturer\n" + lines
    slow = httpx.Timeout(60)

    def send(query: str) -> dict[str, Any]:
        headers = {"Content-Type": "text/csv"}
        answer = client.post(f"{WHITELIST}/batch{query}", content=content, headers=headers, timeout=slow)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    dry = send("?dryRun=true")
    assert (dry["added"], len(dry["lines"])) == (10_000, 10_000)
    begun = time.monotonic()
    done = send("")
    took = time.monotonic() - begun

    assert done["added"] == 10_000
    assert took < 30, f"{took:.1f} s"
    page = client.get(WHITELIST, params={"q": lot, "limit": 10})
    assert (page.headers["x-total-count"], len(page.json())) == ("10000", 10)
    assert send("?dryRun=true")["present"] == 10_000


def test_a_device_registered_over_http_connects_with_its_bundle(
    hub: RunningHub, client: httpx.Client, tmp_path: Path
) -> None:
    name = new_name("made")

    answer = client.post("/api/devices", json={"deviceId": name})

    assert answer.status_code == 201, answer.text
    with tarfile.open(fileobj=BytesIO(answer.content), mode="r:gz") as archive:
        archive.extractall(tmp_path, filter="data")
    device = Identity(name, tmp_path / "ca.crt", tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
    topic = f"$devicehub/devices/{name}/twin"
    assert hub.ask(device, f"{topic}/get", "{}", f"{topic}/update/accepted")["deviceId"] == name
