"""The whitelist of hardware."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from functions.contract.messages import (
    Nothing,
    WhitelistBatch,
    WhitelistCreate,
    WhitelistFact,
    WhitelistPage,
    WhitelistQuery,
    WhitelistReport,
    WhitelistUpdate,
)
from functions.domain.enrolment import Enrolment, Whitelisted
from functions.domain.faults import Conflict, Denied, Malformed, NotFound, Reason, Unavailable
from functions.handlers import whitelist
from functions.ports import Hub
from functions.testing import START, MemoryHub, call, collect, memory_hub
from tests.unit.handlers.onboarding import UUID, Once, Outage, Shuffle, claim_hub, join, meddled, open_hub, provision


async def create(hub: Hub, uuid: str = UUID, **facts: Any) -> WhitelistFact:
    return await whitelist.create(call(WhitelistCreate(uuid=uuid, **facts)), hub)


async def add(hub: Hub, *lines: list[str], dry_run: bool = False) -> WhitelistReport:
    return await whitelist.batch(call(WhitelistBatch(lines=list(lines), dry_run=dry_run)), hub)


async def listing(hub: Hub, **query: Any) -> WhitelistPage:
    return await whitelist.list_(call(WhitelistQuery(**query)), hub)


async def update(hub: Hub, uuid: str = UUID, **changes: Any) -> WhitelistFact:
    return await whitelist.update(call(WhitelistUpdate(**changes), names=(hub.hasher.hash(uuid),)), hub)


async def remove(hub: Hub, uuid: str = UUID) -> None:
    await whitelist.remove(call(Nothing(), names=(hub.hasher.hash(uuid),)), hub)


def told(report: WhitelistReport) -> list[tuple[int, str, str]]:
    return [(one.line, one.result, one.reason) for one in report.lines]


def boards(number: int) -> list[list[str]]:
    return [[f"board-{n:04}"] for n in range(number)]


# --- One


async def test_a_uuid_is_kept_as_its_hash_with_a_hint() -> None:
    hub = memory_hub()

    fact = await create(hub, UUID.upper(), note="line 3", hardware_version="rev C", manufacturer="ACME")

    key = hub.hasher.hash(UUID)
    kept = await hub.whitelist.get(key)
    assert kept is not None
    assert kept.value == Whitelisted(key, "ab1e", START, "line 3", "rev C", "ACME")
    assert (fact.id, fact.hint, fact.hardware_version, fact.disabled) == (key, "ab1e", "rev C", False)
    assert "7e57" not in repr(await collect(hub.whitelist.entries()))
    assert "7e57" not in repr(hub.audit.written)


async def test_a_repeat_is_answered_as_before_and_another_wish_refused() -> None:
    hub = memory_hub()
    first = await create(hub, note="first")
    hub.clock.advance(60)

    assert await create(hub, note="first") == first
    with pytest.raises(Conflict) as raised:
        await create(hub, note="second")
    assert raised.value.reason is Reason.ALREADY_WHITELISTED
    assert first.id in raised.value.detail
    await update(hub, disabled=True)
    with pytest.raises(Conflict):
        await create(hub, note="first")


@pytest.mark.parametrize("wrong", ["", "abc", "a b c d", "x" * 64 + "y", "-abcd", "ab\0cd"])
async def test_what_is_no_uuid_is_refused(wrong: str) -> None:
    hub = memory_hub()

    with pytest.raises(Malformed):
        await whitelist.create(
            call(WhitelistCreate.model_construct(uuid=wrong, note="", hardware_version="", manufacturer="")), hub
        )

    assert await collect(hub.whitelist.entries()) == {}


# --- Many


async def test_each_line_is_told_what_became_of_it() -> None:
    hub = memory_hub()
    await create(hub, "board-0001", note="first")
    await create(hub, "board-0009")
    await update(hub, "board-0009", disabled=True)
    lines = [
        ["board-0001", "again"],
        ["board-0002", "n", "v", "m"],
        ["no good"],
        ["BOARD-0002"],
        ["board-0003", "x" * 257],
        ["board-0004", "", "", "", ""],
        [],
        ["board-0009"],
    ]

    dry = await add(hub, *lines, dry_run=True)
    assert len(await collect(hub.whitelist.entries())) == 2
    done = await add(hub, *lines)

    assert told(dry) == told(done)
    assert told(done) == [
        (1, "present", ""),
        (2, "added", ""),
        (3, "malformed", "not 4 to 64 letters, digits, '_' or '-'"),
        (4, "duplicate", "of line 2"),
        (5, "malformed", "note over 256 characters"),
        (6, "malformed", "more than 4 columns"),
        (7, "malformed", "not 4 to 64 letters, digits, '_' or '-'"),
        (8, "present", "it is disabled"),
    ]
    assert (done.added, done.present, done.malformed, done.duplicates) == (1, 2, 4, 1)
    assert (dry.dry_run, done.dry_run) == (True, False)
    kept = await hub.whitelist.get(hub.hasher.hash("board-0001"))
    assert kept is not None
    assert kept.value.note == "first"


async def test_many_are_added_and_a_repeat_after_a_fault_adds_the_rest() -> None:
    hub = memory_hub()
    with pytest.raises(Unavailable):
        await add(meddled(hub, Outage(90, last_is_done=True)), *boards(200))
    assert 0 < len(await collect(hub.whitelist.entries())) < 200

    done = await add(hub, *boards(200))

    assert done.added + done.present == 200
    assert done.added > 0
    assert len(await collect(hub.whitelist.entries())) == 200


async def test_after_a_fault_nothing_further_is_begun() -> None:
    hub = memory_hub()
    outage = Outage(10, last_is_done=True)

    with pytest.raises(Unavailable):
        await add(meddled(hub, outage), *boards(5_000))

    assert len(await collect(hub.whitelist.entries())) == 10


async def test_the_same_list_twice_at_once_is_added_once() -> None:
    hub = memory_hub()
    busy = meddled(hub, Shuffle(3))

    both = await asyncio.gather(add(busy, *boards(100)), add(busy, *boards(100)))

    assert sum(each.added for each in both) == 100
    assert sum(each.present for each in both) == 100


async def test_the_report_of_a_list_that_is_all_wrong_fits_into_a_message() -> None:
    done = await add(memory_hub(), *[["?"]] * 10_000)

    assert done.malformed == 10_000
    assert len(done.encode()) < 1024 * 1024 - 4096


async def test_a_batch_is_one_entry_of_the_trail_and_a_dry_run_none() -> None:
    hub = memory_hub()
    await add(hub, *boards(30), dry_run=True)
    assert hub.audit.written == []

    await add(hub, *boards(30), ["?"])

    (entry,) = hub.audit.written
    assert (entry.action, entry.target) == ("whitelist.added", "-")
    assert entry.after == {"added": 30, "present": 0, "hints": [f"{n:04}" for n in range(20)]}


# --- Lists


@pytest.fixture
async def filled() -> MemoryHub:
    hub = memory_hub(enrolment={"enrolment": Enrolment(whitelist_enforced=True)})
    await create(hub, "board-0001", note="Lot 7", manufacturer="ACME")
    hub.clock.advance(timedelta(minutes=1))
    await create(hub, "board-0002", note="spare", hardware_version="rev C")
    hub.clock.advance(timedelta(minutes=1))
    await create(hub, "board-0003", note="lot 8")
    await update(hub, "board-0002", disabled=True)
    key = hub.hasher.hash("board-0003")
    kept = await hub.whitelist.get(key)
    assert kept is not None
    used = hub.clock.now()
    await hub.whitelist.replace(key, replace(kept.value, first_used_at=used, last_used_at=used), expect=kept.revision)
    return hub


@pytest.mark.parametrize(
    ("query", "hints"),
    [
        ({}, ["0003", "0002", "0001"]),
        ({"limit": 1}, ["0003"]),
        ({"limit": 1, "offset": 1}, ["0002"]),
        ({"offset": 9}, []),
        ({"q": "LOT"}, ["0003", "0001"]),
        ({"q": "acme"}, ["0001"]),
        ({"q": "rev"}, ["0002"]),
        ({"q": "0002"}, ["0002"]),
        ({"q": "board-0002"}, ["0002"]),
        ({"q": "nothing"}, []),
        ({"uuid": "BOARD-0002"}, ["0002"]),
        ({"uuid": "board-0099"}, []),
        ({"uuid": "board-0002", "state": "enabled"}, []),
        ({"state": "disabled"}, ["0002"]),
        ({"state": "enabled"}, ["0003", "0001"]),
        ({"used": True}, ["0003"]),
        ({"used": False}, ["0002", "0001"]),
        ({"sort": "addedAt"}, ["0001", "0002", "0003"]),
        ({"sort": "note"}, ["0001", "0003", "0002"]),
        ({"sort": "-manufacturer,addedAt"}, ["0001", "0002", "0003"]),
        ({"sort": "-firstUsedAt,hint"}, ["0003", "0001", "0002"]),
        ({"sort": "disabled,hint"}, ["0001", "0003", "0002"]),
    ],
)
async def test_a_page_has_what_is_wanted_in_its_order(
    filled: MemoryHub, query: dict[str, Any], hints: list[str]
) -> None:
    page = await listing(filled, **query)

    assert [entry.hint for entry in page.entries] == hints
    if not query.keys() & {"limit", "offset"}:
        assert page.total == len(hints)
    else:
        assert page.total == 3


@pytest.mark.parametrize("sort", ["colour", "uuid", "note,note", "-", ","])
async def test_what_is_no_field_sorts_nothing(filled: MemoryHub, sort: str) -> None:
    with pytest.raises(Malformed):
        await listing(filled, sort=sort)


# --- Changes, felt at the next gate


async def test_an_entry_is_changed_and_what_is_not_given_stays() -> None:
    hub = memory_hub()
    await create(hub, note="a", manufacturer="ACME")

    changed = await update(hub, disabled=True, note="b")
    assert (changed.note, changed.manufacturer, changed.disabled) == ("b", "ACME", True)
    assert (hub.audit.written[-1].before, hub.audit.written[-1].after) == (
        {"disabled": False, "note": "a"},
        {"disabled": True, "note": "b"},
    )
    written = len(hub.audit.written)
    assert await update(hub, disabled=True) == changed
    assert len(hub.audit.written) == written


async def test_what_is_not_there_is_not_changed() -> None:
    hub = memory_hub()

    with pytest.raises(NotFound):
        await update(hub, disabled=True)
    with pytest.raises(NotFound):
        await remove(hub)
    await create(hub)
    with pytest.raises(Malformed):
        await update(hub)


@pytest.fixture
async def enforced() -> MemoryHub:
    return open_hub(enrolment={"enrolment": Enrolment(is_open=True, whitelist_enforced=True)})


async def refusal(hub: Hub) -> Reason | None:
    try:
        await join(hub)
    except Denied as fault:
        return fault.reason
    return None


async def test_each_change_is_felt_at_the_next_gate(enforced: MemoryHub) -> None:
    hub = enforced
    assert await refusal(hub) is Reason.UUID_NOT_WHITELISTED
    await add(hub, [UUID])
    assert await refusal(hub) is None
    await update(hub, disabled=True)
    assert await refusal(hub) is Reason.UUID_NOT_WHITELISTED
    await update(hub, disabled=False)
    assert await refusal(hub) is None
    await remove(hub)
    assert await refusal(hub) is Reason.UUID_NOT_WHITELISTED


async def test_a_use_at_the_same_moment_brings_no_removed_entry_back(enforced: MemoryHub) -> None:
    hub = enforced
    await add(hub, [UUID])

    await provision(meddled(hub, Once(lambda: remove(hub))), UUID)

    assert await collect(hub.whitelist.entries()) == {}


async def test_a_use_at_the_same_moment_does_not_enable_what_is_disabled(enforced: MemoryHub) -> None:
    hub = enforced
    await add(hub, [UUID])

    await provision(meddled(hub, Once(lambda: update(hub, disabled=True))), UUID)

    (kept,) = (await collect(hub.whitelist.entries())).values()
    assert kept.value.disabled


async def test_an_entry_that_was_used_meanwhile_is_removed_all_the_same(enforced: MemoryHub) -> None:
    hub = enforced
    await add(hub, [UUID])

    await remove(meddled(hub, Once(lambda: join(hub))))

    assert await collect(hub.whitelist.entries()) == {}


async def test_first_and_last_use_are_shown(enforced: MemoryHub) -> None:
    hub = enforced
    await add(hub, [UUID])
    await join(hub)
    hub.clock.advance(timedelta(hours=1))
    await join(hub)

    (entry,) = (await listing(hub)).entries
    assert (entry.first_used_at, entry.last_used_at) == (START, START + timedelta(hours=1))


async def test_while_it_is_not_enforced_it_is_not_asked() -> None:
    hub = claim_hub(enrolment={"enrolment": Enrolment(is_open=True)})

    assert await refusal(hub) is None
