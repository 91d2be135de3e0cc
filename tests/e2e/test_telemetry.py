"""What a device measures and what happens to it is found again, over the real path."""

import asyncio
import json
import uuid
from collections.abc import Iterator
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
