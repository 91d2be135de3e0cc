import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.faults import Malformed
from functions.domain.whitelist import (
    Line,
    Result,
    judge,
    line_of,
    line_of_value,
    read_objects,
    read_text,
    with_defaults,
)


def wrong(lines: list[Line]) -> list[tuple[int, str]]:
    return [(one.number, one.reason) for one in judge(lines).others]


def test_csv_has_its_columns_in_order_unless_it_names_them() -> None:
    assert read_text("abcd,note,rev C,ACME\nefgh\n") == [
        Line(1, "abcd", "note", "rev C", "ACME"),
        Line(2, "efgh"),
    ]
    assert read_text("Manufacturer, hardware_version ,UUID\nACME,rev C,abcd\n,,efgh\n") == [
        Line(2, "abcd", "", "rev C", "ACME"),
        Line(3, "efgh"),
    ]


def test_quotes_keep_commas() -> None:
    assert read_text('abcd,"a, ""b""",\n') == [Line(1, "abcd", 'a, "b"')]


def test_a_mark_of_byte_order_is_no_part_of_the_first_line() -> None:
    assert read_text("\ufeffuuid,note\nabcd,x") == [Line(2, "abcd", "x")]


@pytest.mark.parametrize("header", ["uuid,uuid", "uuid,colour", "note,UUID,note", "uuid,"])
def test_columns_that_cannot_be_are_refused(header: str) -> None:
    with pytest.raises(Malformed, match="each of its columns once"):
        read_text(f"{header}\nabcd\n")


def test_what_is_wrong_with_a_line_is_said() -> None:
    lines = read_text('abcd,"open\nuu id\nabce,1,2,3,4\nabcf,' + "x" * 257 + "\nabcg,,\x07\n")

    assert wrong(lines) == [
        (1, "no line of CSV: a quote is not closed"),
        (2, "not 4 to 64 letters, digits, '_' or '-'"),
        (3, "more than 4 columns"),
        (4, "note over 256 characters"),
        (5, "hardwareVersion with a control character"),
    ]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("abcd", Line(1, "abcd")),
        ({"uuid": "abcd"}, Line(1, "abcd")),
        (
            {"manufacturer": "ACME", "uuid": "abcd", "hardwareVersion": "C", "note": "n"},
            Line(1, "abcd", "n", "C", "ACME"),
        ),
        ({"uuid": "abcd", "colour": "red"}, Line(1, wrong="an unknown field")),
        ({"uuid": "abcd", "note": None}, Line(1, wrong="a field is no text")),
        ({"uuid": 7}, Line(1, wrong="a field is no text")),
        (7, Line(1, wrong="neither an object nor a UUID")),
        (None, Line(1, wrong="neither an object nor a UUID")),
        (["abcd"], Line(1, wrong="neither an object nor a UUID")),
    ],
)
def test_a_json_value_is_a_line_or_says_why_not(value: Any, line: Line) -> None:
    assert line_of_value(1, value) == line
    assert read_objects(json.dumps(value)) == [line]


def test_objects_stand_one_a_line() -> None:
    assert read_objects('{"uuid":"abcd"}\n\n{"uuid":\n"efgh"\n' + "[" * 100_000) == [
        Line(1, "abcd"),
        Line(3, wrong="no JSON"),
        Line(4, "efgh"),
        Line(5, wrong="no JSON"),
    ]


def test_half_of_a_surrogate_pair_is_no_text() -> None:
    assert wrong(read_objects('{"uuid":"abcd","note":"\\ud800"}')) == [(1, "note with a control character")]


def test_a_uuid_named_twice_is_a_duplicate_of_the_first_in_either_case() -> None:
    judged = judge([Line(1, "ABCD"), Line(2, "?"), Line(5, "abcd", "other"), Line(6, "Abcd")])

    assert [line.uuid for line in judged.good] == ["abcd"]
    assert [(one.number, one.result, one.reason) for one in judged.others] == [
        (2, Result.MALFORMED, "not 4 to 64 letters, digits, '_' or '-'"),
        (5, Result.DUPLICATE, "of line 1"),
        (6, Result.DUPLICATE, "of line 1"),
    ]


def test_defaults_fill_what_a_line_leaves_open() -> None:
    lines = with_defaults(
        [Line(1, "abcd", "own"), Line(2, "efgh"), Line(3, wrong="no JSON")], note="lot", manufacturer="M"
    )

    assert lines == [Line(1, "abcd", "own", "", "M"), Line(2, "efgh", "lot", "", "M"), Line(3, wrong="no JSON")]


@given(st.text())
def test_any_text_gives_lines_each_judged_once(text: str) -> None:
    try:
        lines = read_text(text)
    except Malformed:
        return
    judged = judge(lines)

    numbers = [line.number for line in judged.good] + [one.number for one in judged.others]
    assert sorted(numbers) == [line.number for line in lines]
    assert len({line.uuid for line in judged.good}) == len(judged.good)


@given(st.text())
def test_any_text_gives_lines_of_objects(text: str) -> None:
    lines = read_objects(text)

    assert len(judge(lines).good) + len(judge(lines).others) == len(lines)


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)] * 3),
        max_size=5,
    )
)
def test_what_a_call_carries_is_the_line_again(texts: list[tuple[str, str, str]]) -> None:
    for number, cells in enumerate(texts, start=1):
        line = Line(number, f"board-{number}", *cells)
        assert line_of(number, line.cells) == line
