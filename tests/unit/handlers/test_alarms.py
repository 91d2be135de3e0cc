"""Alarm functions on a hub in memory."""

import asyncio
from datetime import timedelta

import pytest

from functions.contract.messages import AlarmClear, AlarmPage, AlarmQuery, AlarmRaise, AlarmView, Nothing
from functions.domain.alarms import MORE, Severity, alarm_id
from functions.domain.checks import Finding
from functions.domain.faults import Malformed, NotFound
from functions.handlers import alarms
from functions.handlers.alarming import close_alarm, open_alarm, settle, tidy
from functions.ports import Hub
from functions.testing import MemoryHub, call, collect, memory_hub, refused
from tests.unit.handlers.onboarding import Shuffle, meddled

CLASH = "client-id-clash"
FOREIGN = "foreign-client-id"


async def settled(hub: Hub, subjects: dict[str, str], severity: Severity | None = None) -> None:
    await settle(hub, CLASH, [Finding(CLASH, subject, detail, severity) for subject, detail in subjects.items()])


async def page(hub: Hub, **asked: object) -> AlarmPage:
    return await alarms.list_(call(AlarmQuery.model_validate(asked)), hub)


async def listed(hub: Hub, **asked: object) -> list[tuple[str, str]]:
    return [(one.subject, one.state) for one in (await page(hub, **asked)).alarms]


async def ack(hub: Hub, kind: str, subject: str, caller: str = "user:anna") -> AlarmView:
    return await alarms.ack(call(Nothing(), caller=caller, names=(alarm_id(kind, subject),)), hub)


def changes(hub: MemoryHub) -> list[tuple[str, str]]:
    return [(one.subject, one.state) for one in hub.events.on("devicehub.alarms.changed")]


async def test_a_part_raises_and_clears_an_alarm() -> None:
    hub = memory_hub()

    await alarms.raise_(call(AlarmRaise(kind=FOREIGN, subject="pump-0001", detail="As 'boss'.")), hub)
    (alarm,) = (await page(hub)).alarms
    await alarms.clear(call(AlarmClear(kind=FOREIGN, subject="pump-0001")), hub)

    assert (alarm.kind, alarm.severity, alarm.state) == (FOREIGN, "warning", "open")
    assert alarm.text.endswith("As 'boss'.")
    assert alarm.remedy
    assert changes(hub) == [("pump-0001", "open"), ("pump-0001", "closed")]
    assert await listed(hub) == [("pump-0001", "closed")]


async def test_repeats_write_once_a_minute_and_tell_once() -> None:
    hub = memory_hub()
    for _ in range(50):
        await open_alarm(hub, FOREIGN, "pump-0001")
        hub.clock.advance(6)

    kept = await hub.alarms.get(alarm_id(FOREIGN, "pump-0001"))
    assert kept is not None
    assert kept.revision == kept.value.count == 5
    assert changes(hub) == [("pump-0001", "open")]


async def test_clearing_what_is_not_open_does_nothing() -> None:
    hub = memory_hub()

    await close_alarm(hub, FOREIGN, "pump-0001")

    assert (changes(hub), await listed(hub)) == ([], [])


async def test_whoever_acknowledges_is_shown_told_and_written_down() -> None:
    hub = memory_hub()
    await open_alarm(hub, FOREIGN, "pump-0001")

    taken = await ack(hub, FOREIGN, "pump-0001")
    again = await ack(hub, FOREIGN, "pump-0001", "user:berta")

    assert (taken.state, taken.acknowledged_by) == ("acknowledged", "user:anna")
    assert again.acknowledged_by == "user:anna"
    assert changes(hub)[1:] == [("pump-0001", "acknowledged")]
    assert [(one.action, one.target) for one in hub.audit.written] == [("alarm.acknowledged", taken.id)]


async def test_there_must_be_an_alarm_to_acknowledge() -> None:
    with refused(NotFound):
        await ack(memory_hub(), FOREIGN, "pump-0001")


async def test_what_needs_attention_comes_first() -> None:
    hub = memory_hub()
    for kind, subject in ((FOREIGN, "old"), (FOREIGN, "new"), ("foreign-name", "grave"), (FOREIGN, "gone")):
        await open_alarm(hub, kind, subject)
        hub.clock.advance(60)
    await ack(hub, "foreign-name", "grave")
    await open_alarm(hub, "messages-dropped", "graver")
    await close_alarm(hub, FOREIGN, "gone")

    assert await listed(hub) == [
        ("graver", "open"),
        ("new", "open"),
        ("old", "open"),
        ("grave", "acknowledged"),
        ("gone", "closed"),
    ]
    assert await listed(hub, sort="subject", limit=2, offset=1) == [("grave", "acknowledged"), ("graver", "open")]
    assert (await page(hub, sort="subject", limit=2, offset=1)).total == 5


