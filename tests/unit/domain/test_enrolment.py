"""Who may join, under which name, and what a claim leads to."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.callers import CLAIM, DEVICE, OPERATOR, Caller
from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import (
    CLAIM_LIFETIME,
    Applicant,
    Claim,
    ClaimCertificate,
    Enrolment,
    Reservation,
    Whitelisted,
    abandon,
    admit_enrolment,
    begin_claim,
    candidate_names,
    decide_certificate,
    ended_certificates,
    is_claim_live,
    is_live,
    is_open,
    judge_applicant,
    settle_certificate,
    use,
)
from functions.domain.faults import Conflict, Denied, Fault, Reason, Unavailable
from functions.domain.names import is_device_id

NOW = datetime(2035, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HASH = "0123456789abcdef" * 4
FRESH = Claim(HASH, "EDGB-0001", "claim:fleet", NOW + CLAIM_LIFETIME)
RECORD = Device("EDGB-0001", NOW, NOW, uuid_hash=HASH, certificate="old")
LISTED = Whitelisted(HASH, "abcd", NOW)
FLEET = Caller(CLAIM, "fleet")


# --- Gates ------------------------------------------------------------------------


def test_enrolment_is_closed_until_it_is_opened() -> None:
    with pytest.raises(Denied) as refusal:
        admit_enrolment(Enrolment(), LISTED, NOW)

    assert refusal.value.reason is Reason.ENROLMENT_CLOSED


def test_a_window_is_open_until_its_end() -> None:
    window = Enrolment(is_open=True, open_until=NOW + MINUTE)

    assert is_open(window, NOW)
    assert not is_open(window, NOW + MINUTE)
    assert is_open(Enrolment(is_open=True), NOW + timedelta(days=9_999))
    assert not is_open(Enrolment(is_open=False, open_until=NOW + MINUTE), NOW)


@pytest.mark.parametrize("entry", [None, replace(LISTED, disabled=True)])
def test_an_enforced_whitelist_admits_only_its_enabled_entries(entry: Whitelisted | None) -> None:
    enforced = Enrolment(is_open=True, whitelist_enforced=True)
    admit_enrolment(enforced, LISTED, NOW)
    admit_enrolment(replace(enforced, whitelist_enforced=False), entry, NOW)

    with pytest.raises(Denied) as refusal:
        admit_enrolment(enforced, entry, NOW)

    assert refusal.value.reason is Reason.UUID_NOT_WHITELISTED


def test_the_first_use_stays_and_the_last_one_moves() -> None:
    once = use(LISTED, NOW)
    assert (once.first_used_at, once.last_used_at) == (NOW, NOW)
    assert use(once, NOW + MINUTE / 2) is once

    again = use(once, NOW + MINUTE)

    assert (again.first_used_at, again.last_used_at) == (NOW, NOW + MINUTE)


def test_a_claim_certificate_is_live_until_it_is_over_or_revoked() -> None:
    claim = ClaimCertificate("fleet", "ab", NOW, NOW + MINUTE)

    assert is_claim_live(claim, NOW)
    assert not is_claim_live(claim, NOW + MINUTE)
    assert not is_claim_live(replace(claim, revoked_at=NOW), NOW)


# --- Names ---------------------------------------------------------------------------


def test_the_preferred_name_has_the_first_four_digits_of_the_uuid() -> None:
    assert candidate_names("9c05fa1c-0000-4000-8000-00000000abcd", HASH)[:3] == (
        "EDGB-9C05",
        "EDGB-9C05F",
        "EDGB-9C05FA",
    )


def test_a_serial_number_without_enough_digits_is_filled_up_from_its_hash() -> None:
    assert candidate_names("board-xyz-7", HASH)[0] == "EDGB-BAD7"
    assert candidate_names("xyz-7", HASH)[0] == "EDGB-7012"


@given(st.from_regex(re.compile(r"[a-z0-9][a-z0-9_-]{3,63}", re.ASCII), fullmatch=True))
def test_any_uuid_has_names_that_are_device_ids_and_show_at_most_eight_of_its_digits(uuid: str) -> None:
    names = candidate_names(uuid, HASH)

    assert all(is_device_id(name) for name in names)
    assert len(set(names)) == len(names)
    assert all(longer.startswith(shorter) for shorter, longer in pairwise(names))
    digits = [character for character in uuid if character in "0123456789abcdef"]
    assert names[-1][5:].lower().removeprefix("".join(digits[:8])) in HASH


# --- Claims -----------------------------------------------------------------------------


def test_a_claim_lives_for_a_quarter_of_an_hour() -> None:
    assert is_live(FRESH, NOW + CLAIM_LIFETIME - timedelta(seconds=1))
    assert not is_live(FRESH, NOW + CLAIM_LIFETIME)
    assert not is_live(None, NOW)


def test_a_first_round_begins_a_claim_or_goes_on_with_the_live_one() -> None:
    other = replace(FRESH, expires_at=NOW + 2 * CLAIM_LIFETIME)

    assert begin_claim(None, FRESH, NOW) == FRESH
    assert begin_claim(FRESH, other, NOW + MINUTE) is FRESH
    assert begin_claim(FRESH, other, NOW + CLAIM_LIFETIME) is other


def test_only_a_claim_that_led_to_nothing_is_drawn_out() -> None:
    other = replace(FRESH, expires_at=NOW + 2 * CLAIM_LIFETIME)
    led = replace(FRESH, csr_digest="d1", certificate="s1")

    assert begin_claim(FRESH, other, NOW + 8 * MINUTE).expires_at == other.expires_at
    assert begin_claim(led, other, NOW + 8 * MINUTE) is led


def test_a_csr_leads_to_one_serial_and_begins_the_time_anew() -> None:
    later = NOW + 10 * MINUTE

    decided = decide_certificate(FRESH, RECORD, "d1", "s1", later)

    assert (decided.csr_digest, decided.certificate, decided.supersedes) == ("d1", "s1", ("old",))
    assert decided.expires_at == later + CLAIM_LIFETIME
    assert decide_certificate(decided, RECORD, "d1", "s2", later + MINUTE) is decided


def test_another_csr_supersedes_what_the_first_led_to() -> None:
    first = decide_certificate(FRESH, RECORD, "d1", "s1", NOW)

    second = decide_certificate(first, replace(RECORD, certificate="s1"), "d2", "s2", NOW)

    assert (second.certificate, second.supersedes) == ("s2", ("old", "s1"))


def test_a_claim_has_room_for_nine_certificates() -> None:
    claim = FRESH
    for number in range(9):
        claim = decide_certificate(claim, None, f"d{number}", f"s{number}", NOW)

    with pytest.raises(Unavailable) as refusal:
        decide_certificate(claim, None, "d9", "s9", NOW)

    assert refusal.value.reason is Reason.RATE_LIMITED


def test_the_end_of_a_claim_spares_the_certificate_that_the_registry_names() -> None:
    claim = decide_certificate(FRESH, RECORD, "d1", "s1", NOW)

    assert ended_certificates(claim, replace(RECORD, certificate="s1")) == ("old",)
    assert ended_certificates(claim, RECORD) == ()
    assert ended_certificates(claim, None) == ("old",)
    assert ended_certificates(FRESH, RECORD) == ()


def test_a_decision_taken_back_leaves_room_for_another_and_ends_what_it_led_to() -> None:
    claim = abandon(decide_certificate(FRESH, RECORD, "d1", "s1", NOW))

    again = decide_certificate(claim, replace(RECORD, certificate="other"), "d1", "s2", NOW)

    assert again.certificate == "s2"
    assert again.supersedes == ("old", "s1", "other")


def test_settling_puts_the_certificate_in_the_place_of_one_it_supersedes() -> None:
    claim = decide_certificate(FRESH, RECORD, "d1", "s1", NOW)

    settled = settle_certificate(RECORD, claim, Lifecycle.ACTIVE, NOW + MINUTE)

    assert (settled.certificate, settled.updated_at) == ("s1", NOW + MINUTE)
    assert settle_certificate(settled, claim, Lifecycle.ACTIVE, NOW + 2 * MINUTE) is settled


def test_settling_leaves_a_later_certificate_alone() -> None:
    claim = decide_certificate(FRESH, RECORD, "d1", "s1", NOW)
    later = replace(RECORD, certificate="s2")

    assert settle_certificate(later, claim, Lifecycle.ACTIVE, NOW) is later


def test_settling_brings_back_what_was_retired_before_but_not_what_is_retired_now() -> None:
    claim = decide_certificate(FRESH, RECORD, "d1", "s1", NOW)
    retired = replace(RECORD, lifecycle=Lifecycle.RETIRED)

    assert settle_certificate(retired, claim, Lifecycle.RETIRED, NOW).lifecycle is Lifecycle.ACTIVE
    for record, was in ((retired, Lifecycle.ACTIVE), (replace(retired, certificate="s1"), Lifecycle.RETIRED)):
        with pytest.raises(Denied) as refusal:
            settle_certificate(record, claim, was, NOW)
        assert refusal.value.reason is Reason.DEVICE_RETIRED


def test_settling_stops_at_a_suspended_device() -> None:
    suspended = replace(RECORD, lifecycle=Lifecycle.SUSPENDED)

    with pytest.raises(Denied) as refusal:
        settle_certificate(suspended, decide_certificate(FRESH, RECORD, "d1", "s1", NOW), Lifecycle.ACTIVE, NOW)

    assert refusal.value.reason is Reason.DEVICE_SUSPENDED


# --- Who is the same -------------------------------------------------------------------------

ITSELF = Caller(DEVICE, "EDGB-0001")
ANNA = Caller(OPERATOR, "anna")
SAME = Applicant("EDGB-0001", HASH, FLEET)
UNKNOWN = Applicant("EDGB-0001", None, FLEET)
OTHER = Applicant("EDGB-0001", "ff" * 32, FLEET)
STAFF = Applicant("EDGB-0001", None, ANNA, as_staff=True)


def verdict(applicant: Applicant, device: Device | None, reserved: Reservation | None = None) -> Reason | None:
    try:
        judge_applicant(applicant, device, reserved)
    except Fault as fault:
        return fault.reason
    return None


@pytest.mark.parametrize("applicant", [SAME, UNKNOWN, OTHER, STAFF])
def test_an_id_that_nobody_has_is_free(applicant: Applicant) -> None:
    assert verdict(applicant, None) is None
    assert verdict(applicant, None, Reservation("EDGB-0001", None)) is None


def test_an_id_kept_for_a_uuid_is_for_nobody_else() -> None:
    kept = Reservation("EDGB-0001", HASH)

    assert verdict(SAME, None, kept) is None
    assert {verdict(applicant, None, kept) for applicant in (UNKNOWN, OTHER, STAFF)} == {Reason.DEVICE_EXISTS}


@pytest.mark.parametrize("applicant", [SAME, UNKNOWN, STAFF])
def test_an_id_in_another_spelling_is_taken(applicant: Applicant) -> None:
    assert verdict(applicant, None, Reservation("edgb-0001", HASH)) is Reason.DEVICE_EXISTS


@pytest.mark.parametrize(
    ("applicant", "uuid_hash", "expected"),
    [
        (SAME, HASH, None),
        (OTHER, HASH, Reason.DEVICE_EXISTS),
        (UNKNOWN, HASH, Reason.DEVICE_EXISTS),
        (SAME, None, Reason.DEVICE_EXISTS),
        (UNKNOWN, None, Reason.DEVICE_EXISTS),
        (STAFF, HASH, Reason.DEVICE_EXISTS),
        (replace(UNKNOWN, caller=ITSELF), HASH, None),
        (replace(UNKNOWN, caller=ITSELF), None, None),
        (replace(SAME, caller=ITSELF), None, None),
        (replace(OTHER, caller=ITSELF), HASH, Reason.DEVICE_EXISTS),
        (replace(UNKNOWN, caller=Caller(DEVICE, "EDGB-0002")), HASH, Reason.DEVICE_EXISTS),
        (replace(UNKNOWN, caller=Caller(CLAIM, "EDGB-0001")), HASH, Reason.DEVICE_EXISTS),
    ],
)
def test_a_device_is_proved_by_its_uuid_or_its_own_certificate(
    applicant: Applicant, uuid_hash: str | None, expected: Reason | None
) -> None:
    assert verdict(applicant, replace(RECORD, uuid_hash=uuid_hash)) is expected


def test_a_retired_device_is_proved_by_its_uuid_or_brought_back_by_an_operator() -> None:
    retired = replace(RECORD, lifecycle=Lifecycle.RETIRED)

    assert verdict(SAME, retired) is None
    assert verdict(STAFF, retired) is None
    assert verdict(replace(UNKNOWN, caller=ITSELF), retired) is Reason.DEVICE_EXISTS
    assert verdict(UNKNOWN, replace(retired, uuid_hash=None)) is Reason.DEVICE_EXISTS


def test_only_the_device_itself_hears_that_it_is_suspended() -> None:
    suspended = replace(RECORD, lifecycle=Lifecycle.SUSPENDED)

    assert verdict(SAME, suspended) is Reason.DEVICE_SUSPENDED
    assert verdict(OTHER, suspended) is Reason.DEVICE_EXISTS
    with pytest.raises(Conflict):
        judge_applicant(OTHER, suspended, None)
