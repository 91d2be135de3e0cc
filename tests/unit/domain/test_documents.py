"""What may stand in a document, when two are the same, and how large one is."""

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.documents import MAX_DEPTH, check, check_keys_once, same, size
from functions.domain.faults import Malformed, Reason

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates are no text in UTF-8, and the parser refuses them.
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


def nested(levels: int, *, array: bool = False) -> dict[str, Any]:
    """So many containers within each other, the document being the first."""
    value: Any = [] if array else {}
    for _ in range(levels - 2):
        value = [value] if array else {"a": value}
    return {"a": value} if levels > 1 else {}


def test_a_document_of_ten_levels_passes() -> None:
    check(nested(MAX_DEPTH))
    check(nested(MAX_DEPTH, array=True))


@pytest.mark.parametrize("array", [False, True], ids=["objects", "arrays"])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 200, 100_000])
def test_a_document_of_more_levels_is_too_deep(levels: int, array: bool) -> None:
    with pytest.raises(Malformed) as refused:
        check(nested(levels, array=array))

    assert refused.value.reason is Reason.TOO_DEEP


def test_depth_counts_objects_and_arrays_alike() -> None:
    document: dict[str, Any] = {"a": [{"a": [{"a": [{"a": [{"a": []}]}]}]}]}
    check(document)

    with pytest.raises(Malformed):
        check({"b": [document]})


@pytest.mark.parametrize("key", ["\x00", "a\nb", "\x1f", "\x7f", "\x85", "tab\t"])
def test_a_key_with_a_control_character_is_refused_wherever_it_stands(key: str) -> None:
    for document in ({key: 1}, {"a": {key: 1}}, {"a": [{key: 1}]}, {key: None}):
        with pytest.raises(Malformed):
            check(document)


def test_keys_in_any_script_and_values_with_line_ends_pass() -> None:
    check({"größe": "a\nb", "温度": 1, "emoji 🙂": None, "": 0, "a.b/c": "\x00"})


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 10**40, float("inf"), float("-inf"), float("nan")])
def test_a_number_that_readers_would_disagree_on_is_refused(number: float) -> None:
    for document in ({"a": number}, {"a": {"b": number}}, {"a": [1, [number]]}):
        with pytest.raises(Malformed) as refused:
            check(document)
        assert refused.value.reason is Reason.BAD_REQUEST


def test_the_largest_numbers_pass() -> None:
    check({"a": 2**53, "b": -(2**53), "c": 1.7e308, "d": [True, 5e-324]})


def test_a_wide_document_costs_no_more_than_reading_it() -> None:
    document = {f"key{number}": {"a": [number]} for number in range(30_000)}
    started = time.perf_counter()

    check(document)

    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a" : 1, "b":2 , "a" :2}',
        b'{"a":{"b":1,"c":2,"b":1}}',
        b'{"a":[1,[{"b":1,"b":1}]]}',
        b'[{"x":{"y":1},"x":1}]',
        b'{"a":1,"\\u0061":2}',
        b'{"":1,"":1}',
        b'{"a":1,"a":":","b":"\\":"}',
        b'{"a":1,"a":"\\u003a"}',
        b'{"a":' + b"9" * 5000 + b',"a":1e9999}',
    ],
)
def test_a_key_that_stands_twice_in_an_object_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed, match="twice in one object") as refused:
        check_keys_once(text, json.loads(text, parse_int=float))

    assert refused.value.reason is Reason.BAD_REQUEST


def test_the_key_that_stands_twice_is_named_in_short() -> None:
    text = b'{"%s":1,"%s":2}' % (b"x" * 500, b"x" * 500)

    with pytest.raises(Malformed) as refused:
        check_keys_once(text, json.loads(text))

    assert f'"{"x" * 64}"' in refused.value.detail
    assert "x" * 65 not in refused.value.detail


@given(JSON, st.integers(0, 2), st.booleans())
def test_keys_that_each_stand_once_pass_however_the_text_is_written(value: Any, indent: int, ascii_only: bool) -> None:
    for separators in ((",", ":"), (" , ", " : "), (",\t", "\r\n:")):
        text = json.dumps(value, indent=indent or None, ensure_ascii=ascii_only, separators=separators)

        check_keys_once(text.encode(), json.loads(text))


PAIRS = st.recursive(
    st.sampled_from(["1", '"x"', '":"', '"\\":"', '"\\u003a"', "null"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: f"[{','.join(each)}]")
        | st.lists(
            st.tuples(st.sampled_from(['"a":', '"b" :', '"\\u0061":', '"\\"":', '":":']), inner), max_size=3
        ).map(lambda each: "{" + ", ".join(map("".join, each)) + "}")
    ),
    max_leaves=12,
)


@given(PAIRS)
def test_exactly_what_loses_a_member_to_its_double_is_refused(text: str) -> None:
    lost: list[int] = []

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        lost.append(len(pairs) - len(dict(pairs)))
        return dict(pairs)

    values = json.loads(text, object_pairs_hook=build)

    try:
        check_keys_once(text.encode(), values)
    except Malformed:
        assert any(lost)
    else:
        assert not any(lost)


@pytest.mark.parametrize(
    ("one", "other"),
    [(True, 1), (False, 0), (True, 1.0), (False, 0.0), (None, False), (None, 0), ("1", 1), ("", None), ([], {})],
)
def test_values_that_only_python_takes_as_equal_differ(one: Any, other: Any) -> None:
    for left, right in ((one, other), (other, one)):
        assert not same(left, right)
        assert not same([1, [left]], [1, [right]])
        assert not same({"a": {"b": left}}, {"a": {"b": right}})


def test_one_and_one_point_nought_are_one_number() -> None:
    assert same(1, 1.0)
    assert same([1.0, {"a": 0}], [1, {"a": 0.0}])


def test_arrays_differ_by_length_and_order_and_objects_by_keys() -> None:
    assert not same([1, 2], [1, 2, 3])
    assert not same([1, 2], [2, 1])
    assert not same({"a": 1}, {"b": 1})
    assert not same({"a": None}, {})
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})


@given(JSON)
def test_every_value_is_the_same_as_its_own_copy(value: Any) -> None:
    # orjson writes 5e-324 and the like exactly, so the copy is the value.
    assert same(value, orjson.loads(orjson.dumps(value)))


@given(JSON, JSON)
def test_sameness_has_no_direction(one: Any, other: Any) -> None:
    assert same(one, other) == same(other, one)


@given(st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53) | st.text(max_size=9) | st.lists(st.none())))
def test_size_is_that_of_compact_json(document: dict[str, Any]) -> None:
    assert size(document) == len(orjson.dumps(document))
