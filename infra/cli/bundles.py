"""Bundles: what a device needs to connect, in one directory.

The key is made here and never leaves the directory. It and the CSR are on the
disk before the certificate is asked for: when a crash or a silent hub comes in
between, the same command takes the request up where it was left, and the hub
answers a repeated CSR with the same certificate.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from functions.domain.bundles import CA, CONFIG, Site, certificate_file, configuration, encode_configuration, key_file
from functions.domain.faults import Fault, Unavailable
from infra.cli.connection import ask
from infra.problem import Problem

if TYPE_CHECKING:
    from functions.contract.messages import FileContent, Issued


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of one bundle: ``ca.crt``, ``NAME.crt``, ``NAME.key`` and ``config.json`` in a directory."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        """The client certificate."""
        return self.folder / certificate_file(self.name)

    @property
    def key(self) -> Path:
        """The private key, readable by its owner only."""
        return self.folder / key_file(self.name)

    @property
    def request(self) -> Path:
        """The CSR, there until it is answered."""
        return self.folder / f"{self.name}.csr"

    def begin(self, common_name: str) -> str:
        """Make the directory, the key and its CSR, durable when it returns; the CSR in PEM.

        A key and a CSR that were left unanswered are taken up again.

        Raises:
            Problem: the directory holds a file of the bundle already, or cannot be written.
        """
        from functions.contract.requests import make_request

        finished = (self.certificate, self.folder / CA, self.folder / CONFIG)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.key.is_file() and self.request.is_file() and not any(map(os.path.lexists, finished)):
                return self.request.read_text(encoding="utf-8")
            taken = [file.name for file in (self.key, *finished) if os.path.lexists(file)]
            if taken:
                raise Problem(
                    f"{self.folder} holds {', '.join(taken)} already, and no key is ever overwritten.",
                    "Name another directory with --out, or move what lies there away.",
                )
            csr, key = make_request(common_name)
            _create(self.key, key)
            self.request.unlink(missing_ok=True)
            _create(self.request, csr)
        except OSError as problem:
            raise Problem(
                f"The bundle cannot be written to {self.folder}: {problem.strerror or problem}.",
                "Name a directory that you may write to with --out.",
            ) from problem
        return csr

    def finish(self, issued: "Issued", config: dict[str, Any]) -> None:
        """Write certificate, CA and configuration beside the key.

        Raises:
            Problem: the disk refuses; key and CSR stay.
        """
        from functions.contract.files import write_file

        try:
            write_file(self.certificate, issued.cert_pem.encode(), mode=0o644)
            write_file(self.folder / CA, issued.ca_chain_pem.encode(), mode=0o644)
            write_file(self.folder / CONFIG, encode_configuration(config).encode(), mode=0o644)
            self.request.unlink(missing_ok=True)
        except OSError as problem:
            raise Problem(
                f"The certificate was signed but cannot be written to {self.folder}: {problem.strerror or problem}."
                f" Its key lies in {self.key}; this is the certificate:\n{issued.cert_pem}",
                "Make room, then save it beside the key.",
            ) from problem

    def abandon(self) -> None:
        """Remove the key and the CSR that the hub refused, and the directory if nothing else is in it."""
        self.request.unlink(missing_ok=True)
        self.key.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def make_bundle(
    bundle: Bundle, common_name: str, site: Site, sign: "Callable[[str], Issued]", *, device: str | None = None
) -> "Issued":
    """Make a key, have it signed and write the bundle; ``sign`` is given the CSR.

    Raises:
        Problem: the directory will not do, or the hub cannot be reached.
        Fault: the hub refuses; nothing is left behind.
    """
    csr = bundle.begin(common_name)
    try:
        issued = sign(csr)
    except Unavailable as fault:
        raise Problem(
            f"The hub did not answer, so the certificate may have been signed or not; the key is kept in {bundle.key}.",
            "Run the same command again when 'devicehub status' says that all is well: it takes the request up.",
        ) from fault
    except (Fault, Problem):
        bundle.abandon()
        raise
    bundle.finish(issued, configuration(site, bundle.name, device))
    return issued


def refuse_taken(folder: Path, name: str) -> None:
    """Refuse a directory that holds a file of such a bundle already: no key is ever overwritten.

    Raises:
        Problem: it does.
    """
    names = (CA, certificate_file(name), key_file(name), CONFIG)
    taken = [file for file in names if os.path.lexists(folder / file)]
    if taken:
        raise Problem(
            f"{folder} holds {', '.join(taken)} already, and no key is ever overwritten.",
            "Name another directory with --out, or move what lies there away.",
        )


def write_bundle(folder: Path, files: "Iterable[FileContent]") -> None:
    """Write a bundle that the hub keeps; ``config.json`` comes last, so where it is, all is.

    Raises:
        Problem: the disk refuses; the hub still has the bundle.
    """
    from functions.contract.files import write_file

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in sorted(files, key=lambda one: (one.name == CONFIG, not one.is_private)):
            # Its name came over the bus.
            write_file(folder / Path(file.name).name, file.content.encode(), mode=0o600 if file.is_private else 0o644)
    except OSError as problem:
        raise Problem(
            f"The bundle cannot be written to {folder}: {problem.strerror or problem}.",
            "Name a directory that you may write to, or make room; 'devicehub claim download' fetches it again.",
        ) from problem


def site_of(data: Path | None) -> Site:
    """Where the hub tells devices to connect; ``data`` is the ``--data`` of the command.

    Raises:
        Problem: there is no hub, or it is not running.
        Fault: it does not answer.
    """
    from functions.contract.messages import Nothing, ServerView

    view = ask(data, "devicehub.settings.server.get", Nothing(), ServerView)
    return Site(view.mqtt_host, view.mqtt_port, view.fixed.topic_prefix)


def _create(path: Path, text: str) -> None:
    """Write a file that must not exist yet, for its owner only; durable when it returns."""
    from functions.contract.files import sync_directory

    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)
