"""Authorities that are made and brought along, with the openssl command as the second opinion."""

import base64
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from functions.adapters.authority import LocalAuthority
from functions.adapters.roots import UnlockError, import_ca, is_encrypted, key_pem, make_root, read_ca, read_key
from functions.contract.requests import make_request
from functions.domain.ca import judge_chain
from functions.domain.certificates import Purpose
from functions.domain.faults import Malformed, Reason
from functions.testing import START, SettableClock

VECTORS = Path(__file__).parents[2] / "vectors" / "authorities"
ABOVE = {
    "intermediate": ("root",),
    "second": ("intermediate", "root"),
    "below-rsa1024": ("rsa1024",),
    "below-sha1": ("sha1",),
    "below-pathlen0": ("pathlen0",),
}
TAKEN = ("root", "rsa3072", "p384", "ed25519", "intermediate", "second", "clients-and-servers")
# What of the reason must be said, so that who brings it along can mend it.
REFUSED = {
    "rsa1024": "1024 bits",
    "secp256k1": "secp256k1",
    "ed448": "ed448",
    "below-rsa1024": "'CN=rsa1024,O=Vectors' has an RSA key of 1024 bits",
    "sha1": "signed with sha1",
    "below-sha1": "'CN=sha1,O=Vectors' is signed with sha1",
    "over": "is over since",
    "no-ca": "CA:TRUE",
    "no-usage": "keyCertSign",
    "no-lists": "cRLSign",
    "no-certificates": "keyCertSign",
    "below-pathlen0": "allows 0 authorities below it, and 1",
    "servers-only": "clients or servers",
    "constrained": "nameConstraints",
    "unknown-critical": "1.2.3.4",
}


def text(name: str, ending: str = "crt") -> str:
    return (VECTORS / f"{name}.{ending}").read_text()


def chain_of(name: str) -> str:
    return "".join(text(one) for one in (name, *ABOVE.get(name, ())))


def openssl(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=20)


def test_every_vector_is_tried() -> None:
    tried = {*TAKEN, *REFUSED, "pathlen0"}

    assert {path.stem for path in VECTORS.glob("*.crt")} == tried


@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_taken_signs_what_openssl_accepts(name: str, tmp_path: Path) -> None:
    ca, chain = import_ca(chain_of(name), text(name, "key"))
    judge_chain(chain, START)
    authority = LocalAuthority(ca.chain_pem, key_pem(ca.key), SettableClock(datetime.now(UTC)))
    until = datetime.now(UTC) + timedelta(days=30)
    csr, _ = make_request("pump-7")
    good, bad = [
        await authority.sign(csr, common_name="pump-7", purpose=Purpose.DEVICE, not_after=until) for _ in range(2)
    ]
    server = await authority.sign_server(csr, hostnames=["hub.example"], not_after=until)
    crl = await authority.sign_crl([(bad.serial, datetime.now(UTC), None)], number=1, next_update=until)
    (tmp_path / "ca.crt").write_text(ca.chain_pem)
    (tmp_path / "crl.pem").write_text(crl)

    def accepts(pem: str, *options: str) -> bool:
        told = openssl("verify", "-x509_strict", "-CAfile", str(tmp_path / "ca.crt"), *options, stdin=pem)
        return told.returncode == 0

    revocation = ("-crl_check", "-CRLfile", str(tmp_path / "crl.pem"))
    assert accepts(good.pem, "-purpose", "sslclient", *revocation)
    assert accepts(server.pem, "-purpose", "sslserver", "-verify_hostname", "hub.example")
    assert not accepts(good.pem, "-purpose", "sslserver")
    assert not accepts(bad.pem, *revocation)
    assert accepts(bad.pem)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_weak_or_wrong_is_refused_with_the_certificate_and_the_reason(name: str) -> None:
    with pytest.raises(Malformed) as refused:
        judge_chain(import_ca(chain_of(name), text(name, "key"))[1], START)

    assert refused.value.reason is Reason.BAD_CA
    assert REFUSED[name] in refused.value.detail


def test_the_certificates_may_come_in_any_order_and_twice() -> None:
    mixed = text("root") + text("second") + text("root") + text("intermediate")

    ca, _ = import_ca(mixed, text("second", "key"))

    assert ca.chain_pem == chain_of("second")


