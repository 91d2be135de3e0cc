"""One device, and pages of many, on a hub in memory."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from functions.contract.messages import DeviceCreate, DeviceRevoke, Nothing, RegistryQuery
from functions.domain.certificates import Certificate, Purpose
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import NotFound, Reason
from functions.domain.sessions import Presence
from functions.domain.twins import Half
from functions.handlers import certificates, inventory, records, registry
from functions.ports import Hub
from functions.testing import START, call, memory_hub
from tests.unit.handlers.onboarding import new_csr

ID = "EDGB-0001"
CERTIFICATE = Certificate(
    serial="0a1b",
    purpose=Purpose.DEVICE,
    common_name=ID,
    fingerprint="ff" * 32,
    not_before=START,
    not_after=START + timedelta(days=365),
    issued_at=START,
    gate="provision",
    issued_to="claim:default",
    csr_digest="00" * 32,
    pem="-----BEGIN CERTIFICATE-----",
)
FULL = Device(
    ID,
    START,
    START + timedelta(seconds=5),
    uuid_hash="secret-hash",
    certificate="0a1b",
    name="Kitchen",
    role="kitchen-lamp",
    groups=("house", "lamps"),
    tags={"floor": "1"},
    notes="second drawer",
    model="lamp",
    firmware="1.2.3",
    metadata={"a": [1]},
)


async def read(hub: Hub, device: str = ID) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads((await registry.read(call(Nothing(), names=(device,)), hub)).encode())
    return decoded


async def query(hub: Hub, **asked: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads((await inventory.query(call(RegistryQuery(**asked)), hub)).encode())
    return decoded


def plain(number: int, lifecycle: Lifecycle = Lifecycle.ACTIVE) -> Device:
    return Device(f"EDGB-{number:04}", START, START, lifecycle)


async def test_a_device_is_shown_with_its_presence_and_certificate() -> None:
    hub = memory_hub(
        devices={ID: FULL},
        certificates={"0a1b": CERTIFICATE},
        presence={ID: Presence(True, START, "connected", "10.0.0.5:4711")},
    )

    assert await read(hub) == {
        "deviceId": "kitchen-lamp",
        "deviceName": ID,
        "displayName": "Kitchen",
        "role": "kitchen-lamp",
        "groups": ["house", "lamps"],
        "tags": {"floor": "1"},
        "uuid": None,
        "status": "online",
        "presence": {
            "online": True,
            "evidence": "connected",
            "at": "2035-01-01T12:00:00Z",
            "address": "10.0.0.5:4711",
        },
        "lastSeen": "2035-01-01T12:00:00Z",
        "model": "lamp",
        "firmware": "1.2.3",
        "metadata": {"a": [1]},
        "twinInSync": True,
        "certificate": {"serial": "0a1b", "fingerprint": "ff" * 32, "notAfter": "2036-01-01T12:00:00Z"},
        "lifecycle": "active",
        "createdAt": "2035-01-01T12:00:00Z",
        "updatedAt": "2035-01-01T12:00:05Z",
        "notes": "second drawer",
        "sources": {"model": "record", "firmware": "record", "metadata": {"a": "onboarding"}},
        "replaces": None,
        "replacedBy": None,
        "version": 1,
    }


async def test_nothing_tells_of_the_uuid_but_that_it_is_not_known() -> None:
    hub = memory_hub(devices={ID: FULL})

    assert "secret-hash" not in json.dumps(await read(hub))


async def test_a_device_that_nothing_is_known_of_is_named_by_its_id() -> None:
    shown = await read(memory_hub(devices={ID: plain(1)}))

    assert (shown["deviceId"], shown["deviceName"], shown["displayName"]) == (ID, ID, ID)
    assert (shown["status"], shown["presence"], shown["lastSeen"]) == ("unknown", None, None)
    assert (shown["certificate"], shown["role"]) == (None, None)


@pytest.mark.parametrize(("online", "status"), [(True, "online"), (False, "offline")])
async def test_status_is_what_presence_says(online: bool, status: str) -> None:
    hub = memory_hub(devices={ID: plain(1)}, presence={ID: Presence(online, START, "timeout")})

    assert (await read(hub))["status"] == status


@pytest.mark.parametrize("lifecycle", list(Lifecycle))
async def test_a_device_is_shown_in_every_state_of_its_life(lifecycle: Lifecycle) -> None:
    assert (await read(memory_hub(devices={ID: plain(1, lifecycle)})))["lifecycle"] == str(lifecycle)


async def test_what_the_record_says_of_its_certificate_needs_no_register() -> None:
    known = replace(FULL, fingerprint="ee" * 32, not_after=START)
    shown = await read(memory_hub(devices={ID: known}))

    assert shown["certificate"] == {"serial": "0a1b", "fingerprint": "ee" * 32, "notAfter": "2035-01-01T12:00:00Z"}


async def test_a_record_is_told_of_its_certificate_when_that_is_issued() -> None:
    hub = memory_hub()
    for days in (30, 60):
        issued = await certificates.create_device(
            call(DeviceCreate(csr_pem=new_csr(ID), days=days), caller="user:anna", names=(ID,)), hub
        )

        (listed,) = (await query(hub))["devices"]

        kept = await hub.certificates.get(issued.serial)
        assert kept is not None
        assert listed["certificate"] == {
            "serial": issued.serial,
            "fingerprint": kept.value.fingerprint,
            "notAfter": kept.value.not_after.isoformat().replace("+00:00", "Z"),
        }
        await records.revoke(call(DeviceRevoke(), caller="user:anna", names=(ID,)), hub)


async def test_of_a_record_that_does_not_say_it_a_list_has_the_serial_and_the_device_all() -> None:
    hub = memory_hub(devices={ID: FULL}, certificates={"0a1b": CERTIFICATE})

    (listed,) = (await query(hub))["devices"]
    assert listed["certificate"] == {"serial": "0a1b", "fingerprint": None, "notAfter": None}
    assert (await read(hub))["certificate"]["fingerprint"] == "ff" * 32
    assert (await read(memory_hub(devices={ID: FULL})))["certificate"] == listed["certificate"]


async def test_a_device_that_is_not_registered_is_unknown() -> None:
    with pytest.raises(NotFound) as refused:
        await read(memory_hub())

    assert refused.value.reason is Reason.UNKNOWN_DEVICE


async def test_a_twin_is_in_sync_unless_something_desired_is_not_reported() -> None:
    wish, other = Half(1, {"rate": 3}, {"rate": 0}), Half(1, {"rate": 2}, {"rate": 0})

    assert (await read(memory_hub(devices={ID: FULL})))["twinInSync"] is True
    assert (await read(memory_hub(devices={ID: FULL}, desired={ID: wish})))["twinInSync"] is False
    assert (await read(memory_hub(devices={ID: FULL}, desired={ID: wish}, reported={ID: other})))["twinInSync"] is False
    assert (await read(memory_hub(devices={ID: FULL}, desired={ID: wish}, reported={ID: wish})))["twinInSync"] is True
