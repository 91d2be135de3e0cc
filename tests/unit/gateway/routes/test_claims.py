from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from functions.contract.messages import ClaimCreate, Issued
from functions.testing import START
from tests.unit.gateway.rig import OPERATOR, Rig
from tests.unit.handlers.onboarding import csr

CLAIMS = "/api/settings/certs/provisioning"


@pytest.fixture
async def client(rig: Rig) -> httpx.AsyncClient:
    return rig.client(await rig.token("admin"))


async def issue(client: httpx.AsyncClient, name: str = "fleet", **body: Any) -> dict[str, Any]:
    answer = await client.post(CLAIMS, json={"name": name, **body})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_claim_certificate_is_issued_by_name_and_validity(client: httpx.AsyncClient) -> None:
    answer = await client.post(CLAIMS, json={"name": "fleet", "days": 30})

    assert answer.status_code == 201
    assert answer.headers["location"] == f"{CLAIMS}/fleet"
    told = answer.json()
    certificate = x509.load_pem_x509_certificate(told["certPem"].encode())
    assert certificate.subject.rfc4514_string() == "CN=claim-fleet"
    assert told["serial"] == f"{certificate.serial_number:x}"
    assert told["fingerprint"] == certificate.fingerprint(hashes.SHA256()).hex()
    assert told["notAfter"] == (START + timedelta(days=30)).isoformat().replace("+00:00", "Z")
    assert (told["createdBy"], told["hasBundle"], told["revokedAt"]) == ("app:app", True, None)
    assert "PRIVATE" not in answer.text


async def test_it_is_listed_and_looked_at_without_its_key(client: httpx.AsyncClient) -> None:
    made = await issue(client, "b")
    await issue(client, "a")

    listed = await client.get(CLAIMS)
    assert [one["name"] for one in listed.json()] == ["a", "b"]
    assert listed.headers["x-total-count"] == "2"
    seen = await client.get(f"{CLAIMS}/b")
    assert seen.json() == made
    for answer in (listed, seen):
        assert "PRIVATE" not in answer.text
        assert "v1:" not in answer.text


async def test_a_list_has_pages(client: httpx.AsyncClient) -> None:
    for name in "abc":
        await issue(client, name)

    page = await client.get(CLAIMS, params={"limit": 1, "offset": 1})

    assert [one["name"] for one in page.json()] == ["b"]
    assert page.headers["x-total-count"] == "3"
    assert {rel: link["url"] for rel, link in page.links.items()} == {
        "first": f"{CLAIMS}?limit=1&offset=0",
        "prev": f"{CLAIMS}?limit=1&offset=0",
        "next": f"{CLAIMS}?limit=1&offset=2",
        "last": f"{CLAIMS}?limit=1&offset=2",
    }


async def test_what_is_deleted_is_gone_and_its_name_free(client: httpx.AsyncClient, rig: Rig) -> None:
    first = await issue(client)

    answer = await client.delete(f"{CLAIMS}/fleet")

    assert (answer.status_code, answer.json()) == (200, {"done": True})
    assert (await client.get(CLAIMS)).json() == []
    assert [one["serial"] for one in (await client.get(CLAIMS, params={"revoked": "true"})).json()] == [first["serial"]]
    for gone in ("", "/download"):
        answer = await client.get(f"{CLAIMS}/fleet{gone}")
        assert answer.status_code == (409 if gone else 404)
    kept = await rig.hub.claim_certificates.get("fleet")
    assert kept is not None
    assert kept.value.sealed_key == ""
    assert (await client.delete(f"{CLAIMS}/fleet")).status_code == 200, "a repeat is harmless"
    assert (await issue(client))["serial"] != first["serial"]


async def test_a_name_in_use_is_409(client: httpx.AsyncClient) -> None:
    await issue(client)

    answer = await client.post(CLAIMS, json={"name": "fleet"})

    assert (answer.status_code, answer.json()["error"]) == (409, "name_taken")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_one_that_never_was_is_404(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, f"{CLAIMS}/nobody")

    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert (await client.get(f"{CLAIMS}/nobody/download")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "a b"},
        {"name": "../x"},
        {"name": "x" * 59},
        {"name": "ok", "days": 0},
        {"name": "ok", "days": 36_501},
        {"name": "ok", "days": "30"},
        {"name": "ok", "colour": "red"},
        [],
    ],
)
async def test_a_wish_that_is_none_is_400(client: httpx.AsyncClient, body: Any) -> None:
    answer = await client.post(CLAIMS, json=body)

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert (await client.get(CLAIMS)).json() == []


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "revoked=1", "revoked=maybe", "x=1"])
async def test_a_question_that_is_none_is_400(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"{CLAIMS}?{query}")).status_code == 400


async def test_a_claim_whose_key_was_made_elsewhere_has_no_bundle(client: httpx.AsyncClient, rig: Rig) -> None:
    wish = ClaimCreate(name="own", csr_pem=csr("own"))
    await rig.bus.call("devicehub.claims.create", wish, Issued, caller=OPERATOR)

    assert (await client.get(f"{CLAIMS}/own")).json()["hasBundle"] is False
    answer = await client.get(f"{CLAIMS}/own/download")
    assert (answer.status_code, answer.json()["error"]) == (409, "no_bundle")
    assert "made elsewhere" in answer.json()["detail"]
