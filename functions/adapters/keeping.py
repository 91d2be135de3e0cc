"""Where the keys of authorities are kept: in files of this machine, or in memory.

The directory of the CA holds

``root.key``    the authority that signs: its private key, and after it the
                issuing certificate and those above it. One file, so that a
                power cut never leaves a key beside another's certificate.
``root.crt``    what is trusted, public: the same certificates, and those of
                other authorities. It follows from the record of the decision.
``<digits>.pem``  an authority that was made or brought along and not decided
                on yet, as ``root.key`` is; named by its fingerprint.

Each is written beside and renamed, and all are private (0600). A key is
encrypted (PKCS #8) where a passphrase is given; one that is not yet is, when
it is read.
"""

import re
import time
from pathlib import Path
from typing import Protocol

import structlog

from functions.adapters.roots import Ca, UnlockError, is_encrypted, key_pem, read_ca
from functions.contract.files import sync_directory, write_file
from functions.domain.faults import Unavailable

_PRIVATE = 0o600
_NAME_DIGITS = 16
_NAMED = re.compile(rf"[0-9a-f]{{{_NAME_DIGITS}}}\.pem")
# A call that made one has decided long before.
_FORGOTTEN_AFTER_SECONDS = 3600.0
_BEGIN_CERTIFICATE = "-----BEGIN CERTIFICATE-----"

log = structlog.get_logger("functions")


class Keeping(Protocol):
    """Keeps authorities with their keys."""

    @property
    def is_encrypted(self) -> bool:
        """Whether keys are encrypted where they lie."""
        ...

    def active(self) -> Ca:
        """The authority that signs, as far as it is known here. Raises ValueError if there is none to be used."""
        ...

    def find(self, fingerprint: str) -> Ca:
        """The authority of a fingerprint. Raises Unavailable if it is not kept here."""
        ...

    def keep(self, ca: Ca) -> None:
        """Keep an authority that may be decided on; durable when it returns. Raises Unavailable."""
        ...

    def activate(self, ca: Ca, bundle_pem: str) -> None:
        """Let it be the active one from the next start on; the one before is forgotten. Raises Unavailable."""
        ...

    def tidy(self) -> None:
        """Forget those that calls cut short have left."""
        ...


class MemoryKeeping:
    """Keeps authorities in this process (``Keeping``)."""

    is_encrypted = False

    def __init__(self, ca: Ca) -> None:
        self._active = ca
        self._others: dict[str, Ca] = {}

    def active(self) -> Ca:
        """The authority that signs."""
        return self._active

    def find(self, fingerprint: str) -> Ca:
        """The authority of a fingerprint."""
        for ca in (self._active, *self._others.values()):
            if ca.fingerprint == fingerprint:
                return ca
        raise _absent(fingerprint)

    def keep(self, ca: Ca) -> None:
        """Keep an authority that may be decided on."""
        self._others[ca.fingerprint] = ca

    def activate(self, ca: Ca, bundle_pem: str) -> None:
        """Let it be the active one."""
        self._others.pop(ca.fingerprint, None)
        self._active = ca

    def tidy(self) -> None:
        """Nothing outlives a process in memory."""


class FileKeeping:
    """Keeps authorities in a directory (``Keeping``); several processes may, at the same time.

    Args:
        certificate: the public file, ``root.crt``.
        key: the private one, ``root.key``.
        passphrase: to encrypt keys with, if any; 1 to 1,023 bytes.
    """

    def __init__(self, certificate: Path, key: Path, passphrase: bytes | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._passphrase = passphrase

    @property
    def is_encrypted(self) -> bool:
        """Whether keys are encrypted where they lie."""
        return self._passphrase is not None

    def active(self) -> Ca:
        """The authority that signs, as far as it is known here; its key is encrypted now, if it should be.

        Raises:
            ValueError: as ``look``.
            OSError: the disk refuses.
        """
        ca, text = self.look()
        if self._passphrase is not None and not is_encrypted(text):
            write_file(self._key, self.render(ca).encode(), mode=_PRIVATE)
            log.info("the key of the CA is encrypted from now on", file=str(self._key))
        return ca

    def look(self) -> tuple[Ca, str]:
        """The authority that signs, as far as it is known here, and its private file; nothing is written.

        Raises:
            UnlockError: the passphrase is missing or wrong.
            ValueError: a file is missing or cannot be read; the message is fit to be shown.
        """
        try:
            text = self._key.read_text(encoding="ascii")
            public = text if _BEGIN_CERTIFICATE in text else self._certificate.read_text(encoding="ascii")
        except OSError as problem:
            raise ValueError(f"{problem.filename} cannot be read: {problem.strerror}.") from problem
        except UnicodeDecodeError as problem:
            raise ValueError(f"The CA in {self._key.parent} cannot be read: {problem}.") from problem
        try:
            return read_ca(public, text, self._passphrase), text
        except UnlockError as problem:
            raise UnlockError(f"{problem} ({self._key})") from problem

    def find(self, fingerprint: str) -> Ca:
        """The authority of a fingerprint.

        Raises:
            Unavailable: it is not on this machine.
        """
        # Another process may make it the active one between two looks.
        for file in (self._key, self._file(fingerprint), self._key):
            try:
                text = file.read_text(encoding="ascii")
                public = text if _BEGIN_CERTIFICATE in text else self._certificate.read_text(encoding="ascii")
                ca = read_ca(public, text, self._passphrase)
            except (OSError, ValueError) as problem:
                if not isinstance(problem, FileNotFoundError):
                    log.error("an authority cannot be read", file=str(file), problem=str(problem))
                continue
            if ca.fingerprint == fingerprint:
                return ca
        raise _absent(fingerprint)

    def keep(self, ca: Ca) -> None:
        """Keep an authority that may be decided on; durable when it returns.

        Raises:
            Unavailable: the disk refuses.
        """
        self._write(self._file(ca.fingerprint), self.render(ca))

    def activate(self, ca: Ca, bundle_pem: str) -> None:
        """Let it be the active one from the next start on; the one before is forgotten.

        Raises:
            Unavailable: the disk refuses.
        """
        if ca.chain_pem not in _read(self._key):
            self._write(self._key, self.render(ca))
        if _read(self._certificate) != bundle_pem:
            self._write(self._certificate, bundle_pem)
        self._remove(self._file(ca.fingerprint))

    def tidy(self) -> None:
        """Forget those that calls cut short have left an hour ago or longer."""
        for file in self._key.parent.glob("*.pem"):
            if _NAMED.fullmatch(file.name) and _age(file) > _FORGOTTEN_AFTER_SECONDS:
                self._remove(file)

    def render(self, ca: Ca) -> str:
        """The private file of an authority."""
        return key_pem(ca.key, self._passphrase) + ca.chain_pem

    def _file(self, fingerprint: str) -> Path:
        return self._key.with_name(f"{fingerprint[:_NAME_DIGITS]}.pem")

    def _write(self, file: Path, text: str) -> None:
        try:
            write_file(file, text.encode(), mode=_PRIVATE)
        except OSError as problem:
            raise Unavailable(detail="The CA's files cannot be written on this machine.") from problem

    def _remove(self, file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
            sync_directory(file.parent)
        except OSError as problem:
            log.error("an authority that is not used cannot be removed", file=str(file), problem=str(problem))


def _age(file: Path) -> float:
    """Seconds since a file was written; none for one that another process has just removed."""
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def _absent(fingerprint: str) -> Unavailable:
    return Unavailable(
        detail=f"The key of the hub's CA ({fingerprint[:_NAME_DIGITS]}) is not on this machine."
        " Copy the directory of the CA from the one where it was made."
    )
