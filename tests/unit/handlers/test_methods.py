"""Direct methods: who can be called, what goes to the device, and what comes back."""

from typing import Any

import pytest

from functions.contract.messages import MethodAnswer, MethodCall, MethodRequest, MethodResponse
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Fault, NotFound, Reason, Unavailable
from functions.domain.sessions import Presence
from functions.handlers import methods
from functions.testing import START, MemoryHub, call, memory_hub

ID = "EDGB-0001"
ONLINE = Presence(True, START, "connected", "192.0.2.7:50001")


def make_hub(presence: Presence | None = ONLINE, lifecycle: Lifecycle = Lifecycle.ACTIVE) -> MemoryHub:
    return memory_hub(
        devices={ID: Device(ID, START, START, lifecycle=lifecycle)},
        presence={} if presence is None else {ID: presence},
    )


async def ask(hub: MemoryHub, method: str = "reboot", **body: Any) -> MethodAnswer:
    return await methods.call(call(MethodCall(**body), caller="user:anna", names=(ID, method)), hub)


async def refusal(hub: MemoryHub, **body: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        await ask(hub, **body)
    return caught.value


async def test_status_payload_and_message_are_the_devices_own() -> None:
    hub = make_hub()
    hub.downlink.respond = lambda _, request: MethodResponse(
        request_id=request.request_id, status=418, payload=[1, {"a": None}], message="no coffee"
    )

    answer = await ask(hub, payload={"delay": 5}, timeout=7)

    assert (answer.status, answer.payload, answer.message) == (418, [1, {"a": None}], "no coffee")
    (sent,) = hub.downlink.sent
    assert (sent.device, sent.path, sent.within) == (ID, ("methods", "reboot", "request"), 7)
    assert sent.body == MethodRequest(request_id=answer.request_id, method_name="reboot", payload={"delay": 5})


async def test_each_call_has_a_request_of_its_own() -> None:
    hub = make_hub()

    assert (await ask(hub)).request_id != (await ask(hub)).request_id


@pytest.mark.parametrize("presence", [None, Presence(False, START, "timeout")])
async def test_an_offline_device_is_not_called(presence: Presence | None) -> None:
    hub = make_hub(presence)

    fault = await refusal(hub)

    assert (type(fault), fault.reason) == (NotFound, Reason.DEVICE_OFFLINE)
    assert hub.downlink.sent == []
    assert hub.audit.written == []


async def test_who_is_offline_is_said_since_when_and_why() -> None:
    assert "2035-01-01T12:00:00Z (timeout)" in (await refusal(make_hub(Presence(False, START, "timeout")))).detail


@pytest.mark.parametrize(
    ("lifecycle", "reason"),
    [(Lifecycle.SUSPENDED, Reason.DEVICE_SUSPENDED), (Lifecycle.RETIRED, Reason.DEVICE_RETIRED)],
)
async def test_who_takes_no_part_is_not_called(lifecycle: Lifecycle, reason: Reason) -> None:
    hub = make_hub(lifecycle=lifecycle)

    assert (await refusal(hub)).reason is reason
    assert hub.downlink.sent == []


async def test_nobody_is_no_device() -> None:
    assert (await refusal(memory_hub())).reason is Reason.UNKNOWN_DEVICE


async def test_a_call_without_an_answer_is_written_down_all_the_same() -> None:
    hub = make_hub()
    hub.downlink.fault = Unavailable(Reason.TIMEOUT)

    assert (await refusal(hub, payload="secret")).reason is Reason.TIMEOUT
    (entry,) = hub.audit.written
    assert (entry.action, entry.actor, entry.target, entry.kind) == ("method.called", "user:anna", ID, "device")
    assert entry.after == {"method": "reboot", "requestId": "memory-1"}
