"""The keys of simulated devices, kept so that the next run is the same devices.

One file a device, named by its UUID: the private key and, once it has joined,
its certificate below it; a form that TLS takes as it is.
"""

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from functions.contract.files import write_file
from infra.problem import Problem

_SUFFIX = ".pem"
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Identity:
    """A simulated device: its hardware UUID, the file of its key, and its id once it has a certificate."""

    uuid: str
    file: Path
    device_id: str | None = None

    def request(self, common_name: str) -> str:
        """A CSR for the kept key, in PEM."""
        key = serialization.load_pem_private_key(self.file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Problem(f"{self.file} holds no key of a simulated device.", "Remove the file.")
        return _request(key, common_name)

    def make_key(self) -> "FreshKey":
        """A key to take the place of the kept one."""
        return FreshKey(self.file, ec.generate_private_key(ec.SECP256R1()))

    def joined(self, device_id: str, certificate_pem: str) -> "Identity":
        """Keep the certificate under the key."""
        key, _, _ = self.file.read_text(encoding="ascii").partition(_CERTIFICATE)
        write_file(self.file, (key + certificate_pem).encode(), mode=0o600)
        return replace(self, device_id=device_id)


@dataclass(frozen=True, slots=True)
class FreshKey:
    """A key that a device has made to renew its certificate, not kept yet."""

    file: Path
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def request(self, common_name: str) -> str:
        """A CSR for it, in PEM."""
        return _request(self.key, common_name)

    def keep(self, certificate_pem: str) -> None:
        """Put it and its certificate in the place of the kept ones, in one write."""
        write_file(self.file, _pem(self.key) + certificate_pem.encode(), mode=0o600)


class Keyring:
    """The keys in one directory, which is for its owner only.

    Args:
        folder: made when the first key is.
        ca_pem: the CA of the hub; a certificate of another is of no use and is asked for anew.
    """

    def __init__(self, folder: Path, ca_pem: str) -> None:
        self._folder = folder
        self._ca = x509.load_pem_x509_certificate(ca_pem.encode())

    def take(self, number: int) -> list[Identity]:
        """So many devices: first those that are there, in the order of their UUIDs, then new ones.

        Raises:
            Problem: the directory cannot be used.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = sorted(self._folder.glob(f"*{_SUFFIX}"))[:number]
            return [self._read(file) for file in kept] + [self._make() for _ in range(number - len(kept))]
        except (OSError, ValueError) as problem:
            raise Problem(
                f"The keys of simulated devices in {self._folder} cannot be used: {problem}.",
                "Remove that directory to begin with new ones.",
            ) from problem

    def _make(self) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        name = str(uuid.uuid4())
        file = self._folder / f"{name}{_SUFFIX}"
        write_file(file, _pem(key), mode=0o600)
        return Identity(name, file)

    def _read(self, file: Path) -> Identity:
        _, begin, rest = file.read_text(encoding="ascii").partition(_CERTIFICATE)
        if not begin:
            return Identity(file.stem, file)
        certificate = x509.load_pem_x509_certificate((begin + rest).encode())
        ours = certificate.issuer == self._ca.subject and datetime.now(UTC) < certificate.not_valid_after_utc
        name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        return Identity(file.stem, file, str(name) if ours else None)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _request(key: ec.EllipticCurvePrivateKey, common_name: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()
