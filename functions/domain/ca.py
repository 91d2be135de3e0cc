"""The hub's certificate authority: which one signs, which are trusted, and what one must be to be brought along.

Who signs and whom the broker trusts are two things: one issuer is active, and
a list of authorities is trusted. Today the list has the issuer alone; another
root that is to come, or one that is to go, will stand there beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from functions.domain.callers import CLAIM, Caller
from functions.domain.faults import Conflict, Malformed, Reason, Unavailable

# How long a root made here is good for where its maker does not say.
CA_DAYS = 20 * 365
# Of a text that is to hold a CA and those above it, and of one that is to hold its key.
MAX_CHAIN_CHARACTERS = 64 * 1024
MAX_KEY_CHARACTERS = 8 * 1024
MAX_CHAIN = 5

_MIN_RSA_BITS = 2048
_MAX_RSA_BITS = 8192
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_HASHES = frozenset({"sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"})


@dataclass(frozen=True, slots=True)
class CaCertificate:
    """What one certificate of an authority says, as it was read.

    ``key`` is ``ec``, ``rsa``, ``ed25519`` or another word; ``bits`` is of an
    RSA key; ``signature_hash`` is empty where the algorithm has none of its own.
    ``serves`` says whether the purposes it is limited to, if any, take in
    clients and servers; ``obstacles`` names critical extensions that verifiers
    would stumble over here.
    """

    subject: str
    common_name: str
    issuer: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    key: str
    curve: str
    bits: int
    signature_hash: str
    is_ca: bool
    signs_certificates: bool
    signs_lists: bool
    path_length: int | None
    serves: bool
    obstacles: tuple[str, ...]
    pem: str


# The issuing certificate first, then those above it, the root last.
Chain = tuple[CaCertificate, ...]


@dataclass(frozen=True, slots=True)
class Trusted:
    """An authority whose certificates the broker takes: the issuing certificate and those above it, in PEM."""

    fingerprint: str
    chain_pem: str


@dataclass(frozen=True, slots=True)
class Trust:
    """Which authority signs, and which are trusted; the decision is this record, whatever lies on any disk.

    ``in_use`` is final: a device has a certificate of the issuer, so it stays.
    ``is_settled`` says that nothing of an issuer before is left: its claim
    certificates are ended, and the broker takes those of this one.
    """

    issuer: str
    trusted: tuple[Trusted, ...]
    decided_at: datetime
    decided_by: str
    in_use: bool = False
    is_settled: bool = True


def trust_alone(authority: Trusted, *, at: datetime, by: str, in_use: bool = False, is_settled: bool = True) -> Trust:
    """The trust in one authority, which signs."""
    return Trust(authority.fingerprint, (authority,), at, by, in_use=in_use, is_settled=is_settled)


def bundle(trust: Trust) -> str:
    """What a device or the broker is given to trust, in PEM: the issuer and those above it, then the others."""
    ordered = sorted(trust.trusted, key=lambda one: one.fingerprint != trust.issuer)
    return "".join(one.chain_pem for one in ordered)


def admit_joining(trust: Trust, caller: Caller) -> None:
    """Let nobody join by a certificate that the broker took for that of another authority.

    Raises:
        Unavailable: the broker does not follow the present one yet.
    """
    if caller.kind is CLAIM and not trust.is_settled:
        raise Unavailable(detail="The hub has a new CA, and its broker is about to follow. Try again in a moment.")


def is_final(trust: Trust) -> bool:
    """Whether nothing about it will change any more."""
    return trust.in_use and trust.is_settled


def use(trust: Trust, issuer: str) -> Trust:
    """The trust once a device has a certificate of the issuer.

    Raises:
        Conflict: another issuer was decided on meanwhile.
    """
    if trust.issuer != issuer:
        raise Conflict(detail="The hub's CA was replaced meanwhile.")
    return trust if trust.in_use else replace(trust, in_use=True)


def settle(trust: Trust, issuer: str | None) -> Trust:
    """The trust once the broker takes certificates of ``issuer``; as it was, if that is not the one that signs."""
    return replace(trust, is_settled=True) if issuer == trust.issuer and not trust.is_settled else trust


def succeed(trust: Trust, authority: Trusted, *, replaces: str | None, at: datetime, by: str) -> Trust:
    """The trust in another authority in the place of the present one; as it was, if that one signs already.

    Args:
        trust: the present one.
        authority: the one to come.
        replaces: the fingerprint of the one that the caller means to replace, if it says.
        at: the time of the decision.
        by: who decides.

    Raises:
        Conflict: ``ca_in_use``; or the issuer is not the one that the caller means.
    """
    if authority.fingerprint == trust.issuer:
        return trust
    if replaces is not None and replaces != trust.issuer:
        raise Conflict(detail="The hub's CA is not the one that you mean to replace. Look at it again, then decide.")
    if trust.in_use:
        raise Conflict(Reason.CA_IN_USE)
    return trust_alone(authority, at=at, by=by, is_settled=False)


def judge_chain(chain: Chain, now: datetime) -> None:
    """Refuse an authority that the hub cannot sign with, or whose certificates a verifier would not take.

    Args:
        chain: complete, each signed by the next, the last by itself.
        now: the time.

    Raises:
        Malformed: ``bad_ca``, with which certificate it is, what is wrong and what to do.
    """
    for below, certificate in enumerate(chain):
        _judge(certificate, now)
        if certificate.path_length is not None and certificate.path_length < below:
            raise _refusal(
                certificate, f"allows {certificate.path_length} authorities below it, and {below} stand below it here"
            )
    if not chain[0].signs_lists:
        raise _refusal(chain[0], "may not sign revocation lists; its key usage must have cRLSign")


def ends(chain: Sequence[CaCertificate]) -> datetime:
    """When the first of a chain's certificates is over: nothing that is signed with it is good after that."""
    return min(certificate.not_after for certificate in chain)


