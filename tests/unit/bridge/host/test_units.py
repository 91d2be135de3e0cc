"""What the shim does with an order: its own list comes first."""

import asyncio

import pytest

from bridge.host.allowed import Allowed
from bridge.host.ports import Verb
from bridge.host.units import Units
from functions.contract.messages import UnitNamed
from functions.domain.faults import Denied, NotFound, Reason, Unavailable
from tests.unit.bridge.host.services import MemoryServices

NAMED = UnitNamed(unit="bridge")


def make_units(services: MemoryServices, *names: str, essential: tuple[str, ...] = (), seconds: float = 50.0) -> Units:
    allowed = Allowed.of(names, essential)
    return Units(services, allowed, node="hub-1", version="1.0", job_seconds=seconds)


@pytest.mark.parametrize("unit", ["sshd", "bridge.service", "Bridge", "bridge@1", "../bridge", "bridg", ""])
async def test_only_exact_names_of_the_list_reach_the_host(unit: str) -> None:
    services = MemoryServices("bridge", unit)
    units = make_units(services, "bridge")

    for ask in (
        units.read(UnitNamed.model_construct(unit=unit)),
        *(units.act(verb, UnitNamed.model_construct(unit=unit, caller="")) for verb in Verb),
    ):
        with pytest.raises(Denied) as refusal:
            await ask
        assert refusal.value.reason is Reason.UNIT_NOT_ALLOWED
    assert not services.acts
    assert [one.unit for one in (await units.here()).services] == ["bridge"]


async def test_an_order_is_answered_when_it_is_done() -> None:
    services = MemoryServices("bridge")

    acted = await make_units(services, "bridge").act(Verb.STOP, NAMED)

    assert (acted.result, acted.service.state, services.acts) == ("done", "inactive", [("bridge", Verb.STOP)])


async def test_what_carries_the_answer_is_not_stopped_and_restarted_only_after_it() -> None:
    services = MemoryServices("gateway")
    services.held = asyncio.Event()
    units, named = make_units(services, "gateway", essential=("gateway",)), UnitNamed(unit="gateway")

    with pytest.raises(Denied) as refusal:
        await units.act(Verb.STOP, named)
    acted = await units.act(Verb.RESTART, named)

    assert refusal.value.reason is Reason.VERB_NOT_ALLOWED
    assert (acted.result, services.acts) == ("begun", [])


async def test_orders_to_one_unit_are_carried_out_one_after_the_other() -> None:
    services = MemoryServices("bridge", "index")
    services.held = asyncio.Event()
    units = make_units(services, "bridge", "index")

    orders = [asyncio.ensure_future(units.act(verb, NAMED)) for verb in (Verb.STOP, Verb.START)]
    other = asyncio.ensure_future(units.act(Verb.RESTART, UnitNamed(unit="index")))
    for _ in range(2):
        await services.asked.acquire()
    begun = list(services.acts)
    services.held.set()
    await asyncio.gather(*orders, other)

    assert begun == [("bridge", Verb.STOP), ("index", Verb.RESTART)]
    assert services.acts == [*begun, ("bridge", Verb.START)]


async def test_a_job_that_does_not_end_is_told_as_going_on() -> None:
    services = MemoryServices("bridge")
    services.held = asyncio.Event()

    with pytest.raises(Unavailable) as refusal:
        await make_units(services, "bridge", seconds=0.01).act(Verb.RESTART, NAMED)

    assert refusal.value.reason is Reason.TIMEOUT


async def test_a_unit_that_the_host_has_not_is_told_as_that() -> None:
    with pytest.raises(NotFound):
        await make_units(MemoryServices(), "bridge").read(NAMED)


async def test_while_the_host_cannot_be_asked_its_units_are_unknown_with_what_was_known() -> None:
    services = MemoryServices("bridge")
    units = make_units(services, "bridge")
    known = (await units.here()).services[0]
    services.fault = Unavailable(detail="D-Bus is away.")

    here = await units.here()

    assert here.problem == "D-Bus is away."
    assert here.services == [
        known.model_copy(update={"state": "unknown", "pid": None, "memory_bytes": None, "problem": "D-Bus is away."})
    ]
