"""What the inventory finds, however it is filled."""

import pytest

from functions.domain.devices import Device, Lifecycle
from functions.domain.sessions import Presence
from functions.testing import START, MemoryHub, memory_hub


def device(number: int, *, name: str = "", role: str | None = None, lifecycle: Lifecycle = Lifecycle.ACTIVE) -> Device:
    return Device(f"EDGB-{number:04d}", START, START, lifecycle, name=name, role=role)


def hub_with(*devices: Device) -> MemoryHub:
    return memory_hub(devices={one.id: one for one in devices})


async def found(hub: MemoryHub, text: str) -> list[str]:
    page, total = await hub.index.query(text, limit=100, offset=0)
    assert total == len(page)
    return [one.id for one in page]


async def test_without_a_text_all_are_found_by_id() -> None:
    hub = hub_with(device(3), device(1), device(2))

    assert await found(hub, "") == ["EDGB-0001", "EDGB-0002", "EDGB-0003"]


async def test_a_page_is_part_of_all_that_match() -> None:
    hub = hub_with(*(device(number) for number in range(10)))

    page, total = await hub.index.query("edgb", limit=3, offset=4)

    assert ([one.id for one in page], total) == (["EDGB-0004", "EDGB-0005", "EDGB-0006"], 10)
    assert await hub.index.query("edgb", limit=3, offset=10) == ([], 10)
    assert await hub.index.query("nothing like it", limit=3, offset=0) == ([], 0)


async def test_id_name_and_role_are_searched_in_either_case() -> None:
    hub = hub_with(device(1, name="Straße Nord"), device(2, role="GATEWAY"), device(3))

    assert await found(hub, "STRASSE") == ["EDGB-0001"]
    assert await found(hub, "gate") == ["EDGB-0002"]
    assert await found(hub, "b-0003") == ["EDGB-0003"]


@pytest.mark.parametrize("text", ["%", "_", "\\", "100%_\\", "'", '"', "*", "\n", "\x00"])
async def test_signs_stand_for_themselves(text: str) -> None:
    hub = hub_with(device(1, name=f"a{text}b"), device(2, name="ab", role="100 x"))

    assert await found(hub, text) == ["EDGB-0001"]


async def test_a_text_does_not_reach_from_one_field_into_the_next() -> None:
    hub = hub_with(device(1, name="door", role="gate"))

    assert await found(hub, "doorgate") == []
    assert await found(hub, "door\ngate") == []


async def test_retired_devices_are_shown_as_such() -> None:
    hub = hub_with(device(1, lifecycle=Lifecycle.RETIRED))

    page, _ = await hub.index.query("", limit=1, offset=0)

    assert page[0].lifecycle is Lifecycle.RETIRED


async def test_presence_is_what_was_told_last() -> None:
    hub = memory_hub(presence={"EDGB-0001": Presence(True, START, "connected")})

    assert hub.index.presence("EDGB-0001") == Presence(True, START, "connected")
    assert hub.index.presence("EDGB-0002") is None
