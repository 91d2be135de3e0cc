"""Who signs and who is trusted, and which authority is fit to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.domain.ca import (
    CaCertificate,
    Trust,
    Trusted,
    admit_joining,
    bundle,
    ends,
    is_final,
    judge_chain,
    settle,
    succeed,
    trust_alone,
    use,
)
from functions.domain.callers import CLAIM, OPERATOR, Caller
from functions.domain.faults import Conflict, Malformed, Reason, Unavailable

NOW = datetime(2035, 1, 1, 12, tzinfo=UTC)
OLD, NEW = Trusted("aa", "old\n"), Trusted("bb", "new\n")
TRUST = trust_alone(OLD, at=NOW, by="user:anna")
CERTIFICATE = CaCertificate(
    subject="CN=Pumps CA",
    common_name="Pumps CA",
    issuer="CN=Pumps CA",
    serial="0f",
    fingerprint="aa",
    not_before=NOW,
    not_after=NOW + timedelta(days=1),
    key="ec",
    curve="secp256r1",
    bits=0,
    signature_hash="sha256",
    is_ca=True,
    signs_certificates=True,
    signs_lists=True,
    path_length=None,
    serves=True,
    obstacles=(),
    pem="PEM",
)


def test_what_is_trusted_is_told_with_the_issuer_first() -> None:
    assert bundle(replace(TRUST, trusted=(NEW, OLD))) == "old\nnew\n"


def test_an_authority_is_succeeded_until_it_is_in_use() -> None:
    decided = succeed(TRUST, NEW, replaces="aa", at=NOW, by="user:anna")

    assert decided == Trust("bb", (NEW,), NOW, "user:anna", in_use=False, is_settled=False)
    with pytest.raises(Conflict) as refused:
        succeed(use(TRUST, "aa"), NEW, replaces=None, at=NOW, by="user:anna")
    assert refused.value.reason is Reason.CA_IN_USE


def test_an_authority_succeeds_itself_even_in_use() -> None:
    used = use(TRUST, "aa")

    assert succeed(used, OLD, replaces="cc", at=NOW, by="user:bert") is used


def test_who_means_another_one_is_told_so_before_that_it_is_in_use() -> None:
    with pytest.raises(Conflict) as refused:
        succeed(use(TRUST, "aa"), NEW, replaces="cc", at=NOW, by="user:anna")

    assert refused.value.reason is Reason.VERSION_CONFLICT


def test_only_the_one_that_signs_comes_into_use() -> None:
    with pytest.raises(Conflict):
        use(TRUST, "bb")
    used = use(TRUST, "aa")

    assert used.in_use
    assert use(used, "aa") is used


def test_it_is_final_when_it_is_in_use_and_settled() -> None:
    succeeded = succeed(TRUST, NEW, replaces=None, at=NOW, by="user:anna")

    assert [is_final(one) for one in (TRUST, use(TRUST, "aa"), use(succeeded, "bb"))] == [False, True, False]
    assert settle(succeeded, "aa") is succeeded
    assert settle(succeeded, None) is succeeded
    assert is_final(use(settle(succeeded, "bb"), "bb"))


def test_until_it_is_settled_only_operators_have_anybody_join() -> None:
    succeeded = succeed(TRUST, NEW, replaces=None, at=NOW, by="user:anna")

    admit_joining(succeeded, Caller(OPERATOR, "anna"))
    admit_joining(TRUST, Caller(CLAIM, "fleet"))
    with pytest.raises(Unavailable):
        admit_joining(succeeded, Caller(CLAIM, "fleet"))


def test_a_chain_ends_with_the_first_of_its_certificates() -> None:
    assert ends((CERTIFICATE, replace(CERTIFICATE, not_after=NOW))) == NOW


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"is_ca": False}, "CA:TRUE"),
        ({"signs_certificates": False}, "keyCertSign"),
        ({"signs_lists": False}, "cRLSign"),
        ({"serves": False}, "clients or servers"),
        ({"obstacles": ("nameConstraints",)}, "nameConstraints"),
        ({"not_after": NOW}, "is over since 2035-01-01"),
        ({"not_before": NOW + timedelta(seconds=1)}, "begins only on 2035-01-01"),
        ({"key": "rsa", "bits": 2047}, "2047 bits"),
        ({"key": "rsa", "bits": 8193}, "8193 bits"),
        ({"curve": "secp256k1"}, "secp256k1"),
        ({"key": "dsa"}, "type dsa"),
        ({"signature_hash": "sha1"}, "sha1"),
        ({"signature_hash": "md5"}, "md5"),
    ],
)
def test_what_is_not_fit_is_refused_by_its_name(change: dict[str, object], words: str) -> None:
    with pytest.raises(Malformed, match="'CN=Pumps CA'") as refused:
        judge_chain((replace(CERTIFICATE, **change),), NOW)  # type: ignore[arg-type]

    assert words in refused.value.detail


def test_those_above_need_not_sign_lists_and_their_path_lengths_are_kept() -> None:
    root = replace(CERTIFICATE, subject="CN=root", signs_lists=False)
    judge_chain((CERTIFICATE, replace(root, path_length=1)), NOW)

    with pytest.raises(Malformed, match="'CN=root' allows 0"):
        judge_chain((CERTIFICATE, replace(root, path_length=0)), NOW)
    with pytest.raises(Malformed, match="'CN=root' allows 1"):
        judge_chain((CERTIFICATE, CERTIFICATE, replace(root, path_length=1)), NOW)
