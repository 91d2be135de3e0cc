"""Devices exported from one hub and imported into another, or into the same, on hubs in memory."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.contract.lines import CSV, NDJSON, Lines, csv_line, heading, ndjson_line
from functions.contract.messages import DeviceExport, DeviceImport, DeviceSwap, ImportResult, TwinExport
from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import Reservation
from functions.domain.faults import Fault, Unavailable
from functions.domain.names import id_key, uuid_key
from functions.domain.twins import Half, apply
from functions.handlers import exporting, importing, records
from functions.ports import Hub
from functions.runtime.addressing import holder_of
from functions.testing import START, MemoryHub, call, collect, memory_hub
from tests.unit.handlers.onboarding import (
    Meddler,
    Once,
    Outage,
    create_device,
    device,
    join,
    meddled,
    new_csr,
    open_hub,
    serial_of,
)

ID = "pump-0001"


async def export(hub: Hub, limit: int = 500) -> list[dict[str, Any]]:
    """Every device with its twin, as the gateway joins them."""
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        part = json.loads((await exporting.export(call(DeviceExport(after=after, limit=limit)), hub)).encode())
        names = [line["deviceId"] for line in part["lines"]]
        twins: list[dict[str, Any]] = []
        while len(twins) < len(names):
            asked = call(TwinExport(devices=names[len(twins) :]))
            twins += json.loads((await exporting.export_twins(asked, hub)).encode())["twins"]
        found += [{**line, **twin} for line, twin in zip(part["lines"], twins, strict=True)]
        after = part["next"]
    return found


async def import_(hub: Hub, *lines: dict[str, Any], dry: bool = False) -> list[ImportResult]:
    found = []
    for begin in range(0, len(lines), 100):
        body = DeviceImport(devices=list(lines[begin : begin + 100]), dry_run=dry)
        found += (await importing.import_(call(body, caller="user:anna"), hub)).results
    return found


async def one(hub: Hub, dry: bool = False, /, **line: Any) -> ImportResult:
    (result,) = await import_(hub, {"deviceId": ID, **line}, dry=dry)
    return result


async def everything(hub: MemoryHub) -> dict[str, Any]:
    return {
        name: {key: kept.value for key, kept in (await collect(getattr(hub, name).entries())).items()}
        for name in ("devices", "desired", "reported", "names", "suspensions", "intents")
    }


def half(doc: dict[str, Any], version: int) -> Half:
    return replace(apply(Half(), doc, at=START, by="x"), version=version)


words = st.text("abcdefgh-_0123", min_size=1, max_size=6)
shown = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=10)
leaves = st.one_of(st.integers(-5, 5), shown, st.dictionaries(shown, st.booleans(), max_size=2))
docs = st.dictionaries(shown, leaves, max_size=3)


@st.composite
def fleets(draw: st.DrawFn) -> list[tuple[Device, dict[str, Any], dict[str, Any]]]:
    names = draw(st.lists(st.text("abcdef0123", min_size=4, max_size=6), unique=True, max_size=6))
    fleet = []
    for number, name in enumerate(names):
        lifecycle = draw(st.sampled_from(Lifecycle))
        role = f"role-{number}" if lifecycle is not Lifecycle.RETIRED and draw(st.booleans()) else None
        record = Device(
            name,
            START,
            START,
            lifecycle,
            uuid_hash=draw(st.sampled_from([None, f"{number:064x}"])),
            name=draw(shown),
            role=role,
            groups=tuple(draw(st.lists(words, unique=True, max_size=3))),
            tags=draw(st.dictionaries(words.filter(lambda word: word[0] not in "-."), shown, max_size=3)),
            notes=draw(shown),
            model=draw(shown),
            firmware=draw(shown),
            metadata=draw(docs),
        )
        fleet.append((record, draw(docs), draw(docs)))
    return fleet


def hub_of(fleet: list[tuple[Device, dict[str, Any], dict[str, Any]]]) -> MemoryHub:
    names = {id_key(record.id): Reservation(record.id, record.uuid_hash) for record, *_ in fleet}
    names |= {uuid_key(one.uuid_hash): Reservation(one.id, one.uuid_hash) for one, *_ in fleet if one.uuid_hash}
    names |= {id_key(one.role): Reservation(one.id, None, one.role) for one, *_ in fleet if one.role}
    return memory_hub(
        devices={record.id: record for record, *_ in fleet},
        desired={record.id: half(desired, 3) for record, desired, _ in fleet if desired},
        reported={record.id: half(reported, 7) for record, _, reported in fleet if reported},
        names=names,
    )


def through(media_type: str, devices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The devices written to a file and read from it."""
    lines = Lines(media_type)
    written = [heading(), *map(csv_line, devices)] if media_type == CSV else [*map(ndjson_line, devices)]
    content = b"".join(written)
    found = [device for _, device in (*lines.feed(content), *lines.end())]
    assert all(isinstance(one, dict) for one in found)
    return [one for one in found if isinstance(one, dict)]


