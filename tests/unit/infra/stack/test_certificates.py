from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from bridge.broker.server import is_fit
from functions.adapters.roots import is_encrypted, make_root
from functions.domain.certificates import Gate, Purpose
from infra.problem import Problem
from infra.stack.certificates import Root, gather_crl, gather_root, gather_server, server_entry
from infra.stack.paths import Paths

NAMES = ("hub.example", "127.0.0.1", "2001:db8::1")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "ca").mkdir()
    (tmp_path / "broker").mkdir()
    return Paths(tmp_path, tmp_path / "run")


@pytest.fixture(scope="module")
def root() -> Root:
    return Root.of(*make_root())


def now() -> datetime:
    return datetime.now(UTC)


def test_a_new_hub_gets_a_root_and_keeps_it(paths: Paths) -> None:
    made = gather_root(paths, is_new=True)
    paths.ca_certificate.write_text(made.trust_pem)
    paths.ca_key.write_text(made.key_file)

    for is_new in (False, True):
        again = gather_root(paths, is_new=is_new)
        assert (again.key_file, again.trust_pem) == (made.key_file, made.trust_pem)


def test_a_root_does_not_show_its_key(root: Root) -> None:
    assert "PRIVATE" not in repr(root)


@pytest.mark.parametrize("lost", ["root.crt", "root.key"])
def test_a_root_that_is_lost_is_never_replaced(paths: Paths, root: Root, lost: str) -> None:
    paths.ca_certificate.write_text(root.trust_pem)
    paths.ca_key.write_text(root.key_file)
    (paths.ca / lost).unlink()

    with pytest.raises(Problem, match=f"{lost} is gone.*Restore it from a backup"):
        gather_root(paths, is_new=False)


def test_a_first_start_that_was_cut_off_is_begun_again(paths: Paths, root: Root) -> None:
    paths.ca_key.write_text(root.key_file)

    made = gather_root(paths, is_new=True)

    assert made.ca.fingerprint != root.ca.fingerprint
    made.authority()


def test_a_root_whose_files_do_not_belong_together_is_a_problem(paths: Paths, root: Root) -> None:
    paths.ca_certificate.write_text(root.trust_pem)
    paths.ca_key.write_text(make_root()[1])

    with pytest.raises(Problem, match="Restore"):
        gather_root(paths, is_new=False)


async def test_the_broker_gets_a_certificate_for_every_name(paths: Paths, root: Root) -> None:
    found = await gather_server(paths, root, NAMES, now())

    told = x509.load_pem_x509_certificate(found.encode()).extensions
    alternatives = told.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in alternatives} == set(NAMES)
    assert is_fit(found, root.trust_pem, NAMES, now())


async def test_a_certificate_that_fits_is_kept(paths: Paths, root: Root) -> None:
    found = await gather_server(paths, root, NAMES, now())
    paths.broker_server.write_text(found)

    assert await gather_server(paths, root, NAMES, now()) == found
    assert await gather_server(paths, root, tuple(reversed(NAMES)), now()) == found


async def test_other_names_ask_for_another_certificate(paths: Paths, root: Root) -> None:
    found = await gather_server(paths, root, NAMES, now())
    paths.broker_server.write_text(found)

    assert await gather_server(paths, root, (*NAMES, "10.0.0.1"), now()) != found


async def test_names_that_the_settings_added_stay_over_a_start(paths: Paths, root: Root) -> None:
    found = await gather_server(paths, root, (*NAMES, "hub.lan"), now())
    paths.broker_server.write_text(found)

    assert await gather_server(paths, root, NAMES, now()) == found


async def test_a_certificate_near_its_end_is_replaced(paths: Paths, root: Root) -> None:
    found = await gather_server(paths, root, NAMES, now())

    assert is_fit(found, root.trust_pem, NAMES, now() + timedelta(days=4 * 365 - 2))
    assert not is_fit(found, root.trust_pem, NAMES, now() + timedelta(days=4 * 365 + 2))


async def test_a_certificate_that_lasts_as_long_as_its_root_is_not_replaced_at_every_start(paths: Paths) -> None:
    old = Root.of(*make_root(days=100))
    found = await gather_server(paths, old, NAMES, now())

    assert is_fit(found, old.trust_pem, NAMES, now())


async def test_a_certificate_of_another_root_or_key_is_replaced(paths: Paths, root: Root) -> None:
    found = await gather_server(paths, root, NAMES, now())
    other = await gather_server(paths, root, NAMES, now())
    begin = "-----BEGIN CERTIFICATE-----"

    assert not is_fit(found, make_root()[0], NAMES, now())
    assert not is_fit(other.partition(begin)[0] + begin + found.partition(begin)[2], root.trust_pem, NAMES, now())
    assert not is_fit("", root.trust_pem, NAMES, now())
    assert not is_fit(found[:-40], root.trust_pem, NAMES, now())
    assert not is_fit(found, "no certificate", NAMES, now())


