"""The audit trail, alarms and checks of a whole hub."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from functions.contract.messages import AlarmRaise, Done
from functions.domain.callers import parse_caller
from tests.e2e.rig import RunningHub, make_csr, until


@pytest.fixture
async def client(hub: RunningHub) -> AsyncIterator[httpx.AsyncClient]:
    name = f"audit-{uuid.uuid4().hex[:8]}"
    token = hub.json("token", "create", name, "--scope", "admin")["token"]
    url, headers = f"http://127.0.0.1:{hub.http_port}", {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as client:
        yield client
    hub.cli("token", "revoke", name)


async def entries(client: httpx.AsyncClient, **asked: str) -> list[dict[str, Any]]:
    """The entries, once there are any."""

    async def told() -> list[dict[str, Any]]:
        answer = await client.get("/api/audit", params=asked)
        # What a process was asked when it was killed is never answered.
        assert answer.status_code in (200, 503, 504), answer.text
        return list(answer.json()) if answer.status_code == 200 else []

    return await until(told)


async def test_a_page_sees_a_handshake_and_the_trail_keeps_it(
    hub: RunningHub, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    name = f"seen-{uuid.uuid4().hex[:8]}"
    steps: list[dict[str, Any]] = []
    _, bus = await hub.bus("admin")

    async def note(message: Any) -> None:
        steps.append(json.loads(message.data))

    await bus.subscribe(f"devicehub.onboarding.{name}", cb=note)
    await bus.flush()
    hub.cli("enrolment", "open", "--minutes", "5")
    _, csr = make_csr(tmp_path, name)
    try:
        topic = f"$devicehub/devices/{name}/provision"
        answer = await asyncio.to_thread(
            hub.ask,
            hub.claim,
            f"{topic}/request",
            json.dumps({"csrPem": csr}),
            f"{topic}/accepted",
            client_id=name,
        )
        assert answer["deviceId"] == name

        async def ended() -> bool:
            return bool(steps) and steps[-1]["step"] == "accepted"

        assert await until(ended)
    finally:
        await bus.close()

    wanted = ["requested", "admitted", "claimed", "signed", "registered", "accepted"]
    assert [one["step"] for one in steps] == wanted
    kept = await entries(client, target=f"device:{name}", action="onboarding", sort="at")
    assert [one["action"] for one in kept] == [f"onboarding.{step}" for step in wanted]
    assert {(one["actor"], one["origin"]) for one in kept} == {("claim:default", "mqtt")}


async def test_who_did_it_and_from_where(hub: RunningHub, client: httpx.AsyncClient, tmp_path: Path) -> None:
    name = f"kept-{uuid.uuid4().hex[:8]}"
    hub.device(name, tmp_path)
    (await client.patch(f"/api/devices/{name}/twin", json={"desired": {"led": "on"}})).raise_for_status()

    (made,) = await entries(client, target=name, action="device.created")
    (wished,) = await entries(client, target=name, action="twin")

    assert (made["actor"], made["origin"]) == ("system:cli", "cli")
    assert wished["actor"].startswith("app:audit-")
    assert wished["origin"] == "http:127.0.0.1"
    assert wished["after"]["doc"] == {"led": "on"}
    shown = hub.json("audit", "--target", name, "--action", "twin.desired")
    assert [one["id"] for one in shown] == [wished["id"]]
    assert name in hub.cli("audit", "--target", name).stdout


async def test_the_trail_outlives_the_process_that_answers_for_it(
    hub: RunningHub, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    before = await entries(client, action="token.created", limit="1000")
    hub.kill("index")

    after = await entries(client, action="token.created", limit="1000")

    assert [one["id"] for one in after] == [one["id"] for one in before]
    file = hub.data / "index" / "audit.sqlite"
    assert file.stat().st_mode & 0o077 == 0


async def test_a_certificate_that_two_clients_share_is_found(hub: RunningHub, tmp_path: Path) -> None:
    who = hub.device(f"twin-{uuid.uuid4().hex[:8]}", tmp_path)
    topic = f"$devicehub/devices/{who.name}/messages/devicebound"
    # Each connects again a second after the other took its session.
    pair = [hub.listen(who, topic, client_id=who.name, wait=60) for _ in range(2)]
    try:

        async def found() -> list[str]:
            told = await asyncio.to_thread(hub.cli, "doctor", "--json", timeout=60, check=False)
            checks = {one["check"]: one for one in json.loads(told.stdout)["checks"]}
            return [one["what"] for one in checks["hub"]["findings"] if who.name in one["what"]]

        (what,) = await until(found, seconds=60)
    finally:
        for one in pair:
            one.close()

    assert what.startswith(f"Several clients take the client id {who.name} from each other.")


async def test_an_alarm_is_taken_on_and_that_is_kept(hub: RunningHub, client: httpx.AsyncClient) -> None:
    bus, connection = await hub.bus("bridge")
    await bus.call(
        "devicehub.alarms.raise",
        AlarmRaise(kind="messages-dropped", subject="pump-0001"),
        Done,
        caller=parse_caller("system:bridge"),
    )
    await connection.close()
    (alarm,) = [one for one in hub.json("alarms") if one["subject"] == "pump-0001"]

    taken = await client.post(f"/api/alarms/{alarm['id']}/ack")
    assert taken.status_code == 200, taken.text
    assert hub.cli("alarms", "ack", alarm["id"]).stdout.startswith("The alarm is taken on by app:audit-")

    (kept,) = await entries(client, target=alarm["id"])
    assert (kept["action"], kept["origin"]) == ("alarm.acknowledged", "http:127.0.0.1")
    assert "taken on by app:audit-" in hub.cli("alarms").stdout
