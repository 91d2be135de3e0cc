"""Operations over several records, cut short at every write and met by others at every step."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Fault, Unavailable
from functions.domain.intents import PLACES, Intent, Operation
from functions.handlers.intents import finish_intents
from functions.ports import Hub
from functions.runtime.addressing import holder_of
from functions.testing import START, MemoryHub, collect, memory_hub
from tests.unit.handlers.onboarding import Outage, Shuffle, create_device, device, is_revoked, meddled, serial_of
from tests.unit.handlers.test_records import NEW, OLD, desire, doc, retire, swap, update

THIRD = "pump-0003"
MANY = 60
SEEDS = range(40)


async def house() -> tuple[MemoryHub, str]:
    """Two devices with a certificate each, and the serial of the first one's."""
    hub = memory_hub()
    serial = serial_of(await create_device(hub, OLD))
    await create_device(hub, NEW)
    await update(hub, OLD, role="cellar", groups=["a"], tags={"floor": "-1"})
    await desire(hub, OLD, {"rate": 12})
    await desire(hub, NEW, {"mode": "idle"})
    return hub, serial


async def state(hub: MemoryHub) -> dict[str, Any]:
    """All that a swap or a retirement may change; times and what only names the operation left out."""
    records = await collect(hub.devices.entries())
    devices = {name: replace(kept.value, updated_at=START) for name, kept in records.items()}
    names = {key: (kept.value.device, kept.value.role) for key, kept in (await collect(hub.names.entries())).items()}
    return {
        "devices": devices,
        "names": names,
        "desired": {name: await doc(hub, name) for name in devices},
        "revoked": set(await collect(hub.revoked.entries())),
        "intents": set(await collect(hub.intents.entries())),
        "audit": sorted(entry.action for entry in hub.audit.written),
    }


async def fails(deed: Awaitable[object]) -> bool:
    try:
        await deed
    except Fault:
        return True
    return False


DEEDS: dict[str, Callable[[Hub], Awaitable[object]]] = {
    "swap": swap,
    "retire": retire,
    "role": lambda hub: update(hub, OLD, role="attic", notes="moved up"),
    "no role": lambda hub: update(hub, OLD, role=None),
    "labels": lambda hub: update(hub, OLD, notes="dry", tags={"floor": "2"}, groups=[]),
}


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("done", [True, False], ids=["the last write is done", "the last write is lost"])
async def test_what_is_cut_short_at_any_write_is_finished_or_undone(deed: str, done: bool) -> None:
    seen = {"finished": 0, "undone": 0}
    for writes in range(1, MANY):
        hub, serial = await house()
        whole, expected = await house()
        before = await state(hub)
        await DEEDS[deed](whole)
        after = await state(whole)
        if not await fails(DEEDS[deed](meddled(hub, Outage(writes, last_is_done=done)))):
            break

        hub.clock.advance(60)
        await finish_intents(hub)

        # The two hubs drew serial numbers of their own.
        found, wanted = _same(await state(hub), serial), [_same(one, serial, expected) for one in (before, after)]
        assert found in wanted, f"half done after {writes} writes"
        seen["finished" if found == wanted[1] else "undone"] += 1
        assert await is_revoked(hub, serial) == (deed in ("swap", "retire") and found == wanted[1])
    assert writes < MANY - 1
    assert min(seen.values()) > 0, seen


@pytest.mark.parametrize("cut", range(1, 30, 3))
async def test_who_finishes_may_be_cut_short_too(cut: int) -> None:
    for writes in range(5, 20, 2):
        hub, serial = await house()
        await fails(swap(meddled(hub, Outage(writes, last_is_done=True))))
        await fails(finish_intents(meddled(hub, Outage(cut, last_is_done=False))))

        hub.clock.advance(60)
        await finish_intents(hub)

        old, new = await device(hub, OLD), await device(hub, NEW)
        assert (old.lifecycle, old.role, new.role) == (Lifecycle.RETIRED, None, "cellar")
        assert (await doc(hub, OLD), await doc(hub, NEW)) == ({}, {"rate": 12})
        assert await is_revoked(hub, serial)
        assert [entry.action for entry in hub.audit.written].count("device.swapped") == 1


@pytest.mark.parametrize("seed", SEEDS)
async def test_of_swaps_that_meet_each_is_whole_or_nothing(seed: int) -> None:
    hub, _ = await house()
    # So that the one wish there is can be followed: a swap puts it in the place of what the replacement has.
    await desire(hub, NEW, {"mode": None})
    await create_device(hub, THIRD)
    busy = meddled(hub, Shuffle(seed))
    pairs = [(OLD, NEW), (OLD, THIRD), (NEW, OLD), (THIRD, NEW), (NEW, THIRD)]

    await _settle(hub, [swap(busy, old, new) for old, new in pairs[seed % 3 :]])

    devices = {name: kept.value for name, kept in (await collect(hub.devices.entries())).items()}
    await _check(hub, devices)
    for one in devices.values():
        if one.replaced_by is not None:
            assert one.lifecycle is Lifecycle.RETIRED
            assert devices[one.replaced_by].replaces is not None
            assert await doc(hub, one.id) == {}
    wishes = [await doc(hub, name) for name in devices]
    assert wishes.count({"rate": 12}) == 1


