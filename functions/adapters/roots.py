"""Authorities as certificates and keys: making a root, reading one that is brought along, and what each says."""

import secrets
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from functions.domain.ca import CA_DAYS, MAX_CHAIN, CaCertificate, Chain, Trusted, judge_strength
from functions.domain.faults import Malformed, Reason

# A device whose clock runs behind, or a broker that starts a second early,
# must not find a certificate or CRL from the future: one such CRL locks out
# every device.
BACK_DATED = timedelta(hours=1)

DEFAULT_KEY = "P-256"
_CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1}
_RSA_BITS = {"RSA-2048": 2048, "RSA-3072": 3072, "RSA-4096": 4096}

# All that the library raises on DER that is wrong in one way or another: none
# of these has another of them above it but Exception.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

# What a verifier meets in any CA's certificate, and understands.
_UNDERSTOOD = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE})


class UnlockError(ValueError):
    """A CA's key is encrypted, and the passphrase for it is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Ca:
    """An authority with its key: the issuing certificate first, then those above it."""

    certificates: tuple[x509.Certificate, ...]
    key: CertificateIssuerPrivateKeyTypes = field(repr=False)

    @property
    def issuer(self) -> x509.Certificate:
        """The issuing certificate."""
        return self.certificates[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the issuing certificate, in hex."""
        return self.issuer.fingerprint(hashes.SHA256()).hex()

    @property
    def chain_pem(self) -> str:
        """The issuing certificate and those above it, in PEM."""
        return "".join(pem_of(certificate) for certificate in self.certificates)

    @property
    def trusted(self) -> Trusted:
        """As it is trusted, without its key."""
        return Trusted(self.fingerprint, self.chain_pem)

    @property
    def ends(self) -> datetime:
        """When the first of its certificates is over."""
        return min(certificate.not_valid_after_utc for certificate in self.certificates)

    @property
    def begins(self) -> datetime:
        """When the last of its certificates has begun."""
        return max(certificate.not_valid_before_utc for certificate in self.certificates)


def make_root(
    common_name: str | None = None, days: int = CA_DAYS, key: str = DEFAULT_KEY, now: datetime | None = None
) -> tuple[str, str]:
    """Make a root CA of its own key; certificate and key, both in PEM.

    A random part is in the subject, so that the roots of two hubs never have
    the same one: a verifier that knows both would take the first that fits,
    and refuse. It stands in the common name where none is wished for, else
    beside it, as the serial number.

    Args:
        common_name: 1 to 64 characters; a name of the hub's own without it.
        days: how long it is valid.
        key: ``P-256``, ``P-384``, ``RSA-2048``, ``RSA-3072`` or ``RSA-4096``. An
            RSA key takes up to some seconds.
        now: when its time begins; by default, now.
    """
    made = _make_key(key)
    unique = secrets.token_hex(4)
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Device Hub")]
    if common_name is None:
        names.append(x509.NameAttribute(NameOID.COMMON_NAME, f"Device Hub Root CA {unique}"))
    else:
        names.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
        names.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, unique))
    subject = x509.Name(names)
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(made.public_key())
        .serial_number(random_serial())
        .not_valid_before(now - BACK_DATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(made.public_key()), critical=False)
        .sign(made, hashes.SHA256())
    )
    return pem_of(certificate), key_pem(made)


def read_ca(chain_pem: str, secret_pem: str, passphrase: bytes | None = None) -> Ca:
    """Read an authority as the hub keeps it: the certificates in their order, the key of the first.

    Args:
        chain_pem: the issuing certificate, and those above it if it is no root.
        secret_pem: its private key, perhaps encrypted.
        passphrase: of an encrypted key; a key that is not encrypted is taken too.

    Raises:
        ValueError: they are no CA certificate and its key; the message is fit to be shown.
    """
    try:
        certificates = x509.load_pem_x509_certificates(chain_pem.encode())
    except UNREADABLE as problem:
        raise ValueError(f"The CA certificate or its key cannot be read: {problem}") from problem
    key = read_key(secret_pem, passphrase)
    if not _is_key_of(key, certificates[0]):
        raise ValueError("The CA certificate is not of the CA key beside it.")
    if not describe(certificates[0]).is_ca:
        raise ValueError("The CA certificate may not sign: it does not say CA:TRUE.")
    return Ca(tuple(certificates), key)


