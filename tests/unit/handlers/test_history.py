"""Twin history on a hub in memory."""

import asyncio
import json
from collections.abc import Awaitable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.messages import (
    Message,
    TwinCompare,
    TwinDesire,
    TwinHistoryQuery,
    TwinMoment,
    TwinReport,
)
from functions.domain.audit import Trail
from functions.domain.devices import Device, Lifecycle
from functions.domain.documents import same
from functions.domain.faults import Conflict, Malformed, NotFound, Reason
from functions.domain.twins import merge
from functions.handlers import history, twins
from functions.ports import Call
from functions.testing import START, B, MemoryHub, call, memory_hub
from tests.unit.domain.test_twins import PATCHES

ID = "EDGB-0001"


@pytest.fixture
def hub() -> MemoryHub:
    return memory_hub(devices={ID: Device(ID, START, START)})


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def asked(body: B) -> Call[B]:
    return call(body, caller="user:anna", names=(ID,))


async def wish(hub: MemoryHub, desired: dict[str, Any], by: str = "user:anna") -> None:
    hub.clock.advance(1)
    await twins.desire(call(TwinDesire(desired=desired), caller=by, names=(ID,)), hub)


async def report(hub: MemoryHub, reported: dict[str, Any]) -> None:
    hub.clock.advance(1)
    await twins.update(call(TwinReport(reported=reported), caller=f"device:{ID}", names=(ID,)), hub)


async def told(answering: Awaitable[Message]) -> Any:
    return json.loads((await answering).encode())


async def listed(hub: MemoryHub, **asks: Any) -> list[dict[str, Any]]:
    changes: list[dict[str, Any]] = (await told(history.list_(asked(TwinHistoryQuery(**asks)), hub)))["changes"]
    return changes


async def test_changes_are_told_newest_first_with_who_made_them(hub: MemoryHub) -> None:
    await wish(hub, {"led": "on"})
    await report(hub, {"led": "on", "t": 1})
    await wish(hub, {"led": None, "rate": 5}, by="app:plan")

    assert await told(history.list_(asked(TwinHistoryQuery()), hub)) == {
        "total": 3,
        "changes": [
            {
                "half": "desired",
                "version": 2,
                "change": {"led": None, "rate": 5},
                "by": "app:plan",
                "timestamp": "2035-01-01T12:00:03Z",
            },
            {
                "half": "reported",
                "version": 1,
                "change": {"led": "on", "t": 1},
                "by": f"device:{ID}",
                "timestamp": "2035-01-01T12:00:02Z",
            },
            {
                "half": "desired",
                "version": 1,
                "change": {"led": "on"},
                "by": "user:anna",
                "timestamp": "2035-01-01T12:00:01Z",
            },
        ],
    }


async def test_a_page_is_of_the_half_and_the_size_that_is_asked_for(hub: MemoryHub) -> None:
    for number in range(5):
        await wish(hub, {"n": number})
        await report(hub, {"n": number})

    answer = await told(history.list_(asked(TwinHistoryQuery(half="reported", limit=2, offset=1)), hub))

    assert answer["total"] == 5
    assert [(each["half"], each["version"]) for each in answer["changes"]] == [("reported", 4), ("reported", 3)]


async def test_64_reports_are_told_and_every_wish_that_the_audit_trail_has(hub: MemoryHub) -> None:
    for number in range(90):
        await wish(hub, {"n": number, f"k{number % 7}": number})
        await report(hub, {"n": -number})

    answer = await told(history.list_(asked(TwinHistoryQuery(limit=1000)), hub))

    assert answer["total"] == 154
    for half, oldest in (("desired", 1), ("reported", 27)):
        versions = [each["version"] for each in answer["changes"] if each["half"] == half]
        assert versions == list(range(90, oldest - 1, -1))


async def test_a_wish_that_is_older_than_what_is_kept_comes_from_the_audit_trail(hub: MemoryHub) -> None:
    wished: list[dict[str, Any]] = [{}]
    for number in range(1, 101):
        deep = {f"k{number % 9}": None if number % 2 else {"x": number}}
        await wish(hub, {"n": number, "deep": deep}, f"user:u{number}")
        wished.append((await twins.view(asked_nothing(), hub)).desired)
    assert len(await hub.desired.history(ID)) == 80

    for version in range(101):
        then = await history.at(asked(TwinMoment(desired=version, reported=0)), hub)
        assert same(then.desired, wished[version])
    by_time = await history.at(asked(TwinMoment(time=moment("2035-01-01T12:00:05.999Z"))), hub)
    assert same(by_time.desired, wished[5])
    (oldest,) = await listed(hub, half="desired", limit=1, offset=99)
    assert (oldest["version"], oldest["by"], oldest["timestamp"]) == (1, "user:u1", "2035-01-01T12:00:01Z")
    found = await history.compare(asked(TwinCompare(from_desired=3, from_reported=0, to_desired=5, to_reported=0)), hub)
    assert [(each.path, each.by) for each in found.differences if each.path == "/n"] == [("/n", "user:u5")]