@pytest.mark.parametrize("seed", SEEDS)
async def test_of_roles_taken_at_once_each_is_one_device_s(seed: int) -> None:
    hub, _ = await house()
    await create_device(hub, THIRD)
    busy = meddled(hub, Shuffle(seed))

    await _settle(
        hub,
        [
            update(busy, NEW, role="cellar"),
            update(busy, OLD, role="attic"),
            update(busy, THIRD, role="cellar"),
            update(busy, THIRD, role="attic"),
            update(busy, NEW, notes="x"),
            retire(busy, OLD),
        ],
    )

    await _check(hub, {name: kept.value for name, kept in (await collect(hub.devices.entries())).items()})


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_swap_met_by_changes_and_a_retirement_leaves_no_half(seed: int) -> None:
    hub, serial = await house()
    busy = meddled(hub, Shuffle(seed))

    await _settle(
        hub,
        [
            swap(busy),
            update(busy, OLD, tags={"floor": "0"}),
            update(busy, NEW, role=None, groups=["b"]),
            retire(busy, OLD if seed % 2 else NEW),
            desire(busy, NEW, {"late": 1}),
        ],
    )

    old, new = await device(hub, OLD), await device(hub, NEW)
    await _check(hub, {OLD: old, NEW: new})
    if old.replaced_by is None:
        assert new.replaces is None
        assert await doc(hub, OLD) == {"rate": 12}
    else:
        assert new.replaces == OLD
        assert (await doc(hub, OLD), (await doc(hub, NEW))["rate"]) == ({}, 12)
        assert await is_revoked(hub, serial)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_wish_that_was_taken_is_not_lost_in_a_swap(seed: int) -> None:
    hub, _ = await house()
    busy = meddled(hub, Shuffle(seed))
    taken: list[int] = []

    async def wish(number: int) -> None:
        await asyncio.sleep(0)
        await desire(busy, OLD, {f"k{number}": number})
        taken.append(number)

    await _settle(hub, [*(wish(number) for number in range(8)), swap(busy)])

    wished = await doc(hub, NEW if (await device(hub, OLD)).replaced_by else OLD)
    assert {f"k{number}" for number in taken} == set(wished) - {"rate"}


async def _settle(hub: MemoryHub, deeds: list[Any]) -> None:
    results = await asyncio.gather(*deeds, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Fault):
            raise result
    hub.clock.advance(60)
    await finish_intents(hub)


async def _check(hub: MemoryHub, devices: dict[str, Device]) -> None:
    """No record is taken, no role is two devices', and every role leads to its device."""
    assert await collect(hub.intents.entries()) == {}
    assert [one.id for one in devices.values() if one.intent is not None] == []
    roles = [one.role for one in devices.values() if one.role is not None]
    assert len(set(roles)) == len(roles)
    for one in devices.values():
        if one.role is not None:
            assert one.lifecycle is not Lifecycle.RETIRED
            assert await holder_of(hub, one.role) == one.id


def _same(found: dict[str, Any], *serials: str) -> dict[str, Any]:
    """The state without what differs from hub to hub: serial numbers, and what follows from them."""
    devices = {name: replace(one, certificate=None, fingerprint=None) for name, one in found["devices"].items()}
    return {**found, "devices": devices, "revoked": len(found["revoked"])}


async def test_the_last_free_place_is_found() -> None:
    left = Intent(Operation.RETIRE, "other", START, "user:ben")
    for free in range(0, PLACES, 40):
        intents = {f"{place:02}": replace(left, key=f"{place:02}-k") for place in range(PLACES) if place != free}
        hub = memory_hub(devices={OLD: Device(OLD, START, START)}, intents=intents)

        assert (await update(hub, OLD, role="attic")).role == "attic"


async def test_where_every_place_is_taken_the_next_waits() -> None:
    left = Intent(Operation.RETIRE, "other", START, "user:ben")
    intents = {f"{place:02}": replace(left, key=f"{place:02}-k") for place in range(PLACES)}
    hub = memory_hub(devices={OLD: Device(OLD, START, START)}, intents=intents)

    with pytest.raises(Unavailable, match="Too many operations"):
        await update(hub, OLD, role="attic")
    assert (await device(hub, OLD)).intent is None

    hub.clock.advance(60)
    await finish_intents(hub)
    assert (await update(hub, OLD, role="attic")).role == "attic"
