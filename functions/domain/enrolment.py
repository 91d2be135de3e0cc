"""Enrolment: when devices may join, which ones, and the claim of one that is joining.

A claim is the record of one joining, in both handshakes: the name, the
certificates given out, and which older ones end with it. It is written before
anything is signed, so that a repeat of a request finds what the first attempt
had decided and comes to the same end.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from string import hexdigits

from functions.domain.callers import ANY_CLAIM, CLAIM, DEVICE, Caller
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Conflict, Denied, Reason, Unavailable
from functions.domain.sessions import SessionMark

CLAIM_LIFETIME = timedelta(minutes=15)
# How long a device that was given a new certificate may keep the old one without confirming, unless set otherwise.
RENEWAL_GRACE = timedelta(days=7)
# A claimer that asks with ever new keys must not fill the register.
_MAX_SUPERSEDED = 8
# How exactly the last use of a whitelist entry is kept: several messages of
# one joining write it once.
_USE_GRAIN = timedelta(minutes=1)


_NAME_PREFIX = "EDGB-"
# Digits of the UUID that a name may show; the rest of it stays unknown to
# who reads the name, and further digits come from its keyed hash.
_SHOWN_DIGITS = 8
_NAME_LENGTHS = (4, 5, 6, 7, 8, 12, 16, 24, 40)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The enrolment settings: ``open_until`` is None with ``is_open`` for a window without end.

    ``serves`` is the claim whose files any device may fetch while the window
    is open, and ``serves_serial`` its certificate's serial number: one issued
    under the same name afterwards was not meant. Both are empty for none.
    """

    is_open: bool = False
    open_until: datetime | None = None
    whitelist_enforced: bool = False
    serves: str = ""
    serves_serial: str = ""