@pytest.mark.parametrize(
    ("chain", "key", "words"),
    [
        (text("intermediate"), text("intermediate", "key"), "'CN=root,O=Vectors' next"),
        (text("second") + text("root"), text("second", "key"), "'CN=intermediate,O=Vectors' next"),
        (text("root"), text("intermediate", "key"), "of none of the certificates"),
        (text("root") + text("p384"), text("root", "key"), "'CN=p384,O=Vectors' is not above"),
        (text("root") + text("intermediate"), text("root", "key"), "is not above"),
        ("", text("root", "key"), "cannot be read"),
        (text("root"), "", "cannot be read"),
        (text("root", "key"), text("root", "key"), "cannot be read"),
        (text("root"), text("root"), "cannot be read"),
        ("\ud800", text("root", "key"), "cannot be read"),
        (text("root"), "\ud800", "cannot be read"),
    ],
)
def test_what_does_not_fit_together_is_refused(chain: str, key: str, words: str) -> None:
    with pytest.raises(Malformed) as refused:
        import_ca(chain, key)

    assert refused.value.reason is Reason.BAD_CA
    assert words in refused.value.detail


@pytest.mark.parametrize("name", ["root-encrypted", "root-encrypted-old"])
def test_an_encrypted_key_is_read_with_its_passphrase_and_never_imported(name: str) -> None:
    assert is_encrypted(text(name, "key"))
    assert key_pem(read_key(text(name, "key"), b"swordfish")) == key_pem(read_key(text("root", "key"), None))

    for passphrase, words in ((None, "no passphrase is given"), (b"herring", "cannot be read with the passphrase")):
        with pytest.raises(UnlockError, match=words):
            read_key(text(name, "key"), passphrase)
    with pytest.raises(Malformed, match="encrypted"):
        import_ca(text("root"), text(name, "key"))


def test_a_passphrase_for_a_key_that_needs_none_is_not_looked_at() -> None:
    read_key(text("root", "key"), b"swordfish")


def test_a_key_that_is_not_sound_is_of_no_certificate() -> None:
    """The public half is right, and what it signs is not: such a key would sign certificates that nobody accepts."""
    key = read_key(text("rsa3072", "key"), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.private_numbers()
    wrong = rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=numbers.d + 2,
        dmp1=numbers.dmp1 + 2,
        dmq1=numbers.dmq1 + 2,
        iqmp=numbers.iqmp,
        public_numbers=numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)

    with pytest.raises(Malformed, match="of none of the certificates"):
        import_ca(text("rsa3072"), key_pem(wrong))


def import_or_refuse(chain: str, key: str) -> None:
    reason = Reason.BAD_CA
    try:
        judge_chain(import_ca(chain, key)[1], START)
    except Malformed as refused:
        reason = refused.reason
    assert reason is Reason.BAD_CA


def test_a_serial_number_that_is_not_positive_is_refused() -> None:
    name = "below-pathlen0"
    certificate = x509.load_pem_x509_certificates(chain_of(name).encode())[0]
    der = bytearray(certificate.public_bytes(serialization.Encoding.DER))
    serial = certificate.serial_number.to_bytes((certificate.serial_number.bit_length() + 8) // 8, "big")
    der[der.index(serial)] |= 0x80

    with pytest.raises(Malformed, match="not positive"):
        import_ca(armoured(bytes(der)) + "".join(text(one) for one in ABOVE.get(name, ())), text(name, "key"))


@given(st.text(max_size=2_000), st.text(max_size=2_000))
def test_any_text_is_taken_or_refused(chain: str, key: str) -> None:
    import_or_refuse(chain, key)


@given(
    st.sampled_from(sorted({*TAKEN, *REFUSED})),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_ca_with_bytes_changed_is_taken_or_refused(name: str, changes: list[tuple[int, int]]) -> None:
    first, *others = x509.load_pem_x509_certificates(chain_of(name).encode())
    der = bytearray(first.public_bytes(serialization.Encoding.DER))
    for place, value in changes:
        der[place % len(der)] = value
    rest = "".join(text(one) for one in ABOVE.get(name, ()))
    assert len(others) == len(ABOVE.get(name, ()))

    import_or_refuse(armoured(bytes(der)) + rest, text(name, "key"))


@pytest.mark.parametrize(
    ("key", "told"),
    [("P-256", "prime256v1"), ("P-384", "secp384r1"), ("RSA-2048", "(2048 bit)"), ("RSA-3072", "(3072 bit)")],
)
def test_a_root_is_of_the_key_and_name_that_are_asked_for(key: str, told: str) -> None:
    certificate, private = make_root("Pumps CA", 400, key, START)

    shown = openssl("x509", "-noout", "-text", stdin=certificate).stdout

    assert "CN = Pumps CA" in shown
    assert told in shown
    assert read_ca(certificate, private).ends == START + timedelta(days=400)


def test_two_roots_of_one_name_differ_in_their_subjects() -> None:
    subjects = {x509.load_pem_x509_certificate(make_root("Pumps CA")[0].encode()).subject for _ in range(10)}

    assert len(subjects) == 10


def test_a_ca_does_not_show_its_key() -> None:
    assert "PrivateKey" not in repr(read_ca(*make_root()))


def armoured(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"