def read_key(secret_pem: str, passphrase: bytes | None) -> CertificateIssuerPrivateKeyTypes:
    """Read a CA's private key, encrypted or not.

    Raises:
        ValueError: it is none, or the passphrase is missing or wrong; the message is fit to be shown.
    """
    if is_encrypted(secret_pem) and passphrase is None:
        raise UnlockError("The CA key is encrypted, and no passphrase is given for it.")
    try:
        # Whether the key is sound a signature tells (_is_key_of). The library's
        # own answer took 8.7 s for an RSA key of 8,192 bits, with the process held up.
        key = serialization.load_pem_private_key(
            secret_pem.encode(),
            passphrase if is_encrypted(secret_pem) else None,
            unsafe_skip_rsa_key_validation=True,
        )
    except UNREADABLE as problem:
        if is_encrypted(secret_pem):
            raise UnlockError("The CA key cannot be read with the passphrase that is given for it.") from problem
        raise ValueError(f"The CA certificate or its key cannot be read: {problem}") from problem
    return cast(CertificateIssuerPrivateKeyTypes, key)


def is_encrypted(secret_pem: str) -> bool:
    """Whether a private key in PEM is encrypted, in the form of PKCS #8 or in OpenSSL's older one."""
    return "-----BEGIN ENCRYPTED PRIVATE KEY-----" in secret_pem or "\nProc-Type: 4,ENCRYPTED" in secret_pem


def import_ca(chain_pem: str, secret_pem: str) -> tuple[Ca, Chain]:
    """Read an authority that is brought along, with what each of its certificates says, not yet judged.

    The certificates may come in any order, and none beside those from the
    key's own up to its root. An encrypted key is not taken: whoever makes one
    says how much work it is to undo that, and it is done with the process held
    up (20 million rounds took 3.6 s).

    Raises:
        Malformed: ``bad_ca``: something cannot be read, the key is of none of
            the certificates, or those above it up to a root are not there.
    """
    try:
        key = read_key(secret_pem, None)
    except UnlockError as problem:
        raise _refusal(
            "The key is encrypted. Give it as 'openssl pkey -in FILE' prints it, or use 'devicehub ca import'."
        ) from problem
    except ValueError as problem:
        raise _refusal(str(problem)) from problem
    try:
        given = _load(chain_pem)
        issuing = next((one for one in given if _is_key_of(key, one)), None)
        if issuing is None:
            raise _refusal("The key is of none of the certificates.")
        certificates = _climb(issuing, given)
        chain = tuple(describe(certificate) for certificate in certificates)
    except UNREADABLE as problem:
        raise _refusal("The certificates cannot be read; they must be in PEM.") from problem
    if beside := [one for one in given if one not in certificates]:
        raise _refusal(f"The certificate '{_name(beside[0].subject)}' is not above the key's own; leave it out.")
    return Ca(certificates, key), chain


def _load(chain_pem: str) -> list[x509.Certificate]:
    """The certificates of a text. Raises one of ``UNREADABLE``, or Malformed for what is about to be unreadable."""
    with warnings.catch_warnings():
        # Of a serial number that is not positive the library only warns as yet.
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        try:
            return x509.load_pem_x509_certificates(chain_pem.encode())
        except CryptographyDeprecationWarning as problem:
            raise _refusal("A certificate's serial number is not positive, as RFC 5280 has it.") from problem


