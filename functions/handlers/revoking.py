"""Revocation: what was signed is no longer good, and every place that says so.

The entry in ``revoked`` comes first and is the decision; all that follows
from it can be done again at any time by anyone, and is: the mark in the
certificate's record, the device or claim it belonged to, and the revocation
list. Whoever makes the list completes what a call cut short had left.

Writes     revoked, certificates, devices, claim_certificates, revocations, alarms
Publishes  devicehub.broker.access.changed
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

from functions.contract.messages import AccessChanged
from functions.contract.subjects import subject
from functions.domain import certificates as rules
from functions.domain.certificates import CRL_LIFETIME, DEVICE_LIFETIME, Certificate, Purpose, RevocationReason
from functions.domain.devices import Device, retire
from functions.domain.enrolment import ClaimCertificate, close_claim
from functions.domain.faults import Conflict, Fault
from functions.domain.marks import Revocations, Revoked
from functions.domain.names import CLAIM_PREFIX
from functions.domain.register import is_serial
from functions.handlers.alarming import close_alarm, open_alarm
from functions.handlers.rewriting import amend, value_of
from functions.handlers.salvaging import read_past, tell_spoiled
from functions.handlers.trusting import current
from functions.ports import Hub
from functions.storage import Kept, Spoiled

ACCESS_CHANGED = subject("broker", "access", "changed")
# Where the list is kept.
CRL = "crl"

_ALARM = "crl-age"
_ATTEMPTS = 5
# A broker whose clock is behind may still take a certificate that is over by
# ours, so the list names it for a day longer.
_LISTED_AFTER_END = timedelta(days=1)
# An entry older than the list by more than this was seen by whoever made it.
_SEEN_WITHIN = timedelta(hours=1)
_RECORDS = "revocations"
_FIRST_YEAR = 1950
# Of so many lost records the register is asked: more of them are no accident, and the list must not wait.
_SALVAGED = 256


async def revoke(
    hub: Hub, common_name: str, serials: Iterable[str], reason: RevocationReason | None = None
) -> list[str]:
    """Decide that certificates are revoked, and mark what they belonged to; a repeat changes nothing.

    A device whose current certificate is revoked is retired by it; a claim's
    role goes. A serial that the register does not have is revoked all the
    same: a call at this moment may be about to sign it, or the register's
    replica that answered may be behind. The list and the broker follow with
    ``spread``. Whoever calls it writes the audit trail: of the serials given
    back, which are those that were not revoked before, or whose record could
    not be read and was written anew.

    Args:
        hub: the ports.
        common_name: whose they are.
        serials: of the certificates.
        reason: what the list says of why; one that was revoked before keeps its own.

    Raises:
        Conflict: others kept changing one of the records.
    """
    decided = []
    for serial in serials:
        now = hub.clock.now()
        certificate = value_of(await hub.certificates.get(serial))
        not_after = certificate.not_after if certificate is not None else now + DEVICE_LIFETIME
        issuer = certificate.issuer if certificate is not None else ""
        entry = Revoked(common_name, now, not_after, reason, issuer)
        try:
            await hub.revoked.create(serial, entry)
            decided.append(serial)
        except Conflict:
            # Decided before: the first time stands.
            found = await _find(hub, serial)
            if isinstance(found, Spoiled):
                entry = replace(await _salvaged(hub, found), common_name=common_name)
                await hub.revoked.replace(serial, entry, expect=found.revision)
                decided.append(serial)
            else:
                entry = found or entry
        await _complete(hub, serial, entry)
    return decided


async def spread(hub: Hub, common_names: Iterable[str]) -> None:
    """Bring the list up to date and tell the broker's keeper whose sessions must end."""
    await renew(hub)
    await tell(hub, common_names)


async def tell(hub: Hub, common_names: Iterable[str] = ()) -> None:
    """Tell the broker's keeper that the access state changed; it also asks by itself every minute."""
    await hub.events.publish(ACCESS_CHANGED, AccessChanged(end=sorted(set(common_names))))


