"""Since when a device has not shown what is desired; there is a difference exactly where the delta has one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from functions.domain.drift import drifted_at, shortened
from functions.domain.twins import Half, apply, delta

BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
KEYS = st.sampled_from("abc")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["x", 1.0]) | st.just([1]),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
PATCHES = st.lists(st.dictionaries(KEYS, VALUES, max_size=3), max_size=4)


def half(*patches: dict[str, Any], step: int = 1) -> Half:
    made = Half()
    for number, patch in enumerate(patches, start=1):
        made = apply(made, patch, at=BEGIN + timedelta(milliseconds=number * step), by="test")
    return made


def drifted(desired: Half, reported: Half) -> int | None:
    drifted = drifted_at(desired.doc, desired.times, reported.doc, reported.times)
    assert drifted_at(desired.doc, shortened(desired.times), reported.doc, reported.times) == drifted
    return drifted


@given(PATCHES, PATCHES)
def test_there_is_a_difference_exactly_where_the_delta_has_one(wishes: Any, reports: Any) -> None:
    desired, reported = half(*wishes), half(*reports, step=100)

    assert (drifted(desired, reported) is None) == (delta(desired.doc, reported.doc) == {})


def test_a_wish_that_was_never_shown_is_as_old_as_it_is() -> None:
    assert drifted(half({"a": 1}), half()) == 1
    assert drifted(half({"b": 1}, {"a": 1}), half({"b": 1})) == 2


def test_of_several_differences_the_oldest_counts() -> None:
    assert drifted(half({"a": 1}, {"b": 1}), half()) == 1


def test_what_was_shown_and_is_no_longer_differs_since_then() -> None:
    assert drifted(half({"a": 1}), half({"a": 1}, {"a": 2}, step=100)) == 200


def test_a_device_that_shows_all_has_no_difference() -> None:
    assert drifted(half({"a": {"b": 1}}), half({"a": {"b": 1, "c": 2}, "d": 3})) is None
