"""Checks: what is wrong with certificates, sessions and clocks, decided from what the ports give.

Each finding is of a kind of alarm (``functions.domain.alarms``), which has
its words and what to do about it.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.domain.alarms import Severity
from functions.domain.ca import CaCertificate, weakness_of
from functions.domain.certificates import crl_is_overdue, is_weak_key
from functions.domain.names import CLAIM_PREFIX
from functions.domain.register import Entry
from functions.domain.sessions import Session, clashes

# Long enough before the end to renew a fleet by hand.
EXPIRES_SOON = timedelta(days=30)
# A certificate that ended longer ago belongs to a device that is not used any more.
EXPIRED_LATELY = timedelta(days=30)
# What is just being ended, or just beginning, is not wrong yet.
_SETTLED_AFTER = timedelta(minutes=1)
# As much of a hardware UUID as the whitelist shows.
_HINT = 4
# A call's deadline is a few seconds away, so clocks that differ by more make calls fail.
MOST_APART = timedelta(seconds=2)
# A device's clock decides nothing but the time of what it measures.
DEVICE_AHEAD = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: the kind of alarm, what it is about, and a sentence on this case."""

    kind: str
    subject: str
    detail: str = ""
    severity: Severity | None = None


# What each check looks for, by the kinds of its findings, in the order in which they are shown.
CHECKS = {
    "certificates": ("certificate-expiring", "authority-expiring"),
    "keys": ("weak-key",),
    "revocation list": ("crl-age",),
    "sessions": ("session-without-certificate",),
    "client ids": ("client-id-clash",),
    "clocks": ("clock-skew",),
}


def expiring(entries: Iterable[Entry], now: datetime) -> Iterator[Finding]:
    """Certificates in use that end within 30 days, or have ended in the last 30."""
    for entry in entries:
        if entry.is_superseded or entry.revoked_at is not None:
            continue
        if entry.not_after <= now:
            yield Finding(
                "certificate-expiring", entry.common_name, f"It ended on {_day(entry.not_after)}.", Severity.CRITICAL
            )
        elif entry.not_after - now <= EXPIRES_SOON:
            yield Finding("certificate-expiring", entry.common_name, f"It ends on {_day(entry.not_after)}.")


def chain_ends(chain: Iterable[CaCertificate], now: datetime) -> Iterator[Finding]:
    """Of the hub's own authorities, what ends within 30 days."""
    for one in chain:
        if one.not_after - now <= EXPIRES_SOON:
            ends = "ended" if one.not_after <= now else "ends"
            yield Finding("authority-expiring", one.subject, f"It {ends} on {_day(one.not_after)}.")


def chain_keys(chain: Iterable[CaCertificate]) -> Iterator[Finding]:
    """Of the hub's own authorities, what would not be taken today."""
    for one in chain:
        if (weakness := weakness_of(one)) is not None:
            yield Finding("weak-key", one.subject, f"It {weakness}.", Severity.CRITICAL)


def weak(entries: Iterable[Entry]) -> Iterator[Finding]:
    """Certificates in use whose key is weak."""
    for entry in entries:
        if is_weak_key(entry.key):
            yield Finding("weak-key", entry.common_name, f"It is {entry.key}; serial number {entry.serial}.")


def revocations(next_update: datetime | None, now: datetime) -> Iterator[Finding]:
    """The revocation list: made, and renewed long before it lapses."""
    if next_update is None:
        yield Finding("crl-age", "", "There is none yet.")
    elif crl_is_overdue(next_update, now):
        yield Finding("crl-age", "", f"It is good until {next_update:%Y-%m-%d %H:%M} UTC.")


def without_certificate(sessions: Iterable[Session], good: Collection[str], now: datetime) -> Iterator[Finding]:
    """Sessions of common names that have no good certificate, but for those of the last minute.

    Args:
        sessions: that are open.
        good: common names with a certificate that is neither over nor revoked.
        now: the time.
    """
    for session in sessions:
        if session.common_name not in good and now - session.since >= _SETTLED_AFTER:
            told = f"It is open since {session.since:%Y-%m-%d %H:%M} UTC from {session.address}."
            yield Finding("session-without-certificate", session.common_name, told)


def clashing(sessions: Iterable[Session], now: datetime) -> Iterator[Finding]:
    """Client ids that several clients take from each other."""
    for session in sessions:
        if not clashes(session, now):
            continue
        told = f"It changed hands {len(session.takeovers)} times lately, the last time to {session.address}."
        if session.common_name.startswith(CLAIM_PREFIX):
            # Who joins does so under its hardware UUID, of which nothing but the hash and this much may be kept.
            told += f" The client id ends in '{session.client_id[-_HINT:]}'."
            yield Finding("client-id-clash", f"of one that joins with {session.common_name}", told)
        else:
            yield Finding("client-id-clash", session.client_id, told)


def storage_clock(began: datetime, written: datetime, ended: datetime) -> Iterator[Finding]:
    """The NATS server's clock, by the time that it gave a write which began and ended at these times of ours."""
    yield from _apart("the NATS server", max(began - written, written - ended))


def broker_clocks(sessions: Iterable[Session], now: datetime) -> Iterator[Finding]:
    """Brokers that told of sessions in the future; one that is behind cannot be told from news that come late."""
    latest: dict[str, datetime] = {}
    for session in sessions:
        latest[session.broker] = max(session.since, latest.get(session.broker, session.since))
    for broker, since in sorted(latest.items()):
        yield from _apart(f"the broker '{broker}'", since - now)


def _apart(whose: str, by: timedelta) -> Iterator[Finding]:
    if by > MOST_APART:
        yield Finding("clock-skew", whose, f"It differs by {by.total_seconds():.0f} s.")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
