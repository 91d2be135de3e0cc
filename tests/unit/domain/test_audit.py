"""Audit entries: their form, their bounds, and what never stands in one."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.audit import Agent, AuditEntry, Trail, entry, is_origin
from functions.domain.callers import parse_caller
from functions.testing import START

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=3000),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=200), inner, max_size=40),
    max_leaves=60,
)
KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n"
TOKEN = "dh_" + "a" * 43


def made(action: str = "device.suspended", target: str = "EDGB-0001", **more: Any) -> AuditEntry:
    doer = Agent(parse_caller("user:anna"), "c0ffee", "cli")
    return entry(doer, action, target, at=START, random="0123456789abcdef", **more)


def test_an_entry_says_who_did_what_to_what_and_from_where() -> None:
    found = made(before={"lifecycle": "active"}, after={"lifecycle": "suspended"})

    assert (found.actor, found.action, found.origin, found.call) == ("user:anna", "device.suspended", "cli", "c0ffee")
    assert (found.kind, found.target, found.at) == ("device", "EDGB-0001", START)
    assert (found.before, found.after, found.cut) == ({"lifecycle": "active"}, {"lifecycle": "suspended"}, ())


def test_ids_sort_by_time() -> None:
    doer = Agent(parse_caller("user:anna"), "c0ffee")
    times = [START + timedelta(milliseconds=number) for number in (0, 1, 1000, 10**9)]

    ids = [entry(doer, "device.suspended", "D1", at=at, random="ff").id for at in times]

    assert ids == sorted(ids)


@pytest.mark.parametrize("action", ["suspended", "Device.suspended", "device.", "device suspended", "device.x.>", ""])
def test_an_action_is_a_thing_and_a_deed(action: str) -> None:
    with pytest.raises(ValueError, match="is no action"):
        made(action)


@pytest.mark.parametrize("target", ["", "a.b", "*", ">", "x" * 65, "a b", "é"])
def test_what_cannot_stand_in_a_subject_is_no_target(target: str) -> None:
    assert made(target=target).target == "-"


@pytest.mark.parametrize(
    ("action", "trail"),
    [("twin.desired", Trail.TWINS), ("onboarding.refused", Trail.ONBOARDING), ("claim.created", Trail.CHANGES)],
)
def test_each_trail_has_its_actions(action: str, trail: Trail) -> None:
    assert made(action).trail is trail


def test_what_is_too_large_is_left_out_and_named() -> None:
    found = made(before={"note": "x" * 5000, "name": "pump"}, after="y" * 5000)

    assert (found.before, found.after) == ({"name": "pump"}, None)
    assert found.cut == ("before.note", "after")


def test_the_whole_of_a_twin_fits() -> None:
    doc = {"text": "x" * (32 * 1024 - 11)}

    assert made("twin.desired", before=doc, after=doc).cut == ()


@given(before=JSON, after=JSON)
def test_an_entry_is_bounded_and_tells_what_it_lacks(before: Any, after: Any) -> None:
    found = made(before=before, after=after)

    assert len(json.dumps([found.before, found.after], ensure_ascii=False, separators=(",", ":")).encode()) < 8300
    assert len(found.cut) <= 40
    assert all(len(name) <= 80 for name in found.cut)
    if not found.cut:
        assert json.dumps([found.before, found.after]) == json.dumps([before, after])


@pytest.mark.parametrize("secret", [KEY, f"Bearer {TOKEN}", TOKEN])
def test_no_private_key_and_no_token_stands_in_an_entry(secret: str) -> None:
    found = made(before={"deep": [{"text": secret}]}, after=secret)

    assert (found.before, found.after) == ({"deep": [{"text": "(hidden)"}]}, "(hidden)")


@pytest.mark.parametrize("text", ["cli", "mqtt", "http:192.0.2.7", "http:2001:db8::1", "http:fe80::1%eth0"])
def test_an_origin(text: str) -> None:
    assert is_origin(text)


@pytest.mark.parametrize("text", ["", "a b", "x" * 65, "http:\n", "é", "a;b"])
def test_no_origin(text: str) -> None:
    assert not is_origin(text)
