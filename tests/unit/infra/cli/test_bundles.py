import asyncio
import json
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from functions.adapters.authority import LocalAuthority
from functions.adapters.clock import SystemClock
from functions.adapters.roots import make_root
from functions.contract.messages import Issued
from functions.domain.bundles import Site
from functions.domain.certificates import Purpose
from functions.domain.faults import Conflict, Reason, Unavailable
from infra.cli.bundles import Bundle, make_bundle
from infra.problem import Problem

SITE = Site("hub.example.org", 8883, "$devicehub")


class Signer:
    """Signs as the hub does, and remembers what it was asked."""

    def __init__(self) -> None:
        self._authority = LocalAuthority(*make_root(), SystemClock())
        self.asked: list[str] = []

    async def _sign(self, csr: str) -> Issued:
        name = self._authority.inspect(csr).common_name
        until = datetime.now(UTC) + timedelta(days=30)
        signed = await self._authority.sign(csr, common_name=name, purpose=Purpose.DEVICE, not_after=until)
        return Issued(
            common_name=name,
            serial=signed.serial,
            cert_pem=signed.pem,
            ca_chain_pem=self._authority.chain_pem,
            expires_at=signed.not_after,
        )

    def __call__(self, csr: str) -> Issued:
        self.asked.append(csr)
        return asyncio.run(self._sign(csr))


def _silent(_: str) -> Issued:
    raise Unavailable(Reason.TIMEOUT)


def _refusing(_: str) -> Issued:
    raise Conflict(Reason.DEVICE_EXISTS)


def test_a_device_bundle_holds_four_files_that_belong_together(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pump"

    make_bundle(Bundle(folder, "pump-1"), "pump-1", SITE, Signer(), device="pump-1")

    assert sorted(path.name for path in folder.iterdir()) == ["ca.crt", "config.json", "pump-1.crt", "pump-1.key"]
    certificate = x509.load_pem_x509_certificate((folder / "pump-1.crt").read_bytes())
    key = serialization.load_pem_private_key((folder / "pump-1.key").read_bytes(), password=None)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=pump-1"
    assert json.loads((folder / "config.json").read_text()) == {
        "host": "hub.example.org",
        "port": 8883,
        "deviceId": "pump-1",
        "topicPrefix": "$devicehub",
        "caFile": "ca.crt",
        "certFile": "pump-1.crt",
        "keyFile": "pump-1.key",
    }


def test_a_claim_bundle_names_no_device(tmp_path: Path) -> None:
    make_bundle(Bundle(tmp_path, "provisioning"), "claim-fleet", SITE, Signer())

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ca.crt",
        "config.json",
        "provisioning.crt",
        "provisioning.key",
    ]
    assert "deviceId" not in json.loads((tmp_path / "config.json").read_text())


def test_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "pump"

    make_bundle(Bundle(folder, "pump-1"), "pump-1", SITE, Signer())

    assert stat.S_IMODE((folder / "pump-1.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["pump-1.key", "pump-1.crt", "ca.crt", "config.json"])
def test_a_directory_that_holds_a_file_of_the_bundle_is_refused_and_left_as_it_was(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    signer = Signer()

    with pytest.raises(Problem, match=name):
        make_bundle(Bundle(tmp_path, "pump-1"), "pump-1", SITE, signer)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "precious"}
    assert signer.asked == []


def test_a_dangling_link_in_the_place_of_the_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pump-1.key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Problem, match=r"pump-1\.key"):
        make_bundle(Bundle(tmp_path, "pump-1"), "pump-1", SITE, Signer())

    assert not (tmp_path / "elsewhere").exists()


def test_two_bundles_of_other_names_do_not_share_a_directory(tmp_path: Path) -> None:
    make_bundle(Bundle(tmp_path, "pump-1"), "pump-1", SITE, Signer())

    with pytest.raises(Problem, match=r"ca\.crt"):
        make_bundle(Bundle(tmp_path, "pump-2"), "pump-2", SITE, Signer())


def test_the_key_and_its_csr_are_on_the_disk_before_the_hub_is_asked(tmp_path: Path) -> None:
    seen: list[str] = []
    signer = Signer()

    def sign(csr: str) -> Issued:
        seen.extend(sorted(path.name for path in tmp_path.iterdir()))
        return signer(csr)

    make_bundle(Bundle(tmp_path, "pump-1"), "pump-1", SITE, sign)

    assert seen == ["pump-1.csr", "pump-1.key"]


def test_a_request_that_was_not_answered_is_taken_up_with_the_same_key_and_csr(tmp_path: Path) -> None:
    bundle, signer = Bundle(tmp_path, "pump-1"), Signer()
    with pytest.raises(Problem, match="kept"):
        make_bundle(bundle, "pump-1", SITE, _silent)
    key, csr = bundle.key.read_text(), bundle.request.read_text()

    make_bundle(bundle, "pump-1", SITE, signer)

    assert bundle.key.read_text() == key
    assert signer.asked == [csr]
    assert not bundle.request.exists()


def test_a_refusal_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "pump"

    with pytest.raises(Conflict):
        make_bundle(Bundle(folder, "pump-1"), "pump-1", SITE, _refusing)

    assert not folder.exists()


def test_a_refusal_leaves_the_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(Conflict):
        make_bundle(Bundle(tmp_path, "pump-1"), "pump-1", SITE, _refusing)

    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Problem, match="cannot be written"):
        make_bundle(Bundle(tmp_path / "file" / "below", "pump-1"), "pump-1", SITE, Signer())


def test_a_certificate_that_cannot_be_written_is_shown_instead(tmp_path: Path) -> None:
    signer = Signer()

    def sign(csr: str) -> Issued:
        issued = signer(csr)
        (tmp_path / "pump-1.crt").mkdir()
        return issued

    with pytest.raises(Problem, match="BEGIN CERTIFICATE"):
        make_bundle(Bundle(tmp_path, "pump-1"), "pump-1", SITE, sign)

    assert (tmp_path / "pump-1.key").exists()


def test_openssl_finds_the_bundle_in_order(tmp_path: Path) -> None:
    make_bundle(Bundle(tmp_path, "pump-1"), "pump-1", SITE, Signer())

    done = subprocess.run(
        ["openssl", "verify", "-CAfile", str(tmp_path / "ca.crt"), str(tmp_path / "pump-1.crt")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
