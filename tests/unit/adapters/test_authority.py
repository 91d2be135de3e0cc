"""The certificate authority, with the openssl command as the second opinion on all it makes."""

import asyncio
import base64
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from functions.adapters.authority import LocalAuthority
from functions.adapters.keeping import MemoryKeeping
from functions.adapters.roots import Ca, make_root, read_ca
from functions.contract.requests import make_request
from functions.domain.ca import trust_alone
from functions.domain.certificates import MAX_CSR_CHARACTERS, Purpose, RevocationReason, Signed, judge_request
from functions.domain.faults import Malformed, Reason, Unavailable
from functions.testing import SettableClock

VECTORS = Path(__file__).parents[2] / "vectors" / "certificates"
ID = "EDGB-0001"
ACCEPTED = (
    "p256",
    "p384",
    "ed25519",
    "rsa2048",
    "rsa-pss",
    "new-header",
    "more-in-the-subject",
    "asks-for-more",
    "explicit-curve",
)
# What of the reason must be said, so that the one who made the CSR can mend it.
REFUSED = {
    "rsa1024": "1024 bits",
    "p521": "secp521r1",
    "secp256k1": "secp256k1",
    "ed448": "ed448",
    "sha1": "sha1",
    "ca-true": "CA certificate",
    "spoilt": "signature",
    "no-cn": "0 common names",
    "empty-subject": "0 common names",
    "two-cns": "2 common names",
}
OTHER_NAMES = {"slash-in-cn": "EDGB/0001", "nul-in-cn": "EDGB-0001\0evil", "other-cn": "EDGB-0002"}

CA_USAGE = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
ROOT = make_root()
AUTHORITY = LocalAuthority(*ROOT, SettableClock(datetime.now(UTC)))


def vector(name: str) -> str:
    return (VECTORS / f"{name}.csr").read_text()


def later(days: int = 365) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


async def signed(csr: str | None = None, *, name: str = ID, not_after: datetime | None = None) -> Signed:
    return await AUTHORITY.sign(
        csr or vector("p256"), common_name=name, purpose=Purpose.DEVICE, not_after=not_after or later()
    )


def openssl(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=20)


def verify(at: Path, certificate: str, *options: str, root: str = ROOT[0]) -> subprocess.CompletedProcess[str]:
    (at / "root.crt").write_text(root)
    (at / "leaf.crt").write_text(certificate)
    return openssl("verify", "-x509_strict", "-CAfile", str(at / "root.crt"), *options, str(at / "leaf.crt"))


# --- The root ------------------------------------------------------------------


def test_the_root_is_a_ca_that_can_have_no_ca_below_it() -> None:
    text = openssl("x509", "-noout", "-text", stdin=ROOT[0]).stdout

    assert "CA:TRUE, pathlen:0" in text
    assert "Certificate Sign, CRL Sign" in text
    assert "Subject Key Identifier" in text
    assert "NIST CURVE: P-256" in text


def test_the_root_verifies_itself_for_openssl(tmp_path: Path) -> None:
    assert verify(tmp_path, ROOT[0]).returncode == 0


