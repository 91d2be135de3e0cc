"""The register and the revocation list over HTTP."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from cryptography import x509

from functions.contract.messages import CertificateQuery
from functions.domain.certificates import Purpose
from functions.testing import START
from gateway.routes.certificates import _TEXTS
from tests.unit.gateway.rig import DEVICE, SERIAL, Rig, make_certificate, make_device, make_rig

DER = "application/pkix-crl"


def shelf(number: int) -> Rig:
    made = [make_certificate(f"{0xA000 + n:x}", f"pump-{n}", issued_at=START + timedelta(n)) for n in range(number)]
    return make_rig(certificates={one.serial: one for one in made})


async def client_of(rig: Rig) -> httpx.AsyncClient:
    return rig.client(await rig.token("admin"))


def serials(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["serial"] for one in answer.json()]


async def test_a_list_is_an_array_of_certificates_and_their_number() -> None:
    rig = shelf(5)
    async with await client_of(rig) as client:
        answer = await client.get("/api/certificates?limit=2&offset=2&q=pump")

    assert serials(answer) == ["a002", "a001"]
    assert answer.headers["x-total-count"] == "5"
    relations = {one["rel"]: one["url"] for one in answer.links.values()}
    assert relations["next"] == "/api/certificates?q=pump&limit=2&offset=4"
    assert set(relations) == {"first", "prev", "next", "last"}


async def test_the_function_gets_what_was_asked() -> None:
    rig = shelf(1)
    asked: dict[str, Any] = {
        "q": "pump",
        "state": "active",
        "kind": "device",
        "gate": "staff",
        "subject": "pump-1",
        "expiresAfter": "2035-01-01T00:00:00Z",
        "expiresBefore": "2036-01-01T00:00:00Z",
        "sort": "-notAfter,serial",
        "limit": 7,
        "offset": 3,
    }
    async with await client_of(rig) as client:
        assert serials(await client.get("/api/certificates", params=asked)) == []

    (request,) = rig.bus.on("certificates.query")
    assert orjson.loads(request.payload) == asked
    assert set(_TEXTS) == set(asked) == {field.alias for field in CertificateQuery.model_fields.values()}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=1001", "limit"),
        ("state=lost", "state"),
        ("kind=ca", "kind"),
        ("sort=pem", "sort"),
        ("expiresBefore=soon", "expiresBefore"),
        ("colour=red", "colour"),
        ("q=" + "x" * 1025, "q"),
    ],
)
async def test_a_wrong_parameter_is_named(rig: Rig, query: str, field: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/certificates?{query}")

    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]


async def test_one_is_its_record_with_its_pem(rig: Rig) -> None:
    async with await client_of(rig) as client:
        (shown,) = (await client.get("/api/certificates")).json()
        answer = await client.get(f"/api/certificates/{SERIAL.upper()}")

    assert answer.json() == {**shown, "pem": "PEM\n"}
    assert (shown["subject"], shown["gate"], shown["issuedTo"]) == (DEVICE, "two-rounds", "claim:factory")


async def test_what_there_is_not_is_404_and_what_is_no_number_400(rig: Rig) -> None:
    async with await client_of(rig) as client:
        for method, rest in (("GET", ""), ("POST", "/revoke")):
            answer = await client.request(method, f"/api/certificates/abcd{rest}")
            assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
            for wrong in ("pump-1", "a.b", "a" * 41, "%2e%2e"):
                assert (await client.request(method, f"/api/certificates/{wrong}{rest}")).status_code in (400, 404)


@pytest.mark.parametrize("body", [{}, {"json": {}}, {"json": {"reason": "keyCompromise"}}])
async def test_a_revocation_says_what_follows_from_it(body: dict[str, Any]) -> None:
    rig = make_rig(devices={DEVICE: make_device(DEVICE, certificate=SERIAL)})
    async with await client_of(rig) as client:
        answer = await client.post(f"/api/certificates/{SERIAL}/revoke", **body)
        again = await client.post(f"/api/certificates/{SERIAL}/revoke", **body)
        told = (await client.get(f"/api/certificates/{SERIAL}")).json()
        device = (await client.get(f"/api/devices/{DEVICE}")).json()

    assert answer.status_code == 200
    assert answer.json() == again.json()
    assert answer.json()["consequence"] == "device_retired"
    assert (told["state"], told["reason"]) == ("revoked", body.get("json", {}).get("reason"))
    assert device["lifecycle"] == "retired"


@pytest.mark.parametrize(
    ("body", "field"), [({"reason": "tired"}, "reason"), ({"why": 1}, "why"), ({"reason": 5}, "reason")]
)
async def test_a_wrong_reason_revokes_nothing(rig: Rig, body: dict[str, Any], field: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.post(f"/api/certificates/{SERIAL}/revoke", json=body)
        told = (await client.get(f"/api/certificates/{SERIAL}")).json()

    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]
    assert told["state"] == "active"


# --- The list ---------------------------------------------------------------------------


async def test_anyone_may_read_the_list_in_either_form(rig: Rig) -> None:
    async with await client_of(rig) as client:
        await client.post(f"/api/certificates/{SERIAL}/revoke", json={})
    async with rig.client() as client:
        plain = await client.get("/api/crl")
        der = await client.get("/api/crl", headers={"Accept": f"text/html, {DER.upper()};q=0.5"})

    assert plain.headers["content-type"].startswith("application/x-pem-file")
    assert der.headers["content-type"] == DER
    for crl in (x509.load_pem_x509_crl(plain.content), x509.load_der_x509_crl(der.content)):
        assert [f"{entry.serial_number:x}" for entry in crl] == [SERIAL]
    assert plain.headers["etag"] != der.headers["etag"]
    for answer in (plain, der):
        assert answer.headers["vary"] == "Accept"
        assert answer.headers["cache-control"] == "public, max-age=60"
        assert answer.headers["last-modified"] == "Mon, 01 Jan 2035 12:00:00 GMT"


async def test_a_list_that_is_known_is_not_sent_again(rig: Rig) -> None:
    async with rig.client() as client:
        etag = (await client.get("/api/crl")).headers["etag"]
        same = await client.get("/api/crl", headers={"If-None-Match": f'"other", {etag}'})
        other = await client.get("/api/crl", headers={"If-None-Match": etag, "Accept": DER})

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert other.status_code == 200


async def test_however_many_ask_for_the_list_the_hub_is_asked_once_a_second(rig: Rig) -> None:
    async with rig.client() as client:
        answers = await asyncio.gather(*(client.get("/api/crl") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(rig.bus.on("crl.get")) == 1
        rig.clock.now += 1
        await client.get("/api/crl")

    assert len(rig.bus.on("crl.get")) == 2


async def test_without_functions_the_list_is_unavailable_and_comes_back(rig: Rig) -> None:
    async with rig.client() as client:
        rig.bus.parts = frozenset()
        assert (await client.get("/api/crl")).status_code == 503
        rig.bus.parts = frozenset({"functions"})
        assert (await client.get("/api/crl")).status_code == 200
        assert (await client.get("/api/crl?verbose=1")).status_code == 400


async def test_a_certificate_of_any_kind_is_listed(rig: Rig) -> None:
    made = {purpose: make_certificate(f"{n + 1:x}", purpose=purpose) for n, purpose in enumerate(Purpose)}
    rig = make_rig(certificates={one.serial: one for one in made.values()})
    async with await client_of(rig) as client:
        for purpose, one in made.items():
            assert serials(await client.get(f"/api/certificates?kind={purpose}")) == [one.serial]
