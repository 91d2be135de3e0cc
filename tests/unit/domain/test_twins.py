"""Twin rules: merging, versions, times, deltas."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.documents import same
from functions.domain.faults import Conflict, Malformed, Reason
from functions.domain.order import Order
from functions.domain.twins import MAX_HALF_BYTES, Half, apply, check_client_token, delta, merge, metadata

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "merge-patch.json").read_text(encoding="utf-8"))

T0 = datetime(2035, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)
T1 = T0 + timedelta(seconds=1)
MS0 = 2_051_265_600_123
MS1 = MS0 + 1000

# Few keys and few values, so that they meet; 1, 1.0 and True are there because Python mixes them up.
KEYS = st.sampled_from("abcd")
SCALARS = st.sampled_from([0, 1, 1.0, -0.0, True, False, "", "x", 2.5])
ARRAYS = st.lists(SCALARS | st.none(), max_size=2)


def documents(leaves: st.SearchStrategy[Any], levels: int) -> st.SearchStrategy[dict[str, Any]]:
    values = leaves | documents(leaves, levels - 1) if levels > 1 else leaves
    return st.dictionaries(KEYS, values, max_size=4)


DOCUMENTS = documents(SCALARS | ARRAYS, 4)
PATCHES = documents(SCALARS | ARRAYS | st.none(), 4)


def of_the_rfc(target: Any, patch: Any) -> Any:
    """The pseudocode of RFC 7396, section 2, word for word."""
    if isinstance(patch, dict):
        if not isinstance(target, dict):
            target = {}
        for name, value in patch.items():
            if value is None:
                target.pop(name, None)
            else:
                target[name] = of_the_rfc(target.get(name), value)
        return target
    return patch


def change(half: Half, patch: dict[str, Any], at: datetime = T0, **terms: Any) -> Half:
    return apply(half, patch, at=at, by="device:EDGB-0001", **terms)


def half_of(doc: dict[str, Any]) -> Half:
    return change(Half(), doc)


def shape(tree: Any) -> Any:
    """The objects of a document or of its times, with every leaf alike."""
    return {key: shape(value) for key, value in tree.items()} if isinstance(tree, dict) and tree else "leaf"


def contains(reported: Any, desired: Any) -> bool:
    if isinstance(desired, dict):
        return isinstance(reported, dict) and all(
            key in reported and contains(reported[key], value) for key, value in desired.items()
        )
    return same(reported, desired)


# --- Merging --------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: json.dumps(case["patch"]))
def test_merging_does_what_the_rfc_shows(case: dict[str, Any]) -> None:
    assert same(merge(case["original"], case["patch"]), case["result"])
    assert same(of_the_rfc(case["original"], case["patch"]), case["result"])


@given(DOCUMENTS, PATCHES)
def test_merging_does_what_the_rfcs_pseudocode_does(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    assert same(merge(doc, patch), of_the_rfc(copy.deepcopy(doc), patch))


@given(DOCUMENTS, PATCHES)
def test_merging_twice_equals_once(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge(doc, patch)

    assert merge(once, patch) is once


@given(DOCUMENTS, PATCHES)
def test_merging_changes_neither_of_its_arguments(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    doc_before, patch_before = copy.deepcopy(doc), copy.deepcopy(patch)

    merge(doc, patch)

    assert repr((doc, patch)) == repr((doc_before, patch_before))


@given(DOCUMENTS, PATCHES)
def test_the_very_document_comes_back_exactly_if_nothing_changes(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    merged = merge(doc, patch)

    assert (merged is doc) == same(merged, doc)


@given(DOCUMENTS, PATCHES, PATCHES)
def test_patches_of_different_keys_may_come_in_either_order(
    doc: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    other = {key: value for key, value in other.items() if key not in one}

    first = change(change(half_of(doc), one, T1), other, T1)
    second = change(change(half_of(doc), other, T1), one, T1)

    assert same(first.doc, second.doc)
    assert first.times == second.times


def test_removing_what_is_not_there_still_makes_the_objects_around_it() -> None:
    assert merge({}, {"a": {"b": None}}) == {"a": {}}
    assert merge({"a": 1}, {"a": {"b": {"c": None}}}) == {"a": {"b": {}}}


# --- Versions and times ---------------------------------------------------------


def test_a_change_makes_the_next_version_and_says_who_when_and_what() -> None:
    order = Order("local-control", 1, 7)

    half = change(Half(), {"led": "on"}, order=order, digest="d1")

    assert half == Half(1, {"led": "on"}, {"led": MS0}, T0, "device:EDGB-0001", order, "d1")


def test_a_patch_that_changes_nothing_gives_the_half_itself() -> None:
    half = half_of({"a": {"b": 1}, "c": [1, {"d": None}], "e": {}})

    patches: list[dict[str, Any]] = [{}, {"a": {}}, {"a": {"b": 1.0}}, {"c": [1, {"d": None}]}, {"x": None}]
    patches += [{"e": {}}, {"e": {"y": None}}]
    for patch in patches:
        assert change(half, patch, T1) is half


def test_a_boolean_in_the_place_of_a_number_is_a_change() -> None:
    half = half_of({"a": 1, "b": [0]})

    changed = change(half, {"a": True, "b": [False]}, T1)

    assert changed.version == 2
    assert changed.doc["a"] is True
    assert changed.doc["b"][0] is False


def test_a_time_changes_only_where_the_value_changes() -> None:
    half = half_of({"a": 1, "b": {"c": 1, "d": [1]}})

    changed = change(half, {"a": 1, "b": {"c": 2, "d": [1], "e": 3}}, T1)

    assert changed.times == {"a": MS0, "b": {"c": MS1, "d": MS0, "e": MS1}}


def test_an_array_is_one_leaf_and_so_is_an_empty_object() -> None:
    half = half_of({"a": [{"b": 1}], "c": {}})

    assert half.times == {"a": MS0, "c": MS0}
    assert change(half, {"a": [{"b": 2}]}, T1).times == {"a": MS1, "c": MS0}


def test_an_object_that_loses_its_last_key_becomes_a_leaf_and_back() -> None:
    half = half_of({"a": {"b": 1}})

    emptied = change(half, {"a": {"b": None}}, T1)
    filled = change(emptied, {"a": {"b": 2}}, T0)

    assert (emptied.doc, emptied.times) == ({"a": {}}, {"a": MS1})
    assert (filled.doc, filled.times) == ({"a": {"b": 2}}, {"a": {"b": MS0}})


def test_a_scalar_in_the_place_of_an_object_takes_its_leaves_away() -> None:
    half = half_of({"a": {"b": {"c": 1}}})

    assert change(half, {"a": {"b": 0}}, T1).times == {"a": {"b": MS1}}
    assert change(half, {"a": None}, T1).times == {}


@given(DOCUMENTS, PATCHES)
def test_times_have_the_shape_of_the_document(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    before = half_of(doc)
    after = change(before, patch, T1)

    assert shape(before.times) == shape(before.doc)
    assert shape(after.times) == shape(after.doc)


@given(DOCUMENTS, PATCHES)
def test_a_leaf_has_the_new_time_exactly_if_its_value_is_new(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    before = half_of(doc)
    after = change(before, patch, T1)

    def leaves(tree: Any, times: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], tuple[Any, int]]:
        found: dict[tuple[str, ...], tuple[Any, int]] = {}
        for key, value in tree.items():
            if isinstance(times[key], dict):
                found |= leaves(value, times[key], (*path, key))
            else:
                found[*path, key] = (value, times[key])
        return found

    old = leaves(before.doc, before.times)
    for path, (value, at) in leaves(after.doc, after.times).items():
        stayed = path in old and same(old[path][0], value)
        assert at == (MS0 if stayed else MS1), path


# --- Limits ---------------------------------------------------------------------


def test_a_half_of_32_kib_is_kept_and_a_byte_more_is_not() -> None:
    room = MAX_HALF_BYTES - len('{"a":""}')

    full = half_of({"a": "x" * room})

    assert full.version == 1
    with pytest.raises(Malformed) as refused:
        half_of({"a": "x" * (room + 1)})
    assert refused.value.reason is Reason.TOO_LARGE


def test_size_counts_bytes_not_characters() -> None:
    with pytest.raises(Malformed):
        half_of({"a": "ü" * (MAX_HALF_BYTES // 2)})


def test_size_is_that_of_the_merged_half_not_of_the_patch() -> None:
    half = half_of({"a": "x" * 20_000})

    with pytest.raises(Malformed) as refused:
        change(half, {"b": "x" * 20_000})
    assert refused.value.reason is Reason.TOO_LARGE
    assert change(half, {"a": None, "b": "x" * 20_000}).version == 2
    assert change(half, {f"key{number}": None for number in range(20_000)}) is half


def test_a_patch_is_held_to_the_limits_of_documents() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}

    for patch in ({"a": 2**60}, {"a\x00": None}, {"a": float("inf")}, deep):
        with pytest.raises(Malformed):
            half_of(patch)


def test_the_expected_version_is_that_of_the_half() -> None:
    half = change(Half(), {"a": 1}, expected_version=0)

    assert change(half, {"a": 2}, expected_version=1).version == 2
    for stale in (0, 2):
        with pytest.raises(Conflict) as refused:
            change(half, {"a": 2}, expected_version=stale)
        assert refused.value.reason is Reason.VERSION_CONFLICT


def test_a_stale_version_is_refused_even_if_nothing_would_change() -> None:
    half = change(half_of({"a": 1}), {"a": 2})

    with pytest.raises(Conflict):
        change(half, {"a": 2}, expected_version=1)


def test_a_repeat_may_expect_the_version_that_it_found() -> None:
    half = change(Half(), {"a": 1}, digest="d1", expected_version=0)

    assert change(half, {"a": 1}, digest="d1", expected_version=0) is half


def test_another_content_is_no_repeat_whatever_its_digest() -> None:
    half = change(Half(), {"a": 1}, digest="d1")

    assert change(half, {"a": 2}, digest="d1").version == 2
    with pytest.raises(Conflict):
        change(half, {"a": 2}, digest="d1", expected_version=0)


def test_client_tokens_have_at_most_64_bytes() -> None:
    check_client_token(None)
    check_client_token("x" * 64)
    check_client_token("ü" * 32)

    with pytest.raises(Malformed):
        check_client_token("ü" * 33)


# --- Order ----------------------------------------------------------------------


def test_what_a_bridge_took_earlier_comes_too_late() -> None:
    half = change(Half(), {"n": 6}, order=Order("b", 1, 6))

    for late in (Order("b", 1, 5), Order("b", 0, 99)):
        with pytest.raises(Conflict) as refused:
            change(half, {"n": 5}, order=late)
        assert refused.value.reason is Reason.SUPERSEDED


def test_messages_without_an_order_or_through_another_bridge_are_not_late() -> None:
    half = change(Half(), {"n": 6}, order=Order("b", 1, 6))

    assert change(half, {"n": 5}).version == 2
    assert change(half, {"n": 5}, order=Order("c", 1, 1)).version == 2


def test_within_a_run_of_the_bridge_a_message_that_changes_nothing_is_not_kept() -> None:
    half = change(Half(), {"n": 1}, order=Order("b", 1, 5))

    assert change(half, {"n": 1}, order=Order("b", 1, 6)) is half


def test_the_first_message_of_a_bridges_next_run_is_kept_though_it_changes_nothing() -> None:
    """The dead run's last attempt may still be under way: n = 2, which the device has taken back since."""
    half = change(Half(), {"n": 1}, order=Order("b", 1, 5), digest="d5")

    fenced = change(half, {"n": 1}, T1, order=Order("b", 2, 1), digest="d1")

    assert fenced == Half(1, half.doc, half.times, T0, half.by, Order("b", 2, 1), "d5")
    assert change(fenced, {"n": 1}, T1, order=Order("b", 2, 2)) is fenced
    with pytest.raises(Conflict):
        change(fenced, {"n": 2}, T1, order=Order("b", 1, 6))