def weakness_of(certificate: CaCertificate) -> str | None:
    """Why an authority's certificate is too weak for the hub, in words that follow its name; None where it is not."""
    if certificate.key == "rsa":
        if not _MIN_RSA_BITS <= certificate.bits <= _MAX_RSA_BITS:
            return f"has an RSA key of {certificate.bits} bits; {_MIN_RSA_BITS} to {_MAX_RSA_BITS} are taken"
    elif certificate.key == "ec":
        if certificate.curve not in _CURVES:
            return f"has a key on the curve {certificate.curve}; P-256, P-384 and P-521 are taken"
    elif certificate.key != "ed25519":
        return f"has a key of type {certificate.key}; EC, RSA and Ed25519 are taken"
    if certificate.signature_hash and certificate.signature_hash not in _HASHES:
        return f"is signed with {certificate.signature_hash}; SHA-256 or better is taken"
    return None


def judge_strength(certificate: CaCertificate) -> None:
    """Refuse a weak certificate; before its signature is looked at, which some cannot then.

    Raises:
        Malformed: ``bad_ca``.
    """
    if (weakness := weakness_of(certificate)) is not None:
        raise _refusal(certificate, weakness)


def _judge(certificate: CaCertificate, now: datetime) -> None:
    if not certificate.is_ca:
        raise _refusal(certificate, "is no CA: its basic constraints do not say CA:TRUE")
    if not certificate.signs_certificates:
        raise _refusal(certificate, "may not sign certificates; its key usage must have keyCertSign")
    if not certificate.serves:
        raise _refusal(certificate, "is limited to purposes that leave out TLS clients or servers")
    if certificate.obstacles:
        raise _refusal(certificate, f"has critical extensions that the hub does not take: {certificate.obstacles[0]}")
    if certificate.not_after <= now:
        raise _refusal(certificate, f"is over since {certificate.not_after:%Y-%m-%d}")
    if certificate.not_before > now:
        raise _refusal(certificate, f"begins only on {certificate.not_before:%Y-%m-%d}")
    judge_strength(certificate)


def _refusal(certificate: CaCertificate, wrong: str) -> Malformed:
    return Malformed(Reason.BAD_CA, f"The certificate '{certificate.subject}' {wrong}.")
