"""Twin functions on a hub in memory."""

import json
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from functions.contract.messages import (
    Encoded,
    Nothing,
    TwinAccepted,
    TwinDelta,
    TwinDesire,
    TwinGet,
    TwinReached,
    TwinReport,
    TwinView,
)
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Conflict, Denied, Malformed, NotFound, Reason
from functions.domain.names import DeviceId
from functions.domain.twins import Half
from functions.handlers import twins
from functions.ports import Call
from functions.storage import Store
from functions.testing import START, MemoryHub, call, memory_hub

ID = "EDGB-0001"
DELTA = f"devicehub.devices.{ID}.twin.update.delta"
DOCUMENTS = f"devicehub.devices.{ID}.twin.update.documents"
REACHED = f"devicehub.devices.{ID}.twin.update.reached"


def device(lifecycle: Lifecycle = Lifecycle.ACTIVE) -> Device:
    return Device(ID, START, START, lifecycle)


def hub_with(lifecycle: Lifecycle = Lifecycle.ACTIVE) -> MemoryHub:
    return memory_hub(devices={ID: device(lifecycle)})


def report(**body: Any) -> Call[TwinReport]:
    return call(TwinReport(**body), caller=f"device:{ID}", names=(ID,))


def wish(**body: Any) -> Call[TwinDesire]:
    return call(TwinDesire(**body), caller="user:anna", names=(ID,))


def ask(token: str | None = None) -> Call[TwinGet]:
    return call(TwinGet() if token is None else TwinGet(client_token=token), caller=f"device:{ID}", names=(ID,))


def look() -> Call[Nothing]:
    return call(Nothing(), caller="user:anna", names=(ID,))


def as_json(message: Encoded[TwinAccepted] | TwinView) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(message.encode())
    return decoded


async def kept_doc(store: Store[Half]) -> dict[str, Any]:
    kept = await store.get(ID)
    return kept.value.doc if kept else {}


# --- Who may --------------------------------------------------------------------


async def test_a_device_that_is_not_registered_is_unknown() -> None:
    hub = memory_hub()
    asked: list[Awaitable[object]] = [
        twins.get(ask(), hub),
        twins.update(report(reported={"a": 1}), hub),
        twins.view(look(), hub),
        twins.desire(wish(desired={"a": 1}), hub),
    ]

    for asking in asked:
        with pytest.raises(NotFound) as refused:
            await asking
        assert refused.value.reason is Reason.UNKNOWN_DEVICE
    assert await hub.reported.get(ID) is None
    assert await hub.desired.get(ID) is None


@pytest.mark.parametrize(
    ("lifecycle", "reason"),
    [(Lifecycle.SUSPENDED, Reason.DEVICE_SUSPENDED), (Lifecycle.RETIRED, Reason.DEVICE_RETIRED)],
)
async def test_a_suspended_or_retired_device_neither_reads_nor_reports(lifecycle: Lifecycle, reason: Reason) -> None:
    hub = hub_with(lifecycle)

    for asking in (twins.get(ask(), hub), twins.update(report(reported={"a": 1}), hub)):
        with pytest.raises(Denied) as refused:
            await asking
        assert refused.value.reason is reason
    assert await hub.reported.get(ID) is None


async def test_a_suspended_device_keeps_what_is_wished_and_is_not_told() -> None:
    hub = hub_with(Lifecycle.SUSPENDED)

    seen = await twins.desire(wish(desired={"led": "on"}), hub)

    assert seen.desired == {"led": "on"}
    assert hub.events.on(DELTA) == []
    assert len(hub.events.on(DOCUMENTS)) == 1


async def test_a_retired_device_is_still_seen_but_nothing_is_wished_of_it() -> None:
    hub = hub_with(Lifecycle.RETIRED)

    assert (await twins.view(look(), hub)).desired_version == 0
    with pytest.raises(Denied) as refused:
        await twins.desire(wish(desired={"led": "on"}), hub)
    assert refused.value.reason is Reason.DEVICE_RETIRED


