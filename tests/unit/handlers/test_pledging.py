"""What was pledged is written down by another process, once, and only while it can be owed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from functions.adapters.layout import BUCKETS
from functions.domain.audit import Agent, AuditEntry, AuditWanted
from functions.domain.callers import SYSTEM, Caller
from functions.domain.faults import Unavailable
from functions.domain.groups import Group
from functions.handlers.auditing import make
from functions.handlers.pledging import PLEDGED, Pledges
from functions.storage import Page
from functions.testing import START, MemoryHub, memory_hub

DOER = Agent(Caller(SYSTEM, "test"), "call")
GROUP = Group("north", START, START)


async def pledged(hub: MemoryHub, name: str = "north") -> AuditEntry:
    told = make(hub, DOER, "group.created", name, after={"query": None})
    await hub.groups.create(name, GROUP, pledge=told)
    return told


def test_who_pledges_keeps_some_revisions_in_its_bucket() -> None:
    assert {name for name, bucket in BUCKETS.items() if bucket.history == 8} == set(PLEDGED)


async def test_what_a_call_may_still_write_is_left_to_it() -> None:
    hub, pledges = memory_hub(), Pledges()
    told = await pledged(hub)
    hub.clock.advance(30)
    await pledges.keep(hub)
    assert hub.audit.written == []

    hub.clock.advance(30)
    await pledges.keep(hub)

    assert hub.audit.written == [told]
    assert [body.id for body in hub.events.on("devicehub.audit.recorded")] == [told.id]


async def test_what_the_call_wrote_meanwhile_is_left_as_it_is() -> None:
    hub, pledges = memory_hub(), Pledges()
    told = await pledged(hub)
    await pledges.keep(hub)
    fuller = replace(told, after={"query": None, "members": 3})
    await hub.audit.append([fuller])
    hub.clock.advance(60)

    await pledges.keep(hub)

    assert hub.audit.written == [fuller]


async def test_what_the_trail_may_have_dropped_does_not_come_back() -> None:
    hub = memory_hub()
    await pledged(hub)
    hub.clock.advance(timedelta(days=31))

    await Pledges().keep(hub)

    assert hub.audit.written == []


async def test_while_the_trail_cannot_be_asked_it_waits() -> None:
    hub, pledges = memory_hub(), Pledges()
    told = await pledged(hub)
    hub.clock.advance(60)
    with pytest.raises(Unavailable):
        await pledges.keep(replace(hub, trails=Unread()))

    await pledges.keep(hub)

    assert hub.audit.written == [told]


class Unread:
    """A trail that is still being read."""

    async def find(self, _: AuditWanted) -> Page[AuditEntry]:
        raise Unavailable

    async def walk(self, _: AuditWanted) -> list[AuditEntry]:
        raise Unavailable
