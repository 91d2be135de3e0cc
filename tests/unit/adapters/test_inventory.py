"""What the inventory finds, in which order, and how it counts; held against a plain list of everything."""

import json
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest

from functions.adapters.inventory import Inventory
from functions.contract.views import view
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Malformed, Reason
from functions.domain.grammar import parse_query
from functions.domain.inventory import ABSENT, Counts, DeviceQuery, Sort, Status, TwinFacts
from functions.domain.query import All, Condition, Saved, Within, exactly
from functions.domain.sessions import Presence
from functions.testing import START

PATHS = ("temp", "mode")
NOW = START + timedelta(days=10)


def device(number: int, **facts: Any) -> Device:
    return Device(f"EDGB-{number:04d}", START, START, **facts)


def seen(seconds: float, *, online: bool = True) -> Presence:
    return Presence(online, START + timedelta(seconds=seconds), "connected")


@pytest.fixture
def inventory() -> Inventory:
    return Inventory(PATHS)


def asked_for(query: str | Condition) -> Condition:
    return parse_query(query, paths=PATHS) if isinstance(query, str) else query


def ids(inventory: Inventory, query: str | Condition = "", **asked: Any) -> list[str]:
    page = inventory.query(DeviceQuery(asked_for(query), **asked), NOW)
    assert page.total >= len(page.entries)
    return [json.loads(one)["deviceName"] for one in page.entries]


def numbers(inventory: Inventory, query: str | Condition = "", **asked: Any) -> list[int]:
    return [int(name[-4:]) for name in ids(inventory, query, **asked)]


def count(inventory: Inventory, query: str = "", **asked: Any) -> Counts:
    return inventory.count(asked_for(query), NOW, **{"drifted_for": timedelta(), **asked})


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
        metadata={"a": [1, 2.5, None, 2**70, {"é": True}]},
    )
    for presence in (None, Presence(True, START + timedelta(microseconds=5), "connected", "10.0.0.5:4711")):
        for drifted_at in (None, 1):
            inventory.put_device(full)
            inventory.put_presence(full.id, presence)
            inventory.put_twin(full.id, TwinFacts(drifted_at))

            (one,) = inventory.query(DeviceQuery(), NOW).entries

            assert json.loads(one) == json.loads(view(full, presence, in_sync=drifted_at is None).encode())


def test_what_is_told_last_is_what_holds(inventory: Inventory) -> None:
    inventory.put_device(device(1, model="lamp", groups=("house",), tags={"floor": "1"}, name="old"))
    inventory.put_presence("EDGB-0001", seen(0, online=False))
    inventory.put_device(device(1, model="pump", groups=("yard",), tags={"floor": "2"}, name="new"))
    inventory.put_presence("EDGB-0001", seen(1))

    for gone in ("model:lamp", "group:house", "tag:floor=1", "old", "status:offline", "lastSeen<=2035-01-01T12:00:00"):
        assert numbers(inventory, gone) == []
    for held in ("model:pump", "group:yard", "tag:floor=2", "new", "status:online", "lastSeen>2035-01-01T12:00:00"):
        assert numbers(inventory, held) == [1]


def test_presence_may_come_before_its_device_and_outlive_it(inventory: Inventory) -> None:
    inventory.put_presence("EDGB-0001", seen(0))
    assert numbers(inventory) == []
    assert count(inventory).by_status == {}

    inventory.put_device(device(1))
    assert numbers(inventory, "status:online") == [1]
    inventory.drop_device("EDGB-0001")
    assert numbers(inventory, "status:online") == []
    inventory.put_device(device(1))
    assert numbers(inventory, "status:online") == [1]

    inventory.put_presence("EDGB-0001", None)
    assert numbers(inventory, "status:unknown") == [1]
    inventory.drop_device("EDGB-0001")
    inventory.put_presence("EDGB-0001", seen(0))
    inventory.put_presence("EDGB-0001", None)
    inventory.put_device(device(1))
    assert numbers(inventory, "status:unknown") == [1]


def test_what_is_forgotten_twice_or_was_never_known_is_no_matter(inventory: Inventory) -> None:
    for _ in range(2):
        inventory.drop_device("EDGB-0001")
        inventory.put_presence("EDGB-0001", None)

    assert numbers(inventory) == []


