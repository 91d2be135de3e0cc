"""Direct methods on the whole stack: from a program over HTTP to a device, and back."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.devices import Device
from tests.e2e.rig import RunningHub, until


def make_client(hub: RunningHub, **options: Any) -> httpx.AsyncClient:
    token = hub.cli("token", "create", f"app-{uuid.uuid4().hex[:8]}", "--scope", "methods:call").stdout.strip()
    address = f"http://127.0.0.1:{hub.http_port}"
    return httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60, **options)


@pytest.fixture
def device(hub: RunningHub, tmp_path: Path) -> Iterator[Device]:
    """A device that echoes, fails, and never answers."""
    made = Device(hub, hub.device(f"call-{uuid.uuid4().hex[:8]}", tmp_path))
    made.methods = {
        "echo": lambda request: {"status": 200, "payload": request["payload"]},
        "fail": lambda request: {"status": 500, "message": "it is stuck"},
        "old": lambda request: {"payload": request["methodName"]},
        "silent": lambda request: None,
    }
    yield made
    made.stop()


async def is_(hub: RunningHub, device: Device, status: str) -> None:
    async def known() -> bool:
        return bool((await asyncio.to_thread(hub.json, "device", "show", device.name))["status"] == status)

    await until(known)


async def late(hub: RunningHub) -> int:
    """How many answers the function processes have dropped."""
    _, client = await hub.bus()
    try:
        told = json.loads((await client.request("$SRV.STATS.functions", b"", timeout=5)).data)
    finally:
        await client.close()
    return sum(each["data"].get("late", 0) for each in told["endpoints"] if each["name"] == "devices-methods-call")


async def test_a_program_hears_what_the_device_answers(hub: RunningHub, device: Device) -> None:
    device.start("methods/+/request")
    await is_(hub, device, "online")
    payload = {"deep": [1, 2.5, None, "\u00e9\u2028"], "n": 2**53}
    async with make_client(hub) as client:
        echo = await client.post(f"/api/devices/{device.name}/methods/echo", json={"payload": payload})
        fail = await client.post(f"/api/devices/{device.name}/methods/fail")
        old = await client.post(f"/api/devices/{device.name}/methods/old", json={})

    assert (echo.status_code, fail.status_code, old.status_code) == (200, 200, 200)
    assert (echo.json()["status"], echo.json()["payload"]) == (200, payload)
    assert (fail.json()["status"], fail.json()["message"]) == (500, "it is stuck")
    assert (old.json()["status"], old.json()["payload"]) == (200, "old")
    shown = hub.json("method", "call", device.name, "echo", '{"led":"on"}')
    assert (shown["status"], shown["payload"]) == (200, {"led": "on"})
    called = hub.json("audit", "--action", "method.called", "--target", device.name)
    assert [each["after"]["method"] for each in called] == ["echo", "old", "fail", "echo"]


async def test_a_device_that_is_not_there_is_said_at_once(hub: RunningHub, device: Device) -> None:
    path = f"/api/devices/{device.name}/methods/echo"
    async with make_client(hub) as client:
        began = time.monotonic()
        never = await client.post(path)
        device.start()
        await is_(hub, device, "online")
        deaf = await client.post(path)
        took = time.monotonic() - began
        device.stop()

        async def gone() -> bool:
            return bool((await client.post(path)).json()["error"] == "device_offline")

        await until(gone)

    assert (never.status_code, never.json()["error"]) == (404, "device_offline")
    assert (deaf.status_code, deaf.json()["error"]) == (404, "not_subscribed")
    assert took < 20


async def test_a_late_answer_is_dropped_and_counted(hub: RunningHub, device: Device) -> None:
    device.start("methods/+/request")
    await is_(hub, device, "online")
    before = await late(hub)
    async with make_client(hub) as client:
        silent = await client.post(f"/api/devices/{device.name}/methods/silent", json={"timeout": 0.5})
        _, request = await asyncio.to_thread(device.messages.get, timeout=10)
        answer = {"requestId": json.loads(request)["requestId"], "status": 200}
        device.send("methods/silent/response", answer).wait_for_publish(10)
        device.send("methods/silent/response", "{")

    async def counted() -> bool:
        return await late(hub) == before + 1

    await until(counted)
    assert (silent.status_code, silent.json()["error"]) == (504, "timeout")
    assert "0.5 s" in silent.json()["detail"]


async def test_another_device_cannot_answer(hub: RunningHub, device: Device, tmp_path: Path) -> None:
    other = Device(hub, hub.device(f"call-{uuid.uuid4().hex[:8]}", tmp_path / "other")).start()

    def forge(request: dict[str, Any]) -> None:
        topic = f"$devicehub/devices/{device.name}/methods/asked/response"
        for each in (topic, "methods/asked/response"):
            other.send(each, {"requestId": request["requestId"], "status": 200, "payload": "forged"})

    device.methods["asked"] = forge
    device.start("methods/+/request")
    await is_(hub, device, "online")
    try:
        async with make_client(hub) as client:
            answer = await client.post(f"/api/devices/{device.name}/methods/asked", json={"timeout": 1})
    finally:
        other.stop()

    assert answer.status_code == 504


async def test_a_thousand_calls_at_once_each_hear_their_own_answer(hub: RunningHub, device: Device) -> None:
    device.start("methods/+/request")
    await is_(hub, device, "online")
    async with make_client(hub, limits=httpx.Limits(max_connections=1000)) as client:

        async def ask(number: int) -> Any:
            body = {"payload": number, "timeout": 55}
            return (await client.post(f"/api/devices/{device.name}/methods/echo", json=body)).json()

        answers = await asyncio.gather(*(ask(number) for number in range(1000)))

    # Whole, and few: what was refused, and why, is lost in a thousand lines.
    wrong = [(number, each) for number, each in enumerate(answers) if each.get("payload") != number]
    assert (len(wrong), wrong[:3]) == (0, [])
    assert len({each["requestId"] for each in answers}) == 1000


async def test_a_call_that_was_queued_is_done_once_when_the_device_comes(hub: RunningHub, device: Device) -> None:
    async with make_client(hub) as client:
        path = f"/api/devices/{device.name}/methods"
        queued = await client.post(f"{path}/echo", json={"payload": 7, "queue": True})
        over = await client.post(f"{path}/echo", json={"payload": 8, "queue": True, "expiresIn": 1})
        assert (queued.status_code, over.status_code) == (202, 202)
        await asyncio.sleep(1)
        device.start("methods/+/request")
        _, first = await asyncio.to_thread(device.messages.get, timeout=15)
        await is_(hub, device, "online")
        again = await client.post(f"{path}/echo", json={"payload": 9})
        _, second = await asyncio.to_thread(device.messages.get, timeout=15)

    assert json.loads(first) == {"requestId": queued.json()["requestId"], "methodName": "echo", "payload": 7}
    assert (json.loads(second)["payload"], again.json()["payload"]) == (9, 9)
    assert device.messages.empty()


async def test_a_message_is_held_for_a_session_and_else_refused(hub: RunningHub, device: Device) -> None:
    path = f"/api/devices/{device.name}/messages"
    async with make_client(hub) as client:
        nobody = await client.post(path, json={"payload": 1})
        device.start("messages/devicebound")
        await is_(hub, device, "online")
        sent = await client.post(path, json={"payload": {"n": 1}})
        assert (await asyncio.to_thread(device.messages.get, timeout=15))[1] == b'{"n":1}'
        device.stop()
        await is_(hub, device, "offline")
        held = await client.post(path, json={"payload": {"n": 2}})
    again = Device(hub, device.who).start("messages/devicebound")
    heard = [await asyncio.to_thread(again.messages.get, timeout=15)]
    shown = await asyncio.to_thread(hub.json, "message", "send", device.name, "[1]")
    heard.append(await asyncio.to_thread(again.messages.get, timeout=15))
    again.stop()

    assert (nobody.status_code, nobody.json()["error"]) == (404, "not_subscribed")
    assert (sent.json()["state"], held.json()["state"]) == ("sent", "held")
    assert heard == [(device.topic("messages/devicebound"), payload) for payload in (b'{"n":2}', b"[1]")]
    assert shown["deviceId"] == device.name