@settings(max_examples=60, deadline=None)
@given(fleets(), st.sampled_from([NDJSON, CSV]))
def test_what_is_exported_makes_the_same_fleet_of_an_empty_hub_and_changes_nothing_in_the_same(
    fleet: list[tuple[Device, dict[str, Any], dict[str, Any]]], media_type: str
) -> None:
    async def check() -> None:
        here, there = hub_of(fleet), memory_hub()
        exported = await export(here)
        read = through(media_type, exported)

        dry = await import_(there, *read, dry=True)
        assert await everything(there) == await everything(memory_hub())
        done = await import_(there, *read)
        assert [result.result for result in done] == ["created"] * len(fleet), done
        assert dry == done
        assert _without_times(await export(there)) == _without_times(exported)
        for record, *_ in fleet:
            assert record.role is None or await holder_of(there, record.role) == record.id

        for hub in (here, there):
            before = await everything(hub)
            again = await import_(hub, *read)
            assert [result.result for result in again] == ["unchanged"] * len(fleet), again
            assert await everything(hub) == before

    asyncio.run(check())


async def test_pages_follow_one_another_and_large_twins_come_in_parts() -> None:
    names = [f"pump-{number:04}" for number in range(23)]
    hub = memory_hub(
        devices={name: Device(name, START, START) for name in names},
        reported={name: half({"x": "y" * 30_000}, 1) for name in names},
    )

    found = await export(hub, limit=10)

    assert [line["deviceId"] for line in found] == names
    assert {len(line["reported"]["x"]) for line in found} == {30_000}


async def test_a_dry_run_says_the_same_and_writes_nothing() -> None:
    hub = hub_of([(Device(ID, START, START, role="cellar"), {"rate": 1}, {})])
    before = await everything(hub)

    results = [
        await one(hub, True, notes="new"),
        await one(hub, True, notes=""),
        await one(hub, True, desired={"rate": 2}),
        await one(hub, True, desired={"rate": 1}),
        await one(hub, True, role="bad role"),
        (await import_(hub, {"deviceId": "pump-0002", "role": "cellar"}, dry=True))[0],
        (await import_(hub, {"deviceId": "pump-0003"}, dry=True))[0],
    ]

    assert [result.result for result in results] == [
        "updated", "unchanged", "updated", "unchanged", "failed", "failed", "created",
    ]  # fmt: skip
    assert await everything(hub) == before
    assert hub.audit.written == []


