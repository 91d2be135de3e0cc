"""What a device measures and what happens to it is found again, over the real path."""

import asyncio
import base64
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.devices import Device
from tests.e2e.rig import RunningHub, until


@pytest.fixture
def api(hub: RunningHub) -> Iterator[httpx.Client]:
    token = hub.cli(
        "token", "create", f"t-{uuid.uuid4().hex[:6]}", "--scope", "telemetry:read", "--scope", "devices:write"
    ).stdout.strip()
    with httpx.Client(
        base_url=f"http://127.0.0.1:{hub.http_port}", headers={"Authorization": f"Bearer {token}"}
    ) as client:
        yield client


async def found(api: httpx.Client, path: str, number: int) -> list[Any]:
    """The answer, once it has so many rows."""

    async def ask() -> list[Any]:
        answer = await asyncio.to_thread(api.get, path)
        assert answer.status_code == 200, answer.text
        rows: list[Any] = answer.json()
        return rows if len(rows) >= number else []

    return await until(ask)


async def test_telemetry_is_asked_over_http_and_by_command(hub: RunningHub, api: httpx.Client, tmp_path: Path) -> None:
    name = f"meter-{uuid.uuid4().hex[:8]}"
    device = Device(hub, hub.device(name, tmp_path)).start()
    for number, at in enumerate((1_700_000_000_000, None, 1_600_000_000_000)):
        content: dict[str, Any] = {"n": number, "pump": {"rpm": 1480}}
        device.send("telemetry", content if at is None else {**content, "timestamp": at}).wait_for_publish(10)
    device.send("events/overheated", {"temp": 91}).wait_for_publish(10)
    device.send("messages/events", {"data": json.dumps({"eventType": "boot"})}).wait_for_publish(10)

    rows = await found(api, f"/api/telemetry?deviceId={name}", 3)
    # Clocks that are years behind are not believed; what they say is kept.
    assert [row["data"]["n"] for row in rows] == [2, 1, 0]
    assert rows[0]["deviceTime"] == "2020-09-13T12:26:40.000Z"
    assert rows[0]["timestamp"] == rows[0]["hubTime"]
    events = await found(api, f"/api/devices/{name}/events", 2)
    assert {(one["eventType"]) for one in events} == {"overheated", "boot"}
    (hour,) = await found(api, f"/api/telemetry?deviceId={name}&aggregation=hourly", 1)
    assert hour["data"]["n"] == {"min": 0, "max": 2, "mean": 1, "last": 2, "count": 3}

    assert [one["data"]["n"] for one in hub.json("telemetry", "list", name)] == [2, 1, 0]
    assert hub.json("telemetry", "latest", name)["values"]["pump.rpm"]["value"] == 1480
    assert hub.json("events", name, "--type", "boot")[0]["data"]["eventType"] == "boot"
    hub.cli("telemetry", "send", name, '{"n": 3}')
    assert len(await found(api, f"/api/telemetry?deviceId={name}", 4)) == 4
    file = tmp_path / "out.csv"
    assert hub.cli("telemetry", "export", str(file), "--device", name).stdout.startswith("4 messages")
    assert len(file.read_text().splitlines()) == 5
    device.stop()


async def test_times_that_cannot_be_and_those_out_of_order_find_their_place(
    hub: RunningHub, api: httpx.Client, tmp_path: Path
) -> None:
    name = f"late-{uuid.uuid4().hex[:8]}"
    device = Device(hub, hub.device(name, tmp_path)).start()
    now = datetime.now(UTC).replace(microsecond=0)
    begin = now.replace(minute=0, second=0)
    # The second and the third come late, each into its own hour; the last two are of the future.
    told = [begin - timedelta(hours=hours, minutes=-30) for hours in (1, 3, 2)]
    for number, at in enumerate((*told, now + timedelta(hours=2), now + timedelta(days=400))):
        device.send("telemetry", {"n": number, "timestamp": at.isoformat()}).wait_for_publish(10)
    device.stop()

    rows = await found(api, f"/api/telemetry?deviceId={name}", 5)
    assert [row["data"]["n"] for row in rows] == [4, 3, 0, 2, 1]
    for row, at in zip(rows[2:], (told[0], told[2], told[1]), strict=True):
        assert datetime.fromisoformat(row["timestamp"]) == at
    for row in rows[:2]:
        assert row["timestamp"] == row["hubTime"] != row["deviceTime"]
        assert abs(datetime.fromisoformat(row["timestamp"]) - now) < timedelta(minutes=5)
    hours = await found(api, f"/api/telemetry?deviceId={name}&aggregation=hourly", 4)
    old = [(datetime.fromisoformat(hour["timestamp"]), hour["data"]["n"]["last"]) for hour in hours[-3:]]
    assert old == [(begin - timedelta(hours=back), last) for back, last in ((1, 0), (2, 2), (3, 1))]
    latest = hub.json("telemetry", "latest", name)["values"]["n"]
    assert latest["value"] == 4


POISON = [b"", b"\xff\xfe\x00\x01", b"{", b'{"a":NaN}', b'{"a":1,"a":2}', b'{"a":' * 5_000, b"x" * 200_000]


async def test_what_is_no_json_is_kept_as_bytes_and_stops_nothing(
    hub: RunningHub, api: httpx.Client, tmp_path: Path
) -> None:
    name = f"odd-{uuid.uuid4().hex[:8]}"
    device = Device(hub, hub.device(name, tmp_path)).start()
    for number, payload in enumerate(POISON):
        device.send("telemetry", payload).wait_for_publish(10)
        device.send("events/odd", payload).wait_for_publish(10)
        device.send("telemetry", {"n": number}).wait_for_publish(10)
    # Over what the broker takes: it ends the connection, and the device comes back.
    device.connected.clear()
    device.send("telemetry", b"x" * 10_000_000, qos=0)
    assert device.connected.wait(20)
    device.send("telemetry", {"n": -1}).wait_for_publish(10)

    rows = await found(api, f"/api/telemetry?deviceId={name}&limit=1000", 2 * len(POISON) + 1)
    # An empty message is an empty object.
    kept = [base64.b64decode(row["data"]) for row in rows[::-1] if row.get("encoding") == "base64"]
    assert kept == POISON[1:]
    assert [row["data"]["n"] for row in rows if isinstance(row["data"], dict) and row["data"]] == [
        -1,
        *range(6, -1, -1),
    ]
    events = await found(api, f"/api/devices/{name}/events?limit=1000", len(POISON))
    assert {event["eventType"] for event in events} == {"odd"}
    device.stop()
