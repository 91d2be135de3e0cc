"""What is known of a half's versions, and what is told of what is not known any more."""

import copy
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.documents import NOTHING, same
from functions.domain.faults import Malformed, NotFound, Reason
from functions.domain.history import MAX_CHANGES, Past, check_order, difference, order_changes
from functions.domain.order import Order
from functions.domain.twins import Half, apply, merge
from tests.unit.domain.test_twins import DOCUMENTS, PATCHES, of_the_rfc

T0 = datetime(2035, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)


def second(number: float) -> datetime:
    return T0 + timedelta(seconds=number)


def made_of(patches: Sequence[dict[str, Any]]) -> list[Half]:
    """Every version of a half that these patches make, a second apart."""
    versions: list[Half] = []
    half = Half()
    for number, patch in enumerate(patches):
        after = apply(half, patch, at=second(number), by=f"user:u{number}")
        if after is not half:
            versions.append(after)
        half = after
    return versions


def counted(last: int, first: int = 1) -> list[Half]:
    """Versions ``{"n": version}``, one a second from the first version's second on."""
    return made_of([{"n": number} for number in range(1, last + 1)])[first - 1 :]


# --- The difference of two documents ----------------------------------------------


@given(DOCUMENTS, DOCUMENTS)
def test_a_difference_is_the_patch_from_one_document_to_the_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    patch = difference(one, other)

    assert same(merge(one, patch), other)
    assert same(of_the_rfc(copy.deepcopy(one), patch), other)
    assert (patch == {}) == same(one, other)


@given(DOCUMENTS, DOCUMENTS)
def test_a_difference_changes_neither_document(one: dict[str, Any], other: dict[str, Any]) -> None:
    before = repr((one, other))

    difference(one, other)

    assert repr((one, other)) == before


def test_a_boolean_in_the_place_of_a_number_differs() -> None:
    assert difference({"a": 1, "b": 1.0}, {"a": True, "b": 1}) == {"a": True}


# --- Changes ------------------------------------------------------------------------


@given(st.lists(PATCHES, max_size=20))
def test_the_changes_replayed_give_every_version(patches: list[dict[str, Any]]) -> None:
    versions = made_of(patches)

    changes = Past("desired", versions).changes()

    assert [change.version for change in changes] == [half.version for half in reversed(versions)]
    doc: dict[str, Any] = {}
    for change, half in zip(reversed(changes), versions, strict=True):
        doc = merge(doc, change.patch)
        assert same(doc, half.doc)


def test_a_change_says_what_it_was_who_made_it_and_when() -> None:
    (newest, first) = Past("reported", made_of([{"a": {"b": 1}, "c": [1]}, {"a": {"b": None}, "c": [2]}])).changes()

    assert (first.half, first.version, first.patch, first.by) == ("reported", 1, {"a": {"b": 1}, "c": [1]}, "user:u0")
    assert (newest.version, newest.patch, newest.by) == (2, {"a": {"b": None}, "c": [2]}, "user:u1")
    assert newest.at == second(1).replace(microsecond=123_000)


def test_a_half_that_was_never_written_has_no_changes() -> None:
    past = Past("desired", [])

    assert past.changes() == []
    assert past.newest == past.version(0) == past.at(T0) == Half()


def test_the_last_64_changes_are_known_of_as_many_versions_and_the_one_before() -> None:
    changes = Past("reported", counted(100, first=36), most=MAX_CHANGES).changes()

    assert [change.version for change in changes] == list(range(100, 36, -1))
    assert len(changes) == MAX_CHANGES
    assert len(Past("reported", counted(100, first=21), most=MAX_CHANGES).changes()) == MAX_CHANGES


def test_what_made_the_oldest_version_kept_is_not_guessed() -> None:
    assert [change.version for change in Past("desired", counted(5, first=3)).changes()] == [5, 4]


def test_a_revision_that_is_no_change_is_not_one_in_history() -> None:
    half = apply(Half(), {"n": 1}, at=T0, by="device:D1", order=Order("b", 1, 1))
    fenced = apply(half, {"n": 1}, at=second(1), by="device:D1", order=Order("b", 2, 1))
    after = apply(fenced, {"n": 2}, at=second(2), by="device:D1", order=Order("b", 2, 2))

    past = Past("reported", [half, fenced, after])

    assert [change.version for change in past.changes()] == [2, 1]
    assert past.at(second(1)).doc == {"n": 1}


def test_nothing_before_a_gap_is_told() -> None:
    versions = counted(6)
    past = Past("desired", [*versions[:2], *versions[3:]])

    assert [change.version for change in past.changes()] == [6, 5]
    with pytest.raises(NotFound):
        past.version(2)


def test_both_halves_in_one_list_are_newest_first_and_each_in_order_of_its_versions() -> None:
    desired = Past("desired", counted(3))
    reported = Past("reported", made_of([{}, {"x": 1}, {"x": 2}]))

    told = [(change.half, change.version) for change in order_changes(desired.changes(), reported.changes())]

    assert told == [("desired", 3), ("reported", 2), ("desired", 2), ("reported", 1), ("desired", 1)]


# --- A half as it was ---------------------------------------------------------------