def test_nothing_is_left_of_a_device_that_was_removed(inventory: Inventory) -> None:
    for _ in range(3):
        inventory.put_device(device(1, model="lamp", groups=("a",), tags={"b": "c"}))
        inventory.put_presence("EDGB-0001", seen(0))
        inventory.put_twin("EDGB-0001", TwinFacts(1, (3, ABSENT)))
        assert numbers(inventory, "twin.reported.temp:3") == [1]
        inventory.drop_device("EDGB-0001")
        assert count(inventory) == Counts()
        inventory.put_presence("EDGB-0001", None)
        inventory.put_twin("EDGB-0001", TwinFacts())

    assert not vars(inventory)["_numbers"]
    # Its number was given to it again.
    assert len(vars(inventory)["_records"]) == 1
    inventory.put_device(device(2))
    assert numbers(inventory) == [2]
    assert numbers(inventory, "model:lamp OR tag:b OR status:online OR twinInSync:false") == []


def test_what_a_device_reports_of_itself_comes_before_what_its_record_says(inventory: Inventory) -> None:
    def shown() -> tuple[str, str, dict[str, Any]]:
        (one,) = inventory.query(DeviceQuery(), NOW).entries
        view = json.loads(one)
        return view["model"], view["firmware"], view["metadata"]

    own = TwinFacts(own={"model": "pump", "firmware": {"version": "2.0"}, "metadata": {"b": 2}})
    # Whichever comes first.
    inventory.put_twin("EDGB-0001", own)
    inventory.put_device(device(1, model="lamp", firmware="1.0", metadata={"a": 1}))
    assert shown() == ("pump", "2.0", {"a": 1, "b": 2})
    assert numbers(inventory, "model:pump firmware>1.9 pump") == [1]
    inventory.put_device(device(1, model="lamp", firmware="1.1", metadata={"a": 2}))
    assert shown() == ("pump", "2.0", {"a": 2, "b": 2})
    inventory.put_twin("EDGB-0001", TwinFacts())
    assert shown() == ("lamp", "1.1", {"a": 2})
    assert numbers(inventory, "model:pump OR firmware:2.0 OR pump") == []
    inventory.put_twin("EDGB-0001", own)
    assert shown() == ("pump", "2.0", {"a": 2, "b": 2})


# --- What is found


def test_without_a_question_all_are_found_by_id(inventory: Inventory) -> None:
    for number in (3, 1, 2):
        inventory.put_device(device(number))

    assert numbers(inventory) == [1, 2, 3]


def test_a_page_is_part_of_all_that_match(inventory: Inventory) -> None:
    for number in range(10):
        inventory.put_device(device(number, model="lamp"))

    for query in ("", "model:lamp", "edgb"):
        for offset, found in ((4, [4, 5, 6]), (9, [9]), (10, []), (10_000_000, [])):
            page = inventory.query(DeviceQuery(asked_for(query), limit=3, offset=offset), NOW)
            assert page.total == 10
            assert [json.loads(one)["deviceName"] for one in page.entries] == [device(number).id for number in found]
    assert inventory.query(DeviceQuery(asked_for("nothing")), NOW).total == 0


def test_id_name_role_model_and_tags_are_searched_in_either_case(inventory: Inventory) -> None:
    inventory.put_device(device(1, name="Straße Nord"))
    inventory.put_device(device(2, role="GATEWAY"))
    inventory.put_device(device(3, model="Edge-3", tags={"Floor": "Attic"}))

    assert numbers(inventory, "STRASSE") == [1]
    assert numbers(inventory, "gate") == [2]
    assert numbers(inventory, "b-0003") == [3]
    assert numbers(inventory, "edge") == [3]
    assert numbers(inventory, '"floor=att"') == [3]
    assert numbers(inventory, "str*nord") == [1]


@pytest.mark.parametrize("text", ["%", "_", "\\", "100%_\\", "'", '"', "*", "\n", "\x00", "\x1f", "\U0010ffff"])
def test_signs_stand_for_themselves(inventory: Inventory, text: str) -> None:
    inventory.put_device(device(1, name=f"a{text}b", model=text, groups=(text,), tags={"t": text}))
    inventory.put_device(device(2, name="ab", role="100 x"))
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')

    for query in (f'"{quoted}"', f'model:"{quoted}"', f'group:"{quoted}"', f'tag:t="{quoted}"', f'name:"a{quoted}b"'):
        assert numbers(inventory, query) == [1]


