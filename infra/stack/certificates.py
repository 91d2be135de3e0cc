"""The hub's CA, the broker's certificate, and the first revocation list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from bridge.broker.server import is_fit, render
from functions.adapters.authority import LocalAuthority
from functions.adapters.clock import SystemClock
from functions.adapters.keeping import FileKeeping, MemoryKeeping
from functions.adapters.roots import BACK_DATED, Ca, UnlockError, is_encrypted, make_root, read_ca
from functions.contract.requests import make_request
from functions.domain.certificates import BROKER_LIFETIME, Certificate, Gate, Purpose
from functions.domain.faults import Fault
from infra.problem import Problem
from infra.stack.paths import Paths

# The bridge publishes the hub's own list within seconds of the first start.
_FIRST_CRL_VALID = timedelta(days=7)
# Who asked for what ``devicehub up`` signs.
_ISSUED_TO = "system:up"
_UNLOCK = "Name the file of its passphrase in HUB_CA_PASSPHRASE_FILE."


@dataclass(frozen=True, slots=True)
class Root:
    """The hub's CA; its key stays out of every representation.

    ``key_file`` is what belongs into the private file, ``trust_pem`` what is
    trusted: the CA's certificate and those above it, then other authorities.
    """

    ca: Ca
    key_file: str
    trust_pem: str
    is_newly_encrypted: bool = False

    def __repr__(self) -> str:
        return "Root(...)"

    @classmethod
    def of(cls, certificate_pem: str, key_pem: str) -> "Root":
        """A CA by its certificates and its key that is not encrypted, both in PEM."""
        ca = read_ca(certificate_pem, key_pem)
        return cls(ca, key_pem + ca.chain_pem, ca.chain_pem)

    def authority(self) -> LocalAuthority:
        """A signer with this CA."""
        return LocalAuthority.kept(MemoryKeeping(self.ca), SystemClock())


def gather_root(paths: Paths, passphrase: bytes | None = None, *, is_new: bool) -> Root:
    """The CA as it lies there; made where a hub is being set up. Nothing is written.

    Raises:
        Problem: it is lost or damaged (a new one would lock out every device),
            or its key is encrypted with another passphrase or none is given.
    """
    keeping = FileKeeping(paths.ca_certificate, paths.ca_key, passphrase)
    if is_new and not paths.ca_certificate.exists():
        # A key alone is what a first start leaves that was cut off: the
        # certificate is written after it, and nothing is signed before both.
        ca = read_ca(*make_root())
        return Root(ca, keeping.render(ca), ca.chain_pem)
    if not paths.ca_key.exists() or not paths.ca_certificate.exists():
        lost = paths.ca_certificate if paths.ca_key.exists() else paths.ca_key
        raise Problem(
            f"{lost} is gone; without it no certificate can be signed, and a new CA would lock out every device.",
            "Restore it from a backup.",
        )
    try:
        ca, text = keeping.look()
        trusted = paths.ca_certificate.read_text(encoding="ascii")
    except UnlockError as problem:
        raise Problem(str(problem), _UNLOCK) from problem
    except (ValueError, OSError) as problem:
        raise Problem(str(problem), "Restore DATA/ca from a backup.") from problem
    is_newly_encrypted = passphrase is not None and not is_encrypted(text)
    is_kept = not is_newly_encrypted and ca.chain_pem in text
    trust_pem = trusted if trusted.startswith(ca.chain_pem) else ca.chain_pem
    return Root(ca, text if is_kept else keeping.render(ca), trust_pem, is_newly_encrypted)


async def gather_server(paths: Paths, root: Root, names: Sequence[str], now: datetime) -> str:
    """Key and certificate of the broker, in PEM: as they lie there while they fit, else new ones.

    Names that the hub's settings added stay: its keeper, which knows them, takes away what is left over.

    Raises:
        Problem: the CA cannot sign now.
    """
    try:
        found = paths.broker_server.read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        found = ""
    if is_fit(found, root.trust_pem, names, now, others_too=True) and not _is_revoked(found, paths):
        return found
    csr, key = make_request("hub-broker")
    try:
        signed = await root.authority().sign_server(csr, hostnames=names, not_after=now + BROKER_LIFETIME)
    except Fault as fault:
        raise Problem(f"The broker's certificate cannot be signed: {fault.detail}", "Check the clock.") from fault
    return render(signed.pem, key, root.ca.certificates)


def server_entry(server_pem: str, issuer: str = "") -> Certificate:
    """The register's entry of the broker's certificate, as far as it tells itself; the key beside it stays out.

    Args:
        server_pem: the broker's file.
        issuer: the fingerprint of the CA.
    """
    certificate = x509.load_pem_x509_certificate(server_pem.encode())
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
        pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        issuer=issuer,
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
