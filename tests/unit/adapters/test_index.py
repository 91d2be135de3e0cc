"""The index of a hub in memory is what its stores hold; what it finds is in test_inventory."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from functions.domain.devices import Device
from functions.domain.faults import Malformed
from functions.domain.grammar import parse_query
from functions.domain.groups import Group
from functions.domain.inventory import DeviceQuery, Status
from functions.domain.query import All
from functions.domain.sessions import Presence
from functions.domain.twins import Half
from functions.testing import START, MemoryHub, memory_hub

ONE = Device("EDGB-0001", START, START, name="door")


async def found(hub: MemoryHub, query: str = "") -> list[str]:
    page = await hub.index.query(DeviceQuery(parse_query(query)))
    assert page.total == len(page.entries)
    return [json.loads(one)["displayName"] for one in page.entries]


async def test_it_has_what_the_stores_have() -> None:
    hub = memory_hub(devices={ONE.id: ONE}, presence={ONE.id: Presence(True, START, "connected")})

    assert await found(hub, "door status:online") == ["door"]
    assert (await hub.index.count(All(), drifted_for=timedelta())).by_status == {Status.ONLINE: 1}


async def test_it_sees_at_once_what_is_written() -> None:
    hub = memory_hub(devices={ONE.id: ONE})

    revision = await hub.devices.replace(ONE.id, replace(ONE, name="gate"), expect=1)
    assert await found(hub) == ["gate"]
    await hub.devices.remove(ONE.id, expect=revision)
    assert await found(hub) == []


async def test_it_knows_twins_and_groups() -> None:
    wish = Half(1, {"rate": 3}, {"rate": 0})
    hub = memory_hub(
        devices={ONE.id: ONE},
        desired={ONE.id: wish},
        reported={ONE.id: Half(1, {"temp": 31, "model": "P-200"}, {"temp": 0, "model": 0})},
        groups={"hot": Group("hot", START, START, "twin.reported.temp>30")},
        paths=("temp",),
    )

    assert await hub.index.group_sizes() == {"hot": 1}
    assert (await hub.index.count(All(), drifted_for=timedelta())).out_of_sync == 1
    assert (await hub.index.count(All(), drifted_for=timedelta())).by_model == {"P-200": 1}
    (view,) = (await hub.index.query(DeviceQuery())).entries
    assert (json.loads(view)["model"], json.loads(view)["twinInSync"]) == ("P-200", False)


async def test_a_group_over_a_path_that_is_no_longer_set_says_so() -> None:
    hub = memory_hub(devices={ONE.id: ONE}, groups={"hot": Group("hot", START, START, "twin.reported.temp>30")})

    with pytest.raises(Malformed, match="HUB_QUERY_PATHS"):
        await found(hub, "group:hot")
    assert await hub.index.group_sizes() == {"hot": 0}
