"""What can be asked of the inventory."""

from datetime import UTC, datetime

import pytest

from functions.domain.faults import Malformed
from functions.domain.inventory import (
    SORTABLE,
    Sort,
    Status,
    Written,
    parse_paths,
    parse_sorts,
    parse_tag,
    parse_written,
    sortable,
    status_of,
)
from functions.domain.query import Tagged, exactly
from functions.domain.sessions import Presence

NOW = datetime(2035, 1, 1, 12, tzinfo=UTC)


def test_fields_to_sort_by_have_commas_between_and_a_minus_for_the_other_direction() -> None:
    assert parse_sorts("") == ()
    assert parse_sorts("model") == (Sort("model"),)
    assert parse_sorts("-lastSeen,model") == (Sort("lastSeen", descending=True), Sort("model"))
    assert parse_sorts(",".join(SORTABLE)) == tuple(Sort(name) for name in SORTABLE)


@pytest.mark.parametrize(
    "text",
    ["-", ",", "model,", "modle", "Model", " model", "--model", "+model", "tag", "metadata", "model;drop table", "é"],
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


@pytest.mark.parametrize(
    ("text", "at"), [("modle", 0), ("-modle", 0), ("model,", 6), ("-model,-tags,x", 13), ("notes,model,-notes", 12)]
)
def test_a_wrong_sort_says_where_it_is_wrong(text: str, at: int) -> None:
    with pytest.raises(Malformed) as refused:
        parse_sorts(text)

    assert refused.value.position == at
    assert refused.value.fields["sort"].startswith(f"at character {at + 1}: ")


def test_a_tag_is_a_key_with_a_value_or_with_any() -> None:
    assert parse_tag("floor=3") == Tagged(exactly("floor"), exactly("3"))
    assert parse_tag("floor=") == Tagged(exactly("floor"), exactly(""))
    assert parse_tag("floor") == Tagged(exactly("floor"))
    assert parse_tag("formula=a*=b") == Tagged(exactly("formula"), exactly("a*=b"))


@pytest.mark.parametrize("text", ["", "=", "=3"])
def test_a_tag_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_tag(text)

    assert set(refused.value.fields) == {"tag"}


def test_a_device_that_never_connected_is_neither_online_nor_offline() -> None:
    assert status_of(None) is Status.UNKNOWN
    assert status_of(Presence(True, NOW, "connected")) is Status.ONLINE
    assert status_of(Presence(False, NOW, "timeout")) is Status.OFFLINE


def test_what_devices_report_can_be_sorted_by_where_it_is_set() -> None:
    assert parse_sorts("-twin.reported.temp", sortable(["temp"])) == (Sort("twin.reported.temp", descending=True),)
    with pytest.raises(Malformed):
        parse_sorts("twin.reported.temp", sortable(["mode"]))


def test_paths_have_commas_between_and_keys_dots() -> None:
    assert parse_paths("temp, network.rssi,,temp") == ("temp", "network.rssi")
    assert parse_paths(" , ") == ()
    assert len(parse_paths(",".join(f"p{number}" for number in range(16)))) == 16


@pytest.mark.parametrize(
    "text", ["a b", "a..b", ".a", "a.", "a:b", "é", ",".join("abcdefghijklmnopq"), "a." * 10 + "a"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"path|paths"):
        parse_paths(text)


def test_a_write_is_named_by_device_and_revision() -> None:
    assert parse_written("pump-0007:12") == Written("pump-0007", 12)


@pytest.mark.parametrize(
    "text", ["", "pump-0007", "pump-0007:", ":12", "pump:-1", "pump:1.5", "a:b:1", "pump:" + "9" * 19]
)
def test_what_names_no_write_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_written(text)

    assert set(refused.value.fields) == {"atLeast"}
