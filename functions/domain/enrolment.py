"""Enrolment: when devices may join, which ones, and the claim of one that is joining."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.domain.faults import Denied, Reason

CLAIM_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The enrolment settings: ``open_until`` is None with ``is_open`` for a window without end."""

    is_open: bool = False
    open_until: datetime | None = None
    whitelist_enforced: bool = False


@dataclass(frozen=True, slots=True)
class Whitelisted:
    """A whitelist entry, kept under the keyed hash of its UUID; ``hint`` is the UUID's last four characters."""

    uuid_hash: str
    hint: str
    added_at: datetime
    note: str = ""
    disabled: bool = False
    first_used_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A device that is joining: its UUID's hash, the name kept for it, and what it got.

    ``supersedes`` is the serial of the certificate that the UUID's device held
    when the claim began; it is revoked when the claim ends.
    """

    uuid_hash: str
    device: str
    claim_certificate: str
    expires_at: datetime
    csr_digest: str | None = None
    certificate: str | None = None
    supersedes: str | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A name that is taken: who took it (the keyed hash of a UUID, or empty), and for which device."""

    device: str
    uuid_hash: str | None


@dataclass(frozen=True, slots=True)
class ClaimCertificate:
    """A claim certificate that devices may join with; its broker role exists while this says so."""

    name: str
    serial: str
    created_at: datetime
    not_after: datetime
    revoked_at: datetime | None = None


def admit_enrolment(enrolment: Enrolment, whitelisted: Whitelisted | None, now: datetime) -> None:
    """Pass the two gates every new identity must pass.

    Raises:
        Denied: ``enrolment_closed``, or ``uuid_not_whitelisted`` while the
            whitelist is enforced and has no enabled entry for the UUID.
    """
    if not enrolment.is_open or (enrolment.open_until is not None and now >= enrolment.open_until):
        raise Denied(Reason.ENROLMENT_CLOSED)
    if enrolment.whitelist_enforced and (whitelisted is None or whitelisted.disabled):
        raise Denied(Reason.UUID_NOT_WHITELISTED)
