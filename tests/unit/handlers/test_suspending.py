"""Suspending a device and letting it take part again, also when calls meet or are cut short."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from functions.contract.messages import (
    Access,
    AccessChanged,
    DeviceRevoke,
    DeviceView,
    Nothing,
    Telemetry,
    TwinDesire,
    TwinReport,
)
from functions.domain.devices import Device, Lifecycle, Suspension
from functions.domain.faults import Denied, Fault, NotFound, Reason, Unavailable
from functions.handlers import access, records, suspending, telemetry, twins
from functions.ports import Hub
from functions.testing import START, MemoryHub, call, collect, memory_hub
from tests.unit.handlers.onboarding import (
    ACCESS_CHANGED,
    NAME,
    Outage,
    Shuffle,
    create_device,
    device,
    join,
    meddled,
    new_csr,
    open_hub,
)

Turn = Callable[..., Awaitable[DeviceView]]

ID = "pump-0007"
SEEDS = range(40)
MANY = 20


def fleet(lifecycle: Lifecycle = Lifecycle.ACTIVE) -> MemoryHub:
    return memory_hub(devices={ID: Device(ID, START, START, lifecycle=lifecycle)})


async def suspend(hub: Hub, name: str = ID) -> DeviceView:
    return await suspending.suspend(call(Nothing(), caller="user:anna", names=(name,)), hub)


async def resume(hub: Hub, name: str = ID) -> DeviceView:
    return await suspending.resume(call(Nothing(), caller="user:anna", names=(name,)), hub)


async def told(hub: Hub) -> Access:
    return await access.read(call(Nothing()), hub)


async def agrees(hub: Hub) -> Lifecycle:
    """The lifecycle, on which the record and what the broker is told must agree."""
    lifecycle = (await device(hub, ID)).lifecycle
    assert (await told(hub)).suspended == ([ID] if lifecycle is Lifecycle.SUSPENDED else [])
    return lifecycle


async def test_a_suspended_device_is_denied_at_the_broker_and_its_sessions_end() -> None:
    hub = fleet()
    hub.clock.advance(60)

    view = await suspend(hub)

    assert (view.lifecycle, view.updated_at) == (Lifecycle.SUSPENDED, START + timedelta(minutes=1))
    assert (await told(hub)).suspended == [ID]
    assert hub.events.on(ACCESS_CHANGED) == [AccessChanged(end=[ID])]
    kept = await hub.suspensions.get(ID)
    assert kept is not None
    assert kept.value == Suspension(START + timedelta(minutes=1), "user:anna", holds=True)


async def test_a_resumed_device_is_denied_nothing_and_must_connect_again() -> None:
    hub = fleet()
    await suspend(hub)

    view = await resume(hub)

    assert view.lifecycle == "active"
    assert (await told(hub)).suspended == []
    assert hub.events.on(ACCESS_CHANGED) == [AccessChanged(end=[ID])] * 2
    assert await collect(hub.suspensions.entries()) == {}


async def test_a_suspension_that_is_repeated_keeps_its_time_and_ends_sessions_again() -> None:
    hub = fleet()
    await suspend(hub)
    hub.clock.advance(60)

    view = await suspend(hub)

    assert view.updated_at == START
    kept = await hub.suspensions.get(ID)
    assert kept is not None
    assert kept.value == Suspension(START, "user:anna", holds=True)
    assert len(hub.events.on(ACCESS_CHANGED)) == 2


async def test_each_change_is_written_down_once() -> None:
    hub = fleet()
    for verb in (suspend, suspend, resume, resume):
        await verb(hub)

    assert [(one.action, one.actor, one.target, one.after) for one in hub.audit.written] == [
        ("device.suspended", "user:anna", ID, {"lifecycle": "suspended"}),
        ("device.resumed", "user:anna", ID, {"lifecycle": "active"}),
    ]


async def test_who_takes_part_is_resumed_without_anything_happening() -> None:
    hub = fleet()

    assert (await resume(hub)).lifecycle == "active"
    assert hub.events.sent == []


async def test_a_suspended_device_can_say_nothing_but_can_be_wished_of() -> None:
    hub = fleet()
    await suspend(hub)
    says = [
        twins.update(call(TwinReport(reported={"a": 1}), caller=f"device:{ID}", names=(ID,)), hub),
        telemetry.telemetry(call(Telemetry(), caller=f"device:{ID}", names=(ID,)), hub),
    ]

    for saying in says:
        with pytest.raises(Denied) as raised:
            await saying
        assert raised.value.reason is Reason.DEVICE_SUSPENDED
    wished = await twins.desire(call(TwinDesire(desired={"a": 1}), caller="user:anna", names=(ID,)), hub)
    assert wished.desired == {"a": 1}


@pytest.mark.parametrize("verb", [suspend, resume])
async def test_a_device_there_is_not_or_no_longer_is_refused(verb: Turn) -> None:
    hub = fleet(Lifecycle.RETIRED)

    with pytest.raises(NotFound) as unknown:
        await verb(hub, "pump-9999")
    with pytest.raises(Denied) as retired:
        await verb(hub)

    assert (unknown.value.reason, retired.value.reason) == (Reason.UNKNOWN_DEVICE, Reason.DEVICE_RETIRED)
    assert await collect(hub.suspensions.entries()) == {}
    assert hub.events.sent == []


async def test_a_suspended_device_gets_no_certificate() -> None:
    hub = open_hub()
    await join(hub)
    await suspend(hub, NAME)

    with pytest.raises(Denied) as raised:
        await join(hub, request=new_csr(NAME))

    assert raised.value.reason is Reason.DEVICE_SUSPENDED


async def test_a_revoked_device_is_suspended_no_more_also_when_it_comes_back() -> None:
    hub = memory_hub()
    await create_device(hub, ID)
    await suspend(hub)

    await records.revoke(call(DeviceRevoke(), caller="user:anna", names=(ID,)), hub)
    assert await agrees(hub) is Lifecycle.RETIRED

    await create_device(hub, ID, new_csr(ID))
    assert await agrees(hub) is Lifecycle.ACTIVE


# --- calls that meet, and calls cut short -----------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("is_suspended", [True, False])
async def test_calls_at_once_end_with_record_and_broker_agreeing(seed: int, is_suspended: bool) -> None:
    hub = fleet()
    if is_suspended:
        await suspend(hub)
    busy = meddled(hub, Shuffle(seed))

    results = await asyncio.gather(*(suspend(busy), resume(busy), suspend(busy), resume(busy)), return_exceptions=True)

    assert all(isinstance(result, DeviceView | Fault) for result in results)
    hub.clock.advance(120)
    await suspending.finish_suspensions(hub)
    await agrees(hub)
    if not any(isinstance(result, Fault) for result in results):
        kept = await hub.suspensions.get(ID)
        assert kept is None or kept.value.holds


async def cut_short(verb: Turn, hub: MemoryHub, writes: int, *, done: bool) -> bool:
    try:
        await verb(meddled(hub, Outage(writes, last_is_done=done)))
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize("done", [True, False])
async def test_a_suspension_cut_short_anywhere_is_finished_or_never_was(done: bool) -> None:
    for writes in range(1, MANY):
        hub = fleet()
        if not await cut_short(suspend, hub, writes, done=done):
            break
        hub.clock.advance(120)

        await suspending.finish_suspensions(hub)

        wanted = Lifecycle.ACTIVE if writes == 1 and not done else Lifecycle.SUSPENDED
        assert await agrees(hub) is wanted
        kept = await hub.suspensions.get(ID)
        assert kept is None or kept.value.holds
    assert writes == 4


@pytest.mark.parametrize("done", [True, False])
async def test_a_resumption_cut_short_anywhere_is_finished_or_never_was(done: bool) -> None:
    for writes in range(1, MANY):
        hub = fleet()
        await suspend(hub)
        if not await cut_short(resume, hub, writes, done=done):
            break
        hub.clock.advance(120)
        before = len(hub.events.on(ACCESS_CHANGED))

        await suspending.finish_suspensions(hub)

        wanted = Lifecycle.SUSPENDED if writes == 1 and not done else Lifecycle.ACTIVE
        assert await agrees(hub) is wanted
        # Where nothing was left to finish, the broker ends its sessions by itself as it denies it no more.
        assert len(hub.events.on(ACCESS_CHANGED)) == before + ((writes, done) in ((1, True), (2, False)))
    assert writes == 3


async def test_the_timer_leaves_alone_what_a_call_may_be_at() -> None:
    hub = fleet()
    assert await cut_short(suspend, hub, 1, done=True)
    hub.clock.advance(59)

    await suspending.finish_suspensions(hub)
    assert (await device(hub, ID)).lifecycle is Lifecycle.ACTIVE

    hub.clock.advance(1)
    await suspending.finish_suspensions(hub)
    assert await agrees(hub) is Lifecycle.SUSPENDED
    assert hub.events.on(ACCESS_CHANGED) == [AccessChanged(end=[ID])]


async def test_the_timer_forgets_a_suspension_whose_device_is_retired_or_gone() -> None:
    entry = Suspension(START, "user:anna")
    hub = memory_hub(
        devices={ID: Device(ID, START, START, lifecycle=Lifecycle.RETIRED)}, suspensions={ID: entry, "gone-1": entry}
    )
    hub.clock.advance(120)

    await suspending.finish_suspensions(hub)

    assert await collect(hub.suspensions.entries()) == {}
    assert (await device(hub, ID)).lifecycle is Lifecycle.RETIRED
