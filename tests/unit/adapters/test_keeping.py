"""Where an authority's key is kept: in one private file, encrypted where a passphrase is given."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from functions.adapters.keeping import FileKeeping, Keeping, MemoryKeeping
from functions.adapters.roots import Ca, UnlockError, is_encrypted, make_root, read_ca
from functions.domain.faults import Unavailable

PASSPHRASE = b"correct horse battery staple"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The directory of a CA as earlier versions left it: certificate and key apart, the key not encrypted."""
    certificate, key = make_root()
    (tmp_path / "root.crt").write_text(certificate)
    (tmp_path / "root.key").write_text(key)
    (tmp_path / "root.key").chmod(0o600)
    return tmp_path


def keeping_of(folder: Path, passphrase: bytes | None = None) -> FileKeeping:
    return FileKeeping(folder / "root.crt", folder / "root.key", passphrase)


def new() -> Ca:
    return read_ca(*make_root())


Make = Callable[[Path], Keeping]
KEEPINGS: tuple[Make, ...] = (
    keeping_of,
    lambda folder: keeping_of(folder, PASSPHRASE),
    lambda folder: MemoryKeeping(read_ca((folder / "root.crt").read_text(), (folder / "root.key").read_text())),
)


@pytest.mark.parametrize("make", KEEPINGS)
def test_what_is_kept_is_found_and_can_become_the_active_one(make: Make, folder: Path) -> None:
    keeping, ca, other = make(folder), new(), new()
    first = keeping.active()
    keeping.keep(ca)
    keeping.keep(other)

    assert keeping.find(first.fingerprint).fingerprint == first.fingerprint
    assert keeping.find(ca.fingerprint).chain_pem == ca.chain_pem
    assert keeping.active().fingerprint == first.fingerprint
    keeping.activate(ca, ca.chain_pem)

    assert keeping.active().fingerprint == ca.fingerprint
    assert keeping.active().key.public_key() == ca.key.public_key()
    assert keeping.find(ca.fingerprint).fingerprint == ca.fingerprint
    assert keeping.find(other.fingerprint).fingerprint == other.fingerprint
    with pytest.raises(Unavailable, match="not on this machine"):
        keeping.find(first.fingerprint)


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_whatever_is_written_only_the_owner_can_read(folder: Path, passphrase: bytes | None) -> None:
    before = os.umask(0)
    try:
        keeping, ca = keeping_of(folder, passphrase), new()
        keeping.keep(ca)
        assert modes(folder)[f"{ca.fingerprint[:16]}.pem"] == 0o600
        keeping.activate(ca, ca.chain_pem)
    finally:
        os.umask(before)

    assert modes(folder) == {"root.crt": 0o600, "root.key": 0o600}


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_with_a_passphrase_a_key_is_encrypted_when_it_is_read_and_the_log_says_so(folder: Path) -> None:
    plain = keeping_of(folder).active()
    with structlog.testing.capture_logs() as logs:
        found = keeping_of(folder, PASSPHRASE).active()
        again = keeping_of(folder, PASSPHRASE).active()

    text = (folder / "root.key").read_text()
    assert found.fingerprint == again.fingerprint == plain.fingerprint
    assert is_encrypted(text)
    assert "BEGIN PRIVATE KEY" not in text
    assert [line["event"] for line in logs] == ["the key of the CA is encrypted from now on"]
    told = subprocess.run(
        ["openssl", "pkey", "-in", str(folder / "root.key"), "-passin", f"pass:{PASSPHRASE.decode()}", "-noout"],
        check=False,
        timeout=20,
    )
    assert told.returncode == 0


@pytest.mark.parametrize(
    ("passphrase", "words"), [(None, "no passphrase is given"), (b"the wrong passphrase", "cannot be read with")]
)
def test_a_key_whose_passphrase_is_missing_or_wrong_is_told(folder: Path, passphrase: bytes | None, words: str) -> None:
    keeping_of(folder, PASSPHRASE).active()
    before = (folder / "root.key").read_text()

    with pytest.raises(UnlockError, match=words):
        keeping_of(folder, passphrase).active()

    assert (folder / "root.key").read_text() == before


@pytest.mark.parametrize("lost", ["root.key", "root.crt"])
def test_a_file_that_is_lost_is_told_by_its_name(folder: Path, lost: str) -> None:
    (folder / lost).unlink()

    with pytest.raises(ValueError, match=f"{lost} cannot be read"):
        keeping_of(folder).active()


def test_once_key_and_certificates_are_in_one_file_the_other_follows_from_it(folder: Path) -> None:
    keeping, ca = keeping_of(folder), new()
    keeping.keep(ca)
    # Cut off after the private file: the public one is still of the CA before.
    public = (folder / "root.crt").read_text()
    keeping.activate(ca, ca.chain_pem)
    (folder / "root.crt").write_text(public)

    assert keeping_of(folder).active().fingerprint == ca.fingerprint
    keeping_of(folder).activate(ca, ca.chain_pem)
    assert (folder / "root.crt").read_text() == ca.chain_pem


def test_to_activate_what_is_active_writes_nothing(folder: Path) -> None:
    keeping = keeping_of(folder)
    ca = keeping.active()
    keeping.activate(ca, ca.chain_pem)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    keeping.activate(ca, ca.chain_pem)

    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_other_trusted_authorities_stand_behind_the_one_that_signs(folder: Path) -> None:
    keeping, other = keeping_of(folder), new()
    ca = keeping.active()

    keeping.activate(ca, ca.chain_pem + other.chain_pem)

    assert (folder / "root.crt").read_text() == ca.chain_pem + other.chain_pem
    assert keeping_of(folder).active().chain_pem == ca.chain_pem


def test_what_was_not_decided_on_is_forgotten_after_an_hour(folder: Path) -> None:
    keeping, young, old = keeping_of(folder), new(), new()
    keeping.keep(young)
    keeping.keep(old)
    (folder / "notes.pem").write_text("of the operator")
    for name in (f"{old.fingerprint[:16]}.pem", "notes.pem"):
        os.utime(folder / name, (0, 0))

    keeping.tidy()

    assert set(modes(folder)) == {"root.crt", "root.key", "notes.pem", f"{young.fingerprint[:16]}.pem"}


def test_a_disk_that_refuses_is_unavailable(folder: Path) -> None:
    keeping = FileKeeping(folder / "nowhere" / "root.crt", folder / "nowhere" / "root.key")

    with pytest.raises(Unavailable, match="cannot be written"):
        keeping.keep(new())