def test_the_fence_also_stands_before_anything_was_reported() -> None:
    fenced = change(Half(), {"n": None}, order=Order("b", 2, 1))

    assert (fenced.version, fenced.doc) == (0, {})
    with pytest.raises(Conflict):
        change(fenced, {"n": 2}, order=Order("b", 1, 6))


# --- Delta ----------------------------------------------------------------------


def test_the_delta_is_all_that_differs_at_every_depth() -> None:
    desired = {"a": 1, "b": {"c": 2, "d": {"e": 3, "f": 4}}, "g": [1, 2], "h": True, "i": {}}
    reported = {"a": 1.0, "b": {"c": 9, "d": {"e": 3}}, "g": [1], "h": 1, "x": "own"}

    assert delta(desired, reported) == {"b": {"c": 2, "d": {"f": 4}}, "g": [1, 2], "h": True, "i": {}}


def test_what_only_the_device_reports_is_no_difference() -> None:
    assert delta({"a": {}}, {"a": {"b": 1}, "c": 2}) == {}


@given(DOCUMENTS, DOCUMENTS)
def test_doing_what_the_delta_says_leaves_none(desired: dict[str, Any], reported: dict[str, Any]) -> None:
    assert delta(desired, merge(reported, delta(desired, reported))) == {}


@given(DOCUMENTS, DOCUMENTS)
def test_the_delta_is_empty_exactly_if_what_is_desired_is_reported(
    desired: dict[str, Any], reported: dict[str, Any]
) -> None:
    assert (delta(desired, reported) == {}) == contains(reported, desired)


