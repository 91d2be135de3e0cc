"""A device's record changed, retired and handed on, on a hub in memory."""

from dataclasses import replace
from typing import Any

import pytest

from functions.contract.messages import DeviceRecord, DeviceRetire, DeviceSwap, DeviceUpdate, TwinDesire
from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import Reservation
from functions.domain.faults import Conflict, Denied, Fault, Malformed, NotFound, Reason, Unavailable
from functions.domain.intents import Intent, Operation, Phase, what_moves
from functions.domain.twins import Half
from functions.handlers import records, twins
from functions.handlers.intents import finish_intents
from functions.ports import Hub
from functions.runtime.addressing import holder_of
from functions.testing import START, MemoryHub, call, collect, memory_hub
from tests.unit.handlers.onboarding import create_device, device, is_revoked, listed, serial_of

OLD, NEW = "pump-0001", "pump-0002"


def plain(id_: str, **facts: Any) -> Device:
    return Device(id_, START, START, **facts)


def house(**facts: Any) -> MemoryHub:
    return memory_hub(devices={OLD: plain(OLD, **facts), NEW: plain(NEW)})


async def update(hub: Hub, id_: str = OLD, /, **body: Any) -> DeviceRecord:
    return await records.update(call(DeviceUpdate.model_validate(body), caller="user:anna", names=(id_,)), hub)


async def retire(hub: Hub, name: str = OLD) -> DeviceRecord:
    return await records.retire(call(DeviceRetire(), caller="user:anna", names=(name,)), hub)


async def swap(hub: Hub, old: str = OLD, new: str = NEW) -> DeviceRecord:
    return await records.swap(call(DeviceSwap(replacement=new), caller="user:anna", names=(old,)), hub)


async def refused(kind: type[Fault], deed: Any) -> Fault:
    with pytest.raises(kind) as found:
        await deed
    return found.value


async def test_what_is_given_changes_and_the_rest_stays() -> None:
    hub = house(name="Pump", groups=("a",), tags={"floor": "1", "spare": "yes"}, notes="old")
    hub.clock.advance(60)

    shown = await update(hub, displayName="Cellar pump", groups=["b", "c", "b"], tags={"spare": None, "site": "A"})

    assert (shown.display_name, shown.groups, shown.tags) == ("Cellar pump", ["b", "c"], {"floor": "1", "site": "A"})
    assert (shown.notes, shown.updated_at) == ("old", hub.clock.now())
    assert (await device(hub, OLD)).name == "Cellar pump"


async def test_null_takes_away() -> None:
    hub = house(name="Pump", groups=("a",), tags={"floor": "1"}, notes="old")

    shown = await update(hub, name=None, groups=None, tags=None, notes=None)

    assert (shown.display_name, shown.groups, shown.tags, shown.notes) == (OLD, [], {}, "")


async def test_a_change_that_changes_nothing_writes_nothing() -> None:
    hub = house(name="Pump")
    hub.clock.advance(60)

    shown = await update(hub, displayName="Pump", tags={"gone": None})

    assert (shown.version, shown.updated_at) == (1, START)
    assert hub.audit.written == []


async def test_an_update_is_written_down_with_what_it_changed() -> None:
    hub = house(name="Pump", notes="kept out of it")

    await update(hub, displayName="Cellar pump")

    (entry,) = hub.audit.written
    assert (entry.action, entry.actor, entry.target) == ("device.changed", "user:anna", OLD)
    assert (entry.before, entry.after) == ({"name": "Pump"}, {"name": "Cellar pump"})


