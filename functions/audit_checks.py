"""The checks that any adapter of the audit trail and its index must pass; its tests subclass them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from functions.domain.audit import AuditEntry, AuditWanted, Trail
from functions.domain.faults import Malformed
from functions.ports import Audit
from functions.storage import Page
from functions.testing import START, refused

Find = Callable[[AuditWanted], Awaitable[Page[AuditEntry]]]
Recorded = Callable[[Trail], Awaitable[list[AuditEntry]]]


class AuditChecks:
    """What every ``Audit`` must do. Subclass it in a test module, with two fixtures.

    ``audit`` is an empty ``Audit``; ``recorded`` gives the entries of one of
    its trails, in the order in which they are kept.
    """

    async def test_an_entry_is_kept_exactly(self, audit: Audit, recorded: Recorded) -> None:
        """In the trail of its action, and in no other."""
        await audit.append([audit_entry(1)])

        assert await recorded(Trail.CHANGES) == [audit_entry(1)]
        assert await recorded(Trail.ONBOARDING) == []

    async def test_entries_keep_their_order(self, audit: Audit, recorded: Recorded) -> None:
        """Those of one call as they were given, those of one caller as they were written."""
        for number in range(0, 30, 3):
            await audit.append([audit_entry(number), audit_entry(number + 1), audit_entry(number + 2)])

        assert await recorded(Trail.CHANGES) == [audit_entry(number) for number in range(30)]

    async def test_many_at_once_are_all_kept(self, audit: Audit, recorded: Recorded) -> None:
        """Each once."""
        await asyncio.gather(*(audit.append([audit_entry(number)]) for number in range(100)))

        assert sorted(one.id for one in await recorded(Trail.CHANGES)) == [audit_entry(n).id for n in range(100)]

    async def test_what_is_written_again_is_kept_once(self, audit: Audit, recorded: Recorded) -> None:
        """An acknowledgement may be lost, and the same record be written again."""
        for _ in range(3):
            await audit.append([audit_entry(1), audit_entry(2)])

        assert await recorded(Trail.CHANGES) == [audit_entry(1), audit_entry(2)]

    async def test_what_was_last_done_to_a_thing_is_told_oldest_first(self, audit: Audit) -> None:
        """Of that thing alone, and in that trail; however much was done to others in between."""
        for number in range(100):
            other = replace(audit_entry(1000 + number), target=f"EDGB-{number:04}")
            await asyncio.gather(audit.append([audit_entry(number)]), audit.append([replace(other, kind="claim")]))

        for most in (1, 7, 99, 100, 1000):
            told = await audit.about(Trail.CHANGES, "device", "EDGB-0001", most=most)
            assert told == [audit_entry(number) for number in range(max(0, 100 - most), 100)]
        assert await audit.about(Trail.CHANGES, "device", "EDGB-0002", most=10) == []
        assert await audit.about(Trail.TWINS, "device", "EDGB-0001", most=10) == []
        for name in ("*", ">", "a.b", ""):
            with refused(Malformed):
                await audit.about(Trail.CHANGES, "device", name, most=1)

    async def test_trails_are_kept_apart(self, audit: Audit, recorded: Recorded) -> None:
        """By what was done."""
        wish = replace(audit_entry(1), action="twin.desired", kind="twin")
        step = replace(audit_entry(2), action="onboarding.requested", kind="device")
        await audit.append([wish])
        await audit.append([step])

        assert await recorded(Trail.TWINS) == [wish]
        assert await recorded(Trail.ONBOARDING) == [step]
        assert await recorded(Trail.CHANGES) == []


class TrailsChecks:
    """What every ``Trails`` must do. Subclass it in a test module, with two fixtures.

    ``audit`` is an empty ``Audit``, ``find`` asks the ``Trails`` that follows
    it, once that has all that was written.
    """

    async def test_the_newest_come_first(self, audit: Audit, find: Find) -> None:
        """In the order of their ids, whatever trail they are in; turned round where asked."""
        await fill(audit)

        found = await find(AuditWanted())
        assert [one.id for one in found.entries] == sorted((one.id for one in found.entries), reverse=True)
        assert found.total == len(found.entries) == 12
        turned = await find(AuditWanted(oldest_first=True))
        assert turned.entries == list(reversed(found.entries))

    async def test_an_entry_comes_back_exactly(self, audit: Audit, find: Find) -> None:
        """Every field equal."""
        await audit.append([audit_entry(1)])

        assert (await find(AuditWanted())).entries == [audit_entry(1)]

    async def test_a_page_is_a_part_with_the_number_of_all(self, audit: Audit, find: Find) -> None:
        """Also beyond the end."""
        await fill(audit)
        everything = (await find(AuditWanted())).entries

        page = await find(AuditWanted(limit=5, offset=3))
        assert (page.entries, page.total) == (everything[3:8], 12)
        beyond = await find(AuditWanted(limit=5, offset=12))
        assert (beyond.entries, beyond.total) == ([], 12)

    async def test_what_is_asked_for_must_all_hold(self, audit: Audit, find: Find) -> None:
        """Actor, action or its first word, kind, target, and time."""
        await fill(audit)
        for wanted in (
            AuditWanted(actor="user:anna"),
            AuditWanted(action="device.suspended"),
            AuditWanted(action="device"),
            AuditWanted(action="dev"),
            AuditWanted(target="EDGB-0001"),
            AuditWanted(kind="twin", target="EDGB-0001"),
            AuditWanted(actor="user:anna", action="twin", target="EDGB-0002"),
            AuditWanted(after=START + timedelta(seconds=3), before=START + timedelta(seconds=7)),
            AuditWanted(actor="nobody"),
        ):
            expected = [one for one in reversed(AUDITED) if wanted.matches(one)]
            found = await find(wanted)
            assert (found.entries, found.total) == (expected, len(expected)), wanted


async def fill(audit: Audit) -> None:
    """Write entries of every kind, each in a record of its own."""
    for one in AUDITED:
        await audit.append([one])


def audit_entry(number: int) -> AuditEntry:
    """An entry with everything that one may hold; those of higher numbers have higher ids."""
    return AuditEntry(
        id=f"{number:012x}-0123456789abcdef",
        at=START + timedelta(microseconds=number),
        action="device.suspended",
        actor="user:anna",
        origin="http:192.0.2.7",
        call="c0ffee",
        kind="device",
        target="EDGB-0001",
        before={"lifecycle": "active", "deep": {"list": [1, 2.5, None, {"é\u2028": True}]}},
        after={"lifecycle": "suspended", "n": number},
        cut=("after.note",),
    )


def _audited(number: int) -> AuditEntry:
    kind = ("device", "twin", "onboarding")[number % 3]
    at = START + timedelta(seconds=number)
    return replace(
        audit_entry(number),
        id=f"{int(at.timestamp() * 1000):012x}-{number:016x}",
        at=at,
        action=f"{kind}.{'suspended' if number % 2 else 'resumed'}",
        kind="device" if kind == "onboarding" else kind,
        actor=("user:anna", "app:page")[number % 2],
        target=f"EDGB-000{number % 4}",
    )


AUDITED = [_audited(number) for number in range(12)]
