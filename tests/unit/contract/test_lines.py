"""Devices as lines of NDJSON and CSV: what is written is read again, in pieces of any size."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.lines import COLUMNS, CSV, MAX_LINE_BYTES, NDJSON, Lines, csv_line, heading, ndjson_line
from functions.domain.faults import Malformed

# Cells that spreadsheets and readers of CSV stumble over.
HARD = [
    "", "=1+1", "'=1", "''@x", "+4", "-4", "@x", "'s", "a,b", 'q"q', "two\nlines", "cr\r\nlf", "\tx", "\r", " x ",
    "ü水", "\u2028",
]  # fmt: skip
texts = st.one_of(st.sampled_from(HARD), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), texts)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
documents = st.dictionaries(texts, values, max_size=4)
devices = st.fixed_dictionaries(
    {"deviceId": st.text("abc0123", min_size=4, max_size=8)},
    optional={
        "displayName": texts,
        "role": st.sampled_from(["", "cellar"]),
        "groups": st.lists(st.text("abc-_", min_size=1, max_size=5), max_size=3),
        "tags": st.dictionaries(texts, texts, max_size=3),
        "notes": texts,
        "metadata": documents,
        "desired": documents,
        "desiredVersion": st.integers(0, 2**53 - 1),
        "lifecycle": st.sampled_from(["active", "retired"]),
    },
)


def read(media_type: str, content: bytes, size: int = 7) -> list[tuple[int, Any]]:
    lines = Lines(media_type)
    found: list[tuple[int, Any]] = []
    for begin in range(0, len(content), size):
        found += lines.feed(content[begin : begin + size])
    return found + list(lines.end())


def shown(device: dict[str, Any]) -> dict[str, Any]:
    """What of a device was said: in CSV every column says something, and nothing where the cell is empty."""
    return {name: value for name, value in device.items() if value not in (None, "", [])}


@given(st.lists(devices, max_size=4), st.integers(1, 200))
def test_ndjson_is_read_as_it_was_written(found: list[dict[str, Any]], size: int) -> None:
    content = b"".join(map(ndjson_line, found))

    assert [device for _, device in read(NDJSON, content, size)] == found


@given(st.lists(devices, max_size=4), st.integers(1, 200))
def test_csv_is_read_as_it_was_written(found: list[dict[str, Any]], size: int) -> None:
    content = heading() + b"".join(map(csv_line, found))

    assert [shown(device) for _, device in read(CSV, content, size)] == [shown(device) for device in found]


@given(texts)
def test_no_cell_is_a_formula(text: str) -> None:
    written = csv_line({"deviceId": "pump-0001", "displayName": text}).decode()

    cell = written.split(",", 1)[1].removeprefix('"')
    assert cell[:1] not in {"=", "+", "-", "@", "\t"}


@pytest.mark.parametrize("text", ["'s-Hertogenbosch", "'", "''"])
def test_an_apostrophe_that_guards_nothing_stays(text: str) -> None:
    assert read(CSV, f"deviceId,displayName\r\npump-0001,{text}\r\n".encode()) == [
        (2, {"deviceId": "pump-0001", "displayName": text})
    ]


def test_lines_are_counted_as_an_editor_does() -> None:
    content = b'deviceId,notes\npump-0001,"two\nlines"\n\npump-0002,\n'

    assert [number for number, _ in read(CSV, content)] == [2, 5]
    assert [number for number, _ in read(NDJSON, b'\n{"deviceId":"a"}\n\n{"deviceId":"b"}')] == [2, 4]


@pytest.mark.parametrize(
    ("media_type", "content", "told"),
    [
        (NDJSON, b"{\n", "not JSON"),
        (NDJSON, b"[1]\n", "no JSON object"),
        (NDJSON, b'{"a":NaN}\n', "not JSON"),
        (NDJSON, b"[" * 1000 + b"\n", "more than 200 levels"),
        (NDJSON, b'{"desired":{"rate":1e999}}\n', "too large"),
        (NDJSON, b'{"desired":{"rate":1,"rate":2}}\n', '"rate" twice'),
        (NDJSON, b'{"notes":"\\ud800"}\n', "not JSON"),
        (CSV, b'deviceId,desired\na,"{""rate"":1e999}"\n', "desired: A number in the cell is too large"),
        (CSV, b'deviceId,desired\na,"{""rate"":1,""rate"":2}"\n', '"rate" twice'),
        (NDJSON, b"\xff\n", "not UTF-8"),
        (CSV, b"deviceId\na,b\n", "2 cells"),
        (CSV, b'deviceId\n"a"b\n', "no CSV"),
        (CSV, b"deviceId,tags\na,{\n", "tags: The cell is not JSON"),
    ],
)
def test_a_wrong_line_is_told_with_its_number_and_the_next_is_read(media_type: str, content: bytes, told: str) -> None:
    good = b'{"deviceId":"next"}\n' if media_type == NDJSON else b"next" + b"," * content.split(b"\n")[0].count(b",")

    (number, fault), (_, device) = read(media_type, content + good)

    assert number == (1 if media_type == NDJSON else 2)
    assert isinstance(fault, Malformed)
    assert told in fault.detail
    assert device["deviceId"] == "next"


@pytest.mark.parametrize("first", [b"name\n", b"deviceId,deviceId\n", b"deviceId,colour\n", b"pump-0001,x\n"])
def test_a_heading_that_is_none_ends_it(first: bytes) -> None:
    with pytest.raises(Malformed, match="names the columns"):
        read(CSV, first)


@pytest.mark.parametrize("media_type", [NDJSON, CSV])
def test_a_line_longer_than_any_device_ends_it(media_type: str) -> None:
    with pytest.raises(Malformed, match="more than"):
        read(media_type, heading() + b'"' + b"x" * (MAX_LINE_BYTES + 1), 64 * 1024)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read(CSV, b"\xef\xbb\xbfdeviceId\r\npump-0001\r\n") == [(2, {"deviceId": "pump-0001"})]


def test_the_heading_has_every_field_of_a_line() -> None:
    assert heading().decode().strip().split(",") == list(COLUMNS)
    assert COLUMNS[0] == "deviceId"
    assert json.loads(ndjson_line({"deviceId": "a"})) == {"deviceId": "a"}


def test_a_cell_of_very_many_lines_costs_no_more_than_another() -> None:
    cell = b'"' + b"\n" * 100_000 + b'"\n'

    ((number, device),) = read(CSV, b"deviceId\n" + cell, 1000)

    assert (number, device["deviceId"]) == (2, "\n" * 100_000)