def test_two_roots_never_have_the_same_name() -> None:
    subjects = {x509.load_pem_x509_certificate(make_root()[0].encode()).subject for _ in range(20)}

    assert len(subjects) == 20


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        (ROOT[0], make_root()[1], "not of the CA key"),
        ("no certificate", ROOT[1], "cannot be read"),
        (ROOT[0], "no key", "cannot be read"),
    ],
)
def test_a_ca_without_its_key_is_refused_at_the_start(certificate: str, key: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LocalAuthority(certificate, key, SettableClock())


async def test_a_certificate_that_is_no_ca_is_refused_at_the_start() -> None:
    csr, key = make_request(ID)
    leaf = await signed(csr)

    with pytest.raises(ValueError, match="CA:TRUE"):
        LocalAuthority(leaf.pem, key, SettableClock())


# --- Reading requests ------------------------------------------------------------


@pytest.mark.parametrize("name", ACCEPTED)
async def test_a_request_with_a_good_key_is_signed(name: str, tmp_path: Path) -> None:
    request = AUTHORITY.inspect(vector(name))
    judge_request(request)

    assert request.common_name == ID
    assert verify(tmp_path, (await signed(vector(name))).pem, "-purpose", "sslclient").returncode == 0


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_is_weak_or_wrong_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(Malformed) as refusal:
        judge_request(AUTHORITY.inspect(vector(name)))

    assert refusal.value.reason is Reason.BAD_CSR
    assert REFUSED[name] in refusal.value.detail


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_name_is_read_as_it_is(name: str) -> None:
    assert AUTHORITY.inspect(vector(name)).common_name == OTHER_NAMES[name]


@pytest.mark.parametrize("name", sorted({*ACCEPTED, *REFUSED, *OTHER_NAMES}))
def test_openssl_finds_the_same_signatures_good(name: str) -> None:
    told = openssl("req", "-noout", "-verify", stdin=vector(name))

    assert ("verify OK" in told.stderr + told.stdout) == (name != "spoilt")


def test_every_vector_is_judged_by_a_test() -> None:
    assert {path.stem for path in VECTORS.glob("*.csr")} == {*ACCEPTED, *REFUSED, *OTHER_NAMES}


def test_the_same_request_has_the_same_digest_whatever_its_armour() -> None:
    pem = vector("p256")

    assert AUTHORITY.inspect(pem).digest == AUTHORITY.inspect("\n" + pem.replace("\n", "\r\n") + "  \n").digest
    assert AUTHORITY.inspect(pem).digest != AUTHORITY.inspect(vector("p384")).digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "EDGB-0001",
        vector("p256") + "and more",
        "before " + vector("p256"),
        vector("p256") + vector("p384"),
        ROOT[0],
        ROOT[1],
        vector("p256").replace("-----END", "----END"),
        "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\n====\n-----END CERTIFICATE REQUEST-----\n",
        vector("p256").replace("\n", "\0"),
        vector("p256") + " " * MAX_CSR_CHARACTERS,
        "A" * 10_000_000,
        "\ud800",
    ],
)
def test_what_is_not_one_request_and_nothing_else_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refusal:
        AUTHORITY.inspect(text)

    assert refusal.value.reason is Reason.BAD_CSR


def read_or_refuse(text: str) -> None:
    """What can be read and is judged good can be signed; all else ends in the one fault."""
    reason = Reason.BAD_CSR
    try:
        judge_request(AUTHORITY.inspect(text))
        asyncio.run(signed(text))
    except Malformed as refusal:
        reason = refusal.reason
    assert reason is Reason.BAD_CSR


