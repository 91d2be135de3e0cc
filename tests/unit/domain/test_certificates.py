"""What may be signed, what is usable, and when the revocation list is due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.domain.certificates import (
    Certificate,
    Purpose,
    SigningRequest,
    crl_is_due,
    is_usable,
    judge_request,
    revoke,
)
from functions.domain.faults import Malformed, Reason

NOW = datetime(2035, 1, 1, 12, tzinfo=UTC)
REQUEST = SigningRequest(
    common_name="EDGB-0001",
    key="ec",
    curve="secp256r1",
    bits=0,
    signature_hash="sha256",
    signature_valid=True,
    asks_for_ca=False,
    digest="ab",
)
RSA = replace(REQUEST, key="rsa", curve="")
CERTIFICATE = Certificate(
    serial="ab",
    purpose=Purpose.DEVICE,
    common_name="EDGB-0001",
    fingerprint="cd",
    not_before=NOW,
    not_after=NOW + timedelta(days=1),
    issued_at=NOW,
    gate="provision",
    issued_to="claim:fleet",
    csr_digest="ef",
    pem="",
)


@pytest.mark.parametrize(
    "request_",
    [
        REQUEST,
        replace(REQUEST, curve="secp384r1", signature_hash="sha512"),
        replace(REQUEST, key="ed25519", curve="", signature_hash=""),
        replace(RSA, bits=2048),
        replace(RSA, bits=8192),
    ],
)
def test_strong_keys_are_accepted(request_: SigningRequest) -> None:
    judge_request(request_)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (replace(REQUEST, signature_valid=False), "signature"),
        (replace(REQUEST, signature_hash="sha1", signature_valid=False), "sha1"),
        (replace(REQUEST, signature_hash="md5"), "md5"),
        (replace(REQUEST, asks_for_ca=True), "CA"),
        (replace(RSA, bits=2047), "2047"),
        (replace(RSA, bits=8193), "8193"),
        (replace(REQUEST, curve="secp521r1"), "secp521r1"),
        (replace(REQUEST, curve="brainpoolP256r1"), "brainpool"),
        (replace(REQUEST, key="dsa", curve=""), "dsa"),
    ],
)
def test_what_is_weak_or_wrong_is_refused_with_the_reason(request_: SigningRequest, words: str) -> None:
    with pytest.raises(Malformed, match=words) as refusal:
        judge_request(request_)

    assert refusal.value.reason is Reason.BAD_CSR


def test_a_certificate_is_usable_until_it_is_over_or_revoked() -> None:
    assert is_usable(CERTIFICATE, NOW)
    assert not is_usable(CERTIFICATE, CERTIFICATE.not_after)
    assert not is_usable(revoke(CERTIFICATE, NOW), NOW)


def test_a_certificate_revoked_twice_keeps_the_first_time() -> None:
    once = revoke(CERTIFICATE, NOW)

    assert once.revoked_at == NOW
    assert revoke(once, NOW + timedelta(hours=1)) == once


@pytest.mark.parametrize(
    ("made", "ends", "is_due"),
    [
        (timedelta(0), timedelta(days=30), False),
        (timedelta(hours=-23, minutes=-59), timedelta(days=29), False),
        (timedelta(days=-1), timedelta(days=29), True),
        (timedelta(hours=-1), timedelta(days=7), True),
        (timedelta(hours=-1), timedelta(days=7, seconds=1), False),
        (timedelta(days=-40), timedelta(days=-10), True),
        (timedelta(seconds=30), timedelta(days=30), False),
        (timedelta(hours=2), timedelta(days=30), True),
    ],
)
def test_a_list_is_due_after_a_day_near_its_end_and_when_it_is_of_the_future(
    made: timedelta, ends: timedelta, is_due: bool
) -> None:
    assert crl_is_due(NOW + made, NOW + ends, NOW) is is_due
