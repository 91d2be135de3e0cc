"""Every question is answered as a slow and obviously right filter over a plain list answers it."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from operator import eq, ge, gt, le, lt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.adapters import orders, texts
from functions.adapters.inventory import Inventory
from functions.domain.devices import Device, Lifecycle
from functions.domain.inventory import ABSENT, SORTABLE, DeviceQuery, Sort, Status, TwinFacts, sortable, status_of
from functions.domain.query import (
    REPORTED,
    All,
    AnyOf,
    Compare,
    Condition,
    Is,
    Not,
    Pattern,
    Saved,
    Sign,
    Tagged,
    Within,
    conditions,
    names,
)
from functions.domain.sessions import Presence
from functions.domain.traits import traits
from functions.domain.versions import version_of
from functions.testing import START

PATHS = ("temp", "mode")
NOW = START + timedelta(seconds=20)


@dataclass(frozen=True)
class One:
    """All there is to know of a device."""

    device: Device
    presence: Presence | None
    twin: TwinFacts

    @classmethod
    def of(cls, device: Device, presence: Presence | None, twin: TwinFacts) -> "One":
        known = traits(device, twin.own)
        return cls(replace(device, model=known.model, firmware=known.firmware), presence, twin)

    @property
    def in_sync(self) -> bool:
        return self.twin.drifted_at is None


# --- The slow filter


def holds(where: Condition, one: One, saved: dict[str, Saved]) -> bool:
    device = one.device
    match where:
        case All(parts):
            return all(holds(part, one, saved) for part in parts)
        case AnyOf(parts):
            return any(holds(part, one, saved) for part in parts)
        case Not(part):
            return not holds(part, one, saved)
        case Within(pattern):
            tags = [f"{key}={value}" for key, value in device.tags.items()]
            fields = [device.id, device.name, device.role or "", device.model, *tags]
            return any(found_in(pattern.folded(), field.casefold()) for field in fields)
        case Tagged(key, value):
            return any(like(key, known) and (value is None or like(value, held)) for known, held in device.tags.items())
        case Is(field, pattern):
            return is_so(field, pattern, one, saved)
        case Compare(field, sign, value):
            return compares(value_of(field, one), sign, value)
    raise AssertionError(where)


def is_so(field: str, pattern: Pattern, one: One, saved: dict[str, Saved]) -> bool:
    device = one.device
    texts: Iterable[str]
    match field:
        case "group":
            asked = [kept.where for name, kept in saved.items() if like(pattern, name)]
            return any(like(pattern, group) for group in device.groups) or any(holds(each, one, {}) for each in asked)
        case "id":
            texts = [device.id.casefold()]
        case "name":
            texts = [(device.name or device.id).casefold()]
        case "role":
            texts = [] if device.role is None else [device.role.casefold()]
        case "model" | "firmware":
            texts = [getattr(device, field)]
        case "status":
            texts = [status_of(one.presence)]
        case "lifecycle":
            texts = [device.lifecycle]
        case "twinInSync":
            texts = ["true" if one.in_sync else "false"]
        case _:
            value = value_of(field, one)
            if pattern.is_any:
                return value is not ABSENT
            texts = [value] if isinstance(value, str) else []
    pattern = pattern.folded() if field in ("id", "name", "role") else pattern
    return any(like(pattern, text) and (bool(text) or pattern.is_exact) for text in texts)


def value_of(field: str, one: One) -> Any:
    if field.startswith(REPORTED):
        return one.twin.reported[PATHS.index(field.removeprefix(REPORTED))]
    match field:
        case "firmware":
            version = version_of(one.device.firmware)
            return ABSENT if version is None else version
        case "lastSeen":
            return one.presence.at if one.presence else ABSENT
        case "createdAt":
            return one.device.created_at
        case "updatedAt":
            return one.device.updated_at
        case "outOfSync":
            at = one.twin.drifted_at
            return ABSENT if at is None else START + timedelta(milliseconds=at - START.timestamp() * 1000)
    raise AssertionError(field)


def compares(value: Any, sign: Sign, wanted: Any) -> bool:
    if isinstance(wanted, timedelta):
        value, wanted = (value if value is ABSENT else NOW - value), wanted
    if value is ABSENT or kind_of(value) != kind_of(wanted):
        return False
    ways: dict[Sign, Callable[[Any, Any], bool]] = {
        Sign.EQUAL: eq,
        Sign.LESS: lt,
        Sign.AT_MOST: le,
        Sign.MORE: gt,
        Sign.AT_LEAST: ge,
    }
    return ways[sign](value, wanted)


def kind_of(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def like(pattern: Pattern, text: str) -> bool:
    """Whether a text is pieces with anything between, by trying every way."""
    first, *rest = pattern.pieces
    if not rest:
        return text == first
    return text.startswith(first) and any(
        like(Pattern(("", *rest[1:])) if not rest[0] else Pattern(tuple(rest)), text[begin:])
        if rest[0] or len(rest) > 1
        else True
        for begin in range(len(first), len(text) + 1)
    )


def found_in(pattern: Pattern, text: str) -> bool:
    return like(Pattern(("", *pattern.pieces, "")), text) if any(pattern.pieces) else True


# --- The slow order

KEYS: dict[str, Callable[[One], Any]] = {
    "deviceId": lambda one: (one.device.role or one.device.id).casefold(),
    "deviceName": lambda one: one.device.id.casefold(),
    "id": lambda one: one.device.id.casefold(),
    "displayName": lambda one: (one.device.name or one.device.id).casefold(),
    "name": lambda one: (one.device.name or one.device.id).casefold(),
    "role": lambda one: (one.device.role is not None, (one.device.role or "").casefold()),
    "groups": lambda one: sorted({group.casefold() for group in one.device.groups}),
    "tags": lambda one: sorted({f"{key}={value}".casefold() for key, value in one.device.tags.items()}),
    "notes": lambda one: one.device.notes[:256].casefold(),
    "status": lambda one: status_of(one.presence),
    "lastSeen": lambda one: (one.presence is not None, one.presence.at if one.presence else None),
    "model": lambda one: one.device.model.casefold(),
    "firmware": lambda one: version_of(one.device.firmware) or (),
    "lifecycle": lambda one: one.device.lifecycle,
    "createdAt": lambda one: one.device.created_at,
    "updatedAt": lambda one: one.device.updated_at,
    "twinInSync": lambda one: one.in_sync,
    "twin.reported.temp": lambda one: rank(one.twin.reported[0]),
    "twin.reported.mode": lambda one: rank(one.twin.reported[1]),
}


def rank(value: Any) -> tuple[Any, ...]:
    """What is nothing, then truth values, numbers, texts, null, and all else alike."""
    if value is ABSENT:
        return (-1,)
    if isinstance(value, bool):
        return (0, value)
    if isinstance(value, int | float):
        return (1, value)
    return (2, value) if isinstance(value, str) else (3,) if value is None else (4,)


def expected(fleet: list[One], wanted: DeviceQuery, saved: dict[str, Saved]) -> list[str]:
    groups = [one.pattern for one in conditions(wanted.where) if isinstance(one, Is) and one.field == "group"]
    asked = [one.where for name, one in saved.items() if any(like(pattern, name) for pattern in groups)]
    asked.append(wanted.where)
    is_hiding = not any(names(where, "lifecycle") for where in asked)
    found = [
        one
        for one in fleet
        if holds(wanted.where, one, saved) and not (is_hiding and one.device.lifecycle is Lifecycle.RETIRED)
    ]
    found.sort(key=lambda one: one.device.id, reverse=bool(wanted.sorts) and wanted.sorts[-1].descending)
    for sort in reversed(wanted.sorts):
        # Stable both ways: a sort that is turned round keeps what was before it among equals.
        found.sort(key=KEYS[sort.field], reverse=sort.descending)
    return [one.device.id for one in found]


# --- Random fleets and questions

WORDS = ["", "alpha", "Beta", "ALPHA 2", "Straße", "a", "ab"]
DEVICES = st.builds(
    Device,
    id=st.integers(1, 40).map(lambda number: f"EDGB-{number:04d}"),
    created_at=st.integers(0, 5).map(lambda days: START + timedelta(days=days)),
    updated_at=st.integers(0, 5).map(lambda days: START + timedelta(days=days)),
    lifecycle=st.sampled_from([*Lifecycle, Lifecycle.ACTIVE, Lifecycle.ACTIVE]),
    name=st.sampled_from(WORDS),
    role=st.none() | st.sampled_from(["r1", "R2", "alpha"]),
    groups=st.lists(st.sampled_from(["a", "b", "c", "B", "ab"]), max_size=3).map(tuple),
    notes=st.sampled_from(["", "", "dry", "Wet", "x" * 256 + "a", "x" * 256 + "b"]),
    tags=st.dictionaries(st.sampled_from(["k", "l", "kk"]), st.sampled_from(["1", "2", ""])),
    model=st.sampled_from(["", "lamp", "Pump"]),
    firmware=st.sampled_from(["", "1.0", "2.0", "1.10", "2.0-rc", "?"]),
)
PRESENCES = st.builds(
    Presence,
    online=st.booleans(),
    at=st.integers(0, 9).map(lambda seconds: START + timedelta(seconds=seconds)),
    evidence=st.just("connected"),
)
REPORTS = (
    st.just(ABSENT) | st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["1", "auto", "a", 1.5, [1]])
)
TWINS = st.builds(
    TwinFacts,
    drifted_at=st.none() | st.integers(0, 9).map(lambda second: int((START.timestamp() + second) * 1000)),
    reported=st.tuples(REPORTS, REPORTS),
    own=st.fixed_dictionaries({}, optional={"model": st.sampled_from(["lamp", "Pump 2"]), "firmware": st.just("3.0")}),
)
FLEETS = st.tuples(
    st.lists(DEVICES, max_size=40, unique_by=lambda device: device.id),
    st.dictionaries(st.integers(1, 40), PRESENCES),
    st.dictionaries(st.integers(1, 40), TWINS),
)
PIECES = st.sampled_from(["", "", "a", "alpha", "EDGB-00", "3", "ss", "lamp", "1", "k", "b"])
PATTERNS = st.lists(PIECES, min_size=1, max_size=3).map(tuple).map(Pattern)
MOMENTS = st.integers(-1, 10).map(lambda seconds: START + timedelta(seconds=seconds))
AGES = st.integers(0, 30).map(lambda seconds: timedelta(seconds=seconds))
SIGNS = st.sampled_from([sign for sign in Sign if sign is not Sign.EQUAL])
TIMES = st.sampled_from(["lastSeen", "createdAt", "updatedAt", "outOfSync"])
REPORTED_PATHS = st.sampled_from([f"{REPORTED}{path}" for path in PATHS])
SINGLE = (
    st.builds(Within, PATTERNS)
    | st.builds(Is, st.sampled_from(["id", "name", "role", "model", "firmware", "group"]) | REPORTED_PATHS, PATTERNS)
    | st.builds(Is, TIMES, st.just(Pattern(("", ""))))
    | st.builds(Is, st.just("status"), st.sampled_from([Pattern((one,)) for one in (*Status, "", "o", "n")]))
    | st.builds(Is, st.just("lifecycle"), st.sampled_from([Pattern((one,)) for one in Lifecycle]))
    | st.builds(
        Is, st.just("twinInSync"), st.sampled_from([Pattern(("true",)), Pattern(("false",)), Pattern(("", ""))])
    )
    | st.builds(Is, st.just("id"), st.integers(1, 40).map(lambda number: Pattern((f"edgb-{number:04d}",))))
    | st.builds(Tagged, PATTERNS.filter(lambda key: key.pieces != ("",)), st.none() | PATTERNS)
    | st.builds(Compare, TIMES, SIGNS, MOMENTS | AGES)
    | st.builds(Compare, st.just("firmware"), SIGNS, st.sampled_from([version_of(v) for v in ("1.0", "1.9", "2.0")]))
    | st.builds(Compare, REPORTED_PATHS, st.sampled_from(Sign), st.integers(-3, 3) | st.sampled_from(["1", "b", 0.5]))
    | st.builds(Compare, REPORTED_PATHS, st.just(Sign.EQUAL), st.none() | st.booleans())
)
CONDITIONS = st.recursive(
    SINGLE,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(All, st.lists(inner, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=6,
)
SAVED = st.dictionaries(st.sampled_from("abd"), st.builds(Saved, CONDITIONS), max_size=2)
QUERIES = st.builds(
    DeviceQuery,
    where=CONDITIONS,
    sorts=st.lists(
        st.builds(Sort, st.sampled_from(sortable(PATHS)), st.booleans()), max_size=3, unique_by=lambda sort: sort.field
    ).map(tuple),
    limit=st.integers(1, 20),
    offset=st.integers(0, 20),
)


def fill(inventory: Inventory, fleet: Any) -> list[One]:
    """Tell it everything, some of it twice, and ask in between, so that all is changed while it is sorted."""
    devices, presences, twins = fleet
    for number, presence in presences.items():
        inventory.put_presence(f"EDGB-{number:04d}", presence)
    for place, device in enumerate(devices):
        inventory.put_device(replace(device, model="before", name="before", tags={"k": "before"}, groups=("before",)))
        if place == len(devices) // 2:
            inventory.query(DeviceQuery(Within(Pattern(("a",))), (Sort("lastSeen"), Sort("model"))), NOW)
            # Of some texts the pairs are known, of the others not.
            next(inventory.learn(), None)
        inventory.put_device(device)
    for number, twin in twins.items():
        inventory.put_twin(f"EDGB-{number:04d}", TwinFacts(5, (1, "before"), {"model": "before"}))
        inventory.put_twin(f"EDGB-{number:04d}", twin)
    nothing = TwinFacts(None, (ABSENT, ABSENT))
    return [
        One.of(device, presences.get(int(device.id[-4:])), twins.get(int(device.id[-4:]), nothing))
        for device in devices
    ]


@pytest.mark.parametrize("is_small", [False, True], ids=["as it is", "in the smallest blocks"])
@pytest.mark.parametrize("is_learned", [False, True], ids=["at once", "with what makes texts quick"])
@settings(deadline=None, max_examples=200)
@given(fleet=FLEETS, wanted=QUERIES, saved=SAVED)
def test_a_question_is_answered_as_a_plain_list_answers_it(
    is_small: bool, is_learned: bool, fleet: Any, wanted: DeviceQuery, saved: dict[str, Saved]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if is_small:
            # Each way to a page and to a text, wherever it would be the longer one.
            for name, value in (("_FEW", 0), ("_FULL", 6), ("_FILL", 4), ("_THIN", 2)):
                patch.setattr(orders, name, value)
            for name, value in (
                ("_MANY", 0),
                ("_MOST_PAIRS", 12),
                ("_FIRST_BYTES", 1),
                ("_MOST_ANSWERS", 1),
                ("_A_STEP", 3),
            ):
                patch.setattr(texts, name, value)
        inventory = Inventory(PATHS)
        for name, question in saved.items():
            inventory.put_group(name, question)
        everything = fill(inventory, fleet)
        if is_learned:
            deque(inventory.learn(), maxlen=0)
        every = expected(everything, wanted, saved)

        page = inventory.query(wanted, NOW)

        assert page.total == len(every)
        assert [json.loads(one)["deviceName"] for one in page.entries] == every[wanted.offset :][: wanted.limit]
        counts = inventory.count(wanted.where, NOW, drifted_for=timedelta(seconds=15))
        chosen = [one for one in everything if one.device.id in every]
        assert counts.by_status == Counter(status_of(one.presence) for one in chosen)
        assert counts.by_model == Counter(one.device.model for one in chosen if one.device.model)
        assert counts.by_tag == Counter(f"{k}={v}" for one in chosen for k, v in one.device.tags.items())
        dropped = {device.id for device in fleet[0][::2]}
        for key in dropped:
            inventory.drop_device(key)
        left = expected([one for one in everything if one.device.id not in dropped], wanted, saved)
        assert inventory.query(wanted, NOW).total == len(left)


def test_every_field_to_sort_by_has_its_order() -> None:
    assert set(KEYS) == {*SORTABLE, *(f"{REPORTED}{path}" for path in PATHS)}
