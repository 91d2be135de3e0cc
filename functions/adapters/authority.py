"""The certificate authority, with its key in this process.

Signing runs on the event loop: with a P-256 key a certificate takes 0.1 ms and
reading a CSR another 0.1 ms (measured, cryptography 50), about what handing it
to a thread and back would cost.
"""

import ipaddress
import re
import secrets
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from functions.domain.certificates import (
    MAX_CSR_CHARACTERS,
    Purpose,
    RevocationReason,
    Signed,
    SigningRequest,
    key_name,
)
from functions.domain.checks import Issuer
from functions.domain.faults import Malformed, Reason, Unavailable
from functions.ports import Clock

ROOT_DAYS = 20 * 365

# A device whose clock runs behind, or a broker that starts a second early,
# must not find a certificate or CRL from the future: one such CRL locks out
# every device.
BACK_DATED = timedelta(hours=1)
# A client cannot be a device of this name, see functions.domain.names.
_BROKER_NAME = "hub-broker"
# Exactly one block and nothing beside it: the library would take the first of
# two, and never see what stands behind it.
_CSR_BLOCK = re.compile(
    r"\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----\s[A-Za-z0-9+/=\s]+-----END (NEW )?CERTIFICATE REQUEST-----\s*"
)


def make_root(common_name: str = "Device Hub Root CA", days: int = ROOT_DAYS) -> tuple[str, str]:
    """Make a root CA of its own key (P-256); certificate and key, both in PEM.

    A random part is added to the name, so that the roots of two hubs never
    have the same subject: a verifier that knows both would take the first
    that fits, and refuse.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Device Hub"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{common_name} {secrets.token_hex(4)}"),
        ]
    )
    now = datetime.now(UTC).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(_random_serial())
        .not_valid_before(now - BACK_DATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def make_request(common_name: str) -> tuple[str, str]:
    """Make a key (P-256) and a CSR for it, both in PEM: for the broker, claim bundles and devices made by commands."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode(), _key_pem(key)