@dataclass(frozen=True, slots=True)
class Whitelisted:
    """A whitelist entry, kept under the keyed hash of its UUID; ``hint`` is the UUID's last four characters."""

    uuid_hash: str
    hint: str
    added_at: datetime
    note: str = ""
    hardware_version: str = ""
    manufacturer: str = ""
    disabled: bool = False
    first_used_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A device that is joining: its UUID's hash (empty if it named none), the name kept for it, and what it got.

    ``certificate`` is the serial decided on for the CSR of ``csr_digest``,
    perhaps not signed yet. ``supersedes`` are the serials that the device held
    before, oldest first; they are revoked when the claim ends, but for the
    one that the registry still names as the device's own.

    A renewal is a claim too, of a device on its own id; ``asked_in`` is the
    newest session in which it was asked for.
    """

    uuid_hash: str
    device: str
    claim_certificate: str
    expires_at: datetime
    csr_digest: str | None = None
    certificate: str | None = None
    supersedes: tuple[str, ...] = ()
    asked_in: SessionMark | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A name that is taken: for which device, and by which UUID's keyed hash, if one was told.

    ``role`` is set where the name is not the device's id but the role it
    has, as it is spelled, and ``by`` then says which operation took it.
    """

    device: str
    uuid_hash: str | None
    role: str | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class ClaimCertificate:
    """A claim certificate that devices may join with; its broker role exists while this says so.

    ``sealed_key`` is its private key as the hub's keyring sealed it; empty
    where the key was made elsewhere, and when it is revoked.
    """

    name: str
    serial: str
    created_at: datetime
    not_after: datetime
    revoked_at: datetime | None = None
    sealed_key: str = field(default="", repr=False)

    @property
    def key_owner(self) -> str:
        """Whose key it is, as the seal must say: neither another claim's nor an earlier one's of this name."""
        return f"claim/{self.name}/{self.serial}"


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who asks to be a device: the id, the keyed hash of the UUID told, and who asks for it.

    ``as_staff`` is for operators, who pass no gate and may bring a retired
    device back.
    """

    device: str
    uuid_hash: str | None
    caller: Caller
    as_staff: bool = False


def is_open(enrolment: Enrolment, now: datetime) -> bool:
    """Whether new devices may join now."""
    return enrolment.is_open and (enrolment.open_until is None or now < enrolment.open_until)


def admit_enrolment(enrolment: Enrolment, whitelisted: Whitelisted | None, now: datetime) -> None:
    """Pass the two gates every new identity must pass.

    Raises:
        Denied: ``enrolment_closed``, or ``uuid_not_whitelisted`` while the
            whitelist is enforced and has no enabled entry for the UUID.
    """
    if not is_open(enrolment, now):
        raise Denied(Reason.ENROLMENT_CLOSED)
    if enrolment.whitelist_enforced and (whitelisted is None or whitelisted.disabled):
        raise Denied(Reason.UUID_NOT_WHITELISTED)


def is_claim_live(claim: ClaimCertificate, now: datetime) -> bool:
    """Whether devices may join with a claim certificate: it is neither revoked nor over."""
    return claim.revoked_at is None and now < claim.not_after


def admit_claim(claim: ClaimCertificate | None, caller: Caller, now: datetime) -> None:
    """Let a claim certificate have devices join exactly while it has a role with the broker.

    The broker lets in none that is revoked or over; but what one sent before
    may have waited there, and some topics it grants to any certificate of the
    hub's CA. Whether one that no message named has its role, the broker saw.

    Raises:
        Denied: it is revoked, over, or none that the hub knows.
    """
    if caller.kind is not CLAIM or caller.name == ANY_CLAIM:
        return
    if claim is None:
        raise Denied(detail="The hub does not know this claim certificate.")
    if not is_claim_live(claim, now):
        told = "is revoked" if claim.revoked_at is not None else "has expired"
        raise Denied(detail=f"The claim certificate {told}.")


def close_claim(claim: ClaimCertificate, at: datetime) -> ClaimCertificate:
    """Mark a claim certificate revoked and forget its private key; one that is keeps its time."""
    return claim if claim.revoked_at is not None else replace(claim, revoked_at=at, sealed_key="")


def require_bundle(claim: ClaimCertificate, now: datetime) -> None:
    """Refuse to give out a claim certificate's bundle where that cannot be.

    Raises:
        Conflict: ``no_bundle``: it is over, or its private key is not with the hub.
    """
    if claim.revoked_at is not None:
        raise Conflict(Reason.NO_BUNDLE, f"The claim certificate '{claim.name}' is revoked; its key is gone.")
    if not is_claim_live(claim, now):
        raise Conflict(
            Reason.NO_BUNDLE, f"The claim certificate '{claim.name}' has expired. Delete it and issue it anew."
        )
    if not claim.sealed_key:
        raise Conflict(
            Reason.NO_BUNDLE,
            f"The key of the claim certificate '{claim.name}' was made elsewhere, and the hub never had it."
            " Use the bundle that was written then, or issue a claim certificate whose key the hub keeps.",
        )


def use(whitelisted: Whitelisted, now: datetime) -> Whitelisted:
    """Note that a device joined by this entry."""
    last = whitelisted.last_used_at
    if last is not None and now - last < _USE_GRAIN:
        return whitelisted
    return replace(whitelisted, first_used_at=whitelisted.first_used_at or now, last_used_at=now)


def candidate_names(uuid: str, uuid_hash: str) -> tuple[str, ...]:
    """The names that a device of this UUID may get, the preferred one first.

    ``EDGB-`` and the UUID's first four hex digits in upper case, then longer
    ones. They follow from the UUID alone, so calls for one UUID that run at
    the same time try the same names in the same order.
    """
    digits = "".join(character for character in uuid if character in hexdigits)[:_SHOWN_DIGITS] + uuid_hash
    return tuple(_NAME_PREFIX + digits[:length].upper() for length in _NAME_LENGTHS)


def is_live(claim: Claim | None, now: datetime) -> bool:
    """Whether a claim is there and has not run out."""
    return claim is not None and now < claim.expires_at


def begin_claim(claim: Claim | None, fresh: Claim, now: datetime) -> Claim:
    """The claim that a first round leads to: the live one, or a fresh one.

    A claim in its second half that has led to nothing yet begins anew, so
    that a device that restarted has time enough. One that gave out a
    certificate runs out when it said: the older one shall not live on because
    its device keeps asking.
    """
    if claim is None or not is_live(claim, now):
        return fresh
    if claim.certificate is None and claim.expires_at - now < CLAIM_LIFETIME / 2:
        return replace(claim, expires_at=fresh.expires_at)
    return claim


def decide_certificate(
    claim: Claim,
    device: Device | None,
    digest: str,
    serial: str,
    now: datetime,
    lifetime: timedelta = CLAIM_LIFETIME,
) -> Claim:
    """The claim with a serial decided on for a CSR; the same CSR leads to the same one.

    A new certificate begins the claim's time anew: the reply may be lost, and
    then the device needs time to ask again before its old one is revoked.

    Raises:
        Unavailable: more keys in one claim than a device can need (``rate_limited``).
    """
    if claim.certificate is not None and claim.csr_digest == digest:
        return claim
    held = [*claim.supersedes, claim.certificate, device.certificate if device is not None else None]
    supersedes = tuple(dict.fromkeys(serial for serial in held if serial is not None))
    if len(supersedes) > _MAX_SUPERSEDED:
        raise Unavailable(
            Reason.RATE_LIMITED,
            "Too many different CSRs one after the other. Use the certificate that was given last, or ask again after"
            f" {claim.expires_at:%Y-%m-%dT%H:%M:%SZ}.",
        )
    return replace(claim, csr_digest=digest, certificate=serial, supersedes=supersedes, expires_at=now + lifetime)


def settle_certificate(device: Device, claim: Claim, was: Lifecycle, at: datetime) -> Device:
    """The registry's record with the claim's certificate in the place of one that it supersedes.

    A record that names a certificate the claim does not know of is left as it
    is: a later request has been answered meanwhile.

    Args:
        device: the record as it is now.
        claim: with its certificate decided on.
        was: the lifecycle that the applicant was judged by.
        at: the time of the change.

    Raises:
        Denied: the device was suspended or retired meanwhile.
    """
    if device.lifecycle is Lifecycle.SUSPENDED:
        raise Denied(Reason.DEVICE_SUSPENDED)
    if device.lifecycle is Lifecycle.RETIRED and (
        was is not Lifecycle.RETIRED or device.certificate == claim.certificate
    ):
        raise Denied(Reason.DEVICE_RETIRED)
    if device.certificate is not None and device.certificate not in claim.supersedes:
        return device
    return replace(device, certificate=claim.certificate, lifecycle=Lifecycle.ACTIVE, updated_at=at)


def abandon(claim: Claim) -> Claim:
    """The claim with its decision taken back, so that the same CSR leads to a new one; what was signed ends with it."""
    signed = (claim.certificate,) if claim.certificate is not None else ()
    return replace(claim, csr_digest=None, certificate=None, supersedes=(*claim.supersedes, *signed))


def ended_certificates(claim: Claim, device: Device | None) -> tuple[str, ...]:
    """The serials to revoke now that a claim is over: never the one that the registry names.

    A claim may be over with its certificate never signed, or signed and never
    written into the registry: then the device's old one stays.
    """
    current = device.certificate if device is not None else None
    return tuple(serial for serial in claim.supersedes if serial != current)


def judge_applicant(applicant: Applicant, device: Device | None, reserved: Reservation | None) -> None:
    """Let a device have an id that is free or its own.

    Ids that differ only in case are two identities to the broker but one to
    a reader, so the second is refused. A retired device's id goes only to the
    same UUID again (or back by an operator): its name in logs and streams
    stays that of one piece of hardware. This is no bar to the hardware, which
    could as well report another UUID; the whitelist is.

    Args:
        applicant: who asks.
        device: the registry's record of the id.
        reserved: who has the id, whatever its case.

    Raises:
        Conflict: ``device_exists``.
        Denied: ``device_suspended``.
    """
    if reserved is not None and reserved.role is not None:
        raise Conflict(Reason.DEVICE_EXISTS, "This id is the role of a device.")
    if reserved is not None and reserved.device != applicant.device:
        raise Conflict(
            Reason.DEVICE_EXISTS, "A device exists whose id differs from this one only in upper and lower case."
        )
    if device is None:
        kept_for = reserved.uuid_hash if reserved is not None else None
        if kept_for is not None and kept_for != applicant.uuid_hash:
            raise Conflict(Reason.DEVICE_EXISTS, "This id is kept for a device that is joining.")
        return
    if not _is_same(applicant, device):
        raise Conflict(Reason.DEVICE_EXISTS)
    if device.lifecycle is Lifecycle.SUSPENDED:
        raise Denied(Reason.DEVICE_SUSPENDED)


def _is_same(applicant: Applicant, device: Device) -> bool:
    # Imported from another hub, whose certificates are not good here: it joins for the first time.
    has_none = device.certificate is None and device.lifecycle is not Lifecycle.RETIRED
    if applicant.as_staff:
        return device.lifecycle is Lifecycle.RETIRED or has_none
    if applicant.uuid_hash is not None and device.uuid_hash is not None:
        return applicant.uuid_hash == device.uuid_hash
    if has_none and device.uuid_hash is None:
        return True
    is_itself = applicant.caller.kind is DEVICE and applicant.caller.name == device.id
    return is_itself and device.lifecycle is not Lifecycle.RETIRED
