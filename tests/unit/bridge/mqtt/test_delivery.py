"""What the hub tells a device, from a subject to topics."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.mqtt.counters import Counters
from bridge.mqtt.delivery import Deliveries
from bridge.mqtt.topics import OUTBOUND
from functions.domain.faults import Fault, NotFound, Reason, Unavailable
from tests.unit.bridge.mqtt.memory import MemoryBroker

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DELTA, METHOD, MESSAGE = OUTBOUND


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def deliveries(broker: MemoryBroker, counters: Counters) -> Deliveries:
    return Deliveries(broker, ("$devicehub", "$fleethub"), counters, now=lambda: NOW)


def test_a_delta_goes_out_under_every_prefix_and_expires(deliveries: Deliveries, broker: MemoryBroker) -> None:
    deliveries.carry(DELTA, "devicehub.devices.D1.twin.update.delta", b"{}")

    assert broker.sent == [
        ("$devicehub/devices/D1/twin/update/delta", b"{}", 60),
        ("$fleethub/devices/D1/twin/update/delta", b"{}", 60),
    ]


def test_a_method_request_expires_with_its_call(deliveries: Deliveries, broker: MemoryBroker) -> None:
    deadline = str(int((NOW + timedelta(seconds=4.5)).timestamp() * 1000))

    deliveries.carry(METHOD, "devicehub.devices.D1.methods.blink.request", b"{}", deadline)

    assert broker.sent[0] == ("$devicehub/devices/D1/methods/blink/request", b"{}", 5)


def test_a_method_request_whose_time_is_over_is_dropped(
    deliveries: Deliveries, broker: MemoryBroker, counters: Counters
) -> None:
    deliveries.carry(METHOD, "devicehub.devices.D1.methods.blink.request", b"{}", str(int(NOW.timestamp() * 1000)))

    assert broker.sent == []
    assert counters.dropped == 1


def test_a_message_for_a_device_does_not_expire(deliveries: Deliveries, broker: MemoryBroker) -> None:
    deliveries.carry(MESSAGE, "devicehub.devices.D1.messages.devicebound", b"{}")

    assert broker.sent[0][2] is None


@pytest.mark.parametrize("subject", ["devicehub.devices.D+.twin.update.delta", "devicehub"])
def test_a_name_that_no_topic_may_hold_is_dropped(
    subject: str, deliveries: Deliveries, broker: MemoryBroker, counters: Counters
) -> None:
    deliveries.carry(DELTA, subject, b"{}")

    assert broker.sent == []
    assert counters.dropped == 1


def test_what_comes_while_the_broker_is_away_is_dropped_and_counted(
    deliveries: Deliveries, broker: MemoryBroker, counters: Counters
) -> None:
    broker.lose()

    deliveries.carry(DELTA, "devicehub.devices.D1.twin.update.delta", b"{}")

    assert counters.to_json()["dropped"] == 1


def carry(deliveries: Deliveries, subject: str = "devicehub.devices.D1.methods.blink.request") -> list[Fault | None]:
    told: list[Fault | None] = []
    deliveries.carry(METHOD, subject, b"{}", told=told.append)
    return told


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_message_is_delivered_when_somebody_is_subscribed_under_any_prefix(
    order: tuple[int, int], deliveries: Deliveries, broker: MemoryBroker
) -> None:
    told = carry(deliveries)
    faults = (NotFound(Reason.NOT_SUBSCRIBED), None)

    for number in order:
        broker.receipts[number](faults[number])

    assert told == [None]


def test_a_message_that_nobody_is_subscribed_to_is_told_so(deliveries: Deliveries, broker: MemoryBroker) -> None:
    told = carry(deliveries)
    assert told == []

    for receipt in broker.receipts:
        receipt(NotFound(Reason.NOT_SUBSCRIBED))

    assert [fault.reason for fault in told if fault] == [Reason.NOT_SUBSCRIBED]


def test_who_sends_while_the_broker_is_away_is_told(deliveries: Deliveries, broker: MemoryBroker) -> None:
    broker.lose()

    assert [type(fault) for fault in carry(deliveries)] == [Unavailable]


def test_who_sends_what_no_topic_may_hold_is_told(deliveries: Deliveries) -> None:
    assert [fault.reason for fault in carry(deliveries, "devicehub.devices.D+") if fault] == [Reason.BAD_REQUEST]
