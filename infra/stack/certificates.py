"""The hub's root CA, the broker's certificate, and the first revocation list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from functions.adapters.authority import BACK_DATED, LocalAuthority, make_request, make_root
from functions.adapters.clock import SystemClock
from functions.domain.certificates import Certificate, Gate, Purpose
from functions.domain.faults import Fault
from infra.problem import Problem
from infra.stack.paths import Paths

# Looked at whenever the hub is started, so it must outlive a long run.
_SERVER_VALID = timedelta(days=5 * 365)
_SERVER_RENEWED_BEFORE = timedelta(days=365)
# The bridge publishes the hub's own list within seconds of the first start.
_FIRST_CRL_VALID = timedelta(days=7)
# Who asked for what ``devicehub up`` signs.
_ISSUED_TO = "system:up"


@dataclass(frozen=True, slots=True)
class Root:
    """The root CA, in PEM; ``key_pem`` stays out of every representation."""

    certificate_pem: str
    key_pem: str

    def __repr__(self) -> str:
        return "Root(...)"

    def authority(self) -> LocalAuthority:
        """A signer with this root.

        Raises:
            Problem: the two files do not fit or cannot be read.
        """
        try:
            return LocalAuthority(self.certificate_pem, self.key_pem, SystemClock())
        except ValueError as problem:
            raise Problem(str(problem), "Restore DATA/ca from a backup.") from problem


def gather_root(paths: Paths, *, is_new: bool) -> Root:
    """The root CA as it lies there; made where a hub is being set up.

    Raises:
        Problem: it is lost or damaged. A new one would lock out every device.
    """
    files = (paths.ca_certificate, paths.ca_key)
    missing = [file for file in files if not file.exists()]
    if is_new and not paths.ca_certificate.exists():
        # A key alone is what a first start leaves that was cut off: the
        # certificate is written after it, and nothing is signed before both.
        return Root(*make_root())
    if missing:
        raise Problem(
            f"{missing[0]} is gone; without it no certificate can be signed, and a new CA would lock out every device.",
            "Restore it from a backup.",
        )
    try:
        root = Root(*(file.read_text(encoding="ascii") for file in files))
    except (OSError, UnicodeDecodeError) as problem:
        raise Problem(f"The CA in {paths.ca} cannot be read: {problem}.", "Restore it from a backup.") from problem
    root.authority()
    return root


async def gather_server(paths: Paths, root: Root, names: Sequence[str], now: datetime) -> tuple[str, str]:
    """Certificate and key of the broker, in PEM: as they lie there while they fit, else new ones.

    Raises:
        Problem: the CA cannot sign now.
    """
    try:
        certificate = (paths.broker / "server.crt").read_text(encoding="ascii")
        key = (paths.broker / "server.key").read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        certificate = key = ""
    if is_fit(certificate, key, root, names, now) and not _is_revoked(certificate, paths):
        return certificate, key
    csr, key = make_request("hub-broker")
    try:
        signed = await root.authority().sign_server(csr, hostnames=names, not_after=now + _SERVER_VALID)
    except Fault as fault:
        raise Problem(f"The broker's certificate cannot be signed: {fault.detail}", "Check the clock.") from fault
    return signed.pem, key


def is_fit(certificate_pem: str, key_pem: str, root: Root, names: Sequence[str], now: datetime) -> bool:
    """Whether a broker's certificate is this root's, of this key, for these names, and valid for long enough."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(root.certificate_pem.encode()))
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound, InvalidSignature):
        return False
    told = {str(general.value) for general in alternatives}
    # Near the end of the root's own time no longer one can be had.
    root_ends = x509.load_pem_x509_certificate(root.certificate_pem.encode()).not_valid_after_utc
    lasts = certificate.not_valid_after_utc >= min(now + _SERVER_RENEWED_BEFORE, root_ends)
    began = certificate.not_valid_before_utc <= now
    return certificate.public_key() == key.public_key() and told == set(names) and lasts and began


def server_entry(certificate_pem: str) -> Certificate:
    """The register's entry of the broker's certificate, as far as the certificate itself tells."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Certificate(
        serial=f"{certificate.serial_number:x}",
        purpose=Purpose.SERVER,
        common_name=str(names[0].value),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issued_at=certificate.not_valid_before_utc + BACK_DATED,
        gate=Gate.SYSTEM,
        issued_to=_ISSUED_TO,
        csr_digest="",
        pem=certificate_pem,
    )


def _is_revoked(certificate_pem: str, paths: Paths) -> bool:
    """Whether the list that the broker had last names a certificate."""
    serial = x509.load_pem_x509_certificate(certificate_pem.encode()).serial_number
    try:
        crl = x509.load_pem_x509_crl(paths.broker_crl.read_bytes())
    except (ValueError, OSError):
        return False
    return crl.get_revoked_certificate_by_serial_number(serial) is not None


async def gather_crl(paths: Paths, root: Root, now: datetime) -> str:
    """The revocation list that the broker starts with, in PEM.

    What lies there stays: the bridge published it, and replaces it when the
    hub has a newer one. Where there is none yet, an empty one. One that is
    damaged would keep the broker from starting; an empty one in its place
    would let revoked devices in. So that one is empty and lapsed: nobody is
    let in until the bridge has published the hub's list.
    """
    authority = root.authority()
    file = paths.broker_crl
    if not file.exists():
        return await authority.sign_crl([], number=0, next_update=now + _FIRST_CRL_VALID)
    try:
        text = file.read_text(encoding="ascii")
        x509.load_pem_x509_crl(text.encode())
    except (ValueError, OSError):
        return await authority.sign_crl([], number=0, next_update=now - timedelta(seconds=1))
    return text
