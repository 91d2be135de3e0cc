"""Alarms: opened, counted, acknowledged, closed and opened again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.alarms import (
    SORTS,
    Alarm,
    AlarmState,
    Severity,
    acknowledge,
    alarm_id,
    close,
    is_forgotten,
    is_over,
    shown,
    sight,
    text_of,
)
from functions.domain.names import is_token
from functions.testing import START

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HAPPENS, STATE = "foreign-client-id", "certificate-expiring"


def seen(found: Alarm | None = None, after: timedelta = timedelta(0), *, kind: str = HAPPENS) -> Alarm:
    return sight(found, kind, "pump-0001", START + after)


def test_a_first_sight_opens_an_alarm() -> None:
    alarm = seen()

    assert (alarm.state, alarm.severity, alarm.count, alarm.times) == (AlarmState.OPEN, Severity.WARNING, 1, 1)
    assert text_of(alarm).startswith("pump-0001 connects under a client id")


def test_repeats_within_a_minute_are_the_same_sight() -> None:
    alarm = seen()

    assert seen(alarm, MINUTE - timedelta(seconds=1)) is alarm
    assert (seen(alarm, MINUTE).count, seen(alarm, MINUTE).opened_at) == (2, START)


def test_a_state_is_noted_again_after_an_hour() -> None:
    alarm = seen(kind=STATE)

    assert seen(alarm, HOUR - MINUTE, kind=STATE) is alarm
    assert seen(alarm, HOUR, kind=STATE).seen_at == START + HOUR


def test_what_happens_is_over_when_it_has_not_happened_for_an_hour() -> None:
    alarm = seen()

    assert not is_over(alarm, START + HOUR - MINUTE)
    assert is_over(alarm, START + HOUR)
    assert not is_over(close(alarm, START + MINUTE), START + HOUR)
    assert not is_over(seen(kind=STATE), START + 365 * DAY)


def test_a_closed_alarm_opens_again_as_a_new_one() -> None:
    closed = close(acknowledge(seen(), "user:anna", START), START + MINUTE)
    assert closed.state is AlarmState.CLOSED

    again = seen(closed, DAY)

    assert (again.state, again.count, again.times) == (AlarmState.OPEN, 1, 2)
    assert (again.opened_at, again.closed_at, again.acknowledged_by) == (START + DAY, None, None)


def test_the_first_to_acknowledge_stays() -> None:
    first = acknowledge(seen(), "user:anna", START)
    again = acknowledge(first, "user:berta", START + DAY)

    assert (again.state, again.acknowledged_by, again.acknowledged_at) == (AlarmState.ACKNOWLEDGED, "user:anna", START)
    assert acknowledge(close(seen(), START), "user:anna", START).acknowledged_by is None


def test_what_is_seen_again_stays_acknowledged_unless_it_is_worse() -> None:
    taken = acknowledge(seen(kind=STATE), "user:anna", START)

    assert seen(taken, DAY, kind=STATE).state is AlarmState.ACKNOWLEDGED
    worse = sight(taken, STATE, "pump-0001", START + MINUTE / 2, severity=Severity.CRITICAL)
    assert (worse.state, worse.severity, worse.count) == (AlarmState.OPEN, Severity.CRITICAL, 2)


def test_closed_alarms_are_forgotten_after_ninety_days() -> None:
    closed = close(seen(), START)

    assert not is_forgotten(closed, START + 89 * DAY)
    assert is_forgotten(closed, START + 90 * DAY)
    assert not is_forgotten(seen(), START + 900 * DAY)


@given(st.text(), st.text())
def test_the_id_of_an_alarm_can_stand_in_a_subject(subject: str, other: str) -> None:
    assert is_token(alarm_id("session-without-certificate", subject))
    assert (alarm_id(STATE, subject) == alarm_id(STATE, other)) is (subject == other)
    assert alarm_id(STATE, subject) != alarm_id(HAPPENS, subject)


@given(st.text(max_size=300), st.text(max_size=3000))
def test_nothing_that_a_client_chose_steers_a_terminal(subject: str, detail: str) -> None:
    alarm = sight(None, HAPPENS, subject, START, detail=detail)

    assert text_of(alarm).isprintable()
    assert len(alarm.subject) <= 128
    assert len(alarm.detail) <= 500
    assert shown(alarm.subject, 128) == alarm.subject


def test_an_alarm_of_an_unknown_kind_says_its_kind() -> None:
    assert text_of(sight(None, "tank-leaking", "tank 7", START)) == "Tank leaking: tank 7"


@pytest.mark.parametrize("kind", SORTS)
def test_every_alarm_says_what_is_and_what_to_do(kind: str) -> None:
    told = text_of(sight(None, kind, "pump-0001", START))

    assert told.endswith(".")
    assert "{" not in told
    assert SORTS[kind].remedy
    assert is_token(alarm_id(kind, ""))
