"""What the inventory finds, in which order, and how it counts; held against a plain list of everything."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.adapters import inventory as module
from functions.adapters.inventory import Inventory
from functions.contract.views import view
from functions.domain.devices import Device, Lifecycle
from functions.domain.inventory import SORTABLE, DeviceQuery, Sort, Status, Tag, status_of
from functions.domain.sessions import Presence
from functions.testing import START


def device(number: int, **facts: Any) -> Device:
    return Device(f"EDGB-{number:04d}", START, START, **facts)


def seen(seconds: float, *, online: bool = True) -> Presence:
    return Presence(online, START + timedelta(seconds=seconds), "connected")


@pytest.fixture
def inventory() -> Iterator[Inventory]:
    inventory = Inventory()
    yield inventory
    inventory.close()


def ids(inventory: Inventory, **asked: Any) -> list[str]:
    page = inventory.query(DeviceQuery(**asked))
    assert page.total >= len(page.views)
    return [json.loads(one)["deviceName"] for one in page.views]


def numbers(inventory: Inventory, **asked: Any) -> list[int]:
    return [int(name[-4:]) for name in ids(inventory, **asked)]


# --- What comes in


def test_a_device_is_listed_as_it_is_shown(inventory: Inventory) -> None:
    full = device(
        1,
        certificate="0a1b",
        fingerprint="ff" * 32,
        not_after=START + timedelta(days=1),
        name="Straße \u2028\x00",
        role="lamp-1",
        groups=("house", "lamps"),
        tags={"floor": "1"},
        model="lamp",
        firmware="1.2.3",
        metadata={"a": [1, 2.5, None, {"é": True}]},
    )
    for presence in (None, Presence(True, START + timedelta(microseconds=5), "connected", "10.0.0.5:4711")):
        inventory.put_device(full)
        if presence is not None:
            inventory.put_presence(full.id, presence)

        (one,) = inventory.query(DeviceQuery()).views

        assert json.loads(one) == json.loads(view(full, presence).encode())


def test_what_is_told_last_is_what_holds(inventory: Inventory) -> None:
    inventory.put_device(device(1, model="lamp", groups=("house",), tags={"floor": "1"}, name="old"))
    inventory.put_presence("EDGB-0001", seen(0, online=False))
    inventory.put_device(device(1, model="pump", groups=("yard",), tags={"floor": "2"}, name="new"))
    inventory.put_presence("EDGB-0001", seen(1))

    for gone in (
        {"model": "lamp"}, {"groups": ("house",)}, {"tags": (Tag("floor", "1"),)}, {"text": "old"},
        {"status": Status.OFFLINE}, {"seen_before": START + timedelta(seconds=1)},
    ):  # fmt: skip
        assert numbers(inventory, **gone) == []
    for held in (
        {"model": "pump"}, {"groups": ("yard",)}, {"tags": (Tag("floor", "2"),)}, {"text": "new"},
        {"status": Status.ONLINE}, {"seen_after": START},
    ):  # fmt: skip
        assert numbers(inventory, **held) == [1]


def test_presence_may_come_before_its_device_and_outlive_it(inventory: Inventory) -> None:
    inventory.put_presence("EDGB-0001", seen(0))
    assert numbers(inventory) == []
    assert inventory.count().by_status == {}

    inventory.put_device(device(1))
    assert numbers(inventory, status=Status.ONLINE) == [1]
    inventory.drop_device("EDGB-0001")
    assert numbers(inventory, status=Status.ONLINE) == []
    inventory.put_device(device(1))
    assert numbers(inventory, status=Status.ONLINE) == [1]

    inventory.drop_presence("EDGB-0001")
    assert numbers(inventory, status=Status.UNKNOWN) == [1]
    inventory.drop_device("EDGB-0001")
    inventory.put_presence("EDGB-0001", seen(0))
    inventory.drop_presence("EDGB-0001")
    inventory.put_device(device(1))
    assert numbers(inventory, status=Status.UNKNOWN) == [1]


def test_what_is_forgotten_twice_or_was_never_known_is_no_matter(inventory: Inventory) -> None:
    for _ in range(2):
        inventory.drop_device("EDGB-0001")
        inventory.drop_presence("EDGB-0001")

    assert numbers(inventory) == []


def test_nothing_is_left_of_a_device_that_was_removed(inventory: Inventory) -> None:
    before = repr(vars(inventory)["_having"])
    inventory.put_device(device(1, model="lamp", groups=("a",), tags={"b": "c"}))
    inventory.drop_device("EDGB-0001")

    assert repr(vars(inventory)["_having"]) == before
    assert not vars(inventory)["_entries"]
    assert not vars(inventory)["_numbers"]


# --- What is found


def test_without_a_question_all_are_found_by_id(inventory: Inventory) -> None:
    for number in (3, 1, 2):
        inventory.put_device(device(number))

    assert numbers(inventory) == [1, 2, 3]


def test_a_page_is_part_of_all_that_match(inventory: Inventory) -> None:
    for number in range(10):
        inventory.put_device(device(number, model="lamp"))

    for asked in (DeviceQuery(limit=3), DeviceQuery(limit=3, model="lamp"), DeviceQuery(limit=3, text="edgb")):
        for offset, found in ((4, [4, 5, 6]), (9, [9]), (10, []), (10_000_000, [])):
            page = inventory.query(replace(asked, offset=offset))
            assert page.total == 10
            assert [json.loads(one)["deviceName"] for one in page.views] == [device(number).id for number in found]
    assert inventory.query(DeviceQuery(text="nothing like it")).total == 0


def test_id_name_and_role_are_searched_in_either_case(inventory: Inventory) -> None:
    inventory.put_device(device(1, name="Straße Nord"))
    inventory.put_device(device(2, role="GATEWAY"))
    inventory.put_device(device(3))

    assert numbers(inventory, text="STRASSE") == [1]
    assert numbers(inventory, text="gate") == [2]
    assert numbers(inventory, text="b-0003") == [3]


@pytest.mark.parametrize("text", ["%", "_", "\\", "100%_\\", "'", '"', "*", "\n", "\x00", "\x1f", "\U0010ffff"])
def test_signs_stand_for_themselves(inventory: Inventory, text: str) -> None:
    inventory.put_device(device(1, name=f"a{text}b", model=text, groups=(text,), tags={"t": text}))
    inventory.put_device(device(2, name="ab", role="100 x"))

    for asked in ({"text": text}, {"model": text}, {"groups": (text,)}, {"tags": (Tag("t", text),)}):
        assert numbers(inventory, **asked) == [1]


def test_a_text_does_not_reach_from_one_field_into_the_next(inventory: Inventory) -> None:
    inventory.put_device(device(1, name="door", role="gate"))

    for text in ("doorgate", "door\ngate", "door gate", "door\x00gate"):
        assert numbers(inventory, text=text) == []


def test_a_model_is_asked_for_as_it_is_written_and_also_for_none(inventory: Inventory) -> None:
    inventory.put_device(device(1, model="Lamp"))
    inventory.put_device(device(2))

    assert numbers(inventory, model="Lamp") == [1]
    assert numbers(inventory, model="lamp") == []
    assert numbers(inventory, model="") == [2]


def test_a_tag_is_asked_for_with_its_value_or_with_any(inventory: Inventory) -> None:
    inventory.put_device(device(1, tags={"floor": "1", "side": "left"}))
    inventory.put_device(device(2, tags={"floor": "2"}))
    inventory.put_device(device(3, tags={"floor": ""}))

    assert numbers(inventory, tags=(Tag("floor"),)) == [1, 2, 3]
    assert numbers(inventory, tags=(Tag("floor", "1"),)) == [1]
    assert numbers(inventory, tags=(Tag("floor", ""),)) == [3]
    assert numbers(inventory, tags=(Tag("floor"), Tag("side", "left"))) == [1]
    assert numbers(inventory, tags=(Tag("1"),)) == []


def test_of_several_groups_a_device_is_in_each(inventory: Inventory) -> None:
    inventory.put_device(device(1, groups=("a", "b", "a")))
    inventory.put_device(device(2, groups=("a",)))

    assert numbers(inventory, groups=("a",)) == [1, 2]
    assert numbers(inventory, groups=("a", "b")) == [1]
    assert numbers(inventory, groups=("a", "c")) == []


def test_a_device_seen_at_a_time_was_seen_neither_after_nor_before_it(inventory: Inventory) -> None:
    for number in (1, 2, 3):
        inventory.put_device(device(number, model="lamp"))
        inventory.put_presence(f"EDGB-{number:04d}", seen(number))
    inventory.put_device(device(4, model="lamp"))
    at = START + timedelta(seconds=2)

    for more in ({}, {"model": "lamp"}):
        assert numbers(inventory, seen_after=at, **more) == [3]
        assert numbers(inventory, seen_before=at, **more) == [1]
        assert numbers(inventory, seen_after=START, seen_before=at, **more) == [1]
        assert numbers(inventory, seen_after=at, seen_before=START, **more) == []
        assert numbers(inventory, seen_after=datetime.min.replace(tzinfo=UTC), **more) == [1, 2, 3]
        assert numbers(inventory, seen_before=datetime.max.replace(tzinfo=UTC), **more) == [1, 2, 3]


# --- In which order


def test_what_a_device_lacks_comes_first_and_last_the_other_way(inventory: Inventory) -> None:
    inventory.put_device(device(1, role="b"))
    inventory.put_device(device(2))
    inventory.put_device(device(3, role="A"))

    assert numbers(inventory, sorts=(Sort("role"),)) == [2, 3, 1]
    assert numbers(inventory, sorts=(Sort("role", descending=True),)) == [1, 3, 2]


def test_equals_go_by_id_in_the_direction_of_the_last_field(inventory: Inventory) -> None:
    for number, model in ((1, "a"), (2, "b"), (3, "a")):
        inventory.put_device(device(number, model=model, firmware="1"))

    assert numbers(inventory, sorts=(Sort("model"),)) == [1, 3, 2]
    assert numbers(inventory, sorts=(Sort("model", descending=True),)) == [2, 3, 1]
    assert numbers(inventory, sorts=(Sort("firmware"), Sort("model", descending=True))) == [2, 3, 1]
    assert numbers(inventory, sorts=(Sort("firmware", descending=True), Sort("model"))) == [1, 3, 2]


# --- How many


def test_counts_are_of_all_devices(inventory: Inventory) -> None:
    inventory.put_device(device(1, model="lamp", groups=("house", "yard")))
    inventory.put_device(device(2, model="lamp", groups=("house",)))
    inventory.put_device(device(3, lifecycle=Lifecycle.RETIRED))
    inventory.put_presence("EDGB-0001", seen(1))
    inventory.put_presence("EDGB-0002", seen(1, online=False))

    counts = inventory.count()

    assert counts.by_status == {Status.ONLINE: 1, Status.OFFLINE: 1, Status.UNKNOWN: 1}
    assert counts.by_group == {"house": 2, "yard": 1}
    assert counts.by_model == {"lamp": 2}


def test_an_empty_inventory_counts_nothing(inventory: Inventory) -> None:
    counts = inventory.count()

    assert (counts.by_status, counts.by_group, counts.by_model) == ({}, {}, {})


# --- Against a plain list of everything

NAMES = st.sampled_from(["", "alpha", "Beta", "ALPHA 2", "Straße"])
DEVICES = st.builds(
    Device,
    id=st.integers(1, 40).map(lambda number: f"EDGB-{number:04d}"),
    created_at=st.integers(0, 5).map(lambda days: START + timedelta(days=days)),
    updated_at=st.integers(0, 5).map(lambda days: START + timedelta(days=days)),
    lifecycle=st.sampled_from(Lifecycle),
    name=NAMES,
    role=st.none() | st.sampled_from(["r1", "R2", "alpha"]),
    groups=st.lists(st.sampled_from("abc"), max_size=3).map(tuple),
    tags=st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2"])),
    model=st.sampled_from(["", "lamp", "Pump"]),
    firmware=st.sampled_from(["", "1.0", "2.0"]),
)
PRESENCES = st.builds(
    Presence,
    online=st.booleans(),
    at=st.integers(0, 9).map(lambda seconds: START + timedelta(seconds=seconds)),
    evidence=st.just("connected"),
)
TIMES = st.none() | st.integers(-1, 10).map(lambda seconds: START + timedelta(seconds=seconds))
QUERIES = st.builds(
    DeviceQuery,
    text=st.sampled_from(["", "", "alpha", "EDGB-00", "3", "ss"]),
    status=st.none() | st.sampled_from(Status),
    model=st.none() | st.sampled_from(["", "lamp", "Pump"]),
    groups=st.lists(st.sampled_from("abc"), max_size=2).map(tuple),
    tags=st.lists(st.builds(Tag, st.sampled_from(["k", "l"]), st.none() | st.sampled_from(["1", "2"])), max_size=2).map(
        tuple
    ),
    seen_after=TIMES,
    seen_before=TIMES,
    sorts=st.lists(
        st.builds(Sort, st.sampled_from(SORTABLE), st.booleans()), max_size=3, unique_by=lambda sort: sort.field
    ).map(tuple),
    limit=st.integers(1, 20),
    offset=st.integers(0, 20),
)
KEYS: dict[str, Callable[[Device, Presence | None], Any]] = {
    "deviceId": lambda one, _: (one.role or one.id).casefold(),
    "deviceName": lambda one, _: one.id.casefold(),
    "displayName": lambda one, _: (one.name or one.id).casefold(),
    "role": lambda one, _: (one.role is not None, (one.role or "").casefold()),
    "status": lambda _, presence: status_of(presence),
    "lastSeen": lambda _, presence: (presence is not None, presence.at if presence else None),
    "model": lambda one, _: one.model.casefold(),
    "firmware": lambda one, _: one.firmware.casefold(),
    "lifecycle": lambda one, _: one.lifecycle,
    "createdAt": lambda one, _: one.created_at,
    "updatedAt": lambda one, _: one.updated_at,
}


def is_wanted(one: Device, presence: Presence | None, wanted: DeviceQuery) -> bool:
    text = wanted.text.casefold()
    return (
        any(text in field.casefold() for field in (one.id, one.name, one.role or ""))
        and wanted.status in (None, status_of(presence))
        and wanted.model in (None, one.model)
        and set(wanted.groups) <= set(one.groups)
        and all(tag.key in one.tags and tag.value in (None, one.tags[tag.key]) for tag in wanted.tags)
        and (wanted.seen_after is None or (presence is not None and presence.at > wanted.seen_after))
        and (wanted.seen_before is None or (presence is not None and presence.at < wanted.seen_before))
    )


def expected(devices: dict[str, Device], presences: dict[str, Presence], wanted: DeviceQuery) -> list[str]:
    found = [one for one in devices.values() if is_wanted(one, presences.get(one.id), wanted)]
    found.sort(key=lambda one: one.id, reverse=bool(wanted.sorts) and wanted.sorts[-1].descending)
    for sort in reversed(wanted.sorts):
        key = KEYS[sort.field]
        # Stable both ways: a sort that is turned round keeps what was before it among equals.
        found.sort(key=lambda one, key=key: key(one, presences.get(one.id)), reverse=sort.descending)  # type: ignore[misc]
    return [one.id for one in found]


@pytest.mark.parametrize("sorting", [0, module._SORTING, 10**6], ids=["sorts", "chooses", "passes by"])
@settings(deadline=None, max_examples=150)
@given(devices=st.lists(DEVICES, max_size=40), presences=st.dictionaries(st.integers(1, 40), PRESENCES), wanted=QUERIES)
def test_every_question_is_answered_as_a_plain_list_answers_it(
    sorting: int, devices: list[Device], presences: dict[int, Presence], wanted: DeviceQuery
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Each way to a page, wherever it would be the longer one.
        patch.setattr(module, "_SORTING", sorting)
        inventory = Inventory()
        told = {f"EDGB-{number:04d}": presence for number, presence in presences.items()}
        for key, presence in told.items():
            inventory.put_presence(key, presence)
        for one in devices:
            inventory.put_device(replace(one, model="before", tags={"k": "before"}))
            inventory.put_device(one)
        everything = {one.id: one for one in devices}

        all_that_match = expected(everything, told, wanted)

        assert inventory.query(wanted).total == len(all_that_match)
        assert (
            ids(inventory, **{name: getattr(wanted, name) for name in wanted.__slots__})
            == (all_that_match[wanted.offset : wanted.offset + wanted.limit])
        )
        assert inventory.count().by_status == Counter(status_of(told.get(name)) for name in everything)
        inventory.close()