async def test_where_the_audit_trail_has_a_gap_what_is_older_is_refused(hub: MemoryHub) -> None:
    for number in range(100):
        desired = {"secret": "dh_" + "x" * 43} if number == 4 else {"n": number}
        await wish(hub, desired)

    with pytest.raises(NotFound) as refused:
        await history.at(asked(TwinMoment(desired=4, reported=0)), hub)

    assert refused.value.reason is Reason.NOT_KEPT
    assert "known from version 6 on" in refused.value.detail
    assert (await history.at(asked(TwinMoment(desired=6, reported=0)), hub)).desired["n"] == 5


@given(st.lists(st.tuples(st.booleans(), PATCHES), max_size=25))
def test_history_replayed_equals_the_state(patches: list[tuple[bool, dict[str, Any]]]) -> None:
    async def replay() -> None:
        hub = memory_hub(devices={ID: Device(ID, START, START)})
        for is_wish, patch in patches:
            await (wish if is_wish else report)(hub, patch)
        docs: dict[str, Any] = {"desired": {}, "reported": {}}
        versions = {"desired": 0, "reported": 0}
        for each in reversed(await listed(hub)):
            docs[each["half"]] = merge(docs[each["half"]], each["change"])
            versions[each["half"]] += 1
            then = await history.at(asked(TwinMoment(time=moment(each["timestamp"]))), hub)
            assert (then.desired_version, then.reported_version) == (versions["desired"], versions["reported"])
            assert same(then.desired, docs["desired"])
            assert same(then.reported, docs["reported"])
        now = await twins.view(asked_nothing(), hub)
        assert same(now.desired, docs["desired"])
        assert same(now.reported, docs["reported"])

    asyncio.run(replay())


def asked_nothing() -> Call[Any]:
    from functions.contract.messages import Nothing

    return asked(Nothing())


async def test_a_twin_at_a_time_has_both_halves_as_they_were(hub: MemoryHub) -> None:
    await wish(hub, {"led": "on"})
    await report(hub, {"led": "off"})
    await wish(hub, {"led": "blink"})

    then = await told(history.at(asked(TwinMoment(time=moment("2035-01-01T12:00:02Z"))), hub))

    assert (then["desired"], then["reported"], then["delta"]) == ({"led": "on"}, {"led": "off"}, {"led": "on"})
    assert (then["desiredVersion"], then["reportedVersion"]) == (1, 1)
    assert then["lastUpdated"] == "2035-01-01T12:00:02Z"
    by_versions = await told(history.at(asked(TwinMoment(desired=1, reported=1)), hub))
    assert by_versions == then
    before = await told(history.at(asked(TwinMoment(time=moment("2035-01-01T12:00:00Z"))), hub))
    assert (before["desired"], before["desiredVersion"], before["lastUpdated"]) == ({}, 0, None)


async def test_a_time_without_a_zone_is_in_utc(hub: MemoryHub) -> None:
    await wish(hub, {"led": "on"})

    assert (await history.at(asked(TwinMoment(time=moment("2035-01-01T12:00:01"))), hub)).desired_version == 1
    assert (await history.at(asked(TwinMoment(time=moment("2035-01-01T13:00:00.999+01:00"))), hub)).desired_version == 0


async def test_what_is_older_than_what_is_kept_says_from_when_on_it_is_known(hub: MemoryHub) -> None:
    for number in range(100):
        await report(hub, {"n": number})

    assert await hub.audit.about(Trail.TWINS, "twin", ID, most=1) == []
    for named in (TwinMoment(time=moment("2035-01-01T12:00:01Z")), TwinMoment(desired=0, reported=1)):
        with pytest.raises(NotFound) as refused:
            await history.at(asked(named), hub)
        assert refused.value.reason is Reason.NOT_KEPT
        assert "from version 21 on (2035-01-01T12:00:21.000Z)" in refused.value.detail


