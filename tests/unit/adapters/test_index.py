"""The index of a hub in memory is what its stores hold; what it finds is in test_inventory."""

import json
from dataclasses import replace

from functions.domain.devices import Device
from functions.domain.inventory import DeviceQuery, Status
from functions.domain.sessions import Presence
from functions.testing import START, MemoryHub, memory_hub

ONE = Device("EDGB-0001", START, START, name="door")


async def found(hub: MemoryHub, **asked: object) -> list[str]:
    page = await hub.index.query(DeviceQuery(**asked))  # type: ignore[arg-type]
    assert page.total == len(page.views)
    return [json.loads(one)["displayName"] for one in page.views]


async def test_it_has_what_the_stores_have() -> None:
    hub = memory_hub(devices={ONE.id: ONE}, presence={ONE.id: Presence(True, START, "connected")})

    assert await found(hub, text="door", status=Status.ONLINE) == ["door"]
    assert (await hub.index.count()).by_status == {Status.ONLINE: 1}


async def test_it_sees_at_once_what_is_written() -> None:
    hub = memory_hub(devices={ONE.id: ONE})

    revision = await hub.devices.replace(ONE.id, replace(ONE, name="gate"), expect=1)
    assert await found(hub) == ["gate"]
    await hub.devices.remove(ONE.id, expect=revision)
    assert await found(hub) == []