@pytest.mark.parametrize(
    ("line", "error", "field"),
    [
        ({"deviceId": "a b"}, "bad_request", None),
        ({"deviceId": "claim-x1"}, "bad_request", None),
        ({"deviceId": 7}, "bad_request", "deviceId"),
        ({}, "bad_request", "deviceId"),
        ({"deviceId": ID, "colour": "red"}, "bad_request", "colour"),
        ({"deviceId": ID, "groups": ["a b"]}, "bad_request", "groups"),
        ({"deviceId": ID, "tags": {"a": 1}}, "bad_request", "tags.a"),
        ({"deviceId": ID, "lifecycle": "lost"}, "bad_request", "lifecycle"),
        ({"deviceId": ID, "lifecycle": "retired", "role": "cellar"}, "bad_request", "role"),
        ({"deviceId": ID, "model": "x\x1b[31m"}, "bad_request", "model"),
        ({"deviceId": ID, "role": ID}, "bad_request", "role"),
        ({"deviceId": ID, "metadata": {"x": "y" * 5000}}, "bad_request", "metadata"),
        ({"deviceId": ID, "metadata": {"x": [2**53 + 1]}}, "bad_request", "metadata"),
        ({"deviceId": ID, "desired": {"x": 2**60}}, "bad_request", None),
        ({"deviceId": ID, "desired": {"x": "y" * 33_000}}, "too_large", None),
        ({"deviceId": ID, "uuidHash": "not a hash"}, "bad_request", "uuidHash"),
    ],
)
async def test_a_wrong_line_says_what_is_wrong_and_stops_no_other(line: Any, error: str, field: str | None) -> None:
    hub = memory_hub()

    wrong, good = await import_(hub, line, {"deviceId": "pump-0009"})

    assert (wrong.result, wrong.error) == ("failed", error)
    assert list(wrong.fields or {}) == ([field] if field else [])
    assert good.result == "created"
    assert set(await collect(hub.devices.entries())) == {"pump-0009"}


async def test_names_that_are_another_s_are_refused() -> None:
    hub = hub_of(
        [
            (Device("pump-0002", START, START, uuid_hash="a" * 64, role="cellar"), {}, {}),
            (Device("pump-0003", START, START, uuid_hash="b" * 64), {}, {}),
        ]
    )

    for line in (
        {"deviceId": "PUMP-0002"},
        {"deviceId": "Cellar"},
        {"deviceId": ID, "uuidHash": "a" * 64},
        {"deviceId": "pump-0003", "uuidHash": "c" * 64},
    ):
        ((result, *_), before) = await import_(hub, line, dry=True), await everything(hub)
        (done,) = await import_(hub, line)
        assert result == done
        assert (done.result, done.error) == ("failed", "device_exists"), line
        assert await everything(hub) == before
    assert (await one(hub, role="cellar")).error == "name_taken"


async def test_a_suspended_device_is_denied_by_the_broker_from_the_start() -> None:
    hub = memory_hub()

    await one(hub, lifecycle="suspended")

    assert (await device(hub, ID)).lifecycle is Lifecycle.SUSPENDED
    assert (await collect(hub.suspensions.entries()))[ID].value.holds


async def test_what_is_here_keeps_its_life_its_report_and_its_certificate() -> None:
    hub = memory_hub(devices={ID: Device(ID, START, START, certificate="0a")}, reported={ID: half({"a": 1}, 2)})

    result = await one(hub, lifecycle="retired", reported={"a": 2}, certificate="0b", notes="x")

    assert result.result == "updated"
    assert len(result.remarks or []) == 2
    record = await device(hub, ID)
    assert (record.lifecycle, record.certificate, record.notes) == (Lifecycle.ACTIVE, "0a", "x")


async def test_a_certificate_of_this_hub_s_own_is_found_again() -> None:
    hub = memory_hub()
    serial = serial_of(await create_device(hub, ID))
    (line,) = await export(hub)
    kept = await hub.devices.get(ID)
    assert kept is not None
    await hub.devices.remove(ID, expect=kept.revision)

    result = await import_(hub, line)

    assert result[0].remarks is None
    assert (await device(hub, ID)).certificate == serial


async def test_an_imported_device_joins_with_the_same_hardware_and_gets_its_desired_state() -> None:
    here, there = open_hub(), open_hub()
    name = (await join(here)).device_id
    (line,) = await export(here)
    (result,) = await import_(there, {**line, "role": "cellar", "desired": {"rate": 12}})
    assert result.remarks is not None

    assert (await join(there)).device_id == name

    record = await device(there, name)
    assert (record.role, record.certificate is not None) == ("cellar", True)
    kept = await there.desired.get(name)
    assert kept is not None
    assert kept.value.doc == {"rate": 12}


