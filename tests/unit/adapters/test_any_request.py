"""Whatever somebody has put under their own good signature: it leads to a certificate, or to an error by its name."""

import base64
import ipaddress
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import example, given
from hypothesis import strategies as st

from functions.adapters.authority import LocalAuthority
from functions.adapters.clock import SystemClock
from functions.adapters.roots import make_root
from functions.domain.certificates import Purpose, judge_request
from functions.domain.faults import Malformed, Reason

CLOCK = SystemClock()
AUTHORITY = LocalAuthority(*make_root(), CLOCK)
KEY = ec.generate_private_key(ec.SECP256R1())
# ecdsa-with-SHA256 (RFC 5758, 3.2) as an AlgorithmIdentifier.
ALGORITHM = bytes.fromhex("300a06082a8648ce3d040302")
# What a certificate of a client has, and no other: nothing that was asked for is taken over.
EXTENSIONS = {
    "basicConstraints",
    "keyUsage",
    "subjectKeyIdentifier",
    "authorityKeyIdentifier",
    "extendedKeyUsage",
}
COMMON_NAME = x509.Name([
    x509.NameAttribute(NameOID.COMMON_NAME, "pump-0001"),
    x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
])  # fmt: skip


def asks_for_much() -> bytes:
    """The signed part of a request with much in it that has to be read, in DER."""
    names = [
        x509.DNSName("a.example"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
        x509.RFC822Name("a@b.example"),
        x509.RegisteredID(ObjectIdentifier("1.2.3")),
    ]
    point = x509.DistributionPoint([x509.UniformResourceIdentifier("http://a.example/")], None, None, None)
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(COMMON_NAME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.NameConstraints([x509.DNSName("a")], None), critical=True)
        .add_extension(x509.CRLDistributionPoints([point]), critical=False)
        .add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"challenge")
        .sign(KEY, hashes.SHA256())
    )
    return made.tbs_certrequest_bytes


BASE = asks_for_much()


def wrap(tag: int, content: bytes) -> bytes:
    size = len(content)
    long = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([0x80 | len(long)]) + long) + content


def signed(to_be_signed: bytes) -> str:
    """A request (RFC 2986, 4.2) of any content, with a signature that is good."""
    signature = KEY.sign(to_be_signed, ec.ECDSA(hashes.SHA256()))
    der = wrap(0x30, to_be_signed + ALGORITHM + wrap(0x03, b"\0" + signature))
    body = base64.b64encode(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"


@given(st.lists(st.tuples(st.integers(0, len(BASE) - 1), st.integers(0, 255)), max_size=4), st.integers(-2, 2))
@example([], 0)
async def test_any_content_under_a_good_signature_gives_a_plain_certificate_or_is_refused_by_name(
    changes: list[tuple[int, int]], cut: int
) -> None:
    content = bytearray(BASE)
    for place, value in changes:
        content[place] = value
    request = signed(bytes(content[:cut] if cut < 0 else content) + bytes(max(cut, 0)))

    reason = None
    try:
        judge_request(AUTHORITY.inspect(request))
    except Malformed as refusal:
        reason = refusal.reason
    if reason is not None:
        assert reason is Reason.BAD_CSR
        assert changes or cut
        return
    given_out = await AUTHORITY.sign(
        request, common_name="pump-0001", purpose=Purpose.DEVICE, not_after=CLOCK.now() + timedelta(days=1)
    )

    certificate = x509.load_pem_x509_certificate(given_out.pem.encode())
    (name,) = certificate.subject
    assert (name.oid, name.value) == (NameOID.COMMON_NAME, "pump-0001")
    assert {extension.oid._name for extension in certificate.extensions} == EXTENSIONS
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
