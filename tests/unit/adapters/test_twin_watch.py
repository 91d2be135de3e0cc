"""What is read of stored halves to judge twins is what the codec reads."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.adapters.codec import Codec, Undecodable
from functions.adapters.layout import BUCKETS
from functions.adapters.twin_watch import read_half
from functions.domain.twins import Half, apply
from functions.testing import START

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5)
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)


@dataclass(frozen=True)
class Read:
    doc: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Any] = field(default_factory=dict)


CODEC = Codec(Read)


@given(st.dictionaries(TEXT.filter(str.isprintable), JSON, max_size=4))
def test_a_half_is_read_as_it_was_written(patch: dict[str, Any]) -> None:
    half = apply(Half(), patch, at=START, by="device:a")

    read = read_half(BUCKETS["reported"].codec().encode(half))

    assert json.dumps((read.doc, read.times)) == json.dumps((half.doc, half.times))


@given(JSON | st.dictionaries(st.sampled_from(["doc", "times", "version"]), JSON))
@example({"doc": None})
@example({"times": []})
@example({})
def test_whatever_is_stored_is_read_or_refused_as_the_codec_does(stored: Any) -> None:
    data = json.dumps(stored).encode()
    try:
        wanted = CODEC.decode(data)
    except Undecodable:
        with pytest.raises(Undecodable):
            read_half(data)
    else:
        read = read_half(data)
        assert json.dumps((read.doc, read.times)) == json.dumps((wanted.doc, wanted.times))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b'{"doc":{"a":NaN}}', b'{"doc":{},}', b'"\xed\xa0\x80"', b"[" * 3000]
)
def test_what_is_no_json_is_refused_as_the_codec_does(data: bytes) -> None:
    try:
        wanted = CODEC.decode(data)
    except Undecodable:
        with pytest.raises(Undecodable):
            read_half(data)
    else:
        assert repr((read_half(data).doc, read_half(data).times)) == repr((wanted.doc, wanted.times))
