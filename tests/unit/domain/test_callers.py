"""Who makes a call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.callers import ANY_CLAIM, APP, CLAIM, DEVICE, OPERATOR, SYSTEM, Caller, Kind, parse_caller
from functions.domain.faults import Denied


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("device:EDGB-0001", DEVICE, "EDGB-0001"),
        ("claim:default", CLAIM, "default"),
        ("claim:-", CLAIM, ANY_CLAIM),
        ("user:anna", OPERATOR, "anna"),
        ("app:dashboard", APP, "dashboard"),
        ("system:dbus/1000", SYSTEM, "dbus/1000"),
    ],
)
def test_a_caller_is_a_kind_and_a_name(text: str, kind: Kind, name: str) -> None:
    assert parse_caller(text) == Caller(kind, name)
    assert str(parse_caller(text)) == text


@pytest.mark.parametrize("text", ["", ":", "device", "device:", ":EDGB-0001", "admin:anna", "Device:x", "operator:x"])
def test_who_names_no_caller_is_denied(text: str) -> None:
    with pytest.raises(Denied):
        parse_caller(text)


@given(st.sampled_from([DEVICE, CLAIM, OPERATOR, APP, SYSTEM]), st.text(min_size=1))
def test_every_caller_is_read_back_from_its_text(kind: Kind, name: str) -> None:
    assert parse_caller(str(Caller(kind, name))) == Caller(kind, name)