class LocalAuthority:
    """Signs with a CA key held in this process (``functions.ports.Authority``).

    Args:
        certificate_pem: the issuing certificate, and those above it if it is no root.
        key_pem: its private key, not encrypted.
        clock: the time that certificates count from.

    Raises:
        ValueError: the two are no CA certificate and its key; the message is fit to be shown.
    """

    def __init__(self, certificate_pem: str, key_pem: str, clock: Clock) -> None:
        self._certificate, self._key = _load(certificate_pem, key_pem)
        self._chain_pem = certificate_pem
        self._clock = clock
        self._key_identifier = _issuer_key_identifier(self._certificate)

    @property
    def chain_pem(self) -> str:
        """The issuing certificate and those above it, in PEM."""
        return self._chain_pem

    def issuers(self) -> tuple[Issuer, ...]:
        """The certificates of the chain, the issuing one first."""
        return tuple(
            Issuer(
                subject=one.subject.rfc4514_string(),
                key=key_name(*_describe(one.public_key())),
                signature_hash=one.signature_hash_algorithm.name if one.signature_hash_algorithm is not None else "",
                not_after=one.not_valid_after_utc,
            )
            for one in x509.load_pem_x509_certificates(self._chain_pem.encode())
        )

    def inspect(self, csr_pem: str) -> SigningRequest:
        """Read a CSR. Raises Malformed (``bad_csr``) when it is none."""
        request = _read(csr_pem)
        try:
            key = request.public_key()
            asks_for_ca = any(
                isinstance(extension.value, x509.BasicConstraints) and extension.value.ca
                for extension in request.extensions
            )
            kind, curve, bits = _describe(key)
            return SigningRequest(
                common_name=_common_name(request),
                key=kind,
                curve=curve,
                bits=bits,
                signature_hash=_signature_hash(request),
                signature_valid=request.is_signature_valid,
                asks_for_ca=asks_for_ca,
                digest=sha256(request.public_bytes(serialization.Encoding.DER)).hexdigest(),
            )
        except _UNREADABLE as problem:
            raise Malformed(Reason.BAD_CSR, "The CSR holds something that cannot be read.") from problem

    def new_serial(self) -> str:
        """127 random bits behind a one, in hex: positive, 17 bytes of DER (RFC 5280 allows 20), always 32 digits."""
        return f"{_random_serial():x}"

    async def sign(
        self, csr_pem: str, *, common_name: str, purpose: Purpose, not_after: datetime, serial: str | None = None
    ) -> Signed:
        """Sign the key of a judged CSR for a client; of its other contents only the key is taken over.

        ``not_after`` is cut to the CA's own.

        Raises:
            Malformed: the CSR cannot be read (``bad_csr``).
            Unavailable: the CA certificate is not valid now.
        """
        if purpose is Purpose.SERVER:
            raise ValueError("a certificate for a server has host names: sign_server")
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        number = int(serial, 16) if serial is not None else _random_serial()
        return self._sign(_read(csr_pem).public_key(), common_name, number, not_after, [usage])

    async def sign_server(self, csr_pem: str, *, hostnames: Sequence[str], not_after: datetime) -> Signed:
        """Sign the key of a CSR for a server that is reached under these names and IP addresses.

        Raises:
            Malformed: the CSR cannot be read (``bad_csr``).
            Unavailable: the CA certificate is not valid now.
        """
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        names = x509.SubjectAlternativeName([_general_name(name) for name in hostnames])
        return self._sign(_read(csr_pem).public_key(), _BROKER_NAME, _random_serial(), not_after, [usage, names])

    async def sign_crl(
        self, revoked: Iterable[tuple[str, datetime, RevocationReason | None]], *, number: int, next_update: datetime
    ) -> str:
        """The CRL in PEM of ``(serial, revoked at, why)``; its thisUpdate lies an hour back."""
        entries = [_crl_entry(serial, at, reason) for serial, at, reason in revoked]
        builder = (
            # Not with add_revoked_certificate, which copies the list for each entry.
            x509.CertificateRevocationListBuilder(revoked_certificates=entries)
            .issuer_name(self._certificate.subject)
            .last_update(self._clock.now() - BACK_DATED)
            .next_update(next_update)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._key_identifier, critical=False)
        )
        return builder.sign(self._key, _hash_for(self._key)).public_bytes(serialization.Encoding.PEM).decode()

    def _sign(
        self,
        key: CertificatePublicKeyTypes,
        common_name: str,
        serial: int,
        not_after: datetime,
        extensions: Sequence[x509.ExtensionType],
    ) -> Signed:
        now = self._clock.now().replace(microsecond=0)
        if not self._certificate.not_valid_before_utc <= now < self._certificate.not_valid_after_utc:
            raise Unavailable(detail="The hub's CA certificate is not valid at this time, so nothing can be signed.")
        begins = max(now - BACK_DATED, self._certificate.not_valid_before_utc)
        ends = min(not_after.replace(microsecond=0), self._certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(serial)
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._key_identifier, critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        certificate = builder.sign(self._key, _hash_for(self._key))
        return Signed(
            serial=f"{certificate.serial_number:x}",
            pem=_pem(certificate),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            not_before=begins,
            not_after=ends,
            key=key_name(*_describe(key)),
        )


# All that the library raises on DER that is wrong in one way or another: none
# of these has another of them above it but Exception.
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def _load(certificate_pem: str, key_pem: str) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
    try:
        certificate = x509.load_pem_x509_certificates(certificate_pem.encode())[0]
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise ValueError(f"The CA certificate or its key cannot be read: {problem}") from problem
    if certificate.public_key() != key.public_key():
        raise ValueError("The CA certificate is not of the CA key beside it.")
    try:
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    if not is_ca:
        raise ValueError("The CA certificate may not sign: it does not say CA:TRUE.")
    return certificate, cast(CertificateIssuerPrivateKeyTypes, key)


def _issuer_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        own = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _read(csr_pem: str) -> x509.CertificateSigningRequest:
    if len(csr_pem) > MAX_CSR_CHARACTERS or _CSR_BLOCK.fullmatch(csr_pem) is None:
        raise Malformed(Reason.BAD_CSR, "The CSR is not one 'CERTIFICATE REQUEST' block in PEM and nothing else.")
    try:
        return x509.load_pem_x509_csr(csr_pem.encode())
    except _UNREADABLE as problem:
        raise Malformed(Reason.BAD_CSR, "The CSR cannot be read.") from problem


def _common_name(request: x509.CertificateSigningRequest) -> str:
    with warnings.catch_warnings():
        # Of a country of three letters, and the like: none of it is taken over.
        warnings.simplefilter("ignore")
        subject = request.subject
    names = [attribute.value for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1 or not isinstance(names[0], str):
        raise Malformed(Reason.BAD_CSR, f"The CSR has {len(names)} common names; it must have one.")
    return names[0]


def _describe(key: CertificatePublicKeyTypes) -> tuple[str, str, int]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ec", key.curve.name, 0
    if isinstance(key, rsa.RSAPublicKey):
        if key.public_numbers().e < 3:
            # With e = 1 anyone can sign for the key.
            raise Malformed(Reason.BAD_CSR, "The RSA key has no usable exponent.")
        return "rsa", "", key.key_size
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", "", 0
    return type(key).__name__.removeprefix("_").removesuffix("PublicKey").lower(), "", 0


def _signature_hash(request: x509.CertificateSigningRequest) -> str:
    algorithm = request.signature_hash_algorithm
    return algorithm.name if algorithm is not None else ""


def _hash_for(key: CertificateIssuerPrivateKeyTypes) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()


def _crl_entry(serial: str, at: datetime, reason: RevocationReason | None) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(at)
    # RFC 5280 (5.3.1): to say 'unspecified', leave the reason out.
    if reason is not None and reason is not RevocationReason.UNSPECIFIED:
        builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags(reason.value)), critical=False)
    return builder.build()


def _random_serial() -> int:
    return 1 << 127 | secrets.randbits(127)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
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


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
