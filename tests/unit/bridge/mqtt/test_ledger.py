"""How a second copy of a message is known."""

from dataclasses import replace

import pytest

from bridge.mqtt.ledger import Entry, Ledger
from bridge.mqtt.session import Incoming
from bridge.mqtt.topics import Lane, Table

TARGET = Table(("$devicehub",), Lane.CONTROL).target("$devicehub/devices/D1/twin/update")
FIRST = Incoming("$devicehub/devices/D1/twin/update", b"1", 1, 1, False, False, 1)
COPY = replace(FIRST, dup=True, generation=2)


def entry(incoming: Incoming) -> Entry:
    return Entry(incoming, TARGET, None, "", "", 0.0)


def test_a_held_message_is_found_by_its_copy() -> None:
    ledger, held = Ledger(), entry(FIRST)
    ledger.hold(held)

    assert ledger.find(COPY) is held
    assert not ledger.is_closed(COPY)


@pytest.mark.parametrize(
    "other", [replace(COPY, payload=b"2"), replace(COPY, topic="other"), replace(COPY, mid=2), replace(COPY, dup=False)]
)
def test_another_message_is_not(other: Incoming) -> None:
    ledger = Ledger()
    ledger.hold(entry(FIRST))

    assert ledger.find(other) is None


def test_a_closed_message_is_known_over_the_next_connection_and_no_longer() -> None:
    ledger = Ledger()
    ledger.hold(entry(FIRST))
    ledger.close(FIRST)

    ledger.disconnected(1)
    assert ledger.is_closed(COPY)
    assert ledger.find(COPY) is None
    ledger.close(replace(FIRST, mid=2))
    ledger.disconnected(2)
    assert not ledger.is_closed(COPY)


def test_a_connection_over_which_nothing_was_done_does_not_count() -> None:
    ledger = Ledger()
    ledger.close(FIRST)

    ledger.disconnected(1)
    ledger.disconnected(2)

    assert ledger.is_closed(COPY)


def test_one_end_of_a_connection_counts_once() -> None:
    ledger = Ledger()
    ledger.hold(entry(FIRST))
    ledger.close(FIRST)

    ledger.disconnected(1)
    ledger.disconnected(1)

    assert ledger.is_closed(COPY)


def test_an_identifier_that_is_used_again_forgets_what_it_was_before() -> None:
    ledger = Ledger()
    ledger.hold(entry(FIRST))
    ledger.close(FIRST)
    ledger.hold(entry(replace(FIRST, payload=b"2")))

    ledger.disconnected(1)

    assert not ledger.is_closed(COPY)
    assert ledger.find(replace(COPY, payload=b"2")) is not None


def test_a_new_session_of_the_broker_repeats_nothing() -> None:
    ledger = Ledger()
    ledger.hold(entry(FIRST))
    ledger.session_lost()

    assert ledger.find(COPY) is None


def test_it_remembers_a_bounded_number_of_closed_messages() -> None:
    ledger = Ledger()
    for mid in range(1, 6_000):
        ledger.close(replace(FIRST, mid=mid))

    assert not ledger.is_closed(replace(COPY, mid=1))
    assert ledger.is_closed(replace(COPY, mid=5_999))


def test_an_answered_message_that_never_comes_again_is_forgotten() -> None:
    ledger, held = Ledger(), entry(FIRST)
    held.reply = (("topic",), b"")
    ledger.hold(held)

    ledger.disconnected(1)
    assert ledger.find(COPY) is held
    ledger.disconnected(2)
    assert ledger.find(COPY) is None
