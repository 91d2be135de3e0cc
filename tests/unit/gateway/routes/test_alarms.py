"""Alarms over HTTP."""

from typing import Any

import httpx
import orjson
import pytest

from functions.contract.messages import AlarmQuery
from functions.handlers.alarming import open_alarm
from gateway.routes.alarms import _TEXTS
from tests.unit.gateway.rig import ALARM, Rig, make_rig


async def client_of(rig: Rig) -> httpx.AsyncClient:
    return rig.client(await rig.token("admin", name="page"))


async def test_a_list_is_an_array_of_alarms_and_their_number() -> None:
    rig = make_rig()
    for subject in "abcd":
        await open_alarm(rig.hub, "foreign-client-id", subject)
    async with await client_of(rig) as client:
        answer = await client.get("/api/alarms?limit=2&offset=2&sort=subject")

    assert [one["subject"] for one in answer.json()] == ["c", "d"]
    assert answer.headers["x-total-count"] == "5"
    assert answer.links["prev"]["url"] == "/api/alarms?sort=subject&limit=2&offset=0"


async def test_the_function_gets_what_was_asked(rig: Rig) -> None:
    asked: dict[str, Any] = {
        "q": "clock",
        "state": "open",
        "severity": "warning",
        "kind": "clock-skew",
        "sort": "-openedAt,kind",
        "limit": 7,
        "offset": 0,
    }
    async with await client_of(rig) as client:
        answer = await client.get("/api/alarms", params=asked)

    assert [one["id"] for one in answer.json()] == [ALARM.id]
    (request,) = rig.bus.on("alarms.list")
    assert orjson.loads(request.payload) == asked
    assert set(_TEXTS) == set(asked) == {field.alias for field in AlarmQuery.model_fields.values()}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("state=lost", "state"),
        ("severity=mild", "severity"),
        ("kind=A%20b", "kind"),
        ("sort=remedy", "sort"),
        ("colour=red", "colour"),
    ],
)
async def test_a_wrong_parameter_is_named(rig: Rig, query: str, field: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/alarms?{query}")

    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]


async def test_an_acknowledged_alarm_says_by_whom_and_the_trail_from_where(rig: Rig) -> None:
    async with await client_of(rig) as client:
        taken = await client.post(f"/api/alarms/{ALARM.id}/ack")
        again = await client.post(f"/api/alarms/{ALARM.id}/ack")

    assert taken.json() == again.json()
    assert (taken.json()["state"], taken.json()["acknowledgedBy"]) == ("acknowledged", "app:page")
    (entry,) = [one for one in rig.hub.audit.written if one.action == "alarm.acknowledged"]
    assert (entry.actor, entry.origin) == ("app:page", "http:192.0.2.1")


@pytest.mark.parametrize(("alarm", "status"), [("no-such-alarm", 404), ("a.b", 400), ("x" * 65, 400)])
async def test_what_is_no_alarm_is_refused(rig: Rig, alarm: str, status: int) -> None:
    async with await client_of(rig) as client:
        answer = await client.post(f"/api/alarms/{alarm}/ack")

    assert answer.status_code == status
