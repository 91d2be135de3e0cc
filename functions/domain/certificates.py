"""Certificates the hub signs: what may be asked for, and what the register keeps."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from functions.domain.faults import Malformed, Reason

# Longer than any CSR of an accepted key: an RSA-8192 one is about 3 KiB of PEM.
MAX_CSR_CHARACTERS = 16 * 1024
_MIN_RSA_BITS = 2048
# Checking a signature costs more than linearly in the key size.
_MAX_RSA_BITS = 8192
_CURVES = frozenset({"secp256r1", "secp384r1"})
_WEAK_HASHES = frozenset({"md5", "sha1"})


# How long a certificate is good for where its maker does not say.
DEVICE_LIFETIME = timedelta(days=10 * 365)
CLAIM_CERTIFICATE_LIFETIME = timedelta(days=5 * 365)
# Renewed by the keeper long before; so it outlives a long absence of it.
BROKER_LIFETIME = timedelta(days=5 * 365)

# Past its nextUpdate a CRL locks out every device. It is renewed daily, so
# that it outlives a hub that stands still for weeks.
CRL_LIFETIME = timedelta(days=30)
_CRL_RENEWED_AFTER = timedelta(days=1)
_CRL_RENEWED_BEFORE = timedelta(days=7)
# Four weeks are left then to see what keeps it from being renewed.
_CRL_MISSED_AFTER = timedelta(days=2)
# Workers' clocks differ a little; more than this, and the CRL was made by a
# clock that has been set back since.
_CLOCKS_DIFFER = timedelta(minutes=1)

# A keeper that has not come for as long as a CRL lives has a broker that lets
# nobody in, so what was revoked before then has no session left to end.
CUT_FOR = CRL_LIFETIME


class Purpose(StrEnum):
    """What a certificate is for."""

    DEVICE = "device"
    CLAIM = "claim"
    SERVER = "server"


class Gate(StrEnum):
    """How a certificate came to be issued.

    Records of earlier versions say ``provision`` for both handshakes and
    ``operator`` for what is now ``staff`` or ``claim``.
    """

    TWO_ROUNDS = "two-rounds"
    ONE_ROUND = "one-round"
    CREATE_FROM_CSR = "create-from-csr"
    RENEWAL = "renewal"
    STAFF = "staff"
    CLAIM = "claim"
    SYSTEM = "system"


class RevocationReason(StrEnum):
    """Why a certificate is revoked, in the words of RFC 5280 (5.3.1); of those, what befits a holder of a hub's."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What a CSR (PKCS #10, RFC 2986) says, read but not yet judged.

    ``key`` is ``ec``, ``rsa``, ``ed25519`` or the name of another type;
    ``curve`` only for ``ec``, ``bits`` only for ``rsa``; ``signature_hash`` is
    empty where the signature has none of its own (Ed25519). ``digest`` is the
    SHA-256 of the DER in hex: the same CSR has the same digest.
    """

    common_name: str
    key: str
    curve: str
    bits: int
    signature_hash: str
    signature_valid: bool
    asks_for_ca: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate just signed, with the facts the register keeps; ``issuer`` is the fingerprint of the CA's."""

    serial: str
    pem: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    key: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The register's entry of a certificate; kept also when its device goes.

    ``serial`` and ``fingerprint`` (SHA-256) are lower-case hex; ``gate`` is a
    ``Gate``, or what an earlier version wrote; ``issued_to`` is the caller
    that asked for it; ``csr_digest`` finds the answer to a repeated request;
    ``key`` is its ``key_name``, empty where an earlier version wrote none.
    """

    serial: str
    purpose: Purpose
    common_name: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    gate: str
    issued_to: str
    csr_digest: str
    pem: str
    revoked_at: datetime | None = None
    revocation_reason: RevocationReason | None = None
    key: str = ""
    issuer: str = ""


def entry_of(
    signed: Signed,
    *,
    purpose: Purpose,
    common_name: str,
    at: datetime,
    gate: str,
    issued_to: str,
    csr_digest: str,
) -> Certificate:
    """The register's entry of what was signed at a time, through a gate, for a caller."""
    return Certificate(
        serial=signed.serial,
        purpose=purpose,
        common_name=common_name,
        fingerprint=signed.fingerprint,
        not_before=signed.not_before,
        not_after=signed.not_after,
        issued_at=at,
        gate=gate,
        issued_to=issued_to,
        csr_digest=csr_digest,
        pem=signed.pem,
        key=signed.key,
        issuer=signed.issuer,
    )


def key_name(kind: str, curve: str, bits: int) -> str:
    """A kind of key in short: ``ec secp256r1``, ``rsa 2048``, ``ed25519``."""
    return f"{kind} {curve or bits or ''}".strip()


def is_weak_key(name: str) -> bool:
    """Whether a key is one that the hub would not sign for today; of one that is not known, it cannot be said."""
    kind, _, rest = name.partition(" ")
    if kind == "rsa":
        return not rest.isdigit() or int(rest) < _MIN_RSA_BITS
    return kind not in ("", "ed25519") and not (kind == "ec" and rest in _CURVES)


def is_usable(certificate: Certificate, now: datetime) -> bool:
    """Whether a certificate may still be handed to its holder: neither revoked nor over."""
    return certificate.revoked_at is None and now < certificate.not_after


def revoke(certificate: Certificate, at: datetime, reason: RevocationReason | None = None) -> Certificate:
    """Mark a certificate revoked; one that is keeps its time and reason."""
    if certificate.revoked_at is not None:
        return certificate
    return replace(certificate, revoked_at=at, revocation_reason=reason)


def crl_is_due(made: datetime, next_update: datetime, now: datetime) -> bool:
    """Whether a revocation list must be made anew although nothing was revoked."""
    return now - made >= _CRL_RENEWED_AFTER or next_update - now <= _CRL_RENEWED_BEFORE or made - now > _CLOCKS_DIFFER


def crl_is_overdue(next_update: datetime, now: datetime) -> bool:
    """Whether a revocation list should have been renewed some time ago, so that a person must look why it was not."""
    return next_update - now <= CRL_LIFETIME - _CRL_MISSED_AFTER


def judge_request(request: SigningRequest) -> None:
    """Refuse what the hub will not sign, whoever asks.

    Raises:
        Malformed: ``bad_csr``, with what is wrong and what to do.
    """
    # First, as the library finds no signature valid whose hash is too weak for it.
    if request.signature_hash in _WEAK_HASHES:
        raise Malformed(Reason.BAD_CSR, f"The CSR is signed with {request.signature_hash}; use SHA-256 or better.")
    if not request.signature_valid:
        raise Malformed(Reason.BAD_CSR, "The signature of the CSR does not match its key.")
    if request.asks_for_ca:
        raise Malformed(Reason.BAD_CSR, "The CSR asks for a CA certificate; leave basicConstraints out.")
    if request.key == "rsa":
        if not _MIN_RSA_BITS <= request.bits <= _MAX_RSA_BITS:
            raise Malformed(
                Reason.BAD_CSR, f"The RSA key has {request.bits} bits; {_MIN_RSA_BITS} to {_MAX_RSA_BITS} are accepted."
            )
    elif request.key == "ec":
        if request.curve not in _CURVES:
            raise Malformed(Reason.BAD_CSR, f"The curve {request.curve} is not accepted; use P-256 or P-384.")
    elif request.key != "ed25519":
        raise Malformed(
            Reason.BAD_CSR, f"Keys of type {request.key} are not accepted; use P-256, P-384, Ed25519 or RSA."
        )
