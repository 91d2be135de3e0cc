"""What a device is, by its own word: what of it is taken, and what is passed over."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.devices import Device
from functions.domain.faults import Malformed, Reason
from functions.domain.inventory import facts_of
from functions.domain.traits import MAX_METADATA_BYTES, Source, check_metadata, known_traits, own_word, traits
from functions.testing import START

JOINED = Device("EDGB-0001", START, START, metadata={"model": "lamp", "site": "A"})
# With its braces, name and quotes as large as may be.
LARGE = {"text": "x" * (MAX_METADATA_BYTES - len('{"text":""}'))}


def test_what_a_device_reports_comes_before_what_it_told_when_it_joined() -> None:
    own = traits(JOINED, {"model": "pump", "firmware": {"version": "2.0"}, "metadata": {"site": "B"}})

    assert (own.model, own.model_from, own.firmware) == ("pump", Source.REPORTED, "2.0")
    assert own.metadata == {"model": "lamp", "site": "B"}
    assert own.metadata_from == {"model": Source.ONBOARDING, "site": Source.REPORTED}


@pytest.mark.parametrize("wrong", [None, 7, [], {}, {"name": "x" * 30_000}, "", "x" * 129, "x" * 30_000])
def test_what_has_another_form_is_passed_over_and_not_kept(wrong: Any) -> None:
    reported = {"model": wrong, "firmware": wrong, "metadata": [wrong]}

    own = traits(JOINED, reported)

    assert (own.model, own.model_from, own.firmware, own.firmware_from) == ("lamp", Source.ONBOARDING, "", None)
    assert own.metadata == JOINED.metadata
    assert facts_of(reported, None, ()).own == {}


def test_no_device_fills_a_list_with_what_it_reports_of_itself() -> None:
    assert facts_of({"metadata": LARGE, "else": LARGE}, None, ()).own == {"metadata": LARGE}

    more = {"metadata": {**LARGE, "n": 1}}
    assert facts_of(more, None, ()).own == {}
    assert traits(JOINED, more).metadata == JOINED.metadata


@pytest.mark.parametrize(
    "reported", [{}, {"model": "pump", "firmware": {"version": "2.0", "n": 1}, "metadata": {"a": [1]}, "temp": 3}]
)
def test_of_what_is_kept_the_same_is_said(reported: dict[str, Any]) -> None:
    kept = own_word(reported)

    assert own_word(kept) == kept
    assert traits(JOINED, kept) == traits(JOINED, reported)


SAID = st.sampled_from(["", "pump", "x" * 129, 7, None, {"version": "2.0"}, {"a": 1}, {}])
TOLD = st.dictionaries(st.sampled_from(["model", "firmware", "metadata", "site"]), SAID)


@given(st.sampled_from(["", "lamp"]), st.sampled_from(["", "1.0"]), TOLD, TOLD)
def test_without_sources_it_is_the_same(
    model: str, firmware: str, joined: dict[str, Any], reported: dict[str, Any]
) -> None:
    device = Device("EDGB-0001", START, START, model=model, firmware=firmware, metadata=joined)

    whole = traits(device, reported)

    known = known_traits(model, firmware, joined, own_word(reported))
    assert known == (whole.model, whole.firmware, whole.metadata)


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels - 1):
        value = [value]
    return {"a": value}


def test_metadata_is_bounded_in_size_and_depth() -> None:
    check_metadata(None)
    check_metadata({})
    check_metadata({"a": "x" * (4 * 1024 - len('{"a":""}'))})
    check_metadata(nested(10))

    for metadata in ({"a": "x" * (4 * 1024 - len('{"a":""}') + 1)}, {"é": "é" * 2_050}, nested(11)):
        with pytest.raises(Malformed) as refusal:
            check_metadata(metadata)
        assert refusal.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize("value", [2**53 + 1, [{"n": -(2**53) - 1}], 10**40, {"a\x00": 1}, float("inf")])
def test_metadata_is_refused_by_name_where_a_reader_would_show_another_value(value: Any) -> None:
    with pytest.raises(Malformed) as refusal:
        check_metadata({"serial": value}, "metadata")

    assert refusal.value.reason is Reason.BAD_REQUEST
    assert list(refusal.value.fields) == ["metadata"]
    check_metadata({"serial": [2**53, -(2**53), 1.5]})
