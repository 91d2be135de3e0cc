"""The whitelist of hardware."""

import asyncio
from datetime import timedelta

import pytest

from functions.contract.messages import Nothing, WhitelistAdd, WhitelistAdded, WhitelistView
from functions.domain.enrolment import Enrolment, Whitelisted
from functions.domain.faults import Malformed, Unavailable
from functions.handlers import whitelist
from functions.ports import Hub
from functions.testing import START, call, collect, memory_hub
from tests.unit.handlers.onboarding import UUID, Outage, Shuffle, meddled


async def add(hub: Hub, *uuids: str, note: str = "") -> WhitelistAdded:
    return await whitelist.add(call(WhitelistAdd(uuids=list(uuids), note=note)), hub)


async def listing(hub: Hub) -> WhitelistView:
    return await whitelist.list_(call(Nothing()), hub)


async def test_a_uuid_is_kept_as_its_hash_with_a_hint() -> None:
    hub = memory_hub()

    assert await add(hub, UUID, note="line 3") == WhitelistAdded(added=1, present=0)

    kept = await hub.whitelist.get(hub.hasher.hash(UUID))
    assert kept is not None
    assert kept.value == Whitelisted(hub.hasher.hash(UUID), "ab1e", START, "line 3")
    assert "7e57" not in repr(await collect(hub.whitelist.entries()))


async def test_a_uuid_already_there_or_named_twice_is_left_as_it_is() -> None:
    hub = memory_hub()
    await add(hub, UUID, note="first")
    hub.clock.advance(60)

    assert await add(hub, UUID.upper(), "board-2", "BOARD-2", note="second") == WhitelistAdded(added=1, present=2)

    kept = await hub.whitelist.get(hub.hasher.hash(UUID))
    assert kept is not None
    assert (kept.value.note, kept.value.added_at) == ("first", START)


@pytest.mark.parametrize("wrong", ["", "abc", "a b c d", "x" * 64 + "y", "-abcd", "ab\0cd"])
async def test_one_wrong_uuid_adds_none(wrong: str) -> None:
    hub = memory_hub()

    with pytest.raises(Malformed):
        await whitelist.add(call(WhitelistAdd.model_construct(uuids=[UUID, wrong], note="")), hub)

    assert await collect(hub.whitelist.entries()) == {}


async def test_many_are_added_and_a_repeat_after_a_fault_adds_the_rest() -> None:
    hub = memory_hub()
    uuids = [f"board-{number:04}" for number in range(200)]
    with pytest.raises(Unavailable):
        await add(meddled(hub, Outage(90, last_is_done=True)), *uuids)
    assert 0 < len(await collect(hub.whitelist.entries())) < 200

    told = await add(hub, *uuids)

    assert told.added + told.present == 200
    assert told.added > 0
    assert len(await collect(hub.whitelist.entries())) == 200


async def test_the_same_list_twice_at_once_is_added_once() -> None:
    hub = memory_hub()
    busy = meddled(hub, Shuffle(3))
    uuids = [f"board-{number:04}" for number in range(100)]

    told = await asyncio.gather(add(busy, *uuids), add(busy, *uuids))

    assert sum(each.added for each in told) == 100


async def test_the_list_shows_every_entry_the_newest_first() -> None:
    hub = memory_hub(enrolment={"enrolment": Enrolment(whitelist_enforced=True)})
    await add(hub, UUID)
    hub.clock.advance(timedelta(minutes=1))
    await add(hub, "board-0002", note="spare")

    told = await listing(hub)

    assert told.enforced
    assert [(entry.hint, entry.note, entry.disabled) for entry in told.entries] == [
        ("0002", "spare", False),
        ("ab1e", "", False),
    ]
    assert told.entries[1].first_used_at is None
    assert (await listing(memory_hub())) == WhitelistView(enforced=False, entries=[])