@pytest.mark.parametrize(
    ("asked", "subjects"),
    [
        ({"state": "closed"}, {"b"}),
        ({"state": "open"}, {"a", "c"}),
        ({"severity": "critical"}, {"c"}),
        ({"kind": FOREIGN}, {"a", "b"}),
        ({"q": "DROPS messages"}, {"c"}),
        ({"kind": FOREIGN, "state": "open"}, {"a"}),
        ({"q": "nothing like it"}, set()),
    ],
)
async def test_a_list_holds_what_was_asked_for(asked: dict[str, object], subjects: set[str]) -> None:
    hub = memory_hub()
    for kind, subject in ((FOREIGN, "a"), (FOREIGN, "b"), ("messages-dropped", "c")):
        await open_alarm(hub, kind, subject)
    await close_alarm(hub, FOREIGN, "b")

    assert {subject for subject, _ in await listed(hub, **asked)} == subjects


async def test_a_list_cannot_be_sorted_by_what_is_not_there() -> None:
    with refused(Malformed):
        await page(memory_hub(), sort="remedy")


async def test_what_happened_is_closed_after_an_hour_and_forgotten_after_ninety_days() -> None:
    hub = memory_hub()
    await open_alarm(hub, FOREIGN, "pump-0001")
    hub.clock.advance(timedelta(minutes=59))
    await tidy(hub)
    assert await listed(hub) == [("pump-0001", "open")]

    hub.clock.advance(timedelta(minutes=1))
    await tidy(hub)
    await tidy(hub)
    assert changes(hub) == [("pump-0001", "open"), ("pump-0001", "closed")]

    hub.clock.advance(timedelta(days=90))
    await tidy(hub)
    assert await collect(hub.alarms.entries()) == {}


async def test_a_kind_fills_the_store_no_further_than_to_a_hundred() -> None:
    hub = memory_hub()
    for number in range(120):
        await open_alarm(hub, FOREIGN, f"client-{number}")
    await open_alarm(hub, "messages-dropped", "another kind")

    assert (await page(hub, kind=FOREIGN)).total == 101
    assert (await page(hub, q=MORE)).total == 1
    assert (await page(hub)).total == 102


async def test_a_state_has_the_alarms_of_what_is_wrong_now() -> None:
    hub = memory_hub()
    await settled(hub, {"a": "One.", "b": ""})
    hub.clock.advance(300)
    await settled(hub, {"b": "", "c": ""})

    assert await listed(hub, sort="subject") == [("a", "closed"), ("b", "open"), ("c", "open")]
    kept = await hub.alarms.get(alarm_id(CLASH, "b"))
    assert kept is not None
    assert kept.revision == 1


async def test_of_very_many_that_are_wrong_the_same_hundred_are_shown() -> None:
    hub = memory_hub()
    await settled(hub, {f"z-{number:03}": "" for number in range(60)})
    await settled(hub, {f"{word}-{number:03}": "" for word in "az" for number in range(60)})

    found = (await page(hub, state="open", limit=1000)).alarms
    assert len(found) == 101
    assert sum(one.subject.startswith("z-") for one in found) == 60
    (rest,) = [one for one in found if one.subject == MORE]
    assert rest.text.endswith("There are 20 more.")
    await settled(hub, {})
    assert (await page(hub, state="open")).total == 0


async def test_an_alarm_that_becomes_worse_is_told_again() -> None:
    hub = memory_hub()
    await settled(hub, {"a": ""})
    await ack(hub, CLASH, "a")
    await settled(hub, {"a": ""}, Severity.CRITICAL)

    assert changes(hub) == [("a", "open"), ("a", "acknowledged"), ("a", "open")]


@pytest.mark.parametrize("seed", range(10))
async def test_of_many_that_see_the_same_at_once_one_opens_it(seed: int) -> None:
    hub = memory_hub()

    await asyncio.gather(*(open_alarm(meddled(hub, Shuffle(seed)), FOREIGN, "a") for _ in range(4)))

    assert changes(hub) == [("a", "open")]
