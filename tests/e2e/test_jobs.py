"""Jobs on the whole stack: over HTTP and by the command, with a part killed in the middle."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic_core import from_json

from tests.e2e.devices import Device
from tests.e2e.rig import RunningHub, until

DEVICES = 300


def registered(hub: RunningHub, number: int) -> list[str]:
    """So many devices, without certificates."""
    mark = uuid.uuid4().hex[:6]
    names = [f"job-{mark}-{each:04}" for each in range(number)]
    lines = "\n".join(f'{{"deviceId":"{name}","tags":{{"mark":"{mark}"}}}}' for name in names)
    file = hub.data / f"{mark}.ndjson"
    file.write_text(lines)
    hub.cli("device", "import", str(file), timeout=60)
    return names


def client_of(hub: RunningHub) -> httpx.AsyncClient:
    token = hub.cli("token", "create", f"app-{uuid.uuid4().hex[:8]}", "--scope", "admin").stdout.strip()
    address = f"http://127.0.0.1:{hub.http_port}"
    return httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60)


async def got(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """What is at an address, once the parts that it needs are back."""

    async def ask() -> dict[str, Any] | None:
        try:
            answer = await client.get(path)
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    found = await until(ask, seconds=40)
    assert found is not None
    return found


async def job_of(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    return await got(client, f"{address}?limit=1000")


async def ended(client: httpx.AsyncClient, address: str, seconds: float = 40.0) -> dict[str, Any]:
    async def over() -> dict[str, Any] | None:
        job = await job_of(client, address)
        return job if job["state"] in ("done", "cancelled") else None

    found = await until(over, seconds=seconds)
    assert found is not None
    return found


async def further(client: httpx.AsyncClient, address: str) -> None:
    """Wait until the job has gone on, or is over."""
    before = (await job_of(client, address))["done"]

    async def gone_on() -> bool:
        job = await job_of(client, address)
        return bool(job["done"] > before or job["state"] == "done")

    await until(gone_on, seconds=40)


async def test_a_job_survives_the_killing_of_functions_and_storage(own_hub: RunningHub) -> None:
    names = await asyncio.to_thread(registered, own_hub, DEVICES)
    async with client_of(own_hub) as client:
        asked = {"devices": [*names, "nobody"], "desired": {"led": "on"}, "rate": 30}
        address = (await client.post("/api/batch/twins", json=asked)).headers["location"]
        for part in ("functions", "nats", "gateway", "index"):
            await further(client, address)
            await asyncio.to_thread(own_hub.kill, part)
            await further(client, address)
        job = await ended(client, address, 60)
        twins = [(await got(client, f"/api/devices/{name}/twin"))["desired"] for name in names]

    assert (job["state"], job["done"], job["failed"], job["waiting"]) == ("done", DEVICES, 1, 0)
    assert [item["device"] for item in job["items"]] == [*names, "nobody"]
    assert [item["error"] for item in job["items"]] == [*[None] * DEVICES, "unknown_device"]
    assert twins == [{"led": "on"}] * DEVICES


async def test_the_commands_make_show_cancel_and_retry_jobs(hub: RunningHub) -> None:
    names = await asyncio.to_thread(registered, hub, 3)
    mark = names[0].split("-")[1]
    tagged = hub.json("job", "tag", "site=A", "--query", f"tag:mark={mark}")
    async with client_of(hub) as client:
        job = await ended(client, f"/api/jobs/{tagged['id']}")
        # Nobody is connected: each fails at once.
        called = hub.json("job", "call", "reboot", "--device", names[0], "--device", names[1])
        failed = await ended(client, f"/api/jobs/{called['id']}")
        again = hub.json("job", "retry", called["id"])
        slow = hub.json("job", "desire", '{"a": 1}', "--query", f"tag:mark={mark}", "--rate", "0.01")
        hub.cli("job", "cancel", slow["id"])
        cancelled = await ended(client, f"/api/jobs/{slow['id']}", 5)

    assert (job["done"], tagged["total"]) == (3, 3)
    assert hub.json("device", "show", names[0])["tags"] == {"mark": mark, "site": "A"}
    assert {item["error"] for item in failed["items"]} == {"device_offline"}
    assert (again["total"], again["retryOf"]) == (2, called["id"])
    assert cancelled["state"] == "cancelled"
    assert cancelled["done"] + cancelled["cancelled"] == 3
    assert slow["id"] in hub.cli("job", "list").stdout
    assert "device_offline" in hub.cli("job", "show", called["id"], "--state", "failed").stdout
    actions = [one["action"] for one in hub.json("audit", "--target", slow["id"])]
    assert actions == ["job.cancelled", "job.created"]


async def test_progress_is_heard_on_the_bus(hub: RunningHub) -> None:
    names = await asyncio.to_thread(registered, hub, 20)
    _, client = await hub.bus("gateway")
    try:
        heard = await client.subscribe("devicehub.jobs.*.progress")
        await client.flush()
        made = hub.json("job", "desire", '{"a": 1}', *(word for name in names for word in ("--device", name)))
        told: list[dict[str, Any]] = []
        while not told or told[-1]["state"] == "running":
            told.append(from_json((await heard.next_msg(timeout=10)).data))
    finally:
        await client.close()

    assert {each["jobId"] for each in told} == {made["id"]}
    assert (told[0]["done"], told[-1]["state"], told[-1]["done"]) == (0, "done", 20)


@pytest.fixture
def devices(hub: RunningHub, tmp_path: Path) -> Iterator[list[Device]]:
    """One that does what it is asked, one that fails, and one that is not there."""
    names = [f"does-{uuid.uuid4().hex[:8]}" for _ in range(3)]
    made = [Device(hub, hub.device(name, tmp_path / name)) for name in names]
    yield made
    for device in made:
        device.stop()


async def online(hub: RunningHub, *devices: Device) -> None:
    async def known() -> bool:
        shown = [await asyncio.to_thread(hub.json, "device", "show", each.name) for each in devices]
        return all(one["status"] == "online" for one in shown)

    await until(known)


async def test_devices_answer_the_method_of_a_job_and_what_failed_is_tried_again(
    hub: RunningHub, devices: list[Device]
) -> None:
    good, bad, away = devices
    good.methods["set"] = lambda request: {"status": 200, "payload": {"was": request["payload"]}}
    bad.methods["set"] = lambda request: {"status": 500, "message": "it is stuck"}
    for device in (good, bad):
        device.start("methods/+/request")
    await online(hub, good, bad)
    asked = {"devices": [device.name for device in devices], "method": "set", "payload": 7, "timeout": 10}
    async with client_of(hub) as client:
        made = (await client.post("/api/batch/methods", json=asked)).json()
        first = await ended(client, f"/api/jobs/{made['id']}")
        bad.methods["set"] = away.methods["set"] = lambda request: {"status": 204}
        away.start("methods/+/request")
        await online(hub, away)
        again = (await client.post(f"/api/jobs/{made['id']}/retry")).json()
        second = await ended(client, f"/api/jobs/{again['id']}")

    told = [(item["device"], item["state"], item["error"], item["status"]) for item in first["items"]]
    assert told == [
        (good.name, "done", None, 200),
        (bad.name, "failed", None, 500),
        (away.name, "failed", "device_offline", None),
    ]
    assert (first["items"][0]["payload"], first["items"][1]["message"]) == ({"was": 7}, "it is stuck")
    assert [(item["device"], item["state"], item["status"]) for item in second["items"]] == [
        (bad.name, "done", 204),
        (away.name, "done", 204),
    ]
    # One that was done is not asked again.
    heard = [json.loads(payload)["methodName"] for _, payload in list(good.messages.queue)]
    assert heard == ["set"]


async def test_the_jobs_of_a_token_end_when_it_is_revoked(hub: RunningHub) -> None:
    names = await asyncio.to_thread(registered, hub, 3)
    token = f"going-{uuid.uuid4().hex[:8]}"
    text = hub.cli("token", "create", token, "--scope", "twins:write").stdout.strip()
    async with client_of(hub) as client:
        asked = {"devices": names, "desired": {"led": "on"}, "rate": 0.01}
        headers = {"Authorization": f"Bearer {text}"}
        made = (await client.post("/api/batch/twins", json=asked, headers=headers)).json()
        hub.cli("token", "revoke", token)
        job = await ended(client, f"/api/jobs/{made['id']}", 10)

    assert (job["state"], job["waiting"]) == ("cancelled", 0)
    assert job["cancelReason"] == f"The token '{token}', which made it, was revoked."
    (written,) = hub.json("audit", "--action", "job.cancelled", "--target", made["id"])
    assert written["after"]["reason"] == job["cancelReason"]
