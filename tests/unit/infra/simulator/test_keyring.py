"""Keys of simulated devices are kept, private, and used again."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from functions.adapters.authority import LocalAuthority
from functions.adapters.clock import SystemClock
from functions.adapters.roots import make_root
from functions.domain.certificates import Purpose
from infra.problem import Problem
from infra.simulator.keyring import Identity, Keyring


async def _joined(identity: Identity, name: str, authority: LocalAuthority, *, days: float = 1) -> Identity:
    not_after = datetime.now(UTC) + timedelta(days=days)
    signed = await authority.sign(identity.request(name), common_name=name, purpose=Purpose.DEVICE, not_after=not_after)
    return identity.joined(name, signed.pem)


@pytest.fixture
def authority() -> LocalAuthority:
    return LocalAuthority(*make_root(), SystemClock())


async def test_a_device_of_the_run_before_comes_first_and_has_its_certificate(
    tmp_path: Path, authority: LocalAuthority
) -> None:
    ring = Keyring(tmp_path / "simulator", authority.chain_pem)
    (first,) = ring.take(1)
    await _joined(first, "EDGB-0001", authority)

    again = Keyring(tmp_path / "simulator", authority.chain_pem).take(3)

    assert sorted(each.device_id or "" for each in again) == ["", "", "EDGB-0001"]
    assert first.uuid in {each.uuid for each in again}
    assert len({each.uuid for each in again}) == 3


async def test_key_and_certificate_in_one_file_are_what_tls_takes(tmp_path: Path, authority: LocalAuthority) -> None:
    (identity,) = Keyring(tmp_path, authority.chain_pem).take(1)

    joined = await _joined(identity, "EDGB-0001", authority)

    ssl.create_default_context().load_cert_chain(joined.file, joined.file)


def test_nobody_else_may_read_the_keys(tmp_path: Path, authority: LocalAuthority) -> None:
    (identity,) = Keyring(tmp_path / "simulator", authority.chain_pem).take(1)

    assert stat.S_IMODE(identity.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(identity.file.parent.stat().st_mode) == 0o700


def test_a_request_is_of_the_kept_key(tmp_path: Path, authority: LocalAuthority) -> None:
    (identity,) = Keyring(tmp_path, authority.chain_pem).take(1)

    requests = [x509.load_pem_x509_csr(identity.request("EDGB-0001").encode()) for _ in range(2)]

    assert requests[0].public_key() == requests[1].public_key()
    assert requests[0].subject.rfc4514_string() == "CN=EDGB-0001"


async def test_the_certificate_of_another_hub_is_asked_for_anew(tmp_path: Path, authority: LocalAuthority) -> None:
    (identity,) = Keyring(tmp_path, authority.chain_pem).take(1)
    await _joined(identity, "EDGB-0001", authority)

    (again,) = Keyring(tmp_path, make_root()[0]).take(1)

    assert again == Identity(identity.uuid, identity.file, None)


async def test_a_certificate_that_is_over_is_asked_for_anew(tmp_path: Path, authority: LocalAuthority) -> None:
    (identity,) = Keyring(tmp_path, authority.chain_pem).take(1)
    await _joined(identity, "EDGB-0001", authority, days=-0.01)

    (again,) = Keyring(tmp_path, authority.chain_pem).take(1)

    assert again.device_id is None


def test_a_file_that_holds_no_key_is_told_with_how_to_mend_it(tmp_path: Path, authority: LocalAuthority) -> None:
    (tmp_path / "something.pem").write_text("-----BEGIN CERTIFICATE-----\nnothing\n")

    with pytest.raises(Problem, match="Remove that directory"):
        Keyring(tmp_path, authority.chain_pem).take(1)
