"""Telemetry, events, heartbeats and status on a hub in memory."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.messages import DeviceEvent, Done, Heartbeat, Telemetry
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Denied, Malformed, NotFound
from functions.domain.telemetry import device_time
from functions.handlers import telemetry
from functions.ports import Call
from functions.routes import ROUTES
from functions.runtime.calls import answer
from functions.testing import START, Appended, MemoryHub, call, memory_hub
from tests.unit.gateway.rig import matches

ID = "EDGB-0001"
HUB_TIME = "2051265600000"


def hub_with(lifecycle: Lifecycle = Lifecycle.ACTIVE) -> MemoryHub:
    return memory_hub(devices={ID: Device(ID, START, START, lifecycle)})


def measured(payload: bytes) -> Call[Telemetry]:
    body = Telemetry.model_validate(json.loads(payload or b"{}"))
    return call(body, caller=f"device:{ID}", names=(ID,), payload=payload)


def happened(payload: bytes, *names: str) -> Call[DeviceEvent]:
    body = DeviceEvent.model_validate(json.loads(payload or b"{}"))
    return call(body, caller=f"device:{ID}", names=(ID, *names), payload=payload)


def beat() -> Call[Heartbeat]:
    return call(Heartbeat(), caller=f"device:{ID}", names=(ID,))


def only(hub: MemoryHub) -> Appended:
    (appended,) = hub.streams.appended
    return appended


# --- Who may --------------------------------------------------------------------

SENDINGS: list[Callable[[MemoryHub], Awaitable[Done]]] = [
    lambda hub: telemetry.telemetry(measured(b"{}"), hub),
    lambda hub: telemetry.event(happened(b"{}", "boot"), hub),
    lambda hub: telemetry.message_event(happened(b"{}"), hub),
    lambda hub: telemetry.heartbeat(beat(), hub),
    lambda hub: telemetry.status(happened(b'{"online":false}'), hub),
]


@pytest.mark.parametrize("sending", SENDINGS)
async def test_only_an_active_device_is_heard(sending: Callable[[MemoryHub], Awaitable[Done]]) -> None:
    for hub, refusal in (
        (memory_hub(), NotFound),
        (hub_with(Lifecycle.SUSPENDED), Denied),
        (hub_with(Lifecycle.RETIRED), Denied),
    ):
        with pytest.raises(refusal):
            await sending(hub)
        assert hub.streams.appended == []

    assert (await sending(hub_with())).done


# --- Telemetry ------------------------------------------------------------------


async def test_telemetry_is_appended_byte_for_byte_with_the_hubs_time() -> None:
    hub = hub_with()
    payload = b'{ "temp": 41.50, "ok":true,  "big": 1e2 }'

    await telemetry.telemetry(measured(payload), hub)

    assert only(hub) == Appended("telemetry", only(hub).device, payload, {"Hub-Time": HUB_TIME})
    assert only(hub).device == ID


@pytest.mark.parametrize(
    ("timestamp", "milliseconds"),
    [
        ('"2034-12-31T23:59:59.250Z"', "2051222399250"),
        ('"2035-01-01T01:59:59.250+02:00"', "2051222399250"),
        ('"2034-12-31T23:59:59.250"', "2051222399250"),
        ('"2035-01-01"', "2051222400000"),
        ("2051222399250", "2051222399250"),
        ("2051222399250.75", "2051222399250"),
        ("0", "0"),
        ('"9999-12-31T23:59:59.999Z"', "253402300799999"),
    ],
)
async def test_a_device_may_give_its_own_time(timestamp: str, milliseconds: str) -> None:
    hub = hub_with()

    await telemetry.telemetry(measured(b'{"timestamp":%s,"n":1}' % timestamp.encode()), hub)

    assert only(hub).headers == {"Hub-Time": HUB_TIME, "Hub-Device-Time": milliseconds}


@pytest.mark.parametrize(
    "timestamp",
    [
        '"yesterday"', '""', '"2034-13-01"', "true", "false", "[]", "{}", "-1", "253402300800000", "1e999",
        "1" + "0" * 400,
        '"0001-01-01T00:00:00+23:59"', '"1969-12-31T23:59:59Z"', '"9999-12-31T23:59:59-01:00"', '"2051222399250"',
    ],
)  # fmt: skip
async def test_a_time_that_is_none_is_refused_and_nothing_is_appended(timestamp: str) -> None:
    hub = hub_with()

    with pytest.raises(Malformed):
        await telemetry.telemetry(measured(b'{"timestamp":%s}' % timestamp.encode()), hub)

    assert hub.streams.appended == []


@pytest.mark.parametrize("payload", [b"{}", b"", b'{"timestamp":null}'])
async def test_telemetry_without_a_time_has_only_the_hubs(payload: bytes) -> None:
    hub = hub_with()

    await telemetry.telemetry(measured(payload), hub)

    assert only(hub).headers == {"Hub-Time": HUB_TIME}
    assert only(hub).payload == (payload or b"{}")


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()))
def test_any_value_is_a_time_within_bounds_or_none(value: Any) -> None:
    at = device_time(value)

    assert at is None or datetime.fromtimestamp(at / 1000, UTC).year in range(1970, 10_000)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.timezones()))
def test_a_time_means_the_same_in_both_spellings(at: datetime) -> None:
    # Before the railways zones differed by seconds, which ISO 8601 cannot write.
    at = at.astimezone(UTC).replace(microsecond=0)

    assert device_time(at.isoformat()) == device_time(at.timestamp() * 1000)


@pytest.mark.parametrize("payload", [b"\xff\x00", b"{", b'{"a":1,"a":2}', b"[" * 1000])
@pytest.mark.parametrize(
    ("path", "headers"),
    [("telemetry", {}), ("events.odd", {"Hub-Type": "odd"}), ("messages.events", {"Hub-Type": "message"})],
)
async def test_what_is_no_json_is_appended_as_it_came(payload: bytes, path: str, headers: dict[str, str]) -> None:
    hub, subject = hub_with(), f"devicehub.devices.{ID}.{path}"
    (route,) = [one for one in ROUTES if matches(one.full_subject, subject)]

    reply = await answer(route, hub, subject, payload, {"Hub-Caller": f"device:{ID}"})

    assert reply.reason is None
    assert (only(hub).payload, only(hub).headers) == (payload, {"Hub-Time": HUB_TIME, **headers})


# --- Events ---------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b'{"a":1}', b"[1]", b'"text"', b"5", b"null", b'{"timestamp":"soon"}'])
async def test_an_event_may_be_any_json_and_has_the_type_of_its_subject(payload: bytes) -> None:
    hub = hub_with()

    await telemetry.event(happened(payload, "boot"), hub)

    assert only(hub) == Appended("events", only(hub).device, payload, {"Hub-Time": HUB_TIME, "Hub-Type": "boot"})


async def test_an_event_may_give_its_own_time() -> None:
    hub = hub_with()

    await telemetry.event(happened(b'{"timestamp":2051222399250}', "boot"), hub)

    assert only(hub).headers["Hub-Device-Time"] == "2051222399250"


async def test_the_event_inside_a_published_clients_message_is_what_is_appended() -> None:
    hub = hub_with()
    text = '{"eventType": "doorOpened", "door": "größe", "timestamp": 1}'

    await telemetry.message_event(happened(json.dumps({"data": text}).encode()), hub)

    assert only(hub).payload == text.encode()
    assert only(hub).headers == {"Hub-Time": HUB_TIME, "Hub-Type": "doorOpened", "Hub-Device-Time": "1"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"eventType": "x", "a": 1}, "x"),
        ({"a": 1}, "message"),
        ({"data": "not json"}, "message"),
        ({"data": '["open", '}, "message"),
        ({"data": "[" * 250 + "]" * 250}, "message"),
        ({"data": {"eventType": "x"}, "eventType": "y"}, "y"),
        ([{"eventType": "x"}], "message"),
        ("text", "message"),
    ],
)
async def test_a_message_of_another_form_is_the_event_itself(body: Any, kind: str) -> None:
    hub = hub_with()
    payload = json.dumps(body).encode()

    await telemetry.message_event(happened(payload), hub)

    assert (only(hub).payload, only(hub).headers["Hub-Type"]) == (payload, kind)


@pytest.mark.parametrize("text", ["5", '"open"', "[1,2]", "{}"])
async def test_json_text_without_a_type_is_a_message(text: str) -> None:
    hub = hub_with()

    await telemetry.message_event(happened(json.dumps({"data": text}).encode()), hub)

    assert (only(hub).payload, only(hub).headers["Hub-Type"]) == (text.encode(), "message")


@pytest.mark.parametrize("kind", ["", "a.b", "a*", ">", "a b", "a\x00", "x" * 65, 5, None, True, ["x"], {"a": 1}])
async def test_a_type_that_no_subject_could_carry_is_refused(kind: Any) -> None:
    hub = hub_with()

    for body in ({"eventType": kind}, {"data": json.dumps({"eventType": kind})}):
        with pytest.raises(Malformed):
            await telemetry.message_event(happened(json.dumps(body).encode()), hub)

    assert hub.streams.appended == []


async def test_heartbeats_and_status_are_no_rows() -> None:
    hub = hub_with()

    await telemetry.heartbeat(beat(), hub)
    await telemetry.status(happened(b'{"online":false}'), hub)

    assert hub.streams.appended == []
    assert hub.events.sent == []
