"""Attempts that the gateway refuses itself are told to the functions in sums."""

from typing import Any

import httpx

from gateway.attempts import Attempts
from tests.unit.gateway.rig import Rig
from tests.unit.gateway.socket import socket_into


async def trail(rig: Rig) -> list[dict[str, Any]]:
    """What was refused, once all of it is told."""
    attempts: Attempts = rig.app.state.gateway.attempts
    await attempts.end()
    async with rig.client(await rig.token("admin", name="auditor"), address="198.51.100.1") as client:
        answer = await client.get("/api/audit?outcome=refused&sort=at")
    assert answer.status_code == 200, answer.text
    return list(answer.json())


async def test_a_wrong_token_is_written_down_without_the_token(rig: Rig) -> None:
    wrong = "dh_" + "x" * 43
    async with rig.client(wrong, address="192.0.2.9") as client:
        answer = await client.get("/api/devices/pump-0001?q=name")

    (entry,) = await trail(rig)
    assert (entry["action"], entry["actor"], entry["origin"]) == ("access.refused", "-", "http:192.0.2.9")
    assert entry["call"] == answer.headers["x-request-id"]
    assert (entry["after"]["error"], entry["after"]["count"]) == ("unauthenticated", 1)
    assert entry["after"]["what"] == "GET /api/devices/{device}"
    assert wrong not in str(entry)


async def test_a_page_of_another_site_is_written_down_with_the_user_it_used(rig: Rig) -> None:
    client = await rig.signed_in("admin", "anna")
    async with client:
        del client.headers["X-Device-Hub"]
        answer = await client.post("/api/users", json={}, headers={"Origin": "https://evil.example"})

    assert (answer.status_code, answer.json()["error"]) == (403, "foreign_request")
    (entry,) = await trail(rig)
    assert (entry["after"]["error"], entry["after"]["what"]) == ("foreign_request", "POST /api/users")


async def test_a_refused_websocket_is_written_down(rig: Rig) -> None:
    async with socket_into(rig.app, "dh_wrong") as socket:
        assert "closed" in await socket.hear() or "closed" in await socket.hear()

    (entry,) = await trail(rig)
    assert (entry["after"]["what"].split()[0], entry["origin"]) == ("WebSocket", "http:127.0.0.1")
    assert entry["after"]["error"] == "unauthenticated"


async def test_a_flood_of_strangers_is_a_few_entries_with_all_of_them_in_their_sums(rig: Rig) -> None:
    async with rig.client("dh_" + "x" * 43) as client:
        answers: list[httpx.Response] = [await client.get("/api/devices") for _ in range(2000)]

    assert {one.status_code for one in answers} <= {401, 429}
    entries = await trail(rig)
    assert len(entries) <= 6
    assert sum(one["after"]["count"] for one in entries) == 2000


async def test_what_a_function_refuses_is_not_noted_twice(rig: Rig) -> None:
    async with rig.client(await rig.token("twins:read")) as client:
        assert (await client.get("/api/audit")).status_code == 403

    assert await trail(rig) == []
    assert [one.actor for one in rig.hub.refusals.rest()] == ["app:app"]


async def test_while_no_function_answers_refusals_wait(rig: Rig) -> None:
    async with rig.client(address="192.0.2.9") as client:
        assert (await client.get("/api/devices")).status_code == 401
    rig.bus.is_connected = False
    await rig.app.state.gateway.attempts.end()
    rig.bus.is_connected = True

    (entry,) = await trail(rig)
    assert entry["origin"] == "http:192.0.2.9"
