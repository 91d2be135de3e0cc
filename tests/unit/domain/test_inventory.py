"""What can be asked of the inventory."""

from datetime import UTC, datetime

import pytest

from functions.domain.faults import Malformed
from functions.domain.inventory import SORTABLE, Sort, Status, Tag, parse_sorts, parse_tag, status_of
from functions.domain.sessions import Presence

NOW = datetime(2035, 1, 1, 12, tzinfo=UTC)


def test_fields_to_sort_by_have_commas_between_and_a_minus_for_the_other_direction() -> None:
    assert parse_sorts("") == ()
    assert parse_sorts("model") == (Sort("model"),)
    assert parse_sorts("-lastSeen,model") == (Sort("lastSeen", descending=True), Sort("model"))
    assert parse_sorts(",".join(SORTABLE)) == tuple(Sort(name) for name in SORTABLE)


@pytest.mark.parametrize(
    "text",
    ["-", ",", "model,", "modle", "Model", " model", "--model", "+model", "id", "metadata", "model;drop table", "é"],
)
def test_what_is_no_field_to_sort_by_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_sorts(text)

    assert set(refused.value.fields) == {"sort"}
    assert "lastSeen" in refused.value.detail


@pytest.mark.parametrize("text", ["model,model", "model,-model"])
def test_a_field_is_sorted_by_once(text: str) -> None:
    with pytest.raises(Malformed):
        parse_sorts(text)


def test_a_tag_is_a_key_with_a_value_or_with_any() -> None:
    assert parse_tag("floor=3") == Tag("floor", "3")
    assert parse_tag("floor=") == Tag("floor", "")
    assert parse_tag("floor") == Tag("floor", None)
    assert parse_tag("formula=a=b") == Tag("formula", "a=b")


@pytest.mark.parametrize("text", ["", "=", "=3"])
def test_a_tag_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_tag(text)

    assert set(refused.value.fields) == {"tag"}


def test_a_device_that_never_connected_is_neither_online_nor_offline() -> None:
    assert status_of(None) is Status.UNKNOWN
    assert status_of(Presence(True, NOW, "connected")) is Status.ONLINE
    assert status_of(Presence(False, NOW, "timeout")) is Status.OFFLINE
