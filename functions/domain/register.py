"""The register of certificates: what can be asked of it, the state of a certificate, and what revoking it entails."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from functions.domain.certificates import Certificate, Purpose, RevocationReason
from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import ClaimCertificate
from functions.domain.faults import Malformed
from functions.domain.inventory import Sort

# The fields of a certificate, as its view names them, by which a page can be sorted.
SORTABLE = ("serial", "subject", "kind", "gate", "issuedTo", "issuedAt", "notAfter", "revokedAt")

# RFC 5280 (4.1.2.2) allows 20 bytes.
_SERIAL = re.compile(r"[0-9a-f]{1,40}")
# Positive in 20 bytes.
_SERIALS_END = 2**159


class State(StrEnum):
    """What a certificate is good for now; the first of these that is true, from the bottom up.

    ``superseded`` is still good to connect with, but its device has a newer
    one: the hub revokes it in time.
    """

    ACTIVE = "active"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Consequence(StrEnum):
    """What the revocation of one certificate entails besides."""

    DEVICE_RETIRED = "device_retired"
    DEVICE_STAYS = "device_stays"
    CLAIM_CLOSED = "claim_closed"
    NEW_SERVER_CERTIFICATE = "new_server_certificate"
    NOTHING_ELSE = "nothing_else"


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate as the register lists it: all but its PEM and its CSR's digest."""

    serial: str
    purpose: Purpose
    common_name: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    gate: str
    issued_to: str
    revoked_at: datetime | None
    revocation_reason: RevocationReason | None
    is_superseded: bool
    key: str = ""


@dataclass(frozen=True, slots=True)
class CertificatesWanted:
    """Which certificates, in which order, and which part of them. All that is given must hold.

    ``text`` is found in the common name or in who asked for it, letters in
    either case, or begins the serial number or the fingerprint, colons passed
    over. Without ``sorts`` the newest come first; equals go by serial number.
    """

    text: str = ""
    state: State | None = None
    purpose: Purpose | None = None
    gate: str | None = None
    common_name: str | None = None
    expires_after: datetime | None = None
    expires_before: datetime | None = None
    is_weak: bool | None = None
    sorts: tuple[Sort, ...] = ()
    limit: int = 100
    offset: int = 0


def entry_of(certificate: Certificate, *, is_superseded: bool) -> Entry:
    """A certificate as it is listed."""
    return Entry(
        serial=certificate.serial,
        purpose=certificate.purpose,
        common_name=certificate.common_name,
        fingerprint=certificate.fingerprint,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        issued_at=certificate.issued_at,
        gate=certificate.gate,
        issued_to=certificate.issued_to,
        revoked_at=certificate.revoked_at,
        revocation_reason=certificate.revocation_reason,
        is_superseded=is_superseded,
        key=certificate.key,
    )


def is_superseded(certificate: Certificate, current: Certificate | None) -> bool:
    """Whether the certificate that a device's record names has taken another one's place.

    One that is newer than the current has not: its device is about to change to it.
    """
    if current is None or certificate.serial == current.serial or certificate.common_name != current.common_name:
        return False
    are_of_a_device = certificate.purpose is Purpose.DEVICE and current.purpose is Purpose.DEVICE
    return are_of_a_device and certificate.issued_at <= current.issued_at


def state_of(entry: Entry, now: datetime) -> State:
    """The state of a certificate at a time."""
    if entry.revoked_at is not None:
        return State.REVOKED
    if now >= entry.not_after:
        return State.EXPIRED
    return State.SUPERSEDED if entry.is_superseded else State.ACTIVE


def consequence(certificate: Certificate, device: Device | None, claim: ClaimCertificate | None) -> Consequence:
    """What a revocation has entailed, by the records as they are after it.

    Args:
        certificate: that is revoked.
        device: the record of its common name, for a device's.
        claim: the record of its name, for a claim certificate.
    """
    if certificate.purpose is Purpose.SERVER:
        return Consequence.NEW_SERVER_CERTIFICATE
    if claim is not None and claim.serial == certificate.serial:
        return Consequence.CLAIM_CLOSED
    if device is not None and device.certificate == certificate.serial:
        return Consequence.DEVICE_RETIRED
    if device is not None and device.lifecycle is not Lifecycle.RETIRED:
        return Consequence.DEVICE_STAYS
    return Consequence.NOTHING_ELSE


def is_serial(text: str) -> bool:
    """Whether a text is a serial number as the register keeps it, which a revocation list can name."""
    return _SERIAL.fullmatch(text) is not None and 0 < int(text, 16) < _SERIALS_END


def serial_number(text: str) -> str:
    """A serial number as the register has it, from hex in either case, with or without colons.

    Raises:
        Malformed: it is none.
    """
    serial = text.replace(":", "").lower()
    if _SERIAL.fullmatch(serial) is None:
        told = "is 1 to 40 hexadecimal digits"
        raise Malformed(detail=f"A serial number {told}.", fields={"serial": told})
    return serial
