"""Messages to devices: what the broker is given, and what the sender is told."""

from typing import Any

import pytest

from functions.contract.messages import MessageSend, MessageSent
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Fault, NotFound, Reason
from functions.domain.sessions import Presence
from functions.handlers import messages
from functions.testing import START, MemoryHub, call, memory_hub

ID = "EDGB-0001"


def make_hub(presence: Presence | None = None, lifecycle: Lifecycle = Lifecycle.ACTIVE) -> MemoryHub:
    return memory_hub(
        devices={ID: Device(ID, START, START, lifecycle=lifecycle)},
        presence={} if presence is None else {ID: presence},
    )


async def send(hub: MemoryHub, payload: Any, **body: Any) -> MessageSent:
    return await messages.send(call(MessageSend(payload=payload, **body), caller="app:dashboard", names=(ID,)), hub)


@pytest.mark.parametrize("payload", [None, 1, "text", [1, None], {"a": {"b": 2.5}}])
async def test_the_device_gets_the_payload_and_nothing_else(payload: Any) -> None:
    import json

    hub = make_hub()

    await send(hub, payload, expires_in=60)

    (sent,) = hub.downlink.sent
    assert (sent.device, sent.path, sent.within) == (ID, ("messages", "devicebound"), 60)
    assert json.loads(sent.body.encode()) == payload


@pytest.mark.parametrize(
    ("presence", "state"),
    [
        (None, "held"),
        (Presence(False, START, "timeout"), "held"),
        (Presence(True, START, "connected"), "sent"),
    ],
)
async def test_the_receipt_says_whether_it_was_sent_or_is_held(presence: Presence | None, state: str) -> None:
    assert (await send(make_hub(presence), 1)).state == state


async def test_a_message_that_no_session_takes_is_refused_and_not_written_down() -> None:
    hub = make_hub()
    hub.downlink.fault = NotFound(Reason.NOT_SUBSCRIBED)

    with pytest.raises(NotFound):
        await send(hub, 1)

    assert hub.audit.written == []


async def test_the_trail_has_who_sent_it_and_nothing_of_what_it_says() -> None:
    hub = make_hub()

    sent = await send(hub, {"secret": "x"})

    (entry,) = hub.audit.written
    assert (entry.action, entry.actor, entry.target) == ("message.sent", "app:dashboard", ID)
    assert entry.after == {"messageId": sent.message_id, "bytes": 14, "state": "held"}


@pytest.mark.parametrize("lifecycle", [Lifecycle.SUSPENDED, Lifecycle.RETIRED])
async def test_who_takes_no_part_is_sent_nothing(lifecycle: Lifecycle) -> None:
    hub = make_hub(lifecycle=lifecycle)

    with pytest.raises(Fault):
        await send(hub, 1)

    assert hub.downlink.sent == []