# --- Reading --------------------------------------------------------------------


async def test_a_twin_that_was_never_written_is_empty_at_version_0() -> None:
    assert as_json(await twins.get(ask("t1"), hub_with())) == {
        "deviceId": ID,
        "operation": "get",
        "desired": {"version": 0, "doc": {}},
        "reported": {"version": 0, "doc": {}},
        "updated": {"desired": None, "reported": None},
        "clientToken": "t1",
        "timestamp": "2035-01-01T12:00:00Z",
    }


async def test_an_answer_has_a_client_token_only_if_the_request_had() -> None:
    hub = hub_with()

    assert "clientToken" not in as_json(await twins.get(ask(), hub))
    assert "clientToken" not in as_json(await twins.update(report(reported={"a": 1}), hub))
    assert as_json(await twins.update(report(reported={"a": 2}, client_token="t"), hub))["clientToken"] == "t"


async def test_a_client_token_over_64_bytes_is_refused() -> None:
    hub = hub_with()

    for asking in (twins.get(ask("ü" * 33), hub), twins.update(report(reported={"a": 1}, client_token="ü" * 33), hub)):
        with pytest.raises(Malformed):
            await asking
    assert await hub.reported.get(ID) is None


async def test_an_operator_sees_both_halves_with_the_time_of_every_leaf() -> None:
    hub = hub_with()
    await twins.desire(wish(desired={"led": "on", "blink": {"ms": 250}}), hub)
    hub.clock.advance(1.5)
    await twins.update(report(reported={"led": "on", "up": [1]}), hub)

    assert as_json(await twins.view(look(), hub)) == {
        "deviceId": ID,
        "desired": {"led": "on", "blink": {"ms": 250}},
        "reported": {"led": "on", "up": [1]},
        "delta": {"blink": {"ms": 250}},
        "desiredVersion": 1,
        "reportedVersion": 1,
        "metadata": {
            "desired": {
                "led": {"timestamp": "2035-01-01T12:00:00.000Z"},
                "blink": {"ms": {"timestamp": "2035-01-01T12:00:00.000Z"}},
            },
            "reported": {
                "led": {"timestamp": "2035-01-01T12:00:01.500Z"},
                "up": {"timestamp": "2035-01-01T12:00:01.500Z"},
            },
        },
        "lastUpdated": "2035-01-01T12:00:01.500000Z",
    }


async def test_a_twin_that_was_never_written_has_no_last_update() -> None:
    assert as_json(await twins.view(look(), hub_with()))["lastUpdated"] is None


# --- Reporting ------------------------------------------------------------------


async def test_a_report_is_merged_and_answered_with_both_halves() -> None:
    hub = hub_with()
    await twins.desire(wish(desired={"led": "on"}), hub)

    first = as_json(await twins.update(report(reported={"led": "off", "temp": {"cpu": 41.5}}), hub))
    second = as_json(await twins.update(report(reported={"temp": {"cpu": None, "gpu": 50}}), hub))

    assert first["reported"] == {"version": 1, "doc": {"led": "off", "temp": {"cpu": 41.5}}}
    assert first["updated"] == {"desired": None, "reported": first["reported"]}
    assert second["operation"] == "update"
    assert second["desired"] == {"version": 1, "doc": {"led": "on"}}
    assert second["reported"] == {"version": 2, "doc": {"led": "off", "temp": {"gpu": 50}}}


async def test_a_report_that_changes_nothing_writes_and_tells_nothing() -> None:
    hub = hub_with()
    await twins.update(report(reported={"a": 1, "b": True}), hub)
    told = len(hub.events.sent)

    accepted = as_json(await twins.update(report(reported={"a": 1.0, "x": None}), hub))

    assert accepted["reported"] == {"version": 1, "doc": {"a": 1, "b": True}}
    assert accepted["updated"] == {"desired": None, "reported": None}
    assert len(hub.events.sent) == told
    assert len(await hub.reported.history(ID)) == 1