@given(DOCUMENTS, DOCUMENTS)
def test_a_delta_changes_neither_half(desired: dict[str, Any], reported: dict[str, Any]) -> None:
    before = repr((desired, reported))

    delta(desired, reported)

    assert repr((desired, reported)) == before


def test_the_metadata_of_a_delta_tells_when_each_leaf_was_desired() -> None:
    half = change(half_of({"a": 1, "b": {"c": 1, "d": 2}, "e": {}}), {"b": {"d": 3}}, T1)

    assert metadata(delta(half.doc, {"a": 1, "b": {"c": 0}}), half.times) == {
        "b": {"c": {"timestamp": "2035-01-01T12:00:00.123Z"}, "d": {"timestamp": "2035-01-01T12:00:01.123Z"}},
        "e": {"timestamp": "2035-01-01T12:00:00.123Z"},
    }


@given(DOCUMENTS, DOCUMENTS)
def test_the_metadata_of_a_delta_mirrors_it(desired: dict[str, Any], reported: dict[str, Any]) -> None:
    half = half_of(desired)
    missing = delta(half.doc, reported)
    stamp = {"timestamp": "2035-01-01T12:00:00.123Z"}

    def mirrored(tree: dict[str, Any]) -> dict[str, Any]:
        return {key: mirrored(value) if isinstance(value, dict) and value else stamp for key, value in tree.items()}

    assert metadata(missing, half.times) == mirrored(missing)
