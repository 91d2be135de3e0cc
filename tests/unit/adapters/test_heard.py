"""What bridges tell of when devices were heard of, in memory."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from functions.adapters.heard import BusHeard
from functions.contract.messages import BrokerHeard, HeardFact


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client() -> SimpleNamespace:
    """All that is asked of a connection here."""
    return SimpleNamespace(is_connected=True)


@pytest.fixture
def heard(client: SimpleNamespace, clock: Clock) -> BusHeard:
    return BusHeard(cast(Any, client), clock)


def tell(heard: BusHeard, *, reads_log: bool | None = True, **devices: HeardFact) -> None:
    heard.take(BrokerHeard(broker="local", reads_log=reads_log, devices=devices))


def test_of_each_kind_the_latest_time_is_known(heard: BusHeard, clock: Clock) -> None:
    tell(heard, D1=HeardFact(message=1000, heartbeat=2000))
    tell(heard, D1=HeardFact(message=3000))
    clock.now += 7

    found = heard.of("D1")

    assert found is not None
    assert found.message_at == datetime.fromtimestamp(3, UTC)
    assert found.heartbeat_at == datetime.fromtimestamp(2, UTC)
    assert found.last == found.message_at
    assert found.silent_seconds == 7
    assert heard.of("D2") is None


def beat(heard: BusHeard, clock: Clock, times: int, pause: float) -> None:
    for _ in range(times):
        pass_(heard, clock, pause)
        tell(heard, D1=HeardFact(heartbeat=int(clock.now * 1000)))


def pass_(heard: BusHeard, clock: Clock, seconds: float) -> None:
    """Time in which the bridge tells that it lives, and nothing of the device."""
    for _ in range(int(seconds)):
        clock.now += 1
        tell(heard)


@pytest.mark.parametrize(("pause", "after"), [(10, 30), (20, 60)])
def test_regular_heartbeats_that_stop_are_overdue_after_three_pauses(
    heard: BusHeard, clock: Clock, pause: float, after: float
) -> None:
    beat(heard, clock, 5, pause)

    pass_(heard, clock, after)
    assert heard.overdue() == []
    pass_(heard, clock, 1)
    assert heard.overdue() == ["D1"]


def test_while_the_bridge_itself_is_silent_no_device_is_overdue(heard: BusHeard, clock: Clock) -> None:
    beat(heard, clock, 5, 10)
    clock.now += 100
    assert heard.overdue() == []

    # It is back, and a device has its time again.
    pass_(heard, clock, 25)
    assert heard.overdue() == []
    pass_(heard, clock, 10)
    assert heard.overdue() == ["D1"]


def test_who_cannot_hear_does_not_take_the_others_for_silent(
    heard: BusHeard, client: SimpleNamespace, clock: Clock
) -> None:
    tell(heard)
    client.is_connected = False
    clock.now += 200
    assert heard.brokers()["local"].silent_seconds == 0
    client.is_connected = True
    clock.now += 3

    assert heard.brokers()["local"].silent_seconds == 3


def test_other_messages_show_that_a_device_lives(heard: BusHeard, clock: Clock) -> None:
    beat(heard, clock, 5, 10)
    pass_(heard, clock, 25)
    tell(heard, D1=HeardFact(message=1))
    pass_(heard, clock, 25)

    assert heard.overdue() == []


def test_a_few_heartbeats_are_no_promise_of_more(heard: BusHeard, clock: Clock) -> None:
    beat(heard, clock, 3, 10)
    pass_(heard, clock, 100)

    assert heard.overdue() == []


def test_a_device_is_not_judged_by_heartbeats_of_long_ago(heard: BusHeard, clock: Clock) -> None:
    beat(heard, clock, 5, 10)
    pass_(heard, clock, 3600)

    assert heard.overdue() == []


def test_a_bridge_that_was_silent_is_steady_from_its_return_on(heard: BusHeard, clock: Clock) -> None:
    tell(heard)
    clock.now += 100
    assert heard.brokers()["local"].silent_seconds == 100
    tell(heard)
    clock.now += 5

    word = heard.brokers()["local"]
    assert (word.silent_seconds, word.steady_seconds, word.reads_log) == (5, 5, True)


def test_who_has_no_keeper_says_nothing_of_the_log(heard: BusHeard) -> None:
    tell(heard, reads_log=False)
    tell(heard, reads_log=None)

    assert heard.brokers()["local"].reads_log is False