def test_a_text_does_not_reach_from_one_field_into_the_next(inventory: Inventory) -> None:
    inventory.put_device(device(1, name="door", role="gate"))

    for text in ("doorgate", "door\ngate", "door gate", "door\x00gate", "door\x1fgate"):
        assert numbers(inventory, Within(exactly(text))) == []


def test_a_model_is_asked_for_as_it_is_written_and_also_for_none(inventory: Inventory) -> None:
    inventory.put_device(device(1, model="Lamp"))
    inventory.put_device(device(2))

    assert numbers(inventory, "model:Lamp") == [1]
    assert numbers(inventory, "model:lamp") == []
    assert numbers(inventory, 'model:""') == [2]
    assert numbers(inventory, "model:*") == [1]
    assert numbers(inventory, "-model:*") == [2]


def test_a_tag_is_asked_for_with_its_value_or_with_any(inventory: Inventory) -> None:
    inventory.put_device(device(1, tags={"floor": "1", "side": "left"}))
    inventory.put_device(device(2, tags={"floor": "2"}))
    inventory.put_device(device(3, tags={"floor": ""}))

    assert numbers(inventory, "tag:floor") == [1, 2, 3]
    assert numbers(inventory, "tag:floor=1") == [1]
    assert numbers(inventory, "tag:floor=") == [3]
    assert numbers(inventory, "tag:floor tag:side=left") == [1]
    assert numbers(inventory, "tag:1") == []
    assert numbers(inventory, "tag:f*=*") == [1, 2, 3]
    assert numbers(inventory, "-tag:side") == [2, 3]


def test_of_several_groups_a_device_is_in_each(inventory: Inventory) -> None:
    inventory.put_device(device(1, groups=("a", "b", "a")))
    inventory.put_device(device(2, groups=("a",)))

    assert numbers(inventory, "group:a") == [1, 2]
    assert numbers(inventory, "group:a group:b") == [1]
    assert numbers(inventory, "group:a group:c") == []


def test_a_device_seen_at_a_time_was_seen_neither_after_nor_before_it(inventory: Inventory) -> None:
    for number in (1, 2, 3):
        inventory.put_device(device(number, model="lamp"))
        inventory.put_presence(f"EDGB-{number:04d}", seen(number))
    inventory.put_device(device(4, model="lamp"))

    for more in ("", " model:lamp"):
        assert numbers(inventory, f"lastSeen>2035-01-01T12:00:02{more}") == [3]
        assert numbers(inventory, f"lastSeen>=2035-01-01T12:00:02{more}") == [2, 3]
        assert numbers(inventory, f"lastSeen<2035-01-01T12:00:02{more}") == [1]
        assert numbers(inventory, f"lastSeen<=2035-01-01T12:00:02{more}") == [1, 2]
        assert numbers(inventory, f"lastSeen>0001-01-01{more}") == [1, 2, 3]
        assert numbers(inventory, f"-lastSeen<9999-12-31{more}") == [4]


def test_an_age_is_compared_as_an_age(inventory: Inventory) -> None:
    for number, age in ((1, timedelta(days=6)), (2, timedelta(days=7)), (3, timedelta(days=8))):
        inventory.put_device(device(number))
        inventory.put_presence(f"EDGB-{number:04d}", Presence(True, NOW - age, "connected"))
    inventory.put_device(device(4))

    assert numbers(inventory, "lastSeen<7d") == [1]
    assert numbers(inventory, "lastSeen<=7d") == [1, 2]
    assert numbers(inventory, "lastSeen>1w") == [3]
    assert numbers(inventory, "lastSeen>=168h") == [2, 3]
    assert numbers(inventory, "lastSeen<999999w") == [1, 2, 3]


def test_firmware_compares_as_versions(inventory: Inventory) -> None:
    for number, firmware in enumerate(("1.9", "1.10", "1.4.0", "1.4-rc.1", ""), start=1):
        inventory.put_device(device(number, firmware=firmware))

    assert numbers(inventory, "firmware>1.9") == [2]
    assert numbers(inventory, "firmware<1.4") == [4]
    assert numbers(inventory, "firmware>=1.4 firmware<=1.4") == [3]
    assert numbers(inventory, "firmware:1.4") == []
    assert numbers(inventory, "firmware:1.4*") == [3, 4]
    assert numbers(inventory, sorts=(Sort("firmware"),)) == [5, 4, 3, 1, 2]


