import io
import json
import tarfile
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.unit.gateway.rig import OPERATOR, Rig
from tests.unit.handlers.onboarding import csr

CLAIMS = "/api/settings/certs/provisioning"
ENROLMENT = "/api/settings/enrolment"
FILES = "/api/provisioning/certs"
NAMES = ["ca.crt", "provisioning.crt", "provisioning.key"]


@pytest.fixture
async def client(rig: Rig) -> httpx.AsyncClient:
    return rig.client(await rig.token("admin"))


async def issue(client: httpx.AsyncClient, name: str = "fleet") -> dict[str, Any]:
    answer = await client.post(CLAIMS, json={"name": name})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def unpack(answer: httpx.Response) -> dict[str, tuple[int, bytes]]:
    """The files of an archive, with their modes."""
    assert answer.headers["content-type"] == "application/gzip"
    with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:gz") as archive:
        found = {}
        for member in archive.getmembers():
            assert member.isreg()
            assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0)
            content = archive.extractfile(member)
            assert content is not None
            found[member.name] = (member.mode, content.read())
    return found


def fit(key: bytes, certificate: bytes) -> bool:
    return load_pem_private_key(key, None).public_key() == x509.load_pem_x509_certificate(certificate).public_key()


# --- Bundles of claim certificates


async def test_a_bundle_has_all_that_a_device_needs_to_join(client: httpx.AsyncClient, rig: Rig) -> None:
    made = await issue(client)

    answer = await client.get(f"{CLAIMS}/fleet/download")

    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="claim-fleet.tgz"'
    assert answer.headers["cache-control"] == "no-store"
    files = unpack(answer)
    assert {name: oct(mode) for name, (mode, _) in files.items()} == {
        "ca.crt": "0o644",
        "provisioning.crt": "0o644",
        "provisioning.key": "0o600",
        "config.json": "0o644",
    }
    assert files["ca.crt"][1].decode() == rig.hub.authority.chain_pem
    assert files["provisioning.crt"][1].decode() == made["certPem"]
    assert fit(files["provisioning.key"][1], files["provisioning.crt"][1])
    assert json.loads(files["config.json"][1]) == {
        "host": "hub.example",
        "port": 8883,
        "topicPrefix": "$devicehub",
        "caFile": "ca.crt",
        "certFile": "provisioning.crt",
        "keyFile": "provisioning.key",
    }


async def test_the_same_bundle_is_the_same_bytes(client: httpx.AsyncClient, rig: Rig) -> None:
    await issue(client)
    first = await client.get(f"{CLAIMS}/fleet/download")
    rig.hub.clock.advance(86_400)

    assert (await client.get(f"{CLAIMS}/fleet/download")).content == first.content


async def test_one_that_has_expired_has_no_bundle(client: httpx.AsyncClient, rig: Rig) -> None:
    assert (await client.post(CLAIMS, json={"name": "fleet", "days": 1})).status_code == 201
    rig.hub.clock.advance(86_400)

    answer = await client.get(f"{CLAIMS}/fleet/download")

    assert (answer.status_code, answer.json()["error"]) == (409, "no_bundle")
    assert "expired" in answer.json()["detail"]


# --- Bundles of devices


async def test_a_device_is_registered_with_its_bundle(rig: Rig) -> None:
    async with rig.client(await rig.token("devices:write", "devices:read")) as client:
        answer = await client.post("/api/devices", json={"deviceId": "pump-0002", "days": 10})

        assert answer.status_code == 201
        assert answer.headers["location"] == "/api/devices/pump-0002"
        assert answer.headers["content-disposition"] == 'attachment; filename="pump-0002.tgz"'
        files = unpack(answer)
        assert list(files) == ["ca.crt", "pump-0002.crt", "pump-0002.key", "config.json"]
        assert files["pump-0002.key"][0] == 0o600
        assert fit(files["pump-0002.key"][1], files["pump-0002.crt"][1])
        assert json.loads(files["config.json"][1])["deviceId"] == "pump-0002"
        record = (await client.get("/api/devices/pump-0002")).json()
        certificate = x509.load_pem_x509_certificate(files["pump-0002.crt"][1])
        assert record["certificate"]["serial"] == f"{certificate.serial_number:x}"
    key = files["pump-0002.key"][1].decode().splitlines()[1]
    for store in (rig.hub.devices, rig.hub.certificates, rig.hub.claims):
        async for _, kept in store.entries():
            assert key not in repr(kept)


async def test_a_device_with_a_key_of_its_own_sends_a_csr(rig: Rig) -> None:
    wish = {"deviceId": "pump-0002", "csrPem": csr("pump-0002")}
    async with rig.client(await rig.token("devices:write")) as client:
        first = await client.post("/api/devices", json=wish)
        again = await client.post("/api/devices", json=wish, headers={"Accept": "application/json"})

    assert list(unpack(first)) == ["ca.crt", "pump-0002.crt", "config.json"]
    assert again.status_code == 201
    assert [file["name"] for file in again.json()["files"]] == ["ca.crt", "pump-0002.crt", "config.json"]
    assert again.json()["files"][1]["content"].encode() == unpack(first)["pump-0002.crt"][1]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"deviceId": "pump-0003"}, "device_exists"),
        ({"deviceId": "PUMP-0003"}, "device_exists"),
        ({"deviceId": "x"}, "bad_request"),
        ({"deviceId": "claim-x"}, "bad_request"),
        ({"deviceId": "a/b.c"}, "bad_request"),
        ({}, "bad_request"),
        ({"deviceId": "pump-0002", "csrPem": "none"}, "bad_csr"),
        ({"deviceId": "pump-0002", "csrPem": csr("pump-0009")}, "cn_mismatch"),
    ],
)
async def test_a_device_that_cannot_be_is_refused(rig: Rig, body: dict[str, Any], error: str) -> None:
    async with rig.client(await rig.token("devices:write")) as client:
        assert (await client.post("/api/devices", json={"deviceId": "pump-0003"})).status_code == 201
        answer = await client.post("/api/devices", json=body)

    assert answer.json()["error"] == error, answer.text
    assert answer.status_code == (409 if error == "device_exists" else 400)