def describe(certificate: x509.Certificate) -> CaCertificate:
    """What a certificate says. Raises one of ``UNREADABLE`` where it cannot be told."""
    kind, curve, bits = describe_key(certificate.public_key())
    found = {extension.oid: extension for extension in certificate.extensions}
    constraints = found.get(ExtensionOID.BASIC_CONSTRAINTS)
    usage = found.get(ExtensionOID.KEY_USAGE)
    purposes = found.get(ExtensionOID.EXTENDED_KEY_USAGE)
    algorithm = certificate.signature_hash_algorithm
    return CaCertificate(
        subject=_name(certificate.subject),
        common_name=_common_name(certificate.subject),
        issuer=_name(certificate.issuer),
        serial=f"{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key=kind,
        curve=curve,
        bits=bits,
        signature_hash=algorithm.name if algorithm is not None else "",
        is_ca=constraints is not None and cast(x509.BasicConstraints, constraints.value).ca,
        signs_certificates=usage is not None and cast(x509.KeyUsage, usage.value).key_cert_sign,
        signs_lists=usage is not None and cast(x509.KeyUsage, usage.value).crl_sign,
        path_length=cast(x509.BasicConstraints, constraints.value).path_length if constraints is not None else None,
        serves=purposes is None or _serves(cast(x509.ExtendedKeyUsage, purposes.value)),
        # Name constraints too: what they would make of a device's id is each verifier's own affair.
        obstacles=tuple(
            _words(extension.oid)
            for extension in found.values()
            if (extension.critical and extension.oid not in _UNDERSTOOD)
            or extension.oid == ExtensionOID.NAME_CONSTRAINTS
        ),
        pem=pem_of(certificate),
    )


def describe_key(key: CertificatePublicKeyTypes) -> tuple[str, str, int]:
    """The kind of a key, the curve of one of ``ec``, the bits of one of ``rsa``."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ec", key.curve.name, 0
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa", "", key.key_size
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", "", 0
    return type(key).__name__.removeprefix("_").removesuffix("PublicKey").lower(), "", 0


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """The usage of an authority's key, or of a client's or server's."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def hash_for(key: CertificateIssuerPrivateKeyTypes) -> hashes.SHA256 | None:
    """The hash to sign with a key; None for those that have their own."""
    return None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()


def random_serial() -> int:
    """127 random bits behind a one."""
    return 1 << 127 | secrets.randbits(127)


def pem_of(certificate: x509.Certificate) -> str:
    """A certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: CertificateIssuerPrivateKeyTypes, passphrase: bytes | None = None) -> str:
    """A private key in PEM (PKCS #8), encrypted where a passphrase is given."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def _is_key_of(key: CertificateIssuerPrivateKeyTypes, certificate: x509.Certificate) -> bool:
    """Whether a private key makes signatures that a certificate's key vouches for."""
    public = certificate.public_key()
    if public != key.public_key():
        return False
    request = x509.CertificateSigningRequestBuilder().subject_name(certificate.subject)
    try:
        return request.sign(key, hash_for(key)).is_signature_valid
    except (*UNREADABLE, InternalError):
        return False


def _make_key(kind: str) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind]())
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[kind])


def _climb(issuing: x509.Certificate, given: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The certificates from the issuing one up to its root."""
    path = [issuing]
    judge_strength(describe(issuing))
    while not _is_signed_by(path[-1], path[-1]):
        above = next((one for one in given if one not in path and _is_signed_by(path[-1], one)), None)
        if above is None:
            raise _refusal(
                f"The certificate above '{_name(path[-1].subject)}' is missing; give all of them up to the root,"
                f" '{_name(path[-1].issuer)}' next."
            )
        judge_strength(describe(above))
        path.append(above)
        if len(path) > MAX_CHAIN:
            raise _refusal(f"More than {MAX_CHAIN} certificates stand one above the other.")
    return tuple(path)


def _is_signed_by(certificate: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(above)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _serves(purposes: x509.ExtendedKeyUsage) -> bool:
    named = set(purposes)
    wanted = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    return wanted <= named or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in named


def _words(oid: x509.ObjectIdentifier) -> str:
    name = str(getattr(oid, "_name", ""))
    return oid.dotted_string if name in ("", "Unknown OID") else name


def _name(name: x509.Name) -> str:
    return name.rfc4514_string()


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _refusal(detail: str) -> Malformed:
    return Malformed(Reason.BAD_CA, detail)
