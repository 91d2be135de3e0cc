"""The audit trail over HTTP."""

from typing import Any

import httpx
import orjson
import pytest

from functions.contract.messages import AuditQuery
from gateway.routes.audit import _TEXTS
from tests.unit.gateway.rig import DEVICE, Rig, make_rig


async def client_of(rig: Rig, name: str = "page") -> httpx.AsyncClient:
    return rig.client(await rig.token("admin", name=name), address="2001:db8::7")


def actions(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["action"] for one in answer.json()]


async def test_a_change_over_http_says_who_did_it_and_from_where(rig: Rig) -> None:
    async with await client_of(rig) as client:
        changed = await client.patch(f"/api/devices/{DEVICE}/twin", json={"desired": {"valve": "open"}})
        answer = await client.get("/api/audit?action=twin")

    (entry,) = answer.json()
    assert (entry["action"], entry["actor"], entry["origin"]) == ("twin.desired", "app:page", "http:2001:db8::7")
    assert entry["call"] == changed.headers["x-request-id"]
    assert entry["before"]["version"] == 0
    assert (entry["after"]["version"], entry["after"]["doc"]) == (1, {"valve": "open"})
    assert answer.headers["x-total-count"] == "1"


async def test_the_newest_come_first_in_pages() -> None:
    rig = make_rig()
    async with await client_of(rig) as client:
        for number in range(4):
            rig.hub.clock.advance(1)
            await client.patch(f"/api/devices/{DEVICE}/twin", json={"desired": {"n": number}})
        answer = await client.get("/api/audit?action=twin&limit=2&offset=1")
        turned = await client.get("/api/audit?action=twin&limit=2&sort=at")

    assert [one["after"]["doc"]["n"] for one in answer.json()] == [2, 1]
    assert [one["after"]["doc"]["n"] for one in turned.json()] == [0, 1]
    assert answer.headers["x-total-count"] == "4"
    assert answer.links["next"]["url"] == "/api/audit?action=twin&limit=2&offset=3"


async def test_the_function_gets_what_was_asked(rig: Rig) -> None:
    asked: dict[str, Any] = {
        "actor": "system:cli",
        "action": "token.created",
        "target": "token:page",
        "startTime": "2035-01-01T00:00:00Z",
        "endTime": "2036-01-01T00:00:00Z",
        "sort": "-at",
        "limit": 7,
        "offset": 0,
    }
    async with await client_of(rig) as client:
        assert actions(await client.get("/api/audit", params=asked)) == ["token.created"]
        assert actions(await client.get("/api/audit", params={**asked, "target": "device:page"})) == []
        assert actions(await client.get("/api/audit", params={**asked, "endTime": "2035-01-01T12:00:00Z"})) == []

    request = rig.bus.on("audit.query")[0]
    assert orjson.loads(request.payload) == asked
    assert set(_TEXTS) == set(asked) == {field.alias for field in AuditQuery.model_fields.values()}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=1001", "limit"),
        ("action=Device.*", "action"),
        ("target=a%20b", "target"),
        ("target=" + "x" * 129, "target"),
        ("sort=actor", "sort"),
        ("startTime=soon", "startTime"),
        ("q=pump", "q"),
    ],
)
async def test_a_wrong_parameter_is_named(rig: Rig, query: str, field: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/audit?{query}")

    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]


async def test_no_token_and_no_key_stands_in_the_trail(rig: Rig) -> None:
    async with await client_of(rig) as client:
        text = (await client.get("/api/audit?limit=1000")).text

    assert "token.created" in text
    assert "dh_" not in text
    assert "PRIVATE" not in text
