"""The hub's CA over HTTP: inspect, replace, import, download."""

import pytest
from cryptography import x509

from functions.adapters.authority import LocalAuthority
from functions.adapters.roots import key_pem, make_root, read_key
from functions.contract.messages import CaReplaced, CaView
from functions.domain.tokens import Scope
from functions.testing import SettableClock
from tests.unit.gateway.rig import OPERATOR, Rig, make_rig
from tests.unit.handlers.onboarding import new_csr

PATH = "/api/settings/certs/root"


@pytest.fixture
def rig() -> Rig:
    """A hub without any certificate."""
    clock = SettableClock()
    return make_rig(certificates={}, clock=clock, authority=LocalAuthority(*make_root(), clock))


async def test_a_ca_is_shown_with_its_chain_and_without_its_key(rig: Rig) -> None:
    async with rig.client(await rig.token(Scope.ADMIN)) as client:
        answer = await client.get(PATH)

    told = answer.json()
    assert answer.status_code == 200
    assert set(told) == {field.alias for field in CaView.model_fields.values()}
    assert (told["isRoot"], told["inUse"], told["settled"], told["keyEncrypted"]) == (True, False, True, False)
    assert told["chain"][0]["fingerprint"] == told["fingerprint"] == rig.hub.authority.active.fingerprint
    assert told["chain"][0]["key"] == "ec secp256r1"
    assert "PRIVATE" not in answer.text


async def test_a_root_is_made_as_it_is_asked_for(rig: Rig) -> None:
    async with rig.client(await rig.token(Scope.ADMIN)) as client:
        before = (await client.get(PATH)).json()["fingerprint"]
        body = {"cn": "Pumps CA", "days": 400, "key": "RSA-2048", "replaces": before}
        answer = await client.post(PATH, json=body)
        stale = await client.post(PATH, json=body)
        downloaded = await client.get(f"{PATH}/download")

    told = answer.json()
    assert answer.status_code == 200, answer.text
    assert set(told) == {field.alias for field in CaReplaced.model_fields.values()}
    assert (told["commonName"], told["chain"][0]["key"], told["settled"]) == ("Pumps CA", "rsa 2048", False)
    certificate = x509.load_pem_x509_certificate(told["caPem"].encode())
    assert (certificate.not_valid_after_utc - rig.hub.clock.now()).days == 400
    assert (stale.status_code, stale.json()["error"]) == (409, "version_conflict")
    assert downloaded.text == told["caPem"]
    assert downloaded.headers["content-type"] == "application/x-pem-file"
    assert downloaded.headers["content-disposition"] == 'attachment; filename="ca.crt"'


async def test_an_empty_request_makes_a_root_as_the_first_start_does(rig: Rig) -> None:
    async with rig.client(await rig.token(Scope.ADMIN)) as client:
        answer = await client.post(PATH)

    assert answer.status_code == 200
    assert answer.json()["commonName"].startswith("Device Hub Root CA ")


async def test_a_ca_is_imported_and_a_repeat_changes_nothing(rig: Rig) -> None:
    certificate, key = make_root()
    body = {"chainPem": certificate, "keyPem": key}
    async with rig.client(await rig.token(Scope.ADMIN)) as client:
        first = await client.post(f"{PATH}/import", json=body)
        again = await client.post(f"{PATH}/import", json=body)
        sealed = {**body, "keyPem": key_pem(read_key(key, None), b"swordfish")}
        locked = await client.post(f"{PATH}/import", json=sealed)

    assert (first.status_code, first.json()["caPem"]) == (200, certificate)
    assert {**again.json(), "endedClaims": []} == {**first.json(), "endedClaims": []}
    assert (locked.status_code, locked.json()["error"]) == (400, "bad_ca")
    assert "openssl pkey" in locked.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATH, {"cn": ""}),
        (PATH, {"cn": "x" * 65}),
        (PATH, {"cn": "a\u001b[31m"}),
        (PATH, {"days": 0}),
        (PATH, {"days": 36501}),
        (PATH, {"key": "RSA-1024"}),
        (PATH, {"replaces": "me"}),
        (PATH, {"name": "Pumps CA"}),
        (f"{PATH}/import", {}),
        (f"{PATH}/import", {"chainPem": "", "keyPem": ""}),
        (f"{PATH}/import", {"chainPem": "x" * 65_537, "keyPem": "y"}),
    ],
)
async def test_what_is_wrong_is_refused_and_nothing_is_changed(rig: Rig, path: str, body: dict[str, object]) -> None:
    async with rig.client(await rig.token(Scope.ADMIN)) as client:
        before = (await client.get(PATH)).json()
        answer = await client.post(path, json=body)

        assert answer.status_code == 400, answer.text
        assert answer.json()["error"] in ("bad_request", "bad_ca")
        assert (await client.get(PATH)).json() == before


async def test_once_a_device_has_a_certificate_the_ca_stays(rig: Rig) -> None:
    body = b'{"deviceId":"pump-7","csrPem":"%s"}' % new_csr("pump-7").replace("\n", "\\n").encode()
    await rig.bus.request("devicehub.registry.create", body, caller=OPERATOR)
    certificate, key = make_root()
    async with rig.client(await rig.token(Scope.ADMIN)) as client:
        made = await client.post(PATH, json={})
        brought = await client.post(f"{PATH}/import", json={"chainPem": certificate, "keyPem": key})
        shown = await client.get(PATH)

    for refused in (made, brought):
        assert (refused.status_code, refused.json()["error"]) == (409, "ca_in_use")
    assert shown.json()["inUse"]


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.ADMIN])
async def test_only_who_may_do_everything_may_see_or_replace_it(rig: Rig, scope: Scope) -> None:
    async with rig.client(await rig.token(scope)) as client:
        answers = [
            await client.get(PATH),
            await client.get(f"{PATH}/download"),
            await client.post(PATH, json={}),
            await client.post(f"{PATH}/import", json={"chainPem": "a", "keyPem": "b"}),
        ]

    assert [answer.status_code for answer in answers] == [403] * 4
