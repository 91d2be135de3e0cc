"""The certificate authority, with its key in this process.

Signing runs on the event loop: with a P-256 key a certificate takes 0.1 ms and
reading a CSR another 0.1 ms (measured, cryptography 50), about what handing it
to a thread and back would cost.
"""

import asyncio
import ipaddress
import re
import warnings
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from functions.adapters.keeping import Keeping, MemoryKeeping
from functions.adapters.roots import (
    BACK_DATED,
    UNREADABLE,
    Ca,
    describe,
    describe_key,
    hash_for,
    import_ca,
    key_usage,
    make_root,
    pem_of,
    random_serial,
    read_ca,
)
from functions.domain.ca import Chain, Trust, Trusted, bundle
from functions.domain.certificates import (
    MAX_CSR_CHARACTERS,
    Purpose,
    RevocationReason,
    Signed,
    SigningRequest,
    key_name,
)
from functions.domain.faults import Malformed, Reason, Unavailable
from functions.ports import Clock

# A client cannot be a device of this name, see functions.domain.names.
_BROKER_NAME = "hub-broker"
# Exactly one block and nothing beside it: the library would take the first of
# two, and never see what stands behind it.
_CSR_BLOCK = re.compile(
    r"\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----\s[A-Za-z0-9+/=\s]+-----END (NEW )?CERTIFICATE REQUEST-----\s*"
)


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
        self._begin(MemoryKeeping(read_ca(certificate_pem, key_pem)), clock)

    @classmethod
    def kept(cls, keeping: Keeping, clock: Clock) -> "LocalAuthority":
        """One whose keys are kept elsewhere; the first is read when it is needed.

        What is signed raises ValueError if there is none to be used.
        """
        authority = cls.__new__(cls)
        authority._begin(keeping, clock)
        return authority

    def _begin(self, keeping: Keeping, clock: Clock) -> None:
        self._keeping = keeping
        self._clock = clock
        self._trust: Trust | None = None

    # --- Which authority signs ------------------------------------------------

    @cached_property
    def _ca(self) -> Ca:
        """The one that signs here; ``follow`` puts another in its place."""
        return self._keeping.active()

    def read(self) -> None:
        """Read the one that signs now, and not when it is needed.

        Raises:
            ValueError: there is none to be used; the message is fit to be shown.
            OSError: the disk refuses.
        """
        self._ca = self._keeping.active()

    @property
    def trust(self) -> Trust | None:
        """What was followed last; None before."""
        return self._trust

    @property
    def active(self) -> Trusted:
        """The authority that signs here."""
        return self._ca.trusted

    @property
    def chain_pem(self) -> str:
        """What a device is given to trust, in PEM: the issuing certificate and those above it, then other trusted."""
        return bundle(self._trust) if self._trust is not None else self._ca.chain_pem

    @property
    def is_encrypted(self) -> bool:
        """Whether private keys are encrypted where they lie."""
        return self._keeping.is_encrypted

    async def follow(self, trust: Trust) -> None:
        """Sign with the issuer of this decision from now on; nothing is done where it is followed already.

        Raises:
            Unavailable: its key is not on this machine.
        """
        if trust == self._trust:
            return
        ca = self._ca if self._ca.fingerprint == trust.issuer else self._keeping.find(trust.issuer)
        self._keeping.activate(ca, bundle(trust))
        self._ca = ca
        self._trust = trust

    async def make(self, common_name: str | None, days: int, key: str) -> Trusted:
        """Make a root and keep it, to be decided on; an RSA key takes up to some seconds, beside the event loop."""
        certificate, private = await asyncio.to_thread(make_root, common_name, days, key, self._clock.now())
        ca = read_ca(certificate, private)
        self._keeping.keep(ca)
        return ca.trusted

    def examine(self, chain_pem: str, key_pem: str) -> Chain:
        """What the certificates of an authority that is brought along say, the key's own first, the root last.

        Raises:
            Malformed: ``bad_ca``: they or the key cannot be read, or do not fit.
        """
        return import_ca(chain_pem, key_pem)[1]

    async def take(self, chain_pem: str, key_pem: str) -> Trusted:
        """Keep an authority that was brought along and judged, to be decided on.

        Raises:
            Malformed: as ``examine``.
        """
        ca, _ = import_ca(chain_pem, key_pem)
        self._keeping.keep(ca)
        return ca.trusted

    def describe(self, trusted: Trusted) -> Chain:
        """What the certificates of a trusted authority say."""
        return tuple(map(describe, x509.load_pem_x509_certificates(trusted.chain_pem.encode())))

    async def tidy(self) -> None:
        """Forget authorities that calls cut short have left an hour ago or longer."""
        self._keeping.tidy()

    # --- Reading and signing ----------------------------------------------------

    def inspect(self, csr_pem: str) -> SigningRequest:
        """Read a CSR. Raises Malformed (``bad_csr``) when it is none."""
        request = _read(csr_pem)
        try:
            key = request.public_key()
            asks_for_ca = any(
                isinstance(extension.value, x509.BasicConstraints) and extension.value.ca
                for extension in request.extensions
            )
            if isinstance(key, rsa.RSAPublicKey) and key.public_numbers().e < 3:
                # With e = 1 anyone can sign for the key.
                raise Malformed(Reason.BAD_CSR, "The RSA key has no usable exponent.")
            kind, curve, bits = describe_key(key)
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
        except UNREADABLE as problem:
            raise Malformed(Reason.BAD_CSR, "The CSR holds something that cannot be read.") from problem

    def new_serial(self) -> str:
        """127 random bits behind a one, in hex: positive, 17 bytes of DER (RFC 5280 allows 20), always 32 digits."""
        return f"{random_serial():x}"

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
        number = int(serial, 16) if serial is not None else random_serial()
        return self._sign(_read(csr_pem).public_key(), common_name, number, not_after, [usage])

    async def sign_server(self, csr_pem: str, *, hostnames: Sequence[str], not_after: datetime) -> Signed:
        """Sign the key of a CSR for a server that is reached under these names and IP addresses.

        Raises:
            Malformed: the CSR cannot be read (``bad_csr``).
            Unavailable: the CA certificate is not valid now.
        """
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        names = x509.SubjectAlternativeName([_general_name(name) for name in hostnames])
        return self._sign(_read(csr_pem).public_key(), _BROKER_NAME, random_serial(), not_after, [usage, names])

    async def sign_crl(
        self, revoked: Iterable[tuple[str, datetime, RevocationReason | None]], *, number: int, next_update: datetime
    ) -> str:
        """The CRL in PEM of ``(serial, revoked at, why)``; its thisUpdate lies an hour back."""
        entries = [_crl_entry(serial, at, reason) for serial, at, reason in revoked]
        builder = (
            # Not with add_revoked_certificate, which copies the list for each entry.
            x509.CertificateRevocationListBuilder(revoked_certificates=entries)
            .issuer_name(self._ca.issuer.subject)
            .last_update(self._clock.now() - BACK_DATED)
            .next_update(next_update)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(_issuer_key_identifier(self._ca.issuer), critical=False)
        )
        return builder.sign(self._ca.key, hash_for(self._ca.key)).public_bytes(serialization.Encoding.PEM).decode()

    def _sign(
        self,
        key: CertificatePublicKeyTypes,
        common_name: str,
        serial: int,
        not_after: datetime,
        extensions: Sequence[x509.ExtensionType],
    ) -> Signed:
        now = self._clock.now().replace(microsecond=0)
        ca = self._ca
        if not ca.begins <= now < ca.ends:
            raise Unavailable(detail="The hub's CA certificate is not valid at this time, so nothing can be signed.")
        begins = max(now - BACK_DATED, ca.begins)
        ends = min(not_after.replace(microsecond=0), ca.ends)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(ca.issuer.subject)
            .public_key(key)
            .serial_number(serial)
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(ca=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_issuer_key_identifier(ca.issuer), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        certificate = builder.sign(ca.key, hash_for(ca.key))
        return Signed(
            serial=f"{certificate.serial_number:x}",
            pem=pem_of(certificate),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            not_before=begins,
            not_after=ends,
            key=key_name(*describe_key(key)),
            issuer=ca.fingerprint,
        )


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
    except UNREADABLE as problem:
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


def _signature_hash(request: x509.CertificateSigningRequest) -> str:
    algorithm = request.signature_hash_algorithm
    return algorithm.name if algorithm is not None else ""


def _crl_entry(serial: str, at: datetime, reason: RevocationReason | None) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(at)
    # RFC 5280 (5.3.1): to say 'unspecified', leave the reason out.
    if reason is not None and reason is not RevocationReason.UNSPECIFIED:
        builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags(reason.value)), critical=False)
    return builder.build()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
