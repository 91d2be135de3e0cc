"""Telemetry and events over HTTP."""

import json
from typing import Any

import httpx
import pytest

from functions.domain.telemetry import Kind, Sent
from functions.telemetry_checks import NOW, measured, put
from tests.unit.gateway.rig import DEVICE, Rig

LARGE = "x" * 200_000


async def client_of(rig: Rig) -> httpx.AsyncClient:
    return rig.client(await rig.token("admin"))


async def filled(rig: Rig) -> None:
    for number in range(1, 6):
        await put(rig.hub.telemetry, measured(number, {"n": number}, at=NOW + number, device=DEVICE))
    event = Sent(DEVICE, 1, NOW, b"=1+1", type="boot", is_bytes=True)
    await put(rig.hub.telemetry, event, stream="events-0", kind=Kind.EVENTS)


async def test_a_page_says_how_many_there_are_and_where_the_next_is(rig: Rig) -> None:
    await filled(rig)
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/telemetry?deviceId={DEVICE}&limit=2&offset=1")

    assert [one["data"]["n"] for one in answer.json()] == [4, 3]
    assert answer.headers["x-total-count"] == "5"
    assert answer.links["next"]["url"] == f"/api/telemetry?deviceId={DEVICE}&limit=2&offset=3"


async def test_following_the_links_gives_all_however_large_the_messages_are(rig: Rig) -> None:
    for number in range(1, 10):
        await put(rig.hub.telemetry, measured(number, {"n": number, "text": LARGE}, device=DEVICE))
    found: list[int] = []
    async with await client_of(rig) as client:
        path = "/api/telemetry?limit=7"
        while path:
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            assert 0 < len(answer.json()) < 5
            found += [one["data"]["n"] for one in answer.json()]
            path = answer.links.get("next", {}).get("url", "")

    assert found == list(range(9, 0, -1))


async def test_the_events_of_a_device(rig: Rig) -> None:
    await filled(rig)
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/devices/{DEVICE}/events?eventType=boot&startTime=2035-01-01&limit=1")
        none = await client.get("/api/events?eventType=halt")

    (one,) = answer.json()
    assert (one["deviceId"], one["eventType"], one["encoding"]) == (DEVICE, "boot", "base64")
    assert one["timestamp"] == "2035-01-01T12:00:00.000Z"
    assert (none.json(), none.headers["x-total-count"]) == ([], "0")


async def test_numbers_for_a_chart(rig: Rig) -> None:
    await filled(rig)
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/telemetry?deviceId={DEVICE}&aggregation=hourly&points=10")

    (one,) = answer.json()
    assert one["data"] == {"n": {"min": 1.0, "max": 5.0, "mean": 3.0, "last": 5.0, "count": 5}}


async def test_the_latest_values(rig: Rig) -> None:
    await filled(rig)
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/devices/{DEVICE}/telemetry/latest")
        unknown = await client.get("/api/devices/nobody/telemetry/latest")

    assert answer.json()["values"] == {"n": {"value": 5, "timestamp": "2035-01-01T12:00:00.005Z"}}
    assert (unknown.status_code, unknown.json()["error"]) == (404, "unknown_device")


async def test_what_is_reported_goes_into_the_stream(rig: Rig) -> None:
    async with await client_of(rig) as client:
        answer = await client.post("/api/telemetry", json={"deviceId": DEVICE, "data": {"t": 1}})

    assert (answer.status_code, answer.json()) == (201, {"done": True})
    (one,) = rig.hub.streams.appended
    assert (one.device, json.loads(one.payload), one.headers["Hub-Caller"]) == (DEVICE, {"t": 1}, "app:app")


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", "/api/telemetry?limit=1001", None, "limit"),
        ("GET", "/api/telemetry?limit=0", None, "limit"),
        ("GET", "/api/telemetry?aggregation=weekly", None, "aggregation"),
        ("GET", "/api/telemetry?aggregation=hourly&points=0", None, "points"),
        ("GET", "/api/telemetry?points=5", None, "points"),
        ("GET", "/api/telemetry?startTime=soon", None, "startTime"),
        ("GET", f"/api/telemetry?deviceId={DEVICE}&group=g", None, "group"),
        ("GET", "/api/telemetry?deviceId=a*b", None, "deviceId"),
        ("GET", "/api/telemetry?colour=red", None, "colour"),
        ("GET", f"/api/devices/{DEVICE}/events?eventType=a.b", None, "eventType"),
        ("GET", f"/api/devices/{DEVICE}/events?deviceId=x", None, "deviceId"),
        ("GET", "/api/export/telemetry?format=xml", None, "format"),
        ("POST", "/api/telemetry", {"deviceId": DEVICE, "data": [1]}, "data"),
        ("POST", "/api/telemetry", {"deviceId": DEVICE, "data": {}, "at": 1}, "at"),
        ("POST", "/api/telemetry", {"deviceId": "a/b", "data": {}}, "deviceId"),
    ],
)
async def test_what_is_wrong_is_said_by_name(rig: Rig, method: str, path: str, body: Any, field: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.request(method, path, json=body)

    assert answer.status_code == 400, answer.text
    assert list(answer.json()["fields"]) == [field]


async def test_an_export_as_lines(rig: Rig) -> None:
    await filled(rig)
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/export/telemetry?deviceId={DEVICE}")
        csv = await client.get("/api/export/telemetry?format=csv&startTime=2035-01-01T12:00:00.005Z")
        events = await client.get("/api/export/events?format=csv")

    assert [json.loads(line)["data"]["n"] for line in answer.text.splitlines()] == [1, 2, 3, 4, 5]
    assert answer.headers["content-disposition"] == 'attachment; filename="telemetry.ndjson"'
    assert csv.text.splitlines() == [
        "deviceId,timestamp,data,hubTime,deviceTime,encoding",
        f'{DEVICE},2035-01-01T12:00:00.005Z,"{{""n"":5}}",2035-01-01T12:00:00.005Z,2035-01-01T12:00:00.005Z,',
    ]
    assert events.text.splitlines()[1] == (
        f"{DEVICE},boot,2035-01-01T12:00:00.000Z,PTErMQ==,2035-01-01T12:00:00.000Z,,base64"
    )
