"""What a device is, by its own word: what of it is taken, and what is passed over."""

from typing import Any

import pytest

from functions.domain.devices import Device
from functions.domain.inventory import facts_of
from functions.domain.traits import MAX_METADATA_BYTES, Source, own_word, traits
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