async def test_a_revoked_certificate_is_replaced(paths: Paths, root: Root) -> None:
    found = await gather_server(paths, root, NAMES, now())
    paths.broker_server.write_text(found)
    entry = (server_entry(found).serial, now(), None)

    paths.broker_crl.write_text(await gather_crl(paths, root, now()))
    assert await gather_server(paths, root, NAMES, now()) == found
    authority, ends = root.authority(), now() + timedelta(days=1)
    paths.broker_crl.write_text(await authority.sign_crl([entry], number=1, next_update=ends))
    assert await gather_server(paths, root, NAMES, now()) != found


async def test_the_register_is_told_what_the_certificate_says(paths: Paths, root: Root) -> None:
    found = await gather_server(paths, root, NAMES, now())

    entry = server_entry(found, root.ca.fingerprint)

    assert (entry.purpose, entry.common_name, entry.gate, entry.issued_to) == (
        Purpose.SERVER,
        "hub-broker",
        Gate.SYSTEM,
        "system:up",
    )
    assert timedelta(0) <= now() - entry.issued_at < timedelta(minutes=1)
    assert entry.not_after - now() > timedelta(days=4 * 365)
    assert found.endswith(entry.pem)
    assert "PRIVATE" not in entry.pem
    assert entry.issuer == root.ca.fingerprint


async def test_the_first_list_is_empty_and_valid(paths: Paths, root: Root) -> None:
    crl = x509.load_pem_x509_crl((await gather_crl(paths, root, now())).encode())

    assert len(list(crl)) == 0
    assert crl.next_update_utc is not None
    assert crl.last_update_utc < now() < crl.next_update_utc


async def test_a_list_that_was_published_is_never_touched(paths: Paths, root: Root) -> None:
    published = await root.authority().sign_crl(
        [("ab", now(), None)], number=7, next_update=now() - timedelta(minutes=1)
    )
    paths.broker_crl.write_text(published)

    assert await gather_crl(paths, root, now()) == published


@pytest.mark.parametrize("damage", ["", "-----BEGIN X509 CRL-----\nAAAA\n", "\xff\xfe"])
async def test_a_damaged_list_lets_nobody_in_until_the_hub_has_published_its_own(
    paths: Paths, root: Root, damage: str
) -> None:
    paths.broker_crl.write_text(damage)

    crl = x509.load_pem_x509_crl((await gather_crl(paths, root, now())).encode())

    assert crl.next_update_utc is not None
    assert crl.next_update_utc < now()


PASSPHRASE = b"correct horse battery staple"


def keep(paths: Paths, root: Root) -> None:
    paths.ca_certificate.write_text(root.trust_pem)
    paths.ca_key.write_text(root.key_file)


def test_a_new_hub_with_a_passphrase_has_an_encrypted_key_from_the_start(paths: Paths) -> None:
    made = gather_root(paths, PASSPHRASE, is_new=True)

    assert is_encrypted(made.key_file)
    assert not made.is_newly_encrypted
    keep(paths, made)
    assert gather_root(paths, PASSPHRASE, is_new=False).key_file == made.key_file


def test_a_key_is_encrypted_at_the_first_start_with_a_passphrase(paths: Paths, root: Root) -> None:
    keep(paths, root)

    found = gather_root(paths, PASSPHRASE, is_new=False)

    assert found.is_newly_encrypted
    assert is_encrypted(found.key_file)
    assert found.ca.fingerprint == root.ca.fingerprint
    keep(paths, found)
    assert not gather_root(paths, PASSPHRASE, is_new=False).is_newly_encrypted


@pytest.mark.parametrize("passphrase", [None, b"another passphrase"])
def test_a_key_that_cannot_be_unlocked_is_told_with_the_setting_that_unlocks_it(
    paths: Paths, passphrase: bytes | None
) -> None:
    keep(paths, gather_root(paths, PASSPHRASE, is_new=True))

    with pytest.raises(Problem, match=r"passphrase.*HUB_CA_PASSPHRASE_FILE"):
        gather_root(paths, passphrase, is_new=False)


def test_a_ca_that_was_replaced_when_the_power_was_cut_is_whole(paths: Paths, root: Root) -> None:
    other = Root.of(*make_root())
    keep(paths, root)
    # The private file has been renamed, the public one not yet.
    paths.ca_key.write_text(other.key_file)

    found = gather_root(paths, is_new=False)

    assert (found.ca.fingerprint, found.trust_pem) == (other.ca.fingerprint, other.trust_pem)


def test_other_roots_that_are_trusted_stay_so(paths: Paths, root: Root) -> None:
    keep(paths, root)
    bundle = root.trust_pem + make_root()[0]
    paths.ca_certificate.write_text(bundle)

    assert gather_root(paths, is_new=False).trust_pem == bundle