async def test_an_update_of_another_version_is_refused() -> None:
    hub = house()
    first = await update(hub, notes="one", expectedVersion=1)

    fault = await refused(Conflict, update(hub, notes="two", expectedVersion=1))
    role = await refused(Conflict, update(hub, role="lamp", expectedVersion=1))

    assert fault.reason is role.reason is Reason.VERSION_CONFLICT
    assert first.version > 1
    assert (await update(hub, role="lamp", expectedVersion=first.version)).role == "lamp"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "with space"}, "role"),
        ({"role": "claim-x"}, "role"),
        ({"role": "a.b"}, "role"),
        ({"role": OLD.upper()}, "role"),
        ({"groups": ["a b"]}, "groups"),
        ({"groups": [""]}, "groups"),
        ({"tags": {"a=b": "c"}}, "tags"),
        ({"tags": {"": "c"}}, "tags"),
        ({"tags": {"a": "\x1b[31m"}}, "tags"),
        ({"tags": {f"k{number}": "v" for number in range(65)}}, "tags"),
        ({"notes": "bell \x07"}, "notes"),
    ],
)
async def test_what_no_record_takes_is_refused_by_name(body: dict[str, Any], field: str) -> None:
    hub = house()

    fault = await refused(Malformed, update(hub, **body))

    assert list(fault.fields) == [field]
    assert (await device(hub, OLD)) == plain(OLD)


async def test_of_a_device_that_is_not_there_nothing_can_be_changed() -> None:
    hub = house()
    for deed in (
        update(hub, "nobody", notes="x"),
        retire(hub, "nobody"),
        swap(hub, "nobody"),
        swap(hub, OLD, "nobody"),
    ):
        assert (await refused(NotFound, deed)).reason is Reason.UNKNOWN_DEVICE
    assert await collect(hub.intents.entries()) == {}


async def test_a_role_is_one_device_s_and_free_again_when_it_is_given_up() -> None:
    hub = house()
    assert (await update(hub, role="cellar")).device_id == "cellar"
    assert await holder_of(hub, "cellar") == OLD
    assert await holder_of(hub, "Cellar") is None

    assert (await refused(Conflict, update(hub, NEW, role="Cellar", notes="too"))).reason is Reason.NAME_TAKEN
    assert await device(hub, NEW) == plain(NEW)
    assert await collect(hub.intents.entries()) == {}

    await update(hub, role=None)
    assert await holder_of(hub, "cellar") is None
    assert (await update(hub, NEW, role="cellar")).role == "cellar"
    assert [entry.action for entry in hub.audit.written] == ["device.changed"] * 3


async def test_a_role_can_be_spelled_anew_and_changed_with_the_rest() -> None:
    hub = house()
    await update(hub, role="cellar")

    await update(hub, role="Cellar", notes="capital")
    assert await holder_of(hub, "Cellar") == OLD
    await update(hub, role="attic")

    assert await holder_of(hub, "attic") == OLD
    assert set(await collect(hub.names.entries())) == {"id-attic"}
    assert (await device(hub, OLD)).notes == "capital"


async def test_an_id_can_be_no_role_and_a_role_no_id() -> None:
    hub = memory_hub(devices={OLD: plain(OLD)}, names={"id-other": Reservation("other", None)})
    for role in ("other", "OTHER"):
        assert (await refused(Conflict, update(hub, role=role))).reason is Reason.NAME_TAKEN
    assert (await refused(Conflict, update(house(), role=NEW))).reason is Reason.NAME_TAKEN

    await update(hub, role="cellar")
    assert (await refused(Conflict, create_device(hub, "cellar"))).reason is Reason.DEVICE_EXISTS


async def test_the_role_of_a_device_whose_certificate_was_revoked_is_free() -> None:
    hub = house()
    await update(hub, role="cellar")
    kept = await hub.devices.get(OLD)
    assert kept is not None
    await hub.devices.replace(OLD, replace(kept.value, lifecycle=Lifecycle.RETIRED, role=None), expect=kept.revision)

    assert (await update(hub, NEW, role="cellar")).role == "cellar"


async def test_a_retired_device_keeps_its_record_and_gives_its_role_free() -> None:
    hub = memory_hub()
    serial = serial_of(await create_device(hub, OLD))
    await update(hub, OLD, role="cellar", groups=["a"], notes="lineage")

    shown = await retire(hub)
    again = await retire(hub)

    assert (shown.lifecycle, shown.role, shown.groups, shown.notes) == ("retired", None, ["a"], "lineage")
    assert again.updated_at == shown.updated_at
    assert await is_revoked(hub, serial)
    assert await listed(hub) == {serial}
    assert await holder_of(hub, "cellar") is None
    (entry,) = [entry for entry in hub.audit.written if entry.action == "device.retired"]
    assert entry.before == {"lifecycle": "active", "role": "cellar"}
    assert (await refused(Denied, update(hub, role="attic"))).reason is Reason.DEVICE_RETIRED
    assert (await update(hub, notes="more", groups=["b"])).groups == ["b"]


