"""The WebSocket with a session, on a hub in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from functions.contract.messages import UserFact, UserUpdate
from gateway.routes import live
from tests.unit.gateway.rig import DEVICE, OPERATOR, Rig
from tests.unit.gateway.socket import Socket, socket_into


@asynccontextmanager
async def talk(rig: Rig, role: str = "viewer") -> AsyncIterator[Socket]:
    async with await rig.signed_in(role, "anna") as client:
        cookie = f"devicehub-session={client.cookies['devicehub-session']}"
    async with socket_into(rig.app, path="/api/ws", headers={"Cookie": cookie}) as socket:
        assert (await socket.hear())["type"] == "connected"
        yield socket


async def tell(rig: Rig) -> None:
    await rig.bus.say("devicehub.sessions.changed", rig.hub.events.on("devicehub.sessions.changed")[-1].encode())


async def update(rig: Rig, **wish: object) -> None:
    body = UserUpdate.model_validate(wish)
    await rig.bus.call("devicehub.users.anna.update", body, UserFact, caller=OPERATOR)
    await tell(rig)


async def test_a_user_hears_what_devices_do_and_does_what_the_role_may(rig: Rig) -> None:
    async with talk(rig) as socket:
        told = await socket.ask(type="subscribe", topics=["status", "twin", "telemetry", "events", "jobs"])
        refused = await socket.ask(type="callMethod", requestId="1", deviceId=DEVICE, methodName="reboot")
        await rig.bus.say(f"devicehub.devices.{DEVICE}.presence", b'{"online":true}')
        heard = await socket.hear()

    assert told["type"] == "subscribed"
    assert (refused["code"], refused["error"]) == ("denied", "A user needs the role 'operator' for this.")
    assert (heard["topic"], heard["deviceId"]) == ("status", DEVICE)


async def test_an_ended_session_closes_its_socket_at_once(rig: Rig) -> None:
    async with talk(rig) as socket:
        await socket.ask(type="subscribe", topics=["status"])
        (id_,) = [one async for one, _ in rig.hub.user_sessions.entries()]
        await rig.bus.request(f"devicehub.sessions.{id_}.end", b"", caller=OPERATOR)
        await tell(rig)

        assert (await socket.hear())["error"] == "unauthenticated"
        assert await socket.hear() == {"closed": 4401}


async def test_a_disabled_user_is_out_and_a_new_role_holds_at_once(rig: Rig) -> None:
    async with await rig.signed_in(name="root"), talk(rig, "operator") as socket:
        await socket.ask(type="ping")
        await update(rig, role="viewer")
        refused = await socket.ask(type="sendMessage", messageId="1", deviceId=DEVICE, payload=1)
        assert refused["code"] == "denied"

        await update(rig, disabled=True)

        assert (await socket.hear())["error"] == "unauthenticated"
        assert await socket.hear() == {"closed": 4401}


async def test_a_socket_does_not_keep_a_session_from_ending(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BELIEVED_SECONDS", 0.01)
    async with talk(rig) as socket:
        rig.hub.clock.advance(59 * 60)
        rig.clock.now += 10
        assert (await socket.ask(type="ping"))["type"] == "pong"
        rig.hub.clock.advance(60)
        rig.clock.now += 10

        assert (await socket.hear())["error"] == "unauthenticated"
        assert await socket.hear() == {"closed": 4401}


@pytest.mark.parametrize("cookie", ["", "devicehub-session=", f"devicehub-session=dhs_{'x' * 43}"])
async def test_without_a_good_session_nothing_is_told(rig: Rig, cookie: str) -> None:
    async with socket_into(rig.app, path="/api/ws", headers={"Cookie": cookie}) as socket:
        assert (await socket.hear())["error"] == "unauthenticated"
        assert await socket.hear() == {"closed": 4401}


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}])
async def test_a_page_of_another_site_gets_no_socket(rig: Rig, headers: dict[str, str]) -> None:
    async with await rig.signed_in() as client:
        cookie = f"devicehub-session={client.cookies['devicehub-session']}"
    async with socket_into(rig.app, path="/api/ws", headers={"Cookie": cookie, "Host": "hub", **headers}) as socket:
        assert (await socket.hear())["error"] == "foreign_request"
        assert await socket.hear() == {"closed": 1008}