def test_what_a_device_reports_compares_with_its_like(inventory: Inventory) -> None:
    reported = (30, 31.5, "30", True, None, [1], {"a": 1}, ABSENT, -4)
    for number, value in enumerate(reported, start=1):
        inventory.put_device(device(number))
        inventory.put_twin(f"EDGB-{number:04d}", TwinFacts(None, (value, ABSENT)))

    assert numbers(inventory, "twin.reported.temp>30") == [2]
    assert numbers(inventory, "twin.reported.temp>=30") == [1, 2]
    assert numbers(inventory, "twin.reported.temp<31") == [1, 9]
    assert numbers(inventory, "twin.reported.temp:30") == [1, 3]
    assert numbers(inventory, 'twin.reported.temp:"30"') == [3]
    assert numbers(inventory, 'twin.reported.temp<"4"') == [3]
    assert numbers(inventory, "twin.reported.temp:3*") == [3]
    assert numbers(inventory, "twin.reported.temp:true") == [4]
    assert numbers(inventory, "twin.reported.temp:null") == [5]
    assert numbers(inventory, "twin.reported.temp:*") == [1, 2, 3, 4, 5, 6, 7, 9]
    assert numbers(inventory, "twin.reported.mode:*") == []
    assert numbers(inventory, sorts=(Sort("twin.reported.temp"),)) == [8, 4, 9, 1, 2, 3, 5, 6, 7]


def test_twins_out_of_sync_are_found_by_how_long_they_have_been(inventory: Inventory) -> None:
    for number, hours in ((1, 1), (2, 3)):
        inventory.put_device(device(number))
        inventory.put_twin(f"EDGB-{number:04d}", TwinFacts(int((NOW - timedelta(hours=hours)).timestamp() * 1000)))
    inventory.put_device(device(3))

    assert numbers(inventory, "twinInSync:false") == [1, 2]
    assert numbers(inventory, "twinInSync:true") == [3]
    assert numbers(inventory, "outOfSync>2h") == [2]
    assert count(inventory).out_of_sync == 2
    assert count(inventory, drifted_for=timedelta(hours=2)).out_of_sync == 1
    assert numbers(inventory, sorts=(Sort("twinInSync"),)) == [1, 2, 3]


def test_retired_devices_are_found_by_who_asks_for_a_lifecycle(inventory: Inventory) -> None:
    for number, lifecycle in enumerate(Lifecycle, start=1):
        inventory.put_device(device(number, lifecycle=lifecycle))

    assert numbers(inventory) == [1, 2]
    assert numbers(inventory, "-pump") == [1, 2]
    assert numbers(inventory, "lifecycle:retired") == [3]
    assert numbers(inventory, "lifecycle:*") == [1, 2, 3]
    assert numbers(inventory, "-lifecycle:active") == [2, 3]


# --- Groups that are questions


def test_a_group_is_those_who_name_it_and_those_for_whom_its_question_holds(inventory: Inventory) -> None:
    inventory.put_device(device(1, model="lamp"))
    inventory.put_device(device(2, groups=("lamps",)))
    inventory.put_device(device(3))
    inventory.put_group("lamps", Saved(asked_for("model:lamp")))

    assert numbers(inventory, "group:lamps") == [1, 2]
    assert numbers(inventory, "group:la*") == [1, 2]
    assert numbers(inventory, "-group:lamps") == [3]
    assert inventory.group_sizes(NOW) == {"lamps": 2}
    assert inventory.members("lamps") == 1
    assert count(inventory).by_group == {"lamps": 2}
    inventory.put_group("lamps", None)
    assert numbers(inventory, "group:lamps") == [2]


def test_the_question_of_a_group_sees_only_what_records_name(inventory: Inventory) -> None:
    inventory.put_device(device(1, groups=("a",)))
    inventory.put_device(device(2, model="lamp"))
    inventory.put_group("a", Saved(asked_for("group:b OR model:lamp")))
    inventory.put_group("b", Saved(asked_for("group:a")))

    assert numbers(inventory, "group:a") == [1, 2]
    assert numbers(inventory, "group:b") == [1]


def test_a_group_may_be_of_retired_devices(inventory: Inventory) -> None:
    inventory.put_device(device(1, lifecycle=Lifecycle.RETIRED))
    inventory.put_group("gone", Saved(asked_for("lifecycle:retired")))

    assert numbers(inventory, "group:gone") == [1]
    assert inventory.group_sizes(NOW) == {"gone": 1}