async def swapped_house() -> tuple[MemoryHub, str]:
    hub = memory_hub()
    serial = serial_of(await create_device(hub, OLD))
    await create_device(hub, NEW)
    await update(hub, OLD, role="cellar", groups=["a", "b"], tags={"floor": "-1", "site": "A"})
    await update(hub, NEW, groups=["b", "spares"], tags={"batch": "7", "floor": "0"})
    await desire(hub, OLD, {"rate": 12})
    await desire(hub, NEW, {"mode": "idle"})
    return hub, serial


async def desire(hub: Hub, name: str, wish: dict[str, Any]) -> None:
    await twins.desire(call(TwinDesire(desired=wish), caller="user:anna", names=(name,)), hub)


async def doc(hub: MemoryHub, name: str) -> dict[str, Any]:
    kept = await hub.desired.get(name)
    return kept.value.doc if kept is not None else {}


async def test_a_swap_moves_role_groups_tags_and_desired_state_and_retires_the_old_device() -> None:
    hub, serial = await swapped_house()
    before = len(hub.audit.written)
    hub.clock.advance(60)

    shown = await swap(hub)

    assert (shown.device_id, shown.device_name, shown.role, shown.replaces) == ("cellar", NEW, "cellar", OLD)
    assert shown.groups == ["a", "b", "spares"]
    assert shown.tags == {"batch": "7", "floor": "-1", "site": "A"}
    assert await doc(hub, NEW) == {"rate": 12}
    assert await doc(hub, OLD) == {}
    old = await device(hub, OLD)
    assert (old.lifecycle, old.role, old.groups, old.tags) == (Lifecycle.RETIRED, None, (), {})
    assert (old.replaced_by, old.intent, (await device(hub, NEW)).intent) == (NEW, None, None)
    assert await is_revoked(hub, serial)
    assert await listed(hub) == {serial}
    assert await holder_of(hub, "cellar") == NEW
    assert await collect(hub.intents.entries()) == {}
    *wishes, entry = hub.audit.written[before:]
    assert (entry.action, entry.actor, entry.target) == ("device.swapped", "user:anna", OLD)
    assert [(wish.action, wish.actor, wish.target, wish.after["doc"]) for wish in wishes] == [
        ("twin.desired", "user:anna", NEW, {"mode": None, "rate": 12}),
        ("twin.desired", "user:anna", OLD, {"rate": None}),
    ]
    assert len({wish.id for wish in wishes}) == 2
    assert entry.after["replacement"]["role"] == "cellar"
    (event,) = hub.events.on(f"devicehub.devices.{OLD}.swapped")
    assert (event.previous_name, event.device_name, event.groups) == (OLD, NEW, ["a", "b", "spares"])
    assert (event.previous_uuid, event.uuid) == (None, None)
    (told,) = hub.events.on(f"devicehub.devices.{NEW}.twin.update.delta")[-1:]
    assert told.delta == {"rate": 12}


async def test_a_swap_that_is_repeated_is_answered_as_before() -> None:
    hub, _ = await swapped_house()
    first = await swap(hub)
    entries = len(hub.audit.written)

    assert await swap(hub) == first
    assert len(hub.audit.written) == entries


async def test_where_nothing_is_desired_the_replacement_keeps_what_it_has() -> None:
    hub = house()
    await desire(hub, NEW, {"mode": "idle"})

    await swap(hub)

    assert await doc(hub, NEW) == {"mode": "idle"}