@pytest.mark.parametrize(
    ("asks", "fields"),
    [
        ({}, []),
        ({"desired": 1}, ["desired"]),
        ({"reported": 0}, ["reported"]),
        ({"time": START, "desired": 1, "reported": 1}, ["desired", "reported", "time"]),
        ({"time": START, "reported": 1}, ["reported", "time"]),
        ({"time": "2035-01-01T12:00:01.000001Z"}, ["time"]),
    ],
)
async def test_what_names_no_twin_is_malformed(hub: MemoryHub, asks: dict[str, Any], fields: list[str]) -> None:
    await wish(hub, {"a": 1})

    with pytest.raises(Malformed) as refused:
        await history.at(asked(TwinMoment(**asks)), hub)

    assert sorted(refused.value.fields) == fields
    named = TwinCompare(**{f"from_{name}": value for name, value in asks.items()})
    with pytest.raises(Malformed) as refused:
        await history.compare(asked(named), hub)
    assert sorted(refused.value.fields) == sorted(f"from{name.capitalize()}" for name in fields)


async def test_a_comparison_names_places_values_and_who_changed_them(hub: MemoryHub) -> None:
    await wish(hub, {"led": {"mode": "on", "rate": 5}, "gone": [1]})
    await report(hub, {"led": "?"})
    await wish(hub, {"led": {"rate": 7}}, by="app:plan")
    await wish(hub, {"gone": None, "new": {"a": 1}})

    assert await told(history.compare(asked(TwinCompare(from_desired=1, from_reported=0)), hub)) == {
        "deviceId": ID,
        "from": {"desired": 1, "reported": 0},
        "to": {"desired": 3, "reported": 1},
        "total": 4,
        "differences": [
            {
                "half": "desired",
                "path": "/led/rate",
                "before": 5,
                "after": 7,
                "version": 2,
                "by": "app:plan",
                "timestamp": "2035-01-01T12:00:03Z",
            },
            {
                "half": "desired",
                "path": "/gone",
                "before": [1],
                "version": 3,
                "by": "user:anna",
                "timestamp": "2035-01-01T12:00:04Z",
            },
            {
                "half": "desired",
                "path": "/new",
                "after": {"a": 1},
                "version": 3,
                "by": "user:anna",
                "timestamp": "2035-01-01T12:00:04Z",
            },
            {
                "half": "reported",
                "path": "/led",
                "after": "?",
                "version": 1,
                "by": f"device:{ID}",
                "timestamp": "2035-01-01T12:00:02Z",
            },
        ],
    }


async def test_two_times_and_mixed_names_are_compared_and_a_page_is_part_of_it(hub: MemoryHub) -> None:
    for number in range(4):
        await wish(hub, {f"k{number}": number})

    by_time = TwinCompare(from_time=moment("2035-01-01T12:00:01Z"), to_time=moment("2035-01-01T12:00:03Z"))
    mixed = TwinCompare(from_desired=1, from_reported=0, to_time=moment("2035-01-01T12:00:03Z"))
    assert await told(history.compare(asked(by_time), hub)) == await told(history.compare(asked(mixed), hub))
    page = await told(history.compare(asked(by_time.model_copy(update={"limit": 1, "offset": 1})), hub))
    assert (page["total"], [each["path"] for each in page["differences"]]) == (2, ["/k2"])


async def test_a_comparison_backwards_is_malformed(hub: MemoryHub) -> None:
    await wish(hub, {"a": 1})

    with pytest.raises(Malformed):
        await history.compare(asked(TwinCompare(from_desired=1, from_reported=0, to_desired=0, to_reported=0)), hub)


async def test_of_an_unknown_device_nothing_is_told() -> None:
    hub = memory_hub()
    asking: list[Awaitable[object]] = [
        history.list_(asked(TwinHistoryQuery()), hub),
        history.at(asked(TwinMoment(desired=0, reported=0)), hub),
        history.compare(asked(TwinCompare(from_desired=0, from_reported=0)), hub),
    ]

    for each in asking:
        with pytest.raises(NotFound) as refused:
            await each
        assert refused.value.reason is Reason.UNKNOWN_DEVICE


async def test_the_history_of_a_retired_device_stays() -> None:
    hub = memory_hub(devices={ID: Device(ID, START, START, Lifecycle.RETIRED)})

    assert await listed(hub) == []


async def test_of_fifty_writers_each_accepted_change_is_in_history_once_and_versions_have_no_gap(
    hub: MemoryHub,
) -> None:
    async def write(number: int) -> bool:
        desired = TwinDesire(desired={f"w{number}": number})
        try:
            await twins.desire(call(desired, caller=f"user:u{number}", names=(ID,)), hub)
        except Conflict:
            return False
        return True

    accepted = await asyncio.gather(*map(write, range(50)))

    changes = await listed(hub)
    assert [each["version"] for each in changes] == list(range(sum(accepted), 0, -1))
    assert sorted((each["by"], each["change"]) for each in changes) == sorted(
        (f"user:u{number}", {f"w{number}": number}) for number, is_in in enumerate(accepted) if is_in
    )
