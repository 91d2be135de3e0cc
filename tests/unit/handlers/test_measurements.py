"""Telemetry and events asked for, exported and reported, on a hub in memory."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.messages import (
    EventQuery,
    Nothing,
    TelemetryExport,
    TelemetryQuery,
    TelemetryReport,
)
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Denied, Malformed, NotFound
from functions.domain.telemetry import DAY, HOUR, Kind, Sent, Span, span_for, spans
from functions.handlers import measurements
from functions.telemetry_checks import NOW, measured, put
from functions.testing import START, MemoryHub, call, memory_hub, refused

PUMP, FAN = "EDGB-0001", "EDGB-0002"
READER = "user:anna"


def hub_with(**facts: Any) -> MemoryHub:
    return memory_hub(
        devices={
            PUMP: Device(PUMP, START, START, groups=("cellar",), **facts),
            FAN: Device(FAN, START, START),
        }
    )


async def asked(hub: MemoryHub, **wanted: Any) -> Any:
    return json.loads((await measurements.query(call(TelemetryQuery(**wanted), caller=READER), hub)).encode())


async def test_telemetry_is_shown_with_both_times_and_what_is_no_json_in_base64() -> None:
    hub = hub_with()
    await put(hub.telemetry, measured(1, {"temp": 21.5, "é": "\u2028"}, at=NOW - 1500))
    await put(hub.telemetry, Sent(FAN, 2, NOW, b"\xff\x00", is_bytes=True))

    assert await asked(hub) == {
        "total": 2,
        "entries": [
            {
                "deviceId": FAN,
                "timestamp": "2035-01-01T12:00:00.000Z",
                "data": "/wA=",
                "hubTime": "2035-01-01T12:00:00.000Z",
                "encoding": "base64",
            },
            {
                "deviceId": PUMP,
                "timestamp": "2035-01-01T11:59:58.500Z",
                "data": {"temp": 21.5, "é": "\u2028"},
                "hubTime": "2035-01-01T12:00:00.001Z",
                "deviceTime": "2035-01-01T11:59:58.500Z",
            },
        ],
    }


async def test_what_is_asked_for_must_all_hold() -> None:
    hub = hub_with()
    for number in range(1, 7):
        await put(hub.telemetry, measured(number, {"n": number}, at=NOW + number, device=(PUMP, FAN)[number % 2]))

    async def found(**wanted: Any) -> tuple[list[int], int]:
        page = await asked(hub, **wanted)
        return [one["data"]["n"] for one in page["entries"]], page["total"]

    assert await found(device_id=PUMP) == ([6, 4, 2], 3)
    assert await found(group="cellar", limit=1, offset=1) == ([4], 3)
    assert await found(group="attic") == ([], 0)
    begin, end = START + timedelta(milliseconds=2), START + timedelta(milliseconds=5)
    assert await found(start_time=begin, end_time=end) == ([4, 3, 2], 3)


async def test_a_device_is_named_by_its_role_too_and_may_be_retired() -> None:
    hub = hub_with(lifecycle=Lifecycle.RETIRED)
    await put(hub.telemetry, measured(1, {"n": 1}))

    assert (await asked(hub, device_id=PUMP))["total"] == 1
    for deed in (
        asked(hub, device_id="nobody"),
        measurements.latest(call(Nothing(), names=("nobody",)), hub),
        measurements.events(call(EventQuery(device_id="nobody")), hub),
        measurements.report(call(TelemetryReport(device_id="nobody", data={})), hub),
    ):
        with refused(NotFound):
            await deed


@pytest.mark.parametrize("wanted", [{"device_id": PUMP, "group": "cellar"}, {"points": 5}])
async def test_a_question_that_contradicts_itself_is_refused(wanted: dict[str, Any]) -> None:
    with refused(Malformed):
        await asked(hub_with(), **wanted)


async def test_numbers_over_hours_and_days() -> None:
    hub = hub_with()
    day = NOW - NOW % DAY
    for number, at in enumerate((0, 1, HOUR, DAY, DAY + 1), 1):
        await put(hub.telemetry, measured(number, {"t": number, "s": "on"}, at=day + at, hub=day + 2 * DAY))

    hourly = await asked(hub, aggregation="hourly", device_id=PUMP)
    daily = await asked(hub, aggregation="daily", limit=1)

    assert [(one["timestamp"], one["data"]["t"]["count"]) for one in hourly["entries"]] == [
        ("2035-01-02T00:00:00.000Z", 2),
        ("2035-01-01T01:00:00.000Z", 1),
        ("2035-01-01T00:00:00.000Z", 2),
    ]
    assert daily == {
        "total": 2,
        "entries": [
            {
                "deviceId": PUMP,
                "timestamp": "2035-01-02T00:00:00.000Z",
                "data": {"t": {"min": 4.0, "max": 5.0, "mean": 4.5, "last": 5.0, "count": 2}},
            }
        ],
    }
    assert (await asked(hub, aggregation="hourly", points=1))["total"] == 1


HOURS = st.lists(st.integers(0, 5000), min_size=1, max_size=50)


@given(HOURS, st.integers(1, 20), st.sampled_from([HOUR, DAY]))
def test_there_are_never_more_spans_than_points(hours: list[int], points: int, unit: int) -> None:
    rows = [Span(PUMP, NOW - NOW % HOUR + hour * HOUR, {}) for hour in hours]
    times = [row.at for row in rows]

    span = span_for(points, unit, min(times), max(times))

    assert span % unit == 0
    assert len(spans(rows, span)) <= points
    assert span == unit or max(times) // (span - unit) - min(times) // (span - unit) >= points


async def test_the_latest_values_of_a_device() -> None:
    hub = hub_with()
    await put(hub.telemetry, measured(1, {"temp": 21.5, "motor": {"on": True}}, at=NOW - 7))

    found = await measurements.latest(call(Nothing(), names=(PUMP,)), hub)

    at = "2035-01-01T11:59:59.993Z"
    assert json.loads(found.encode()) == {
        "deviceId": PUMP,
        "values": {"motor.on": {"value": True, "timestamp": at}, "temp": {"value": 21.5, "timestamp": at}},
    }


async def test_events_are_found_by_type() -> None:
    hub = hub_with()
    for number, kind in enumerate(("boot", "halt", "boot"), 1):
        one = Sent(PUMP, number, NOW + number, b'{"n":%d}' % number, {"n": number}, type=kind)
        await put(hub.telemetry, one, stream="events-0", kind=Kind.EVENTS)

    page = json.loads((await measurements.events(call(EventQuery(device_id=PUMP, event_type="boot")), hub)).encode())

    assert [(one["eventType"], one["data"]["n"]) for one in page["entries"]] == [("boot", 3), ("boot", 1)]
    assert page["total"] == 2


async def test_an_export_gives_every_message_once_oldest_first() -> None:
    hub = hub_with()
    for number in range(1, 8):
        await put(hub.telemetry, measured(number, {"n": number}, at=NOW + number // 3, device=(PUMP, FAN)[number % 2]))

    found, after = [], ""
    for _ in range(20):
        asked = TelemetryExport(limit=2, after=after)
        part = json.loads((await measurements.export(call(asked), hub)).encode())
        found += [one["data"]["n"] for one in part["lines"]]
        if part["next"] is None:
            break
        after = part["next"]

    assert sorted(found) == list(range(1, 8))
    assert found[:2] == [1, 2] or found[:2] == [2, 1]


async def test_what_is_reported_for_a_device_is_stored_with_who_said_it() -> None:
    hub = hub_with()

    await measurements.report(
        call(TelemetryReport(device_id=PUMP, data={"t": 1, "timestamp": 5}), caller="app:bridge"), hub
    )

    (one,) = hub.streams.appended
    assert (one.stream, one.device, json.loads(one.payload)) == ("telemetry", PUMP, {"t": 1, "timestamp": 5})
    assert one.headers == {"Hub-Time": str(NOW), "Hub-Caller": "app:bridge"}


@pytest.mark.parametrize("lifecycle", [Lifecycle.SUSPENDED, Lifecycle.RETIRED])
async def test_nothing_is_reported_for_a_device_that_takes_no_part(lifecycle: Lifecycle) -> None:
    hub = hub_with(lifecycle=lifecycle)

    with refused(Denied):
        await measurements.report(call(TelemetryReport(device_id=PUMP, data={})), hub)
    assert hub.streams.appended == []