@pytest.mark.parametrize(
    ("old", "new", "kind", "reason"),
    [
        ({"lifecycle": Lifecycle.RETIRED}, {}, Denied, Reason.DEVICE_RETIRED),
        ({}, {"lifecycle": Lifecycle.RETIRED}, Denied, Reason.DEVICE_RETIRED),
        ({}, {"lifecycle": Lifecycle.SUSPENDED}, Denied, Reason.DEVICE_SUSPENDED),
        ({"role": "a"}, {"role": "b"}, Conflict, Reason.SWAP_REFUSED),
        ({"groups": tuple("abcdefghij")}, {"groups": tuple(f"g{n}" for n in range(23))}, Malformed, Reason.BAD_REQUEST),
    ],
)
async def test_a_swap_that_cannot_be_changes_nothing(
    old: dict[str, Any], new: dict[str, Any], kind: type[Fault], reason: Reason
) -> None:
    devices = {OLD: plain(OLD, **old), NEW: plain(NEW, **new)}
    hub = memory_hub(devices=devices)

    assert (await refused(kind, swap(hub))).reason is reason

    assert {name: kept.value for name, kept in (await collect(hub.devices.entries())).items()} == devices
    assert await collect(hub.intents.entries()) == {}
    assert hub.audit.written == []


async def test_a_device_cannot_replace_itself() -> None:
    assert (await refused(Conflict, swap(house(), OLD, OLD))).reason is Reason.SWAP_REFUSED


async def test_a_suspended_device_can_be_replaced() -> None:
    hub = house(lifecycle=Lifecycle.SUSPENDED, role="cellar")

    assert (await swap(hub)).role == "cellar"


async def test_a_replacement_with_a_role_takes_the_place_of_a_device_without_one() -> None:
    hub = house(groups=("a",))
    await update(hub, NEW, role="attic")

    shown = await swap(hub)

    assert (shown.role, shown.groups) == ("attic", ["a"])
    assert await holder_of(hub, "attic") == NEW


async def test_what_is_prepared_and_young_is_left_to_its_call_and_the_record_takes_no_change() -> None:
    intent = Intent(Operation.SWAP, OLD, START, "user:ben", key="07-k", replacement=NEW)
    hub = memory_hub(devices={OLD: plain(OLD, intent="07-k"), NEW: plain(NEW)}, intents={"07": intent})
    await finish_intents(hub)

    await refused(Unavailable, update(hub, notes="x"))
    assert (await device(hub, OLD)).intent == "07-k"

    hub.clock.advance(60)
    assert (await update(hub, notes="x")).notes == "x"
    assert await collect(hub.intents.entries()) == {}


async def test_retiring_waits_for_nobody() -> None:
    intent = Intent(Operation.SWAP, OLD, START, "user:ben", key="07-k", replacement=NEW)
    hub = memory_hub(devices={OLD: plain(OLD, intent="07-k"), NEW: plain(NEW, intent="07-k")}, intents={"07": intent})

    assert (await retire(hub)).lifecycle == "retired"

    assert (await device(hub, NEW)) == plain(NEW)
    assert await collect(hub.intents.entries()) == {}


async def test_a_mark_whose_operation_is_over_is_taken_away() -> None:
    hub = house(intent="07-gone")

    assert (await update(hub, notes="x")).notes == "x"
    assert (await device(hub, OLD)).intent is None


async def test_a_decided_operation_is_finished_by_who_meets_it() -> None:
    hub = memory_hub(
        devices={OLD: plain(OLD, intent="07-k", groups=("a",)), NEW: plain(NEW, intent="07-k")},
        desired={OLD: Half(3, {"rate": 1}, {"rate": 1})},
    )
    prepared = Intent(Operation.SWAP, OLD, START, "user:ben", key="07-k", replacement=NEW, phase=Phase.DECIDED)
    old = plain(OLD, groups=("a",))
    decided = replace(
        prepared,
        before=old,
        replacement_before=plain(NEW),
        moved=what_moves(old, Half(3, {"rate": 1}, {"rate": 1})),
    )
    await hub.intents.create("07", decided)

    shown = await update(hub, NEW, notes="after the swap")

    assert (shown.groups, shown.notes, shown.replaces) == (["a"], "after the swap", OLD)
    wishes = ["twin.desired", "twin.desired"]
    assert [entry.action for entry in hub.audit.written] == [*wishes, "device.swapped", "device.changed"]
