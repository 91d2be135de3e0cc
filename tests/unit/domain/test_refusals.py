"""Refused attempts: the first of a kind at once, the others summed once a minute, and all of it bounded."""

from datetime import datetime, timedelta

import pytest

from functions.domain.faults import Conflict, Denied, Fault, Reason
from functions.domain.refusals import MOST_KINDS, OTHERS, Refusal, RefusalSums, is_refusal, refusal_of
from functions.testing import START


def attempt(
    actor: str | None = "user:anna",
    *,
    at: datetime = START,
    origin: str = "http:192.0.2.7",
    function: str = "devices.list",
    what: str = "devicehub.devices.list",
) -> Refusal:
    fault = Denied(detail="A user needs the role 'admin' for this.")
    return refusal_of(fault, at, actor=actor, origin=origin, function=function, what=what, call="c1")


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_the_first_is_told_at_once_and_the_others_once_a_minute() -> None:
    sums = RefusalSums()
    sums.note(attempt())
    (first,) = sums.due(START)
    for second in range(1, 31):
        sums.note(attempt(at=after(second)))

    assert (first.count, first.since, first.until) == (1, START, START)
    assert sums.due(after(59)) == []
    (summed,) = sums.due(after(60))
    assert (summed.count, summed.since, summed.until) == (30, after(1), after(30))
    assert sums.due(after(61)) == []


def test_a_kind_that_ended_is_forgotten_and_is_new_when_it_comes_again() -> None:
    sums = RefusalSums()
    sums.note(attempt())
    sums.due(START)
    assert not sums.is_empty

    assert sums.due(after(60)) == []
    assert sums.is_empty
    sums.note(attempt(at=after(61)))
    assert len(sums.due(after(61))) == 1


@pytest.mark.parametrize(
    ("other", "kinds"),
    [
        (attempt("user:ben"), 2),
        (attempt(function="twins.get"), 2),
        (attempt(what="devicehub.devices.other"), 1),
        (attempt(function="-", what="GET /api/devices"), 2),
        (attempt(origin="http:192.0.2.8"), 1),
    ],
)
def test_kinds_are_told_apart_by_who_what_and_why(other: Refusal, kinds: int) -> None:
    sums = RefusalSums()
    sums.note(attempt())
    sums.note(other)

    assert len(sums.due(START)) == kinds


def test_of_strangers_a_kind_is_where_they_come_from() -> None:
    sums = RefusalSums()
    for origin in ("http:192.0.2.7", "http:192.0.2.8", *(f"http:2001:db8:7::{number:x}" for number in range(1, 9))):
        sums.note(attempt(None, origin=origin))

    assert sorted(one.count for one in sums.due(START)) == [1, 1, 8]


def test_a_flood_of_kinds_is_one_sum_and_hides_nobody_of_another_kind() -> None:
    sums = RefusalSums()
    for number in range(100_000):
        sums.note(attempt(None, origin=f"http:10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    sums.note(attempt("user:anna"))

    told = sums.due(START)
    assert len(told) == MOST_KINDS + 2
    (others,) = [one for one in told if one.error == OTHERS]
    assert (others.count, others.actor) == (100_000 - MOST_KINDS, "-")
    assert [one.actor for one in told if one.actor != "-"] == ["user:anna"]
    assert sum(one.count for one in told) == 100_001


def test_at_the_end_nothing_is_left() -> None:
    sums = RefusalSums()
    sums.note(attempt())
    sums.due(START)
    sums.note(attempt(at=after(1)))
    sums.note(attempt("user:ben", at=after(2)))

    assert [(one.actor, one.count) for one in sums.rest()] == [("user:anna", 1), ("user:ben", 1)]
    assert sums.is_empty
    assert sums.rest() == []


@pytest.mark.parametrize(
    ("fault", "is_one"),
    [
        (Denied(), True),
        (Denied(Reason.UNAUTHENTICATED), True),
        (Denied(Reason.DEVICE_SUSPENDED), True),
        (Conflict(), False),
    ],
)
def test_what_counts_as_a_refusal(fault: Fault, is_one: bool) -> None:
    assert is_refusal(fault) is is_one


def test_what_comes_from_outside_is_cut() -> None:
    told = refusal_of(
        Denied(detail="w" * 9999), START, actor="a" * 9999, origin="http", function="-", what="x" * 9999, call="c"
    )

    assert {len(told.actor), len(told.what), len(told.why)} == {256}
