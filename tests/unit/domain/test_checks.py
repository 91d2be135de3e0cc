"""The rules of the checks, each at its edges."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from functions.domain import checks
from functions.domain.alarms import SORTS, Severity
from functions.domain.ca import CaCertificate, judge_chain
from functions.domain.certificates import Purpose, is_weak_key, key_name
from functions.domain.checks import CHECKS, Finding
from functions.domain.faults import Malformed
from functions.domain.register import Entry
from functions.domain.sessions import Session, clashes, follow
from functions.testing import START

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


def entry(ends: datetime, **facts: object) -> Entry:
    plain = Entry(
        "a1", Purpose.DEVICE, "pump-0001", "f1", START, ends, START, "staff", "user:anna", None, None,
        is_superseded=False, key="ec secp256r1",
    )  # fmt: skip
    return replace(plain, **facts)  # type: ignore[arg-type]  # Of any field.


def session(since: datetime = START, address: str = "192.0.2.7:1000", **facts: str) -> Session:
    return Session(facts.get("client_id", "pump-0001"), "pump-0001", address, since, "local")


def told(found: Iterator[Finding]) -> list[tuple[str, Severity | None]]:
    return [(one.subject, one.severity) for one in found]


@pytest.mark.parametrize(
    ("ends", "severity"),
    [(30 * DAY, None), (SECOND, None), (timedelta(0), Severity.CRITICAL), (-29 * DAY, Severity.CRITICAL)],
)
def test_what_ends_within_thirty_days_or_has_ended_is_found(ends: timedelta, severity: Severity | None) -> None:
    assert told(checks.expiring([entry(START + ends)], START)) == [("pump-0001", severity)]


@pytest.mark.parametrize(
    "fine",
    [
        entry(START + 30 * DAY + SECOND),
        entry(START + DAY, is_superseded=True),
        entry(START + DAY, revoked_at=START),
    ],
)
def test_what_lasts_or_is_out_of_use_is_not(fine: Entry) -> None:
    assert told(checks.expiring([fine], START)) == []


@pytest.mark.parametrize(
    ("key", "is_weak"),
    [
        (key_name("ec", "secp256r1", 0), False),
        (key_name("ec", "secp384r1", 0), False),
        (key_name("ed25519", "", 0), False),
        (key_name("rsa", "", 2048), False),
        ("", False),
        (key_name("rsa", "", 2047), True),
        (key_name("rsa", "", 1024), True),
        (key_name("ec", "secp192r1", 0), True),
        (key_name("dsa", "", 2048), True),
        ("rsa", True),
    ],
)
def test_a_weak_key_is_known_by_its_name(key: str, is_weak: bool) -> None:
    assert is_weak_key(key) is is_weak
    assert bool(told(checks.weak([entry(START, key=key)]))) is is_weak


ROOT = CaCertificate(
    "CN=Root", "Root", "CN=Root", "1", "f1", START, START + 31 * DAY, "ec", "secp256r1", 0, "sha256",
    is_ca=True, signs_certificates=True, signs_lists=True, path_length=0, serves=True, obstacles=(), pem="PEM",
)  # fmt: skip


def test_the_hubs_own_chain_is_looked_at_too() -> None:
    assert told(checks.chain_ends([ROOT], START)) == told(checks.chain_keys([ROOT])) == []
    assert told(checks.chain_ends([ROOT], START + DAY)) == [("CN=Root", None)]
    assert told(checks.chain_keys([replace(ROOT, signature_hash="sha1")])) == [("CN=Root", Severity.CRITICAL)]
    assert told(checks.chain_keys([replace(ROOT, key="rsa", bits=1024)])) == [("CN=Root", Severity.CRITICAL)]


@pytest.mark.parametrize(
    "taken", [replace(ROOT, curve="secp521r1"), replace(ROOT, key="ed25519", curve="", signature_hash="")]
)
def test_an_authority_that_may_be_imported_is_not_weak(taken: CaCertificate) -> None:
    judge_chain((taken,), START)

    assert told(checks.chain_keys([taken])) == []


def test_an_authority_that_sha1_vouches_for_is_refused_whatever_its_own_key() -> None:
    below = replace(ROOT, key="ed25519", curve="", signature_hash="sha1")

    with pytest.raises(Malformed, match="signed with sha1"):
        judge_chain((below, ROOT), START)


def test_the_revocation_list_must_be_there_and_last() -> None:
    assert told(checks.revocations(START + 30 * DAY, START)) == []
    assert told(checks.revocations(None, START)) == [("", None)]
    assert told(checks.revocations(START, START)) == [("", None)]


def test_a_session_needs_a_good_certificate_after_a_minute() -> None:
    open_one = session()

    assert told(checks.without_certificate([open_one], {"pump-0001"}, START + DAY)) == []
    assert told(checks.without_certificate([open_one], set(), START + MINUTE - SECOND)) == []
    assert told(checks.without_certificate([open_one], set(), START + MINUTE)) == [("pump-0001", None)]


def follow_all(addresses: list[str], apart: timedelta) -> Session:
    kept: Session | None = None
    for number, address in enumerate(addresses):
        at = START + number * apart
        kept = follow(kept, session(at, f"{address}:{1000 + number}"), at)
    assert kept is not None
    return kept


def test_two_hosts_that_take_a_client_id_from_each_other_clash() -> None:
    kept = follow_all(["192.0.2.7", "192.0.2.8"] * 2, MINUTE)

    assert told(checks.clashing([kept], kept.since)) == [("pump-0001", None)]
    assert told(checks.clashing([kept], kept.since + 10 * MINUTE)) == []


def test_a_clash_among_those_that_join_keeps_no_hardware_uuid() -> None:
    uuid = "9205fa1c-7e57-4bad-8c0d-e51a7edcab1e"
    kept = replace(
        follow_all(["192.0.2.7", "192.0.2.8"] * 2, MINUTE), client_id=uuid, common_name="claim-fleet", address="h:1"
    )

    (found,) = checks.clashing([kept], kept.since)

    assert found.subject == "of one that joins with claim-fleet"
    assert found.detail.endswith("The client id ends in 'ab1e'.")
    assert uuid[:-4] not in f"{found.subject} {found.detail}"


@pytest.mark.parametrize(
    ("addresses", "apart"),
    [
        (["192.0.2.7"] * 9, SECOND),
        (["192.0.2.7", "192.0.2.8", "192.0.2.9"], SECOND),
        (["192.0.2.7", "192.0.2.8"] * 10, 10 * MINUTE),
    ],
)
def test_a_device_that_comes_back_or_moves_does_not_clash(addresses: list[str], apart: timedelta) -> None:
    kept = follow_all(addresses, apart)

    assert not clashes(kept, kept.since)


def test_two_behind_one_address_clash_when_they_do_it_all_the_time() -> None:
    assert clashes(follow_all(["192.0.2.7"] * 11, SECOND), START + 11 * SECOND)


def test_a_line_that_comes_late_or_again_is_no_takeover() -> None:
    now = START + MINUTE
    kept = follow(session(START), session(now, "192.0.2.8:1"), now)

    assert follow(kept, session(START), now) is kept
    assert follow(kept, session(now, "192.0.2.8:1"), now) is kept
    assert len(kept.takeovers) == 1


def test_takeovers_are_bounded() -> None:
    assert len(follow_all(["192.0.2.7"] * 100, SECOND).takeovers) == 10


@pytest.mark.parametrize(
    ("written", "is_wrong"),
    [(timedelta(0), False), (-2 * SECOND, False), (-3 * SECOND, True), (3 * SECOND, False), (4 * SECOND, True)],
)
def test_the_storages_clock_may_be_two_seconds_off(written: timedelta, is_wrong: bool) -> None:
    found = list(checks.storage_clock(START, START + written, START + SECOND))

    assert bool(found) is is_wrong


def test_a_broker_that_tells_of_the_future_has_a_wrong_clock() -> None:
    known = [session(START - DAY), session(START + 2 * SECOND), session(START + 5 * SECOND)]

    assert told(checks.broker_clocks(known[:2], START)) == []
    assert told(checks.broker_clocks(known, START)) == [("the broker 'local'", None)]


def test_every_finding_is_of_a_kind_of_alarm() -> None:
    kinds = [kind for each in CHECKS.values() for kind in each]

    assert set(kinds) <= SORTS.keys()
    assert len(set(kinds)) == len(kinds)
    # Each is closed by the check that opened it, and by no clock.
    assert all(SORTS[kind].quiet is None for kind in kinds)
