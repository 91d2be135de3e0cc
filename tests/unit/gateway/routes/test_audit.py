"""The audit trail over HTTP."""

import csv
import io
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
        "outcome": "done",
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
    assert set(_TEXTS) - {"format"} == set(asked) == {field.alias for field in AuditQuery.model_fields.values()}


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


# --- Exports --------------------------------------------------------------------


async def wishes(client: httpx.AsyncClient, rig: Rig, count: int) -> None:
    for number in range(count):
        rig.hub.clock.advance(1)
        await client.patch(f"/api/devices/{DEVICE}/twin", json={"desired": {"n": number}})


async def test_every_entry_that_matches_is_exported_oldest_first() -> None:
    rig = make_rig()
    async with await client_of(rig) as client:
        await wishes(client, rig, 620)
        answer = await client.get("/api/audit/export?action=twin.desired")
        (oldest,) = (await client.get("/api/audit?action=twin&sort=at&limit=1")).json()

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.ndjson"'
    lines = [orjson.loads(line) for line in answer.text.splitlines()]
    assert [line["after"]["doc"]["n"] for line in lines] == list(range(620))
    assert lines[0] == oldest
    assert len(rig.bus.on("audit.export")) > 1


@pytest.mark.parametrize(("query", "headers"), [("&format=csv", {}), ("", {"Accept": "text/csv"})])
async def test_an_export_can_be_csv(rig: Rig, query: str, headers: dict[str, str]) -> None:
    async with await client_of(rig) as client:
        await wishes(client, rig, 2)
        answer = await client.get(f"/api/audit/export?action=twin{query}", headers=headers)

    assert answer.headers["content-type"].startswith("text/csv")
    assert [
        (row["actor"], row["outcome"], orjson.loads(row["after"])["doc"])
        for row in csv.DictReader(io.StringIO(answer.text))
    ] == [
        ("app:page", "done", {"n": 0}),
        ("app:page", "done", {"n": 1}),
    ]


async def test_an_export_of_nothing_is_empty(rig: Rig) -> None:
    async with await client_of(rig) as client:
        answer = await client.get("/api/audit/export?outcome=refused")

    assert (answer.status_code, answer.text) == (200, "")


@pytest.mark.parametrize("query", ["format=xml", "outcome=maybe", "limit=3", "after=x", "startTime=now"])
async def test_wrong_options_of_an_export_are_refused(rig: Rig, query: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/audit/export?{query}")

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


async def test_an_export_needs_the_scope_admin(rig: Rig) -> None:
    async with rig.client(await rig.token("devices:read", name="page")) as client:
        answer = await client.get("/api/audit/export")

    assert (answer.status_code, answer.json()["error"]) == (403, "denied")
