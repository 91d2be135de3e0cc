"""Every odd shape of a line of ``journalctl -o json``."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.host.journal.entries import MOST_CHARACTERS, read_entry
from bridge.host.journal.lines import Line, Lines
from functions.contract.messages import LogEntry

_CURSOR = "s=f042f92f;i=10;b=365a;m=967b4a72d;t=660f8263624d6;x=c272"


def _read(**fields: Any) -> LogEntry:
    told = {"__CURSOR": _CURSOR, "__REALTIME_TIMESTAMP": "1795468769502422", "PRIORITY": "6", **fields}
    text = json.dumps({name: value for name, value in told.items() if value != "MISSING"}).encode()
    return read_entry(Line(text, len(text)))


def test_an_ordinary_entry() -> None:
    entry = _read(MESSAGE="hello", _PID="58", SYSLOG_IDENTIFIER="sh")

    assert entry == LogEntry(
        cursor=_CURSOR,
        time=datetime(2026, 11, 23, 21, 19, 29, 502422, UTC),
        priority="info",
        text="hello",
        identifier="sh",
        pid=58,
    )


@pytest.mark.parametrize(
    ("message", "text", "is_binary", "is_truncated"),
    [
        pytest.param("a\nb\tc", "a\nb\tc", False, False, id="newline and tab"),
        pytest.param(list(b"\x1b[31mred\x1b[0m"), "\x1b[31mred\x1b[0m", False, False, id="colours"),
        pytest.param(list("grün \u202e\0".encode()), "grün \u202e\0", False, False, id="other direction and NUL"),
        pytest.param([0xFF, 0x41, 0xFE], "\\xffA\\xfe", True, False, id="no UTF-8"),
        pytest.param(None, "", False, True, id="left out as too large"),
        pytest.param("MISSING", "", False, False, id="missing"),
        pytest.param([], "", False, False, id="no bytes"),
        pytest.param(["one", "two"], "one\ntwo", False, False, id="twice"),
        pytest.param([[0x1B, 0x5B], "two", None], "\x1b[\ntwo\n", False, True, id="several, of all shapes"),
        pytest.param([[0xFF], [0x41]], "\\xff\nA", True, False, id="arrays of bytes"),
        pytest.param([[[[1]]], "two"], "two", False, False, id="deeper than anybody writes"),
        pytest.param([300, -1], "300\n-1", False, False, id="numbers that are no bytes"),
        pytest.param("<script>alert(1)</script>", "<script>alert(1)</script>", False, False, id="markup"),
        pytest.param("x" * 1_000_000, "x" * MOST_CHARACTERS, False, True, id="a million characters"),
        pytest.param([0xFE] * 1_000_000, "\\xfe" * (MOST_CHARACTERS // 4), True, True, id="a million other bytes"),
        pytest.param({"a": 1}, "{'a': 1}", False, False, id="an object"),
    ],
)
def test_a_message_of_any_shape(message: Any, text: str, is_binary: bool, is_truncated: bool) -> None:
    entry = _read(MESSAGE=message)

    assert (entry.text, entry.is_binary, entry.is_truncated) == (text, is_binary, is_truncated)
    assert LogEntry.model_validate_json(entry.encode()) == entry


@pytest.mark.parametrize(
    ("priority", "expected"),
    [("0", "emerg"), ("3", "err"), ("7", "debug"), ("8", "info"), ("-1", "info"), ("x", "info"), (None, "info"),
     ("MISSING", "info"), (["4", "6"], "warning"), ([], "info"), (3, "info"), ("9" * 500, "info"), ("٣", "info")],
)  # fmt: skip
def test_a_priority_of_any_shape(priority: Any, expected: str) -> None:
    assert _read(MESSAGE="", PRIORITY=priority).priority == expected


@pytest.mark.parametrize("time", ["MISSING", None, "x", "9" * 18, "9" * 500, ["x"]])
def test_a_time_that_is_none_is_not_made_up(time: Any) -> None:
    assert _read(MESSAGE="", __REALTIME_TIMESTAMP=time).time is None


def test_the_journals_word_on_lines_that_it_dropped_is_a_number() -> None:
    entry = _read(MESSAGE="Suppressed 4711 messages from a.service", N_DROPPED="4711")

    assert entry.lost == 4711


def test_a_line_that_is_too_long_counts_as_lost_and_keeps_its_place() -> None:
    text = b'{"__CURSOR":"%s","__REALTIME_TIMESTAMP":"1795468769502422","MESSAGE":"xxx' % _CURSOR.encode()

    entry = read_entry(Line(text, 9_000_000))

    assert (entry.cursor, entry.lost, entry.is_truncated) == (_CURSOR, 1, True)
    assert entry.time is not None


@given(st.binary())
def test_any_bytes_are_an_entry(data: bytes) -> None:
    entry = read_entry(Line(data, len(data)))

    assert LogEntry.model_validate_json(entry.encode()) == entry


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@given(st.fixed_dictionaries(dict.fromkeys(("MESSAGE", "PRIORITY", "_PID", "__CURSOR", "N_DROPPED"), _JSON)))
def test_any_json_in_any_field_is_an_entry(fields: dict[str, Any]) -> None:
    data = orjson.dumps(fields)

    assert LogEntry.model_validate_json(read_entry(Line(data, len(data))).encode())


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 20))
def test_lines_are_the_same_in_whatever_pieces_they_come(pieces: list[bytes], most: int) -> None:
    lines = Lines(most)

    found = [line for piece in pieces for line in lines.feed(piece)]

    whole = b"".join(pieces).split(b"\n")
    assert found == [Line(one[:most], len(one)) for one in whole[:-1]]
    assert lines.begun == len(whole[-1])
