"""The broker's own side of TLS on disk: whom it trusts, and the certificate that it shows with its key.

Both are replaced in one step each, and never by half. The certificate and its
key are one file: beside another's key the broker would not start, and could
not load its files. Between two writes the broker takes fewer certificates
than before or after, never more: it wants each to be signed by who is
trusted, and the issuer's own revocation list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from functions.contract.files import write_file
from functions.contract.requests import make_request
from functions.domain.faults import Malformed, Unavailable

_COMMON_NAME = "hub-broker"
# Renewed by whoever looks, so it must outlive a long absence.
_RENEWED_BEFORE = timedelta(days=365)
# Only the broker reads them, which is the same user.
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where the broker's trust and certificate lie, and the names that devices reach it by."""

    trust: Path
    server: Path
    names: tuple[str, ...]


class Server:
    """Keeps the two files."""

    def __init__(self, files: ServerFiles) -> None:
        self._files = files
        self._key = ""

    def request(self, trust_pem: str, hostnames: Sequence[str], now: datetime) -> tuple[str, tuple[str, ...]] | None:
        """A CSR and the names for it, if another certificate is needed; None while it is good.

        Args:
            trust_pem: who trusts this must trust it.
            hostnames: what it must have besides the names that this was made with.
            now: the time of day.
        """
        names = tuple(dict.fromkeys((*self._files.names, *hostnames)))
        if is_fit(_read(self._files.server), trust_pem, names, now):
            return None
        csr, self._key = make_request(_COMMON_NAME)
        return csr, names

    def put(self, trust_pem: str, certificate_pem: str | None) -> bool:
        """Write what has changed, durably; whether anything had.

        Args:
            trust_pem: whom to trust.
            certificate_pem: the answer to the last ``request``, if there was one.

        Raises:
            Malformed: the trust is none; the files are as they were.
            Unavailable: they cannot be written.
        """
        authorities = _authorities(trust_pem)
        changed = False
        try:
            if certificate_pem is not None:
                write_file(self._files.server, render(certificate_pem, self._key, authorities).encode(), mode=_MODE)
                changed = True
            if _read(self._files.trust) != trust_pem:
                write_file(self._files.trust, trust_pem.encode(), mode=_MODE)
                changed = True
        except OSError as problem:
            raise Unavailable(detail=f"The broker's certificate cannot be written: {problem}.") from problem
        return changed


def render(certificate_pem: str, key_pem: str, authorities: Sequence[x509.Certificate]) -> str:
    """The broker's file: its key, its certificate, and those between it and its root."""
    path = _path(x509.load_pem_x509_certificate(certificate_pem.encode()), authorities)
    shown = [path[0], *(one for one in path[1:] if one.issuer != one.subject)]
    return key_pem + "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in shown)


def is_fit(server_pem: str, trust_pem: str, names: Sequence[str], now: datetime, *, others_too: bool = False) -> bool:
    """Whether a broker's file is of the first authority that is trusted, for these names, and valid for long enough.

    ``others_too`` says whether it may have other names besides.
    """
    try:
        certificate = x509.load_pem_x509_certificate(server_pem.encode())
        key = serialization.load_pem_private_key(server_pem.encode(), password=None)
        authorities = _authorities(trust_pem)
        certificate.verify_directly_issued_by(authorities[0])
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound, InvalidSignature, Malformed):
        return False
    told = {str(general.value) for general in alternatives}
    # Near the end of the authority's own time no longer one can be had.
    last = min(one.not_valid_after_utc for one in _path(authorities[0], authorities))
    lasts = certificate.not_valid_after_utc >= min(now + _RENEWED_BEFORE, last)
    began = certificate.not_valid_before_utc <= now
    is_named = told >= set(names) if others_too else told == set(names)
    return certificate.public_key() == key.public_key() and is_named and lasts and began


def _path(first: x509.Certificate, authorities: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """A certificate and those above it, as far as they are there."""
    path = [first]
    while above := next((one for one in authorities if one not in path and _is_signed_by(path[-1], one)), None):
        path.append(above)
    return path


def _authorities(trust_pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(trust_pem.encode())
    except ValueError as problem:
        raise Malformed(detail=f"What the broker is to trust cannot be read: {problem}.") from problem


def _is_signed_by(certificate: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        # Missing or unreadable: writing it anew is the remedy, and tells if that fails too.
        return ""
