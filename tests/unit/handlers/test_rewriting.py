"""Changing a record when others change it too."""

import asyncio
from dataclasses import replace

import pytest

from functions.domain.enrolment import Enrolment
from functions.domain.faults import Conflict, Denied
from functions.handlers.rewriting import amend, rewrite
from functions.ports import Hub
from functions.testing import MemoryHub, memory_hub
from tests.unit.handlers.onboarding import Meddler, meddled

KEY = "enrolment"


class Rival(Meddler):
    """Writes the record before every write of others, so many times."""

    def __init__(self, hub: MemoryHub, times: int) -> None:
        self._hub = hub
        self.left = times

    async def before_write(self) -> None:
        if self.left == 0:
            return
        self.left -= 1
        kept = await self._hub.enrolment.get(KEY)
        if kept is None:
            await self._hub.enrolment.create(KEY, Enrolment())
        else:
            await self._hub.enrolment.replace(KEY, kept.value, expect=kept.revision)


def opened(enrolment: Enrolment | None) -> Enrolment:
    return replace(enrolment or Enrolment(), is_open=True)


async def test_a_first_value_is_made_of_none() -> None:
    hub = memory_hub()

    written = await rewrite(hub.enrolment, KEY, opened)

    assert (written.value, written.before, written.changed) == (Enrolment(is_open=True), None, True)
    kept = await hub.enrolment.get(KEY)
    assert kept is not None
    assert (kept.value, kept.revision) == (written.value, written.revision)


async def test_what_changes_nothing_is_not_written() -> None:
    hub = memory_hub()
    first = await rewrite(hub.enrolment, KEY, opened)

    second = await rewrite(hub.enrolment, KEY, opened)

    assert (second.revision, second.changed) == (first.revision, False)


@pytest.mark.parametrize("there", [True, False])
async def test_a_lost_race_is_run_again_on_what_the_winner_wrote(there: bool) -> None:
    hub = memory_hub(enrolment={KEY: Enrolment(whitelist_enforced=True)} if there else {})

    written = await rewrite(meddled(hub, Rival(hub, 4)).enrolment, KEY, opened)

    assert written.value == Enrolment(is_open=True, whitelist_enforced=there)


async def test_five_lost_races_are_a_conflict() -> None:
    hub = memory_hub()
    rival = Rival(hub, 9)

    with pytest.raises(Conflict):
        await rewrite(meddled(hub, rival).enrolment, KEY, opened)

    assert rival.left == 4
    kept = await hub.enrolment.get(KEY)
    assert kept is not None
    assert not kept.value.is_open


async def test_what_the_decision_raises_ends_it() -> None:
    def refuse(enrolment: Enrolment | None) -> Enrolment:
        raise Denied

    with pytest.raises(Denied):
        await rewrite(memory_hub().enrolment, KEY, refuse)


async def test_only_what_is_there_is_amended() -> None:
    hub = memory_hub()
    assert await amend(hub.enrolment, KEY, opened) is None
    assert await hub.enrolment.get(KEY) is None
    await hub.enrolment.create(KEY, Enrolment())

    written = await amend(hub.enrolment, KEY, opened)

    assert written is not None
    assert written.value.is_open


async def test_many_changes_at_once_are_all_made() -> None:
    hub: Hub = memory_hub()

    await asyncio.gather(
        rewrite(hub.enrolment, KEY, opened),
        rewrite(hub.enrolment, KEY, lambda old: replace(old or Enrolment(), whitelist_enforced=True)),
    )

    kept = await hub.enrolment.get(KEY)
    assert kept is not None
    assert kept.value == Enrolment(is_open=True, whitelist_enforced=True)
