"""Older versions of a desired half, put together from entries of the audit trail."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.audit import HIDDEN, AuditEntry
from functions.domain.documents import same
from functions.domain.history import difference
from functions.domain.twins import Half, metadata
from functions.domain.wishes import Wish, read_wish, recall
from functions.testing import START
from tests.unit.domain.test_history import made_of
from tests.unit.domain.test_twins import PATCHES


def wishes_of(versions: list[Half]) -> list[Wish]:
    docs = [{}, *(half.doc for half in versions)]
    return [
        Wish(half.version, half.at or START, half.by, difference(before, half.doc), difference(half.doc, before))
        for before, half in zip(docs, versions, strict=False)
    ]


def an_entry(**other: Any) -> AuditEntry:
    entry = AuditEntry(
        id="1",
        at=START,
        action="twin.desired",
        actor="user:anna",
        origin="cli",
        call="c",
        kind="twin",
        target="EDGB-0001",
        before={"version": 6, "doc": {"led": "off", "x": None}},
        after={"version": 7, "at": "2035-01-01T12:00:00.5Z", "doc": {"led": "on", "x": 1}},
    )
    return replace(entry, **other)


@given(st.lists(PATCHES, min_size=1, max_size=15), st.data())
def test_older_versions_are_as_they_were(patches: list[dict[str, Any]], data: st.DataObject) -> None:
    versions = made_of([{"first": True}, *patches])
    kept = data.draw(st.integers(1, len(versions)))
    known_from = data.draw(st.integers(1, kept))

    found = recall(versions[kept - 1], wishes_of(versions)[known_from - 1 :])

    assert [half.version for half in found] == list(range(known_from, kept))
    for half in found:
        before = versions[half.version - 1]
        assert same(half.doc, before.doc)
        assert (half.at, half.by) == (before.at, before.by)
        told, all_of_it = metadata(half.doc, half.times), metadata(before.doc, before.times)
        assert told == all_of_it if known_from == 1 else contains(all_of_it, told)


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], part[key]) for key in part)
    return bool(whole == part)


def test_a_row_of_wishes_ends_at_a_gap() -> None:
    versions = made_of([{"n": number} for number in range(9)])
    wishes = wishes_of(versions)

    assert [half.version for half in recall(versions[7], [*wishes[:3], *wishes[4:]])] == [5, 6, 7]
    assert recall(versions[7], wishes[:7]) == []
    assert recall(versions[7], []) == []


def test_a_wish_that_does_not_fit_ends_the_row() -> None:
    versions = made_of([{"n": number} for number in range(9)])
    wishes = wishes_of(versions)
    wishes[4] = replace(wishes[4], patch={"n": "another"})

    assert [half.version for half in recall(versions[7], wishes)] == [6, 7]


def test_wishes_of_another_half_are_not_believed() -> None:
    (one, two) = made_of([{"a": 1, "b": 1}, {"a": 2}])
    other = wishes_of(made_of([{"a": 1}, {"a": 2}]))

    assert recall(two, other) == []
    assert recall(one, []) == []


def test_a_wish_is_read_from_its_entry() -> None:
    assert read_wish(an_entry()) == Wish(
        version=7,
        at=datetime.fromisoformat("2035-01-01T12:00:00.5Z"),
        by="user:anna",
        patch={"led": "on", "x": 1},
        undo={"led": "off", "x": None},
    )


@pytest.mark.parametrize(
    "other",
    [
        {"action": "device.suspended"},
        {"cut": ("after.doc",)},
        {"before": None},
        {"before": {"version": 6}},
        {"after": {"version": 7, "doc": {}}},
        {"after": {"version": "7", "at": "2035-01-01T12:00:00.5Z", "doc": {}}},
        {"before": {"version": 6, "doc": {"a": {"b": [1, {"c": HIDDEN}]}}}},
        {"after": {"version": 7, "at": "2035-01-01T12:00:00.5Z", "doc": {"token": HIDDEN}}},
    ],
)
def test_an_entry_that_is_not_whole_is_no_wish(other: dict[str, Any]) -> None:
    assert read_wish(an_entry(**other)) is None


def test_times_of_recalled_versions_are_those_that_were_told() -> None:
    versions = made_of([{"n": number} for number in range(5)])

    found = recall(versions[4], wishes_of(versions))

    assert [half.at for half in found] == [versions[0].at + timedelta(seconds=n) for n in range(4)]  # type: ignore[operator]