async def test_a_repeat_is_answered_as_before_also_with_the_version_it_expected_then() -> None:
    hub = hub_with()

    answers = [
        as_json(await twins.update(report(reported={"a": 1}, expected_version=0, client_token="t"), hub))
        for _ in range(2)
    ]

    assert answers[0] == answers[1]
    assert answers[1]["updated"]["reported"] == {"version": 1, "doc": {"a": 1}}
    assert len(hub.events.sent) == 1


async def test_a_stale_version_is_refused_and_nothing_changes() -> None:
    hub = hub_with()
    await twins.update(report(reported={"a": 1}), hub)

    with pytest.raises(Conflict) as refused:
        await twins.update(report(reported={"a": 2}, expected_version=0), hub)

    assert refused.value.reason is Reason.VERSION_CONFLICT
    assert await kept_doc(hub.reported) == {"a": 1}
    assert as_json(await twins.update(report(reported={"a": 2}, expected_version=1), hub))["reported"]["version"] == 2


@pytest.mark.parametrize("body", [{"desired": {"a": 1}}, {"desired": None}, {"desired": 1, "reported": {"a": 1}}])
async def test_a_device_that_sends_desired_is_refused_whatever_it_holds(body: dict[str, Any]) -> None:
    hub = hub_with()

    with pytest.raises(Denied) as refused:
        await twins.update(report(**body), hub)

    assert refused.value.reason is Reason.DESIRED_IS_READ_ONLY
    assert await hub.reported.get(ID) is None


@pytest.mark.parametrize("body", [{}, {"reported": None}, {"expected_version": 0}])
async def test_a_report_without_reported_is_malformed(body: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refused:
        await twins.update(report(**body), hub_with())

    assert refused.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ({"a": "x" * 33_000}, Reason.TOO_LARGE),
        ({"a": [[[[[[[[[[1]]]]]]]]]]}, Reason.TOO_DEEP),
        ({"a": 2**60}, Reason.BAD_REQUEST),
        ({"a": float("inf")}, Reason.BAD_REQUEST),
        ({"a\x07": 1}, Reason.BAD_REQUEST),
    ],
    ids=["large", "deep", "integer", "infinity", "key"],
)
async def test_a_report_beyond_the_limits_is_refused_and_nothing_changes(patch: dict[str, Any], reason: Reason) -> None:
    hub = hub_with()

    with pytest.raises(Malformed) as refused:
        await twins.update(report(reported=patch), hub)

    assert refused.value.reason is reason
    assert await hub.reported.get(ID) is None
    assert hub.events.sent == []


# --- Wishing --------------------------------------------------------------------


async def test_a_wish_is_told_to_the_device_as_its_difference() -> None:
    hub = hub_with()
    await twins.update(report(reported={"led": "off", "mode": "a"}), hub)
    hub.clock.advance(timedelta(minutes=1))

    seen = await twins.desire(wish(desired={"led": "on", "mode": "a"}), hub)

    assert seen.delta == {"led": "on"}
    (told,) = hub.events.on(DELTA)
    assert isinstance(told, TwinDelta)
    assert json.loads(told.encode()) == {
        "deviceId": ID,
        "delta": {"led": "on"},
        "desiredVersion": 1,
        "reportedVersion": 1,
        "metadata": {"led": {"timestamp": "2035-01-01T12:01:00.000Z"}},
        "timestamp": "2035-01-01T12:01:00Z",
    }


async def test_every_change_tells_both_halves_before_and_after_and_who_made_it() -> None:
    hub = hub_with()
    await twins.desire(wish(desired={"led": "on"}), hub)
    await twins.update(report(reported={"led": "on"}), hub)

    by_anna, by_device = hub.events.on(DOCUMENTS)

    assert json.loads(by_anna.encode())["by"] == "user:anna"
    assert json.loads(by_device.encode()) == {
        "deviceId": ID,
        "before": {"desired": {"version": 1, "doc": {"led": "on"}}, "reported": {"version": 0, "doc": {}}},
        "after": {
            "desired": {"version": 1, "doc": {"led": "on"}},
            "reported": {"version": 1, "doc": {"led": "on"}},
        },
        "by": f"device:{ID}",
        "timestamp": "2035-01-01T12:00:00Z",
    }