def test_a_group_whose_question_cannot_be_answered_says_so_when_it_is_asked_for(inventory: Inventory) -> None:
    inventory.put_device(device(1, groups=("a",)))
    inventory.put_group("a", Saved(wrong="no such path"))

    with pytest.raises(Malformed, match="'a' cannot be answered now: no such path"):
        numbers(inventory, "group:a")
    assert inventory.group_sizes(NOW) == {"a": 1}
    assert count(inventory).by_group == {"a": 1}
    assert numbers(inventory, "group:b") == []


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


def some(inventory: Inventory) -> None:
    inventory.put_device(device(1, model="lamp", groups=("house", "yard"), tags={"floor": "1"}))
    inventory.put_device(device(2, model="lamp", groups=("house",), tags={"floor": "2"}))
    inventory.put_device(device(3))
    inventory.put_device(device(4, model="lamp", groups=("house",), lifecycle=Lifecycle.RETIRED))
    inventory.put_presence("EDGB-0001", seen(1))
    inventory.put_presence("EDGB-0002", seen(1, online=False))


def test_counts_are_of_all_devices_but_the_retired(inventory: Inventory) -> None:
    some(inventory)

    assert count(inventory) == Counts(
        total=3,
        by_status={Status.ONLINE: 1, Status.OFFLINE: 1, Status.UNKNOWN: 1},
        by_group={"house": 2, "yard": 1},
        by_model={"lamp": 2},
        by_tag={"floor=1": 1, "floor=2": 1},
        retired=1,
    )


def test_counts_are_of_those_who_are_asked_for(inventory: Inventory) -> None:
    some(inventory)

    counts = count(inventory, "tag:floor status:online")

    assert (counts.total, counts.by_status, counts.by_tag) == (1, {Status.ONLINE: 1}, {"floor=1": 1})
    assert (counts.by_group, counts.by_model) == ({"house": 1, "yard": 1}, {"lamp": 1})


def test_the_largest_counts_come_first_where_not_all_are_wanted(inventory: Inventory) -> None:
    for number in range(20):
        inventory.put_device(device(number, groups=tuple(f"g{n}" for n in range(number))))

    assert list(count(inventory, most=2).by_group.items()) == [("g0", 19), ("g1", 18)]


def test_an_empty_inventory_counts_nothing(inventory: Inventory) -> None:
    assert count(inventory) == Counts()
    assert inventory.query(DeviceQuery(All()), NOW).total == 0


COSTLY = "name:*a*a*b OR name:*b*a*a*"


def large(most_seconds: float) -> Inventory:
    inventory = Inventory(most_seconds=most_seconds)
    for number in range(20_000):
        inventory.put_device(device(number, name="a" * 120, tags={"t": f"a{number}"}))
    deque(chain(inventory.settle(), inventory.learn()), maxlen=0)
    return inventory


def test_a_question_that_would_take_too_long_is_given_up_and_others_are_answered() -> None:
    inventory, patient = large(0.02), large(60.0)
    costly = DeviceQuery(parse_query(COSTLY))

    began = time.thread_time()
    with pytest.raises(Malformed) as refused:
        inventory.query(costly, NOW)
    took = time.thread_time() - began

    assert refused.value.reason is Reason.QUERY_TOO_COSTLY
    # It ends a step of some milliseconds after its time; the whole takes many times as long.
    began = time.thread_time()
    patient.query(costly, NOW)
    assert took < (time.thread_time() - began) / 2
    # Nothing that was found half is remembered.
    with pytest.raises(Malformed):
        inventory.query(costly, NOW)
    assert inventory.query(DeviceQuery(parse_query("id:EDGB-0007"), limit=5), NOW).total == 1


def test_groups_share_the_time_of_one_question_and_the_costly_one_is_named() -> None:
    inventory = large(0.02)
    for number in range(20):
        inventory.put_group(f"g-{number}", Saved(parse_query(COSTLY)))

    asks: tuple[Callable[[], object], ...] = (
        lambda: inventory.group_sizes(NOW),
        lambda: inventory.count(All(), NOW, drifted_for=timedelta()),
        lambda: inventory.query(DeviceQuery(parse_query("group:*")), NOW),
        lambda: inventory.group_size("new", Saved(parse_query(COSTLY)), NOW),
    )
    for ask in asks:
        with pytest.raises(Malformed) as refused:
            ask()
        assert refused.value.reason is Reason.QUERY_TOO_COSTLY
    with pytest.raises(Malformed, match="'g-0'"):
        inventory.group_sizes(NOW)
