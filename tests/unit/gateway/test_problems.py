import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from functions.contract.faults import CATALOGUE
from functions.domain.faults import Fault, Reason
from tests.unit.gateway.rig import DEVICE, Rig

TWIN = f"/api/devices/{DEVICE}/twin"


@pytest.mark.parametrize("reason", Reason)
async def test_every_fault_of_a_function_becomes_its_problem_page(rig: Rig, reason: Reason) -> None:
    entry = CATALOGUE[reason]
    async with rig.client(await rig.token("twins:read")) as client:
        assert (await client.get(TWIN)).status_code == 200
        rig.bus.fault = entry.fault(reason, "In this very case.", fields={"a": "is wrong"})
        answer = await client.get(TWIN, headers={"X-Request-Id": "r1"})

    assert answer.status_code == entry.status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": f"urn:devicehub:problem:{reason}",
        "title": entry.sentence,
        "status": entry.status,
        "detail": "In this very case.",
        "error": str(reason),
        "requestId": "r1",
        "fields": {"a": "is wrong"},
    }
    assert ("retry-after" in answer.headers) == (entry.status in (429, 503))
    assert ("www-authenticate" in answer.headers) == (entry.status == 401)


async def test_a_fault_without_a_word_of_its_own_says_the_catalogues(rig: Rig) -> None:
    async with rig.client(await rig.token("twins:read")) as client:
        await client.get(TWIN)
        rig.bus.fault = Fault(Reason.UNAVAILABLE)
        told = (await client.get(TWIN)).json()

    assert told["detail"] == told["title"]
    assert "fields" not in told


@pytest.mark.parametrize("path", ["/nowhere", "/api", "/api/", "/api/devices/", "/api//devices", "/API/devices"])
async def test_an_address_there_is_not_is_404(rig: Rig, path: str) -> None:
    async with rig.client() as client:
        answer = await client.get(path)

    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/health", "GET, HEAD"), ("/api/devices", "GET, HEAD, POST"), (TWIN, "GET, HEAD, PATCH")],
)
async def test_a_method_that_is_not_taken_is_405_with_those_that_are(rig: Rig, path: str, allowed: str) -> None:
    async with rig.client() as client:
        for method in ("DELETE", "OPTIONS", "BREW"):
            answer = await client.request(method, path)
            assert answer.status_code == 405
            assert answer.headers["allow"] == allowed
            assert answer.json()["error"] == "method_not_allowed"


async def test_what_a_typed_route_refuses_is_400_with_its_fields(rig: Rig) -> None:
    async def typed(number: int) -> int:
        return number

    app: FastAPI = rig.app
    app.router.route_class = APIRoute
    app.add_api_route("/typed", typed)
    async with rig.client() as client:
        answer = await client.get("/typed?number=x")
        missing = await client.get("/typed")

    assert answer.status_code == missing.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert list(answer.json()["fields"]) == list(missing.json()["fields"]) == ["number"]