async def test_an_imported_device_without_hardware_is_given_a_certificate_by_an_operator_or_joins_by_its_id() -> None:
    hub = open_hub()
    await import_(hub, {"deviceId": ID, "role": "cellar"}, {"deviceId": "pump-0002"})

    await create_device(hub, ID, new_csr(ID))
    await join_in_one_round(hub, "pump-0002")

    assert (await device(hub, ID)).role == "cellar"
    assert (await device(hub, "pump-0002")).certificate is not None
    with pytest.raises(Fault, match="device_exists"):
        await join_in_one_round(hub, "pump-0002")


async def join_in_one_round(hub: MemoryHub, name: str) -> None:
    from tests.unit.handlers.onboarding import provision

    await provision(hub, name, csr_pem=new_csr(name))


@pytest.mark.parametrize("done", [True, False])
async def test_an_import_cut_short_anywhere_is_finished_by_the_next(done: bool) -> None:
    line = {
        "deviceId": ID, "role": "cellar", "uuidHash": "a" * 64, "groups": ["a"], "lifecycle": "suspended",
        "createdAt": "2034-01-01T00:00:00Z", "desired": {"rate": 1}, "reported": {"rate": 0},
    }  # fmt: skip
    whole = memory_hub()
    await import_(whole, line)
    for writes in range(1, 30):
        hub = memory_hub()
        try:
            await import_(meddled(hub, Outage(writes, last_is_done=done)), line)
        except Unavailable:
            hub.clock.advance(60)
            (result,) = await import_(hub, line)
            assert result.result != "failed", result
            found, wanted = await export(hub), await export(whole)
            assert _without_times(found) == _without_times(wanted)
            assert await holder_of(hub, "cellar") == ID
            continue
        break
    assert 5 < writes < 29


async def test_a_wish_of_an_import_that_a_swap_came_before_is_refused_and_not_lost() -> None:
    hub = hub_of([(Device(ID, START, START), {"rate": 1}, {}), (Device("pump-0002", START, START), {}, {})])

    async def swap() -> None:
        await records.swap(call(DeviceSwap(replacement="pump-0002"), names=(ID,)), hub)

    (result,) = await import_(meddled(hub, Once(swap)), {"deviceId": ID, "notes": "x", "desired": {"rate": 2}})

    assert (result.result, result.error) == ("failed", "device_retired")
    docs = {name: kept.value.doc for name, kept in (await collect(hub.desired.entries())).items()}
    assert docs == {ID: {}, "pump-0002": {"rate": 1}}


async def test_a_wish_of_an_import_is_told_as_any_other() -> None:
    hub = hub_of([(Device(ID, START, START), {"rate": 1}, {"rate": 2})])

    await one(hub, desired={"rate": 2})
    await one(hub, desired={"rate": 3})

    told = [f"devicehub.devices.{ID}.twin.update.{event}" for event in ("reached", "documents", "delta", "documents")]
    assert [subject for subject, _ in hub.events.sent if ".twin." in subject] == told


async def test_what_was_done_before_time_was_over_is_written_down() -> None:
    hub = memory_hub()

    class Stuck(Meddler):
        async def before_write(self) -> None:
            if ID in await collect(hub.devices.entries()):
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await import_(meddled(hub, Stuck()), {"deviceId": ID}, {"deviceId": ID, "notes": "x"})

    assert [(entry.action, entry.target) for entry in hub.audit.written] == [("device.imported", ID)]


async def test_an_import_is_written_down() -> None:
    hub = memory_hub()
    await one(hub, notes="a", role="cellar")
    await one(hub, notes="b", desired={"rate": 1}, model="P-200")

    assert sorted(entry.action for entry in hub.audit.written) == [
        "device.changed", "device.changed", "device.imported", "device.imported", "twin.desired",
    ]  # fmt: skip
    assert {entry.actor for entry in hub.audit.written} == {"user:anna"}


async def test_lines_of_one_device_are_done_in_their_order() -> None:
    hub = memory_hub()

    results = await import_(hub, *({"deviceId": ID, "notes": str(number)} for number in range(20)))

    assert [result.result for result in results] == ["created"] + ["updated"] * 19
    assert (await device(hub, ID)).notes == "19"


def _without_times(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "updatedAt"} for line in lines]