async def keep_fresh(hub: Hub) -> None:
    """Renew the list if its time has come; for a timer, in as many processes as there are.

    The keeper of a broker has the list renewed whenever it asks; this is for
    a hub whose keeper cannot, and costs two reads. An alarm is open from when
    the list should have been renewed a day ago until it is.

    Raises:
        Conflict: others made a new list at every one of five attempts.
        Unavailable: the storage, or the CA cannot sign.
    """
    kept = value_of(await hub.revocations.get(CRL))
    now = hub.clock.now()
    if kept is None or rules.crl_is_due(kept.this_update, kept.next_update, now):
        try:
            await renew(hub)
        except Exception as problem:
            # Whatever keeps it from being made, a record that cannot be read among it, a person must know.
            if kept is None or rules.crl_is_overdue(kept.next_update, now):
                until = "never made" if kept is None else f"good until {kept.next_update:%Y-%m-%d %H:%M} UTC"
                cause = problem.detail or problem.reason if isinstance(problem, Fault) else "the functions' log has why"
                await open_alarm(hub, _ALARM, "", detail=f"It is {until}: {cause}.")
            raise
        await tell(hub)
    await close_alarm(hub, _ALARM, "")


async def renew(hub: Hub) -> tuple[Revocations, dict[str, Revoked]]:
    """The list as it must now be, made anew if need be, and what is revoked, of whatever issuer.

    It reads every revoked certificate: 10,000 take about 0.1 s. One whose
    record cannot be read stays on the list, with what the register knows of it.

    Raises:
        Conflict: others made a new list at every one of five attempts.
    """
    for _ in range(_ATTEMPTS):
        # Read before what it lists: if the write over this revision succeeds,
        # no entry written before any earlier list can be missing from it.
        kept = await hub.revocations.get(CRL)
        # And then the issuer: had another been decided on since, the write would fail.
        trust = await current(hub)
        now = hub.clock.now()
        revoked, unread = await _read_revoked(hub)
        recent = {serial: entry for serial, entry in sorted(revoked.items()) if _is_listed(entry, now)}
        listed = {serial: entry for serial, entry in recent.items() if entry.issuer in ("", trust.issuer)}
        covers = _digest(hub.authority.chain_pem, listed)
        if kept is not None and not _is_due(kept.value, covers, now):
            await tell_spoiled(hub, _RECORDS, unread)
            return kept.value, recent
        unread += await _complete_recent(hub, kept, recent)
        fresh = await _make(hub, kept.value.number + 1 if kept is not None else 1, listed, covers, now)
        try:
            if kept is None:
                await hub.revocations.create(CRL, fresh)
            else:
                await hub.revocations.replace(CRL, fresh, expect=kept.revision)
        except Conflict:
            continue
        await tell_spoiled(hub, _RECORDS, unread)
        return fresh, recent
    raise Conflict(detail="The revocation list changed at every attempt to renew it. Try again in a moment.")


async def _make(hub: Hub, number: int, listed: dict[str, Revoked], covers: str, now: datetime) -> Revocations:
    next_update = now + CRL_LIFETIME
    pem = await hub.authority.sign_crl(
        [(serial, entry.at, entry.reason) for serial, entry in listed.items()], number=number, next_update=next_update
    )
    return Revocations(number, pem, this_update=now, next_update=next_update, covers=covers)


def _is_due(revocations: Revocations, covers: str, now: datetime) -> bool:
    return revocations.covers != covers or rules.crl_is_due(revocations.this_update, revocations.next_update, now)


def _is_listed(entry: Revoked, now: datetime) -> bool:
    return now < entry.not_after + _LISTED_AFTER_END


def _digest(issuer: str, listed: Iterable[str]) -> str:
    digest = sha256(issuer.encode())
    for serial in listed:
        digest.update(b"\n" + serial.encode())
    return digest.hexdigest()


