"""Pages of devices and counts of them, on a hub in memory; what is found is in adapters/test_inventory."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from functions.contract.messages import DevicePage, FacetQuery, FleetQuery, IdQuery, Nothing, RegistryQuery
from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import Reservation
from functions.domain.faults import Malformed
from functions.domain.inventory import DeviceQuery, Written
from functions.domain.sessions import Presence
from functions.domain.twins import Half
from functions.handlers import inventory, registry
from functions.ports import Hub
from functions.storage import Page
from functions.testing import START, call, memory_hub

ID = "EDGB-0001"
FULL = Device(
    ID,
    START,
    START + timedelta(seconds=5),
    certificate="0a1b",
    name="Kitchen",
    role="kitchen-lamp",
    groups=("house", "lamps"),
    tags={"floor": "1"},
    model="lamp",
    firmware="1.2.3",
    metadata={"a": [1]},
)


async def query(hub: Hub, **asked: Any) -> dict[str, Any]:
    body = RegistryQuery.model_validate(asked)
    decoded: dict[str, Any] = json.loads((await inventory.query(call(body), hub)).encode())
    return decoded


async def read(hub: Hub) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads((await registry.read(call(Nothing(), names=(ID,)), hub)).encode())
    return decoded


def plain(number: int, lifecycle: Lifecycle = Lifecycle.ACTIVE) -> Device:
    return Device(f"EDGB-{number:04}", START, START, lifecycle)


async def test_a_page_has_what_one_device_has_and_the_total_of_all() -> None:
    hub = memory_hub(
        devices={ID: replace(FULL, fingerprint="ff" * 32, not_after=START)}
        | {device.id: device for device in map(plain, range(2, 250))},
        presence={ID: Presence(True, START, "connected")},
    )

    page = await query(hub, limit=150)

    assert page["total"] == 249
    assert len(page["devices"]) == 150
    assert page["devices"][0].items() <= (await read(hub)).items()
    assert [device["deviceName"] for device in page["devices"]] == [f"EDGB-{number:04}" for number in range(1, 151)]


async def test_a_page_is_of_the_devices_that_hold_the_text() -> None:
    hub = memory_hub(devices={ID: FULL, "EDGB-0002": plain(2)})

    found = [await query(hub, q=text) for text in ("kitchen", "0002", "nothing")]

    assert [[device["deviceName"] for device in page["devices"]] for page in found] == [[ID], ["EDGB-0002"], []]
    assert [page["total"] for page in found] == [1, 1, 0]


async def test_a_page_beyond_the_end_is_empty_and_still_tells_the_total() -> None:
    hub = memory_hub(devices={ID: FULL})

    assert await query(hub, offset=10) == {"devices": [], "total": 1}


def some_devices() -> Hub:
    return memory_hub(
        devices={
            ID: FULL,
            "EDGB-0002": replace(plain(2), groups=("house",), tags={"floor": "2"}, model="pump"),
            "EDGB-0003": plain(3),
        },
        presence={
            ID: Presence(True, START, "connected"),
            "EDGB-0002": Presence(False, START + timedelta(minutes=1), "timeout"),
        },
    )


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"status": "online"}, [1]),
        ({"status": "offline"}, [2]),
        ({"status": "unknown"}, [3]),
        ({"model": "pump"}, [2]),
        ({"group": ["house"]}, [1, 2]),
        ({"group": ["house", "lamps"]}, [1]),
        ({"tag": ["floor"]}, [1, 2]),
        ({"tag": ["floor=1"]}, [1]),
        ({"lastSeenAfter": "2035-01-01T12:00:00Z"}, [2]),
        ({"lastSeenAfter": "2035-01-01T13:00:00+01:00"}, [2]),
        ({"lastSeenBefore": "2035-01-01T12:00:30"}, [1]),
        ({"sort": "-lastSeen"}, [2, 1, 3]),
        ({"sort": "model"}, [3, 1, 2]),
        ({"q": "0", "status": "online", "model": "lamp", "group": ["house"], "tag": ["floor=1"]}, [1]),
        ({"status": "online", "model": "pump"}, []),
        ({"q": "group:house -tag:floor=1"}, [2]),
        ({"q": "status:online OR status:offline", "sort": "-deviceName"}, [2, 1]),
        ({"q": "group:house", "model": "pump"}, [2]),
        ({"q": "lastSeen<90s"}, [1, 2]),
        ({"q": "lastSeen>90s"}, []),
        ({"atLeast": ["EDGB-0001:1"]}, [1, 2, 3]),
    ],
)
async def test_a_page_is_of_what_was_asked_for_in_the_order_asked_for(asked: dict[str, Any], found: list[int]) -> None:
    page = await query(some_devices(), **asked)

    assert [device["deviceName"] for device in page["devices"]] == [f"EDGB-{number:04}" for number in found]
    assert page["total"] == len(found)


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"sort": "colour"}, "sort"),
        ({"tag": ["=1"]}, "tag"),
        ({"q": "colour:red"}, "q"),
        ({"atLeast": ["EDGB-0001"]}, "atLeast"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(asked: dict[str, Any], wrong: str) -> None:
    with pytest.raises(Malformed) as refused:
        await query(some_devices(), **asked)

    assert set(refused.value.fields) == {wrong}
    assert refused.value.detail.startswith(f"{wrong}: ")


async def test_a_page_is_the_message_that_it_says_it_is() -> None:
    page = await inventory.query(call(RegistryQuery()), some_devices())

    assert DevicePage.model_validate_json(page.encode()).total == 3


async def test_the_fleet_is_counted() -> None:
    stats = await inventory.stats(call(FleetQuery()), some_devices())

    assert json.loads(stats.encode()) == {
        "total": 3,
        "online": 1,
        "offline": 1,
        "neverSeen": 1,
        "byGroup": {"house": 2, "lamps": 1},
        "byModel": {"lamp": 1, "pump": 1},
        "outOfSync": 0,
        "retired": 0,
    }


async def test_a_hub_without_devices_counts_to_nothing() -> None:
    stats = await inventory.stats(call(FleetQuery()), memory_hub())

    assert (stats.total, stats.online, stats.offline, stats.never_seen) == (0, 0, 0, 0)
    assert (stats.by_group, stats.by_model) == ({}, {})


async def test_a_query_that_cannot_be_read_says_where() -> None:
    with pytest.raises(Malformed) as refused:
        await query(some_devices(), q="group:house status:up")

    assert refused.value.position == 19


async def test_facets_are_of_what_a_query_finds() -> None:
    asked = FacetQuery.model_validate({"q": "tag:floor", "group": ["house"]})
    facets = await inventory.facets(call(asked), some_devices())

    assert json.loads(facets.encode()) == {
        "total": 2,
        "status": {"offline": 1, "online": 1},
        "group": {"house": 2, "lamps": 1},
        "model": {"lamp": 1, "pump": 1},
        "tag": {"floor=1": 1, "floor=2": 1},
    }


async def test_twins_count_as_out_of_sync_after_a_time() -> None:
    hub = memory_hub(devices={ID: FULL}, desired={ID: Half(1, {"rate": 3}, {"rate": int(START.timestamp() * 1000)})})
    hub.clock.advance(100)

    counted = [
        (await inventory.stats(call(FleetQuery(out_of_sync_seconds=seconds)), hub)).out_of_sync
        for seconds in (0, 99, 101)
    ]

    assert counted == [1, 1, 0]


async def test_a_query_may_name_what_devices_report_where_that_is_set() -> None:
    hub = memory_hub(devices={ID: FULL}, reported={ID: Half(1, {"temp": 31}, {"temp": 0})}, paths=("temp",))

    assert (await query(hub, q="twin.reported.temp>30", sort="-twin.reported.temp"))["total"] == 1
    with pytest.raises(Malformed, match="HUB_QUERY_PATHS"):
        await query(hub, q="twin.reported.mode:auto")


async def test_retired_devices_are_shown_to_who_asks_for_them() -> None:
    hub = memory_hub(devices={ID: FULL, "EDGB-0002": plain(2, Lifecycle.RETIRED)})

    assert [await query(hub), (await inventory.stats(call(FleetQuery()), hub)).retired][1] == 1
    assert (await query(hub))["total"] == 1
    assert (await query(hub, q="lifecycle:retired"))["total"] == 1


async def test_a_write_that_must_be_known_is_named_by_id_or_role() -> None:
    asked: list[DeviceQuery] = []
    hub = memory_hub(devices={ID: FULL}, names={"id-kitchen-lamp": Reservation(ID, None, role="kitchen-lamp")})

    class Noting:
        paths = ()

        async def query(self, wanted: DeviceQuery) -> Page[bytes]:
            asked.append(wanted)
            return await hub.index.query(wanted)

    noted: Any = Noting()
    await query(replace(hub, index=noted), atLeast=["kitchen-lamp:7", f"{ID}:7", "EDGB-0002:8"])

    assert asked[0].at_least == (Written(ID, 7), Written(ID, 7), Written("EDGB-0002", 8))


async def test_the_ids_of_a_query_come_a_part_at_a_time() -> None:
    names = ["edgb-0001", "EDGB-0001", "EDGB-0002", "EDGB-0003", "LAMP-0001"]
    of = memory_hub(devices={name: Device(name, START, START, groups=("north",)) for name in names})

    async def ids(**asked: Any) -> tuple[list[str], str | None]:
        page = await inventory.ids(call(IdQuery(**asked)), of)
        return page.devices, page.next

    assert await ids(group=["north"]) == (names, None)
    assert await ids(limit=2) == (names[:2], names[1])
    assert await ids(limit=2, after=names[0]) == (names[1:3], names[2])
    assert await ids(limit=2, after=names[3]) == (names[4:], None)
    assert await ids(q="id:EDGB-0002", after="EDGB-0002") == ([], None)
    assert await ids(group=["south"]) == ([], None)
