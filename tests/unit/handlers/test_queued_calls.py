"""Calls that wait for a device that is not there."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from functions.contract.messages import MethodAnswer, MethodCall, MethodRequest, SessionOpened
from functions.domain.devices import Device
from functions.domain.faults import Fault, NotFound, Reason, Unavailable
from functions.handlers import methods, presence
from functions.testing import START, MemoryHub, call, memory_hub

ID = "EDGB-0001"


@pytest.fixture
def hub() -> MemoryHub:
    return memory_hub(devices={ID: Device(ID, START, START)})


async def ask(hub: MemoryHub, method: str = "reboot", **body: Any) -> MethodAnswer:
    wanted = MethodCall(**{"queue": True, **body})
    return await methods.call(call(wanted, caller="user:anna", names=(ID, method)), hub)


async def connect(hub: MemoryHub) -> None:
    line = SessionOpened(broker="local", client_id=ID, common_name=ID, address="127.0.0.1:1", at=hub.clock.now())
    await presence.opened(call(line), hub)


def requests(hub: MemoryHub) -> list[str]:
    return [each.body.method_name for each in hub.downlink.sent if isinstance(each.body, MethodRequest)]


async def waiting(hub: MemoryHub) -> list[str]:
    kept = await hub.queued.get(ID)
    return [one.method for one in kept.value.calls] if kept else []


async def test_a_call_of_a_device_that_is_away_is_sent_once_when_it_comes(hub: MemoryHub) -> None:
    told = await ask(hub, payload={"delay": 5}, expires_in=60)

    assert (told.status, told.queued_until) == (202, START + timedelta(seconds=60))
    assert requests(hub) == []
    hub.clock.advance(10)
    for _ in range(3):
        await connect(hub)
    (sent,) = hub.downlink.sent
    assert (sent.path, sent.within) == (("methods", "reboot", "request"), 50)
    assert sent.body == MethodRequest(request_id=told.request_id, method_name="reboot", payload={"delay": 5})
    assert await hub.queued.get(ID) is None


async def test_without_being_asked_to_nothing_is_queued(hub: MemoryHub) -> None:
    with pytest.raises(NotFound):
        await ask(hub, queue=False)

    assert await waiting(hub) == []


async def test_a_device_that_is_there_is_called_at_once(hub: MemoryHub) -> None:
    await connect(hub)

    assert (await ask(hub)).queued_until is None
    assert await waiting(hub) == []


async def test_calls_are_sent_in_the_order_they_were_made(hub: MemoryHub) -> None:
    for method in ("one", "two", "three"):
        await ask(hub, method)

    await connect(hub)

    assert requests(hub) == ["one", "two", "three"]


async def test_a_call_whose_time_is_over_is_never_sent(hub: MemoryHub) -> None:
    await ask(hub, "short", expires_in=5)
    await ask(hub, "long", expires_in=60)
    hub.clock.advance(5)

    await connect(hub)

    assert requests(hub) == ["long"]
    assert await waiting(hub) == []


async def test_what_nobody_is_subscribed_to_yet_is_sent_when_told_again(hub: MemoryHub) -> None:
    await ask(hub)
    hub.downlink.fault = NotFound(Reason.NOT_SUBSCRIBED)
    await connect(hub)
    assert await waiting(hub) == ["reboot"]

    hub.downlink.fault = None
    await connect(hub)

    assert requests(hub) == ["reboot"]


async def test_a_device_that_is_connected_and_does_not_listen_is_waited_for(hub: MemoryHub) -> None:
    await connect(hub)
    hub.downlink.fault = NotFound(Reason.NOT_SUBSCRIBED)

    assert (await ask(hub)).queued_until is not None
    assert await waiting(hub) == ["reboot"]


async def test_two_that_deliver_at_once_send_it_once(hub: MemoryHub) -> None:
    await ask(hub)

    await asyncio.gather(*(methods.deliver_queued(call(MethodCall(), names=(ID,)).device, hub) for _ in range(4)))

    assert requests(hub) == ["reboot"]


async def test_what_a_dead_process_had_begun_to_deliver_is_delivered_by_the_timer(hub: MemoryHub) -> None:
    await ask(hub)
    hub.downlink.fault = Unavailable()
    await connect(hub)
    assert await waiting(hub) == ["reboot"]
    hub.downlink.fault = None

    await methods.finish_queued(hub)

    assert requests(hub) == ["reboot"]


async def test_the_timer_forgets_what_is_over_of_devices_that_never_came(hub: MemoryHub) -> None:
    await ask(hub, expires_in=5)
    hub.clock.advance(6)

    await methods.finish_queued(hub)

    assert await hub.queued.get(ID) is None
    assert requests(hub) == []


async def test_so_many_calls_wait_and_no_more(hub: MemoryHub) -> None:
    for _ in range(32):
        await ask(hub)

    with pytest.raises(Fault) as caught:
        await ask(hub)
    assert caught.value.reason is Reason.RATE_LIMITED


async def test_a_queued_call_is_written_down_without_its_payload(hub: MemoryHub) -> None:
    told = await ask(hub, payload="secret")

    (entry,) = hub.audit.written
    assert (entry.action, entry.target) == ("method.queued", ID)
    assert entry.after == {"method": "reboot", "requestId": told.request_id, "expiresAt": "2035-01-02T12:00:00Z"}