async def _read_revoked(hub: Hub) -> tuple[dict[str, Revoked], list[str]]:
    """What is revoked by serial, and of which serials the record cannot be used."""
    found, spoiled = await read_past(hub.revoked)
    revoked = {}
    for serial, one in found.items():
        sound = _sound(serial, one)
        if isinstance(sound, Spoiled):
            spoiled.append(sound)
        else:
            revoked[serial] = sound
    for number, lost in enumerate(spoiled):
        # What is no serial number is nothing that a list could have.
        if is_serial(lost.key):
            revoked[lost.key] = await _salvaged(hub, lost) if number < _SALVAGED else _nameless(hub, lost)
    return revoked, [lost.key for lost in spoiled]


def _sound(serial: str, kept: Kept[Revoked]) -> Revoked | Spoiled:
    """The entry, if a list can have it: times without a zone cannot be compared, and it begins in 1950."""
    at, not_after = kept.value.at, kept.value.not_after
    if is_serial(serial) and at.tzinfo is not None and not_after.tzinfo is not None and at.year >= _FIRST_YEAR:
        return kept.value
    return Spoiled(serial, kept.revision, kept.at, "a revocation that no list can have")


async def _find(hub: Hub, serial: str) -> Revoked | Spoiled | None:
    try:
        kept = await hub.revoked.get(serial)
    except Spoiled as spoiled:
        return spoiled
    return None if kept is None else _sound(serial, kept)


def _nameless(hub: Hub, spoiled: Spoiled) -> Revoked:
    """What keeps a serial on the list of which nothing else is known."""
    return Revoked("", spoiled.at, hub.clock.now() + DEVICE_LIFETIME)


async def _salvaged(hub: Hub, spoiled: Spoiled) -> Revoked:
    """What the register knows of a revocation whose record cannot be read; else what keeps the serial on the list."""
    try:
        certificate = value_of(await hub.certificates.get(spoiled.key))
    except Spoiled:
        certificate = None
    if certificate is None:
        return _nameless(hub, spoiled)
    return Revoked(
        certificate.common_name,
        certificate.revoked_at or spoiled.at,
        certificate.not_after,
        certificate.revocation_reason,
        certificate.issuer,
    )


async def _complete_recent(hub: Hub, kept: Kept[Revocations] | None, listed: dict[str, Revoked]) -> list[str]:
    """Complete what the list was not made with; the keys of records that cannot be read, which stop no other."""
    unread = []
    for serial, entry in listed.items():
        is_recent = kept is None or entry.at > kept.value.this_update - _SEEN_WITHIN
        if is_recent and entry.common_name:
            try:
                await _complete(hub, serial, entry)
            except Spoiled as spoiled:
                unread.append(spoiled.key)
    return unread


async def _complete(hub: Hub, serial: str, entry: Revoked) -> None:
    """Do what follows from an entry, as far as it is not done."""

    def mark(certificate: Certificate) -> Certificate:
        return rules.revoke(certificate, entry.at, entry.reason)

    def lose(device: Device) -> Device:
        return retire(device, hub.clock.now()) if device.certificate == serial else device

    def close(claim: ClaimCertificate) -> ClaimCertificate:
        return close_claim(claim, entry.at) if claim.serial == serial else claim

    marked = await amend(hub.certificates, serial, mark)
    if marked is None or marked.value.purpose is Purpose.DEVICE:
        written = await amend(hub.devices, entry.common_name, lose)
        if written is not None and written.value.certificate == serial:
            await _end_renewal(hub, entry)
    elif marked.value.purpose is Purpose.CLAIM:
        await amend(hub.claim_certificates, entry.common_name.removeprefix(CLAIM_PREFIX), close)


async def _end_renewal(hub: Hub, entry: Revoked) -> None:
    """Revoke what a device that is retired held beside its current certificate, as it had not confirmed that yet.

    The renewal itself is forgotten when its time is over.
    """
    renewal = value_of(await hub.renewals.get(entry.common_name))
    for serial in renewal.supersedes if renewal is not None else ():
        if await _find(hub, serial) is None:
            await revoke(hub, entry.common_name, [serial], entry.reason)
