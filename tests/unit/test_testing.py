"""The hub in memory does what handlers expect of a hub."""

from dataclasses import fields
from datetime import timedelta

import pytest

from functions.adapters.layout import BUCKETS
from functions.contract.messages import DeviceEvent, TwinGet
from functions.domain.devices import Device
from functions.domain.faults import Conflict
from functions.domain.grammar import parse_query
from functions.domain.inventory import DeviceQuery
from functions.ports import Hub
from functions.testing import START, call, collect, memory_hub, refused


async def test_a_memory_hub_begins_with_what_it_is_given() -> None:
    device = Device("EDGB-0001", START, START)

    hub = memory_hub(devices={"EDGB-0001": device})

    kept = await hub.devices.get("EDGB-0001")
    assert kept is not None
    assert (kept.value, kept.revision, kept.at) == (device, 1, START)
    assert list(await collect(hub.devices.entries())) == ["EDGB-0001"]
    assert (await hub.index.query(DeviceQuery(parse_query("edgb")))).total == 1


async def test_memory_hubs_share_nothing() -> None:
    device = Device("EDGB-0001", START, START)

    await memory_hub().devices.create("EDGB-0001", device)

    assert await memory_hub().devices.get("EDGB-0001") is None


async def test_a_memory_hub_signs_by_its_own_clock() -> None:
    hub = memory_hub()
    hub.clock.advance(timedelta(days=1))

    crl = await hub.authority.sign_crl([], number=1, next_update=hub.clock.now() + timedelta(days=1))

    assert crl.startswith("-----BEGIN X509 CRL-----")


async def test_a_memory_hub_keeps_events_and_messages_in_order() -> None:
    hub = memory_hub()

    await hub.events.publish("devicehub.a", {"n": 1})
    await hub.events.publish("devicehub.b", {"n": 2})

    assert hub.events.sent == [("devicehub.a", {"n": 1}), ("devicehub.b", {"n": 2})]
    assert hub.events.on("devicehub.b") == [{"n": 2}]


def test_the_clock_stands_still_until_it_is_moved() -> None:
    hub = memory_hub()

    hub.clock.advance(90)

    assert hub.clock.now() == hub.clock.now() == START + timedelta(seconds=90)


def test_a_built_call_carries_its_body_as_payload() -> None:
    built = call(TwinGet(client_token="t"), caller="device:EDGB-0001", names=("EDGB-0001",))

    assert built.payload == b'{"clientToken":"t"}'
    assert (built.device, str(built.caller)) == ("EDGB-0001", "device:EDGB-0001")
    assert call(DeviceEvent(["any", 1])).payload == b'["any",1]'


def test_a_demanded_fault_that_does_not_come_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="Conflict was not raised"), refused(Conflict):
        pass


def test_the_layout_names_every_store_of_the_hub() -> None:
    stores = {field.name: field.type for field in fields(Hub) if str(field.type).startswith("functions.storage.Store")}

    assert {name: f"functions.storage.Store[{b.kind.__module__}.{b.kind.__name__}]" for name, b in BUCKETS.items()} == {
        name: str(kind) for name, kind in stores.items()
    }
