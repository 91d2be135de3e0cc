"""The WebSocket for applications, on a hub in memory."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from functions.contract.messages import MethodResponse, TokenRevoke
from functions.contract.messages.base import Done
from functions.domain.enrolment import Reservation
from functions.domain.faults import NotFound, Reason
from functions.domain.names import id_key
from functions.domain.sessions import Presence
from functions.testing import START
from gateway.live import members
from gateway.routes import live
from gateway.settings import Bounds
from tests.unit.gateway.rig import OPERATOR, Rig, make_device, make_rig
from tests.unit.gateway.socket import Socket, socket_into

ALL = ("devices:read", "twins:read", "telemetry:read", "methods:call")
PRESENCE = b'{"deviceId":"%s","online":true,"evidence":"connected","timestamp":"2026-01-01T00:00:00Z"}'
TIME = {"Hub-Time": "1767225600000"}


@pytest.fixture
def rig() -> Rig:
    devices = {
        "pump-0001": make_device("pump-0001", groups=("cellar",), role="main-pump"),
        "pump-0002": make_device("pump-0002", groups=("cellar",)),
        "lamp-0001": make_device("lamp-0001"),
    }
    return make_rig(devices=devices, names={id_key("main-pump"): Reservation("pump-0001", None, role="main-pump")})


@asynccontextmanager
async def talk(rig: Rig, *scopes: str) -> AsyncIterator[Socket]:
    async with socket_into(rig.app, await rig.token(*(scopes or ALL))) as socket:
        assert (await socket.hear())["type"] == "connected"
        yield socket


async def come(rig: Rig, device: str) -> None:
    await rig.bus.say(f"devicehub.devices.{device}.presence", PRESENCE % device.encode())


async def measure(rig: Rig, device: str, payload: bytes = b'{"temp": 21.5}', **headers: str) -> None:
    await rig.bus.say(f"devicehub.stored.telemetry.1.{device}", payload, TIME | headers)


async def test_what_devices_do_is_told_to_those_who_subscribed(rig: Rig) -> None:
    async with talk(rig) as socket:
        told = await socket.ask(type="subscribe", topics=["status", "telemetry"])
        await come(rig, "pump-0001")
        await measure(rig, "lamp-0001")
        await rig.bus.say("devicehub.devices.pump-0001.swapped", b"{}")
        first, second = await socket.hear(), await socket.hear()

    assert told == {"type": "subscribed", "topics": ["status", "telemetry"], "devices": ["*"], "groups": []}
    assert (first["type"], first["topic"], first["deviceId"]) == ("message", "status", "pump-0001")
    assert first["data"]["online"] is True
    assert second["data"] == {"temp": 21.5}
    assert second["timestamp"] == "2026-01-01T00:00:00.000Z"
    assert 0 < first["seq"] < second["seq"] < 2**53
    assert socket.is_silent


async def test_an_event_has_its_type_and_the_devices_own_time(rig: Rig) -> None:
    async with talk(rig) as socket:
        await socket.ask(type="subscribe", topics=["events"])
        await rig.bus.say(
            "devicehub.stored.events.0.pump-0001.alarm",
            b'{"level":3}',
            {"Hub-Type": "alarm", "Hub-Device-Time": "1767225601500", **TIME},
        )

        told = await socket.hear()

    assert told["data"] == {"eventType": "alarm", "timestamp": "2026-01-01T00:00:01.500Z", "data": {"level": 3}}


@pytest.mark.parametrize("payload", [b"\x00\xff", b"NaN", b"{"])
async def test_what_is_no_json_is_handed_on_as_bytes(rig: Rig, payload: bytes) -> None:
    async with talk(rig) as socket:
        await socket.ask(type="subscribe", topics=["telemetry"])
        await measure(rig, "pump-0001", payload)

        assert (await socket.hear())["data"] == {"base64": base64.b64encode(payload).decode()}


async def test_devices_are_named_by_id_role_or_group(rig: Rig) -> None:
    async with talk(rig) as by_role, talk(rig) as by_group, talk(rig) as by_id:
        await by_role.ask(type="subscribe", topics=["status"], devices=["main-pump"])
        told = await by_group.ask(type="subscribe", topics=["status"], groups=["cellar"])
        await by_id.ask(type="subscribe", topics=["status"], devices=["lamp-0001"])
        for device in ("pump-0001", "pump-0002", "lamp-0001"):
            await come(rig, device)

        assert [(await by_role.hear())["deviceId"]] == ["pump-0001"]
        assert [(await by_group.hear())["deviceId"] for _ in range(2)] == ["pump-0001", "pump-0002"]
        assert [(await by_id.hear())["deviceId"]] == ["lamp-0001"]
        assert by_role.is_silent
        assert by_group.is_silent
        assert by_id.is_silent
    assert told == {"type": "subscribed", "topics": ["status"], "devices": [], "groups": ["cellar"]}


async def test_a_new_choice_of_devices_takes_the_place_of_the_old_one(rig: Rig) -> None:
    async with talk(rig) as socket:
        await socket.ask(type="subscribe", topics=["status"], devices=["pump-0001"])
        told = await socket.ask(type="subscribe", topics=["telemetry"], devices=["lamp-0001"])
        await come(rig, "pump-0001")
        await come(rig, "lamp-0001")

        assert told["topics"] == ["status", "telemetry"]
        assert told["devices"] == ["lamp-0001"]
        assert (await socket.hear())["deviceId"] == "lamp-0001"
        assert socket.is_silent


async def test_who_took_the_last_device_away_hears_none_and_not_all(rig: Rig) -> None:
    async with talk(rig) as socket:
        await socket.ask(type="subscribe", topics=["status"], devices=["pump-0001"])
        told = await socket.ask(type="unsubscribe", devices=["pump-0001"])
        await come(rig, "pump-0001")
        gone = await socket.ask(type="unsubscribe")

    assert told == {"type": "unsubscribed", "topics": ["status"], "devices": [], "groups": []}
    assert gone["topics"] == []


@pytest.mark.parametrize(
    ("topic", "scope"),
    [
        ("status", "devices:read"),
        ("swap", "devices:read"),
        ("presence", "devices:read"),
        ("devices", "devices:read"),
        ("certificates", "admin"),
        ("alarms", "admin"),
        ("audit", "admin"),
        ("onboarding", "admin"),
        ("onboarding:uuid-1", "admin"),
        ("twin", "twins:read"),
        ("telemetry", "telemetry:read"),
        ("events", "telemetry:read"),
    ],
)
async def test_each_topic_needs_its_scope(rig: Rig, topic: str, scope: str) -> None:
    others = {"devices:read", "twins:read", "telemetry:read"} - {scope}
    async with talk(rig, *others) as without, talk(rig, scope) as having:
        refused = await without.ask(type="subscribe", topics=[topic])
        taken = await having.ask(type="subscribe", topics=[topic])

    assert (refused["type"], refused["error"]) == ("error", "denied")
    assert f"'{scope}'" in refused["message"]
    assert taken["type"] == "subscribed"


RECORDED = (
    b'{"id":"1","at":"2026-01-01T00:00:00Z","action":"%s","actor":"user:anna","origin":"cli","kind":"k","target":"%s"}'
)
STEP = (
    b'{"deviceId":"pump-0001","step":"%s","error":null,"message":null,"actor":"claim:c","call":"1",'
    b'"timestamp":"2026-01-01T00:00:00Z"}'
)


async def record(rig: Rig, action: bytes, target: bytes = b"pump-0001") -> None:
    await rig.bus.say("devicehub.audit.recorded", RECORDED % (action, target))


async def test_changes_of_records_and_certificates_are_told_without_who_made_them(rig: Rig) -> None:
    async with talk(rig, "admin") as devices, talk(rig, "admin") as certificates:
        await devices.ask(type="subscribe", topics=["devices"])
        await certificates.ask(type="subscribe", topics=["certificates"])
        await record(rig, b"device.changed")
        await record(rig, b"group.created", b"cellar")
        await record(rig, b"certificate.revoked", b"4a")
        for name in ("uuid-1", "pump-0001"):
            for step in (b"signed", b"accepted"):
                await rig.bus.say(f"devicehub.onboarding.{name}", STEP % step)

        told = [await devices.hear(), await devices.hear()]
        assert [(one["deviceId"], one["data"]["action"]) for one in told] == [
            ("pump-0001", "device.changed"),
            ("pump-0001", "device.joined"),
        ]
        assert told[0]["data"] == {
            "action": "device.changed",
            "target": "pump-0001",
            "timestamp": "2026-01-01T00:00:00Z",
        }
        actions = [(await certificates.hear())["data"]["action"] for _ in range(3)]
        assert actions == ["device.changed", "certificate.revoked", "device.joined"]
        assert devices.is_silent
        assert certificates.is_silent


async def test_one_joining_is_a_topic_and_all_are_one(rig: Rig) -> None:
    async with talk(rig, "admin") as one, talk(rig, "admin") as all_:
        told = await one.ask(type="subscribe", topics=["onboarding:uuid-1"])
        await all_.ask(type="subscribe", topics=["onboarding"])
        for name in ("uuid-2", "uuid-1"):
            await rig.bus.say(f"devicehub.onboarding.{name}", STEP % b"signed")

        heard = await one.hear()
        assert told["topics"] == ["onboarding:uuid-1"]
        assert (heard["topic"], heard["deviceId"], heard["data"]["step"]) == ("onboarding:uuid-1", "uuid-1", "signed")
        assert [(await all_.hear())["deviceId"] for _ in range(2)] == ["uuid-2", "uuid-1"]
        assert one.is_silent
        many = [f"onboarding:uuid-{number}" for number in range(17)]
        refused = await one.ask(type="subscribe", topics=many)
        assert (refused["error"], "16 joinings" in refused["message"]) == ("bad_request", True)


async def test_the_trail_and_alarms_are_told_as_they_are(rig: Rig) -> None:
    alarm = b'{"id":"a","kind":"k","subject":"s","severity":"warning","state":"open"}'
    async with talk(rig, "admin") as socket:
        await socket.ask(type="subscribe", topics=["audit", "alarms"])
        await record(rig, b"device.changed")
        await rig.bus.say("devicehub.alarms.changed", alarm)

        first, second = await socket.hear(), await socket.hear()
        assert (first["topic"], first["data"]["actor"], "deviceId" in first) == ("audit", "user:anna", False)
        assert (second["topic"], second["data"]["id"]) == ("alarms", "a")


async def test_a_wrong_token_is_told_and_the_socket_closed(rig: Rig) -> None:
    for token in ("dh_wrong", None):
        socket = Socket(rig.app, f"token={token}" if token else "", [])
        socket.open()

        told = await socket.hear()

        assert (told["type"], told["error"]) == ("error", "unauthenticated")
        assert await socket.hear() == {"closed": 1008}


async def test_a_token_may_stand_in_the_header(rig: Rig) -> None:
    async with socket_into(rig.app, bearer=await rig.token("devices:read")) as socket:
        assert (await socket.hear())["type"] == "connected"


async def test_a_socket_whose_token_is_revoked_is_closed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BELIEVED_SECONDS", 0.01)
    async with talk(rig) as socket:
        revoke = TokenRevoke(name="app")
        await rig.bus.call("devicehub.tokens.revoke", revoke, Done, caller=OPERATOR)
        rig.clock.now += 10

        told = await socket.hear()
        closed = await socket.hear()

    assert (told["type"], told["error"]) == ("error", "unauthenticated")
    assert closed == {"closed": 4401}


async def test_devices_that_join_a_group_are_heard_from_then_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BELIEVED_SECONDS", 0.01)
    async with talk(rig) as socket:
        await socket.ask(type="subscribe", topics=["status"], groups=["attic"])
        lamp = make_device("lamp-0001", groups=("attic",))
        kept = await rig.hub.devices.get("lamp-0001")
        assert kept is not None
        await rig.hub.devices.replace("lamp-0001", lamp, expect=kept.revision)
        rig.clock.now += members.BELIEVED_SECONDS + 1

        async with asyncio.timeout(10):
            while socket.is_silent:
                await come(rig, "lamp-0001")
                await asyncio.sleep(0.01)

        assert (await socket.hear())["deviceId"] == "lamp-0001"


async def test_what_was_missed_is_told_to_who_comes_again(rig: Rig) -> None:
    async with talk(rig) as other, talk(rig) as socket:
        await other.ask(type="subscribe", topics=["status"])
        await socket.ask(type="subscribe", topics=["status"], devices=["pump-0001"])
        await come(rig, "pump-0001")
        seq = (await socket.hear())["seq"]
        await socket.leave()
        await come(rig, "pump-0001")
        await come(rig, "lamp-0001")
        async with talk(rig) as again:
            await again.ask(type="subscribe", topics=["status"], devices=["pump-0001"])
            await come(rig, "pump-0001")
            live_one = await again.hear()
            await again.say(type="resume", seq=seq)
            missed = await again.hear()
            unknown = await again.ask(type="resume", seq=1)
            socket.open()
            await socket.hear()

    assert seq < missed["seq"] < live_one["seq"]
    assert missed["deviceId"] == "pump-0001"
    assert unknown == {"type": "gap"}


async def test_a_slow_client_gets_a_gap_and_slows_nobody(rig: Rig) -> None:
    async with talk(rig) as slow, talk(rig) as quick:
        for socket in (slow, quick):
            await socket.ask(type="subscribe", topics=["telemetry"])
        slow.may_read.clear()
        for number in range(3000):
            await measure(rig, "pump-0001", b'{"n":%d}' % number)
            assert (await quick.hear())["data"] == {"n": number}
        slow.may_read.set()
        told = [await slow.hear() for _ in range(3)]
        await slow.ask(type="ping")

    assert {"type": "gap"} in told


async def test_after_the_bus_was_away_clients_know_that_they_missed_something(rig: Rig) -> None:
    async with talk(rig) as socket, talk(rig) as idle:
        await socket.ask(type="subscribe", topics=["status"])
        await come(rig, "pump-0001")
        seq = (await socket.hear())["seq"]
        for told in rig.bus.told_back:
            told()

        assert await socket.hear() == {"type": "gap"}
        assert await socket.ask(type="resume", seq=seq) == {"type": "gap"}
        assert idle.is_silent


async def test_topics_are_heard_on_the_bus_only_while_somebody_wants_them(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.app.state.gateway.feed, "_linger", 0.0)
    async with talk(rig) as socket:
        assert rig.bus.heard == []
        await socket.ask(type="subscribe", topics=["status"])
        assert [subject for subject, _ in rig.bus.heard] == ["devicehub.devices.*.presence"]
        await socket.ask(type="unsubscribe")
        async with asyncio.timeout(10):
            await rig.bus.quiet.wait()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "type"),
        ("[]", "type"),
        ('"ping"', "type"),
        ('{"type":"dance"}', "type"),
        ('{"type":"ping","more":1}', "ping.more"),
        ('{"type":"subscribe"}', "subscribe.topics"),
        ('{"type":"subscribe","topics":["weather"]}', "subscribe.topics.0"),
        ('{"type":"subscribe","topics":["status"],"devices":["a.b"]}', "subscribe.devices.0"),
        ('{"type":"subscribe","topics":["status"],"devices":"all"}', "subscribe.devices"),
        ('{"type":"resume","seq":-1}', "resume.seq"),
        ('{"type":"resume","seq":1e300}', "resume.seq"),
        ('{"type":"callMethod","requestId":"1","deviceId":"pump-0001","methodName":">"}', "callMethod.methodName"),
    ],
)
async def test_what_cannot_be_understood_is_told_where(rig: Rig, text: str, field: str) -> None:
    async with talk(rig) as socket:
        await socket.say_text(text)
        told = await socket.hear()

        assert (told["type"], told["error"]) == ("error", "bad_request")
        assert field.rpartition(".")[2] in " ".join(told["fields"]) or field in told["fields"]
        assert await socket.ask(type="ping") == {"type": "pong"}


async def test_bytes_that_are_no_utf_8_are_refused_and_not_guessed_at(rig: Rig) -> None:
    async with talk(rig) as socket:
        await socket.say_bytes(b'{"type":"callMethod","requestId":"\xff","deviceId":"pump-0001","methodName":"reboot"}')
        told = await socket.hear()
        await socket.say_bytes(b'{"type":"ping"}')

        assert (told["error"], told["message"]) == ("bad_request", "The frame is no JSON in UTF-8.")
        assert await socket.hear() == {"type": "pong"}


async def test_more_sockets_than_may_be_are_refused() -> None:
    rig = make_rig(bounds=Bounds(sockets=1))
    token = await rig.token("devices:read")
    async with socket_into(rig.app, token) as first:
        assert (await first.hear())["type"] == "connected"
        second = Socket(rig.app, f"token={token}", [])
        second.open()

        assert (await second.hear())["error"] == "unavailable"
        assert await second.hear() == {"closed": 1013}


async def test_a_method_of_a_device_that_is_offline_is_answered_at_once(rig: Rig) -> None:
    async with talk(rig) as socket:
        told = await socket.ask(
            type="callMethod", requestId="r1", deviceId="pump-0001", methodName="reboot", payload={"in": 5}
        )
        denied: dict[str, Any]
        async with talk(rig, "devices:read") as reader:
            denied = await reader.ask(type="callMethod", requestId="r2", deviceId="pump-0001", methodName="reboot")

    assert (told["type"], told["requestId"], told["code"], told["status"]) == (
        "methodResponse",
        "r1",
        "device_offline",
        404,
    )
    assert denied["code"] == "denied"


async def test_calls_and_messages_are_answered_by_what_the_client_named_them(rig: Rig) -> None:
    await rig.hub.presence.create("pump-0001", Presence(True, START, "connected"))
    rig.hub.downlink.respond = lambda _, request: MethodResponse(request_id=request.request_id, status=500, payload=7)
    async with talk(rig) as socket:
        called = await socket.ask(type="callMethod", requestId="r1", deviceId="main-pump", methodName="reboot")
        sent = await socket.ask(type="sendMessage", messageId="m1", deviceId="pump-0001", payload={"a": 1})
        rig.hub.downlink.fault = NotFound(Reason.NOT_SUBSCRIBED)
        refused = await socket.ask(type="sendMessage", messageId="m2", deviceId="pump-0001", payload=None)

    assert called == {"type": "methodResponse", "requestId": "r1", "status": 500, "payload": 7, "message": None}
    assert sent == {"type": "messageResponse", "messageId": "m1", "success": True}
    assert (refused["messageId"], refused["code"]) == ("m2", "not_subscribed")


async def test_a_client_waits_for_so_many_answers_and_no_more(rig: Rig) -> None:
    await rig.hub.presence.create("pump-0001", Presence(True, START, "connected"))
    begun, free = asyncio.Queue[None](), asyncio.Event()
    passed = rig.bus.request

    async def held(subject: str, *args: Any, **more: Any) -> bytes:
        if subject.endswith(".call"):
            begun.put_nowait(None)
            await free.wait()
        return await passed(subject, *args, **more)

    rig.bus.request = held  # type: ignore[method-assign]
    async with talk(rig) as socket:
        for number in range(64):
            await socket.say(type="callMethod", requestId=str(number), deviceId="pump-0001", methodName="reboot")
            await begun.get()
        refused = await socket.ask(type="callMethod", requestId="64", deviceId="pump-0001", methodName="reboot")
        free.set()
        answered = {(await socket.hear())["requestId"] for _ in range(64)}

    assert (refused["requestId"], refused["code"]) == ("64", "rate_limited")
    assert answered == {str(number) for number in range(64)}