# --- Files for devices that have nothing yet


async def serve(client: httpx.AsyncClient, name: str = "fleet", **body: Any) -> httpx.Response:
    return await client.put(ENROLMENT, json={"isOpen": True, "serveFiles": name, **body})


async def fetched(rig: Rig, address: str = "192.0.2.7") -> list[int]:
    async with rig.client(address=address) as stranger:
        return [(await stranger.get(f"{FILES}/{name}")).status_code for name in NAMES]


async def test_files_are_served_while_a_window_is_open_for_it(client: httpx.AsyncClient, rig: Rig) -> None:
    await issue(client)
    assert (await serve(client, minutes=5)).json()["serveFiles"] == "fleet"
    bundle = unpack(await client.get(f"{CLAIMS}/fleet/download"))

    async with rig.client() as stranger:
        for name in NAMES:
            answer = await stranger.get(f"{FILES}/{name}")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/x-pem-file"
            assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
            assert answer.headers["cache-control"] == "no-store"
            assert answer.content == bundle[name][1]


async def test_no_file_is_served_otherwise_and_nothing_tells_why(client: httpx.AsyncClient, rig: Rig) -> None:
    told = set()

    async def refused() -> None:
        async with rig.client() as stranger:
            for name in NAMES:
                answer = await stranger.get(f"{FILES}/{name}")
                assert answer.status_code == 403
                assert "PEM" not in answer.text
                told.add(json.dumps({**answer.json(), "requestId": ""}))
                rig.clock.now += 60

    await refused()  # Nothing was ever opened.
    await issue(client)
    await issue(client, "other")
    await client.put(ENROLMENT, json={"isOpen": True})
    await refused()  # Open, but without serving.
    await serve(client, minutes=5)
    await client.put(ENROLMENT, json={"isOpen": False})
    await refused()  # Closed.
    await serve(client, minutes=5)
    rig.hub.clock.advance(300)
    await refused()  # Over.
    await serve(client, minutes=5)
    await client.put(ENROLMENT, json={"minutes": 5})
    await refused()  # Opened anew, without serving.
    await serve(client, minutes=5)
    await client.delete(f"{CLAIMS}/fleet")
    await refused()  # Its claim certificate is gone.
    await issue(client)
    await refused()  # Another of the same name was not meant.
    assert len(told) == 1


async def test_switching_the_whitelist_leaves_the_serving_alone(client: httpx.AsyncClient, rig: Rig) -> None:
    await issue(client)
    await serve(client)

    await client.put(ENROLMENT, json={"whitelistEnforced": True})

    assert await fetched(rig) == [200, 200, 200]


@pytest.mark.parametrize(
    "name", ["config.json", "provisioning.csr", "ca.key", "root.key", "..%2fca.crt", "ca.crt%00", "CA.CRT", " ca.crt"]
)
async def test_there_is_no_other_file(client: httpx.AsyncClient, rig: Rig, name: str) -> None:
    await issue(client)
    await serve(client)

    async with rig.client() as stranger:
        answer = await stranger.get(f"{FILES}/{name}")

    assert answer.status_code == 404
    assert not rig.bus.on("enrolment.files")


async def test_a_login_opens_nothing_more(client: httpx.AsyncClient) -> None:
    await issue(client)

    assert (await client.get(f"{FILES}/ca.crt")).status_code == 403
    assert (await client.get(f"{FILES}/ca.crt?name=fleet")).status_code == 400


async def test_an_address_that_asks_too_often_waits_and_no_other(client: httpx.AsyncClient, rig: Rig) -> None:
    await issue(client)
    await serve(client)
    for _ in range(20):
        assert await fetched(rig) == [200, 200, 200]
    asked = len(rig.bus.on("enrolment.files"))

    async with rig.client(address="192.0.2.7") as stranger:
        late = await stranger.get(f"{FILES}/ca.crt")
    assert (late.status_code, late.json()["error"]) == (429, "rate_limited")
    assert int(late.headers["retry-after"]) == 1
    assert len(rig.bus.on("enrolment.files")) == asked, "no function was asked"
    assert await fetched(rig, "192.0.2.8") == [200, 200, 200]
    rig.clock.now += 3
    assert await fetched(rig) == [200, 200, 200]


async def test_files_are_away_while_the_functions_are(client: httpx.AsyncClient, rig: Rig) -> None:
    await issue(client)
    await serve(client)
    rig.bus.parts = frozenset()

    assert await fetched(rig) == [503, 503, 503]


async def test_only_the_hub_itself_asks_for_the_files(rig: Rig) -> None:
    await rig.bus.request("devicehub.claims.issue", b'{"name":"fleet"}', caller=OPERATOR)
    async with rig.client(await rig.token("admin")) as client:
        await serve(client)
        await client.get(f"{FILES}/ca.crt")

    (asked,) = rig.bus.on("enrolment.files")
    assert asked.caller == "system:gateway"
    assert asked.headers["Hub-Origin"] == "http:192.0.2.1"