def test_a_version_is_found_by_its_number_and_zero_is_always_empty() -> None:
    past = Past("desired", counted(9, first=4))

    assert past.version(0) == Half()
    assert [past.version(number).doc for number in (4, 9)] == [{"n": 4}, {"n": 9}]


def test_a_version_that_never_was_is_not_found() -> None:
    for past in (Past("desired", counted(3)), Past("desired", [])):
        with pytest.raises(NotFound) as refused:
            past.version(4)
        assert refused.value.reason is Reason.NOT_FOUND
        assert "no version 4" in refused.value.detail


def test_a_version_that_is_gone_says_from_when_on_they_are_known() -> None:
    with pytest.raises(NotFound) as refused:
        Past("desired", counted(9, first=4)).version(3)

    assert refused.value.reason is Reason.NOT_KEPT
    assert "Version 3 of the desired half" in refused.value.detail
    assert "from version 4 on (2035-01-01T12:00:03.123Z)" in refused.value.detail


def test_at_a_time_it_is_what_the_last_change_until_then_made() -> None:
    past = Past("desired", counted(3))

    assert past.at(second(-0.001)) == Half()
    assert [past.at(second(number)).version for number in (0, 0.999, 1, 1.5, 2, 1e6)] == [1, 1, 2, 2, 3, 3]


def test_a_time_that_was_told_to_the_millisecond_finds_the_change_it_was_told_of() -> None:
    past = Past("desired", counted(3))

    for change in past.changes():
        assert past.at(change.at).version == change.version
        assert past.at(change.at - timedelta(milliseconds=1)).version == change.version - 1


def test_a_time_before_all_that_is_kept_is_refused_and_not_guessed() -> None:
    past = Past("reported", counted(9, first=4))

    assert past.at(second(3)).version == 4
    with pytest.raises(NotFound) as refused:
        past.at(second(2.9))
    assert refused.value.reason is Reason.NOT_KEPT
    assert "from version 4 on" in refused.value.detail


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12), st.integers(-20, 20))
def test_times_never_run_backwards_whatever_the_clocks_said(steps: list[int], asked: int) -> None:
    half, versions, now = Half(), [], 0
    for number, step in enumerate(steps):
        now += step
        half = apply(half, {"n": number}, at=second(now), by="user:a")
        versions.append(half)

    past = Past("desired", versions)

    times = [change.at for change in reversed(past.changes())]
    assert times == sorted(times)
    found = past.at(second(asked)).version
    assert found == max((number for number, at in enumerate(times, 1) if at <= second(asked)), default=0)


# --- Comparing ----------------------------------------------------------------------


@given(st.lists(PATCHES, min_size=1, max_size=12), st.data())
def test_a_comparison_names_each_place_that_differs_and_who_changed_it_last(
    patches: list[dict[str, Any]], data: st.DataObject
) -> None:
    past = Past("desired", versions := made_of(patches))
    last = data.draw(st.integers(0, len(versions)))
    first = data.draw(st.integers(0, last))
    one, other = past.version(first), past.version(last)

    found = past.compare(one, other)

    rebuilt = one.doc
    for each in found:
        path = [step.replace("~1", "/").replace("~0", "~") for step in each.path.split("/")[1:]]
        patch: Any = None if each.after is NOTHING else each.after
        for step in reversed(path):
            patch = {step: patch}
        rebuilt = merge(rebuilt, patch)
        assert each.last is not None
        assert first < each.last.version <= last
        values = [lookup(past.version(number).doc, path) for number in range(first, last + 1)]
        changed = [first + step for step, (old, new) in enumerate(pairwise(values), 1) if not same_value(old, new)]
        assert each.last.version == changed[-1]
        assert each.last.by == past.version(each.last.version).by
        assert same_value(values[0], each.before)
        assert same_value(values[-1], each.after)
    assert same(rebuilt, other.doc)
    assert bool(found) != same(one.doc, other.doc)


def lookup(doc: Any, path: list[str]) -> Any:
    for step in path:
        doc = doc.get(step, NOTHING) if isinstance(doc, dict) else NOTHING
    return doc


def same_value(one: Any, other: Any) -> bool:
    return one is other if NOTHING in (one, other) else same(one, other)


def test_a_place_is_a_json_pointer() -> None:
    past = Past("desired", made_of([{"a/b": {"~c": {"": 1}}}]))
    emptied = made_of([{"a/b": {"~c": {"": 1}}}, {"a/b": {"~c": {"": 2}}}])

    assert [each.path for each in past.compare(Half(), past.newest)] == ["/a~1b"]
    both = Past("desired", emptied)
    assert [each.path for each in both.compare(both.version(1), both.newest)] == ["/a~1b/~0c/"]


def test_who_changed_a_place_is_left_open_where_that_is_not_kept_any_more() -> None:
    past = Past("desired", made_of([{"a": 1}, {"b": 1}, {"c": 1}, {"b": 2}])[2:])

    found = {each.path: each.last and each.last.by for each in past.compare(Half(), past.newest)}

    assert found == {"/a": None, "/b": "user:u3", "/c": None}


def test_a_twin_is_not_compared_with_an_earlier_one() -> None:
    one, two = counted(2)

    check_order((one, two), (one, two))
    check_order((one, one), (two, two))
    for before, after in (((two, one), (one, two)), ((one, two), (two, one))):
        with pytest.raises(Malformed):
            check_order(before, after)
