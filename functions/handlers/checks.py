"""Check functions: what is wrong with certificates, sessions and clocks, looked at now and on a timer.

Subjects   devicehub.checks.list
Reads      the register's index, sessions, revocations, trust
Writes     marks, and on the timer alarms
Publishes  devicehub.alarms.changed
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from functions.contract.messages import CheckList, CheckView, FindingView, Nothing
from functions.domain import checks as rules
from functions.domain.alarms import sight, sort_of, text_of
from functions.domain.ca import CaCertificate
from functions.domain.certificates import Purpose
from functions.domain.checks import CHECKS, EXPIRED_LATELY, EXPIRES_SOON, Finding
from functions.domain.faults import Conflict
from functions.domain.inventory import Sort
from functions.domain.marks import Mark
from functions.domain.register import CertificatesWanted, Entry, State
from functions.domain.sessions import Session
from functions.handlers.alarming import settle, tidy
from functions.handlers.revoking import CRL
from functions.handlers.rewriting import rewrite, value_of
from functions.handlers.trusting import TRUST
from functions.ports import Call, Hub

_SHOWN = 100
# Of certificates, those that end first; a fleet that was made in one day ends in one.
_MOST_CERTIFICATES = 1000
# A kind of alarm that its own timer opens and closes (``revoking.keep_fresh``).
_ELSEWHERE = ("crl-age",)
_CLOCK, _WATCH = "clock", "watch"
WATCH_EVERY = timedelta(minutes=5)

Findings = Mapping[str, Sequence[Finding]]


async def list_(call: Call[Nothing], hub: Hub) -> CheckList:
    """What every check finds now, each finding with what to do about it.

    Raises:
        Unavailable: the storage or the index.
    """
    found = await examine(hub)
    now = hub.clock.now()
    return CheckList(at=now, checks=[_view(name, found[name], now) for name in CHECKS])


async def watch(hub: Hub) -> None:
    """Open and close alarms by what the checks find; for a timer of the processes that have the index.

    Of several, one does it every five minutes.

    Raises:
        Unavailable: the storage or the index; what is left is done the next time.
        Conflict: others kept changing an alarm.
    """
    if not await _takes_turn(hub):
        return
    found = await examine(hub)
    for name, kinds in CHECKS.items():
        for kind in kinds:
            if kind not in _ELSEWHERE:
                await settle(hub, kind, (one for one in found[name] if one.kind == kind))
    await tidy(hub)


async def examine(hub: Hub) -> Findings:
    """What every check finds, by its name."""
    now = hub.clock.now()
    sessions = [kept.value async for _, kept in hub.sessions.entries()]
    revocations = value_of(await hub.revocations.get(CRL))
    chain = await _authorities(hub)
    weak = await _certificates(hub, CertificatesWanted(is_weak=True, state=State.ACTIVE), now)
    return {
        "certificates": [*rules.chain_ends(chain, now), *rules.expiring(await _ending(hub, now), now)],
        "keys": [*rules.chain_keys(chain), *rules.weak(weak)],
        "revocation list": list(rules.revocations(None if revocations is None else revocations.next_update, now)),
        "sessions": list(rules.without_certificate(sessions, await _good(hub, sessions, now), now)),
        "client ids": list(rules.clashing(sessions, now)),
        "clocks": [*await _storage_clock(hub), *rules.broker_clocks(sessions, now)],
    }


async def _authorities(hub: Hub) -> list[CaCertificate]:
    """The certificates of all authorities that are trusted, by the record: who looks here signs nothing, has no key."""
    trust = value_of(await hub.trust.get(TRUST))
    trusted = trust.trusted if trust is not None else ()
    return [certificate for one in trusted for certificate in hub.authority.describe(one)]


async def _ending(hub: Hub, now: datetime) -> list[Entry]:
    """The certificates in use that end soon, and those of devices that have ended lately."""
    soon = CertificatesWanted(state=State.ACTIVE, expires_before=now + EXPIRES_SOON)
    lately = CertificatesWanted(state=State.EXPIRED, purpose=Purpose.DEVICE, expires_after=now - EXPIRED_LATELY)
    ending = [*await _certificates(hub, lately, now), *await _certificates(hub, soon, now)]
    if not any(one.purpose is Purpose.SERVER for one in ending):
        return ending
    # The broker shows the one that was made last; of those before it nobody need make another.
    newest = CertificatesWanted(purpose=Purpose.SERVER, sorts=(Sort("issuedAt", descending=True),), limit=1)
    shown = {one.serial for one in (await hub.register.find(newest, now)).entries}
    return [one for one in ending if one.purpose is not Purpose.SERVER or one.serial in shown]


async def _certificates(hub: Hub, wanted: CertificatesWanted, now: datetime) -> list[Entry]:
    first = replace(wanted, sorts=(Sort("notAfter", descending=False),), limit=_MOST_CERTIFICATES)
    return list((await hub.register.find(first, now)).entries)


async def _good(hub: Hub, sessions: Sequence[Session], now: datetime) -> set[str]:
    """The common names of sessions that have a certificate which is neither over nor revoked."""
    good: set[str] = set()
    for name in {session.common_name for session in sessions}:
        for state in (State.ACTIVE, State.SUPERSEDED):
            if (await hub.register.find(CertificatesWanted(common_name=name, state=state, limit=1), now)).total:
                good.add(name)
                break
        # Ten thousand of these take a second, in which others want to be answered.
        await asyncio.sleep(0)
    return good


async def _storage_clock(hub: Hub) -> list[Finding]:
    """Write something, and see what time the server gives it."""
    began = hub.clock.now()
    try:
        await rewrite(hub.marks, _CLOCK, lambda _: Mark(began))
    except Conflict:
        # Others look at the same time.
        return []
    written = await hub.marks.get(_CLOCK)
    return [] if written is None else list(rules.storage_clock(began, written.at, hub.clock.now()))


async def _takes_turn(hub: Hub) -> bool:
    """Whether it is time to look, and no other process does."""
    now = hub.clock.now()
    kept = await hub.marks.get(_WATCH)
    try:
        if kept is None:
            await hub.marks.create(_WATCH, Mark(now))
        elif abs(now - kept.value.at) < WATCH_EVERY:
            return False
        else:
            await hub.marks.replace(_WATCH, Mark(now), expect=kept.revision)
    except Conflict:
        return False
    return True


def _view(name: str, found: Sequence[Finding], now: datetime) -> CheckView:
    return CheckView(
        check=name, is_well=not found, total=len(found), findings=[_finding(one, now) for one in found[:_SHOWN]]
    )


def _finding(one: Finding, now: datetime) -> FindingView:
    alarm = sight(None, one.kind, one.subject, now, detail=one.detail, severity=one.severity)
    return FindingView(
        kind=one.kind,
        subject=alarm.subject,
        severity=alarm.severity.value,
        text=text_of(alarm),
        remedy=sort_of(one.kind).remedy,
    )
