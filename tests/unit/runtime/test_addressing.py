"""Devices are found by id or by role, whatever function is asked."""

import json
from typing import Any

import pytest

from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import Reservation
from functions.route import Route
from functions.routes import ROUTES
from functions.runtime.calls import answer
from functions.testing import START, MemoryHub, memory_hub

ID, ROLE = "pump-0001", "cellar"
WITHOUT_ROLE = {"registry.devices.*.create"}


def house(**facts: Any) -> MemoryHub:
    return memory_hub(
        devices={ID: Device(ID, START, START, **{"role": ROLE, **facts})},
        names={"id-cellar": Reservation(ID, None, role=ROLE)},
    )


def route(subject: str) -> Route:
    return next(one for one in ROUTES if one.subject == subject)


async def ask(hub: MemoryHub, subject: str, name: str, **body: Any) -> dict[str, Any]:
    headers = {"Hub-Caller": "user:anna", "Hub-Scopes": "operator"}
    full = f"devicehub.{subject.replace('*', name, 1)}"
    told: dict[str, Any] = json.loads(
        (await answer(route(subject), hub, full, json.dumps(body).encode(), headers)).body
    )
    return told


def test_every_function_of_one_device_takes_its_role() -> None:
    of_devices = [one for one in ROUTES if one.subject.startswith(("twins.*.", "registry.devices.*."))]

    assert {one.subject for one in of_devices if not one.by_role} == WITHOUT_ROLE
    assert {one.subject for one in ROUTES if one.by_role} >= {one.subject for one in of_devices} - WITHOUT_ROLE


async def test_a_role_leads_to_its_device() -> None:
    hub = house()

    assert (await ask(hub, "registry.devices.*.get", ROLE))["deviceName"] == ID
    await ask(hub, "twins.*.desire", ROLE, desired={"rate": 3})
    assert (await ask(hub, "twins.*.get", ROLE))["desired"] == {"rate": 3}
    assert (await ask(hub, "twins.*.get", ID))["desired"] == {"rate": 3}
    await ask(hub, "registry.devices.*.update", ROLE, notes="by its role")
    assert [entry.target for entry in hub.audit.written] == [ID, ID]


@pytest.mark.parametrize("name", ["Cellar", "attic", "pump-0002"])
async def test_what_is_neither_id_nor_role_is_unknown(name: str) -> None:
    assert (await ask(house(), "twins.*.get", name))["error"] == "unknown_device"


@pytest.mark.parametrize("facts", [{"role": None}, {"role": "attic"}, {"lifecycle": Lifecycle.RETIRED, "role": None}])
async def test_a_role_that_its_device_no_longer_has_leads_nowhere(facts: dict[str, Any]) -> None:
    assert (await ask(house(**facts), "registry.devices.*.get", ROLE))["error"] == "unknown_device"


async def test_an_id_comes_before_a_role() -> None:
    hub = house()
    await hub.devices.create(ROLE, Device(ROLE, START, START))

    assert (await ask(hub, "registry.devices.*.get", ROLE))["deviceName"] == ROLE