def armoured(der: bytes) -> str:
    body = base64.b64encode(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"


def der_of(name: str) -> bytes:
    return x509.load_pem_x509_csr(vector(name).encode()).public_bytes(serialization.Encoding.DER)


@given(st.text(max_size=2_000))
def test_any_text_is_read_or_refused(text: str) -> None:
    read_or_refuse(text)


@given(st.binary(max_size=1_000))
def test_any_bytes_in_the_armour_are_read_or_refused(der: bytes) -> None:
    read_or_refuse(armoured(der))


def test_a_request_of_an_unknown_version_is_refused() -> None:
    der = bytearray(der_of("p256"))
    der[der.index(b"\x02\x01\x00") + 2] = 1

    with pytest.raises(Malformed):
        AUTHORITY.inspect(armoured(bytes(der)))


@given(
    st.sampled_from(sorted({*ACCEPTED, *OTHER_NAMES})),
    st.lists(st.tuples(st.integers(0, 1_200), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(-3, 3),
)
def test_a_request_with_bytes_changed_or_cut_is_read_or_refused(
    name: str, changes: list[tuple[int, int]], cut: int
) -> None:
    der = bytearray(der_of(name))
    for place, value in changes:
        der[place % len(der)] = value

    read_or_refuse(armoured(bytes(der[:cut] if cut < 0 else der) + bytes(max(cut, 0))))


# --- Certificates ----------------------------------------------------------------


async def test_a_certificate_says_what_a_client_is_and_nothing_else() -> None:
    text = openssl("x509", "-noout", "-text", stdin=(await signed(vector("asks-for-more"))).pem).stdout

    for said in (
        "Subject: CN = EDGB-0001\n",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
    ):
        assert said in text
    for asked in ("hub.example", "Server Authentication", "Code Signing", "Certificate Sign"):
        assert asked not in text


async def test_a_clients_certificate_is_no_servers(tmp_path: Path) -> None:
    assert verify(tmp_path, (await signed()).pem, "-purpose", "sslserver").returncode != 0


async def test_a_certificate_of_another_root_is_refused(tmp_path: Path) -> None:
    assert verify(tmp_path, (await signed()).pem, root=make_root()[0]).returncode != 0


async def test_what_is_told_of_a_certificate_is_what_it_says() -> None:
    told = await signed()
    facts = openssl("x509", "-noout", "-serial", "-fingerprint", "-sha256", "-dates", stdin=told.pem).stdout

    assert f"serial={told.serial.upper()}\n" in facts
    assert told.fingerprint.upper() in facts.replace(":", "")
    assert f"notAfter={told.not_after:%b} {told.not_after.day:2} {told.not_after:%H:%M:%S %Y} GMT" in facts


async def test_serials_are_32_hex_digits_and_never_come_twice() -> None:
    serials = {AUTHORITY.new_serial() for _ in range(1_000)}

    assert len(serials) == 1_000
    assert {len(serial) for serial in serials} == {32}
    assert all(0 < int(serial, 16) < 1 << 159 for serial in serials)


async def test_a_serial_that_was_decided_on_is_the_certificates() -> None:
    serial = AUTHORITY.new_serial()

    told = await AUTHORITY.sign(
        vector("p256"), common_name=ID, purpose=Purpose.DEVICE, not_after=later(), serial=serial
    )

    assert told.serial == serial
    assert x509.load_pem_x509_certificate(told.pem.encode()).serial_number == int(serial, 16)


async def test_a_certificate_counts_from_an_hour_before_and_ends_with_its_ca() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    clock = SettableClock(now + timedelta(days=10))
    authority = LocalAuthority(*make_root(days=20), clock)

    told = await authority.sign(
        vector("p256"), common_name=ID, purpose=Purpose.DEVICE, not_after=now + timedelta(days=999)
    )

    assert told.not_before == now + timedelta(days=10, hours=-1)
    assert abs(told.not_after - (now + timedelta(days=20))) < timedelta(minutes=1)


async def test_a_certificate_does_not_begin_before_its_ca() -> None:
    certificate, key = make_root()
    begins = x509.load_pem_x509_certificate(certificate.encode()).not_valid_before_utc
    authority = LocalAuthority(certificate, key, SettableClock(begins + timedelta(minutes=5)))

    told = await authority.sign(vector("p256"), common_name=ID, purpose=Purpose.DEVICE, not_after=later())

    assert told.not_before == begins


@pytest.mark.parametrize("days", [-1, 21])
async def test_a_ca_that_is_not_valid_now_signs_nothing(days: int) -> None:
    authority = LocalAuthority(*make_root(days=20), SettableClock(datetime.now(UTC) + timedelta(days=days)))

    with pytest.raises(Unavailable, match="CA certificate"):
        await authority.sign(vector("p256"), common_name=ID, purpose=Purpose.DEVICE, not_after=later())


async def test_a_certificate_for_the_broker_is_a_servers_under_its_names(tmp_path: Path) -> None:
    csr, _ = make_request("anything")

    told = await AUTHORITY.sign_server(csr, hostnames=["hub.example", "192.0.2.7", "::1"], not_after=later())

    for check in (("-verify_hostname", "hub.example"), ("-verify_ip", "192.0.2.7"), ("-verify_ip", "::1")):
        assert verify(tmp_path, told.pem, "-purpose", "sslserver", *check).returncode == 0
    assert verify(tmp_path, told.pem, "-verify_hostname", "other.example").returncode != 0
    assert verify(tmp_path, told.pem, "-purpose", "sslclient").returncode != 0


async def test_a_certificate_for_the_broker_is_not_made_without_names() -> None:
    with pytest.raises(ValueError, match="sign_server"):
        await AUTHORITY.sign(vector("p256"), common_name="hub", purpose=Purpose.SERVER, not_after=later())


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
)
async def test_a_ca_that_was_brought_along_may_have_another_kind_of_key(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    root, root_key = foreign_root(key)
    authority = LocalAuthority(root, root_key, SettableClock(datetime.now(UTC)))

    told = await authority.sign(vector("p256"), common_name=ID, purpose=Purpose.DEVICE, not_after=later(1))
    crl = await authority.sign_crl([], number=1, next_update=later(1))

    (tmp_path / "crl.pem").write_text(crl)
    options = ("-crl_check", "-CRLfile", str(tmp_path / "crl.pem"))
    (tmp_path / "root.crt").write_text(root)
    # Not strictly: this root has no key identifier.
    told_by = openssl("verify", "-CAfile", str(tmp_path / "root.crt"), *options, stdin=told.pem)
    assert told_by.returncode == 0, told_by.stderr


def foreign_root(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> tuple[str, str]:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A root from elsewhere")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(later(-1))
        .not_valid_after(later(10))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(CA_USAGE, critical=True)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


# --- Revocation lists ------------------------------------------------------------


async def test_openssl_refuses_what_the_list_names_and_nothing_else(tmp_path: Path) -> None:
    good, bad = await signed(), await signed()
    crl = await AUTHORITY.sign_crl([(bad.serial, datetime.now(UTC), None)], number=7, next_update=later(30))
    (tmp_path / "crl.pem").write_text(crl)
    options = ("-crl_check", "-CRLfile", str(tmp_path / "crl.pem"))

    assert verify(tmp_path, good.pem, *options).returncode == 0
    refused = verify(tmp_path, bad.pem, *options)
    assert refused.returncode != 0
    assert "certificate revoked" in refused.stderr


async def test_a_list_has_its_number_and_counts_from_an_hour_before(tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    authority = LocalAuthority(*ROOT, SettableClock(now))

    pem = await authority.sign_crl([], number=258, next_update=now + timedelta(days=30))

    (tmp_path / "root.crt").write_text(ROOT[0])
    told = openssl("crl", "-noout", "-text", "-CAfile", str(tmp_path / "root.crt"), stdin=pem)
    assert "verify OK" in told.stderr
    assert "X509v3 Authority Key Identifier" in told.stdout
    assert "X509v3 CRL Number: \n                258" in told.stdout
    crl = x509.load_pem_x509_crl(pem.encode())
    assert crl.last_update_utc == now - timedelta(hours=1)
    assert crl.next_update_utc == now + timedelta(days=30)


async def test_a_list_says_why_where_that_was_told(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    why = (None, *RevocationReason)
    pem = await AUTHORITY.sign_crl(
        [(f"{n + 1:x}", now, reason) for n, reason in enumerate(why)], number=1, next_update=later(1)
    )

    told = openssl("crl", "-noout", "-text", stdin=pem).stdout
    entries = told.partition("Revoked Certificates:")[2].split("Serial Number:")[1:]
    found = [one.partition("CRL Reason Code:")[2].split("\n")[1].strip() if "Reason" in one else "" for one in entries]
    assert found == [
        "",
        "",
        "Key Compromise",
        "Affiliation Changed",
        "Superseded",
        "Cessation Of Operation",
        "Privilege Withdrawn",
    ]


async def test_a_list_of_twenty_thousand_is_made_at_once() -> None:
    now = datetime.now(UTC)
    revoked = [(AUTHORITY.new_serial(), now, RevocationReason.KEY_COMPROMISE) for _ in range(20_000)]

    pem = await AUTHORITY.sign_crl(revoked, number=1, next_update=later(30))

    crl = x509.load_pem_x509_crl(pem.encode())
    assert len(crl) == 20_000
    assert crl.get_revoked_certificate_by_serial_number(int(revoked[777][0], 16)) is not None


def test_a_request_made_for_a_command_is_one_that_is_accepted() -> None:
    csr, key = make_request(ID)

    request = AUTHORITY.inspect(csr)
    judge_request(request)

    assert (request.common_name, request.curve) == (ID, "secp256r1")
    assert "PRIVATE KEY" in key


async def test_a_key_that_was_read_at_the_start_is_not_read_again() -> None:
    class Counting(MemoryKeeping):
        reads = 0

        def active(self) -> Ca:
            self.reads += 1
            return super().active()

    keeping, clock = Counting(read_ca(*ROOT)), SettableClock()
    authority = LocalAuthority.kept(keeping, clock)
    assert keeping.reads == 0

    authority.read()
    trust = trust_alone(authority.active, at=clock.now(), by="system:hub")
    await authority.follow(trust)
    await authority.sign_crl([], number=1, next_update=clock.now() + timedelta(days=1))

    assert keeping.reads == 1