async def test_a_report_that_still_differs_is_told_the_whole_difference() -> None:
    hub = hub_with()
    await twins.desire(wish(desired={"a": {"b": 1, "c": 2}}), hub)

    await twins.update(report(reported={"a": {"b": 1}}), hub)
    await twins.update(report(reported={"x": 1}), hub)

    assert [told.delta for told in hub.events.on(DELTA)] == [{"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, {"a": {"c": 2}}]


async def test_a_device_that_shows_what_is_desired_is_told_no_delta() -> None:
    hub = hub_with()
    await twins.update(report(reported={"led": "on", "own": 1}), hub)

    await twins.desire(wish(desired={"led": "on"}), hub)
    await twins.update(report(reported={"own": 2}), hub)

    assert hub.events.on(DELTA) == []


async def test_that_what_is_desired_is_reached_is_told_once() -> None:
    hub = hub_with()
    await twins.desire(wish(desired={"led": "on", "rate": 5}), hub)
    await twins.update(report(reported={"led": "on"}), hub)
    assert hub.events.on(REACHED) == []

    await twins.update(report(reported={"rate": 5, "own": 1}), hub)
    await twins.update(report(reported={"rate": 5, "own": 1}), hub)
    await twins.update(report(reported={"own": 2}), hub)
    await twins.desire(wish(desired={"led": "on"}), hub)

    (told,) = hub.events.on(REACHED)
    assert isinstance(told, TwinReached)
    assert json.loads(told.encode()) == {
        "deviceId": ID,
        "desiredVersion": 1,
        "reportedVersion": 2,
        "timestamp": "2035-01-01T12:00:00Z",
    }


async def test_what_was_reached_and_left_again_is_told_when_it_is_reached_again() -> None:
    hub = hub_with()
    for led in ("on", "off", "on"):
        await twins.update(report(reported={"led": led}), hub)
        await twins.desire(wish(desired={"led": "on"}), hub)

    assert [(told.desired_version, told.reported_version) for told in hub.events.on(REACHED)] == [(1, 3)]


async def test_a_wish_that_gives_way_to_what_is_reported_reaches_it_too() -> None:
    hub = hub_with()
    await twins.update(report(reported={"led": "off"}), hub)
    await twins.desire(wish(desired={"led": "on"}), hub)

    await twins.desire(wish(desired={"led": None}), hub)
    await twins.desire(wish(desired={"led": "off"}), hub)

    assert [(told.desired_version, told.reported_version) for told in hub.events.on(REACHED)] == [(2, 1)]


async def test_a_stale_wish_is_refused() -> None:
    hub = hub_with()
    await twins.desire(wish(desired={"led": "on"}, expected_version=0), hub)

    with pytest.raises(Conflict):
        await twins.desire(wish(desired={"led": "off"}, expected_version=0), hub)

    assert await kept_doc(hub.desired) == {"led": "on"}


async def test_a_repeated_wish_tells_the_device_again_and_nobody_else() -> None:
    hub = hub_with()

    for _ in range(2):
        await twins.desire(wish(desired={"led": "on"}, expected_version=0), hub)

    assert len(hub.events.on(DELTA)) == 2
    assert len(hub.events.on(DOCUMENTS)) == 1
    assert len(await hub.desired.history(ID)) == 1


async def test_the_open_delta_is_sent_on_demand_and_never_empty() -> None:
    hub = hub_with()
    await twins.publish_open_delta(DeviceId(ID), hub)
    assert hub.events.sent == []

    await twins.desire(wish(desired={"led": "on"}), hub)
    await twins.publish_open_delta(DeviceId(ID), hub)
    await twins.update(report(reported={"led": "on"}), hub)
    await twins.publish_open_delta(DeviceId(ID), hub)

    assert [told.delta for told in hub.events.on(DELTA)] == [{"led": "on"}] * 2
