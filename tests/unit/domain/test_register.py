"""In which state a certificate is, what superseded it, and what its revocation entails."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.domain.certificates import Certificate, Purpose, RevocationReason, revoke
from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import ClaimCertificate
from functions.domain.faults import Malformed
from functions.domain.register import (
    Consequence,
    State,
    consequence,
    entry_of,
    is_superseded,
    serial_number,
    state_of,
)

NOW = datetime(2035, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OLD = Certificate("ab", Purpose.DEVICE, "pump-7", "cd", NOW, NOW + DAY, NOW, "staff", "user:anna", "ef", "PEM\n")
NEW = replace(OLD, serial="ac", issued_at=NOW + timedelta(seconds=1))
PUMP = Device("pump-7", NOW, NOW, certificate="ab")


def state(certificate: Certificate, *, superseded: bool = False, at: datetime = NOW) -> State:
    return state_of(entry_of(certificate, is_superseded=superseded), at)


def test_a_state_is_the_worst_that_is_true() -> None:
    assert state(OLD) is State.ACTIVE
    assert state(OLD, superseded=True) is State.SUPERSEDED
    assert state(OLD, superseded=True, at=NOW + DAY) is State.EXPIRED
    assert state(OLD, at=NOW + DAY - timedelta(microseconds=1)) is State.ACTIVE
    assert state(revoke(OLD, NOW), superseded=True, at=NOW + DAY) is State.REVOKED


def test_the_certificate_that_the_record_names_supersedes_those_before_it() -> None:
    assert is_superseded(OLD, NEW)
    assert not is_superseded(NEW, OLD)
    assert not is_superseded(OLD, OLD)
    assert not is_superseded(OLD, None)
    assert not is_superseded(replace(OLD, purpose=Purpose.CLAIM), NEW)


def test_a_reason_goes_with_the_first_revocation() -> None:
    once = revoke(OLD, NOW, RevocationReason.KEY_COMPROMISE)

    assert once.revocation_reason is RevocationReason.KEY_COMPROMISE
    assert revoke(once, NOW + DAY, RevocationReason.SUPERSEDED) == once


@pytest.mark.parametrize(
    ("certificate", "device", "claim", "follows"),
    [
        (OLD, PUMP, None, Consequence.DEVICE_RETIRED),
        (OLD, replace(PUMP, lifecycle=Lifecycle.RETIRED), None, Consequence.DEVICE_RETIRED),
        (OLD, replace(PUMP, certificate="ac"), None, Consequence.DEVICE_STAYS),
        (OLD, replace(PUMP, certificate="ac", lifecycle=Lifecycle.SUSPENDED), None, Consequence.DEVICE_STAYS),
        (OLD, replace(PUMP, certificate="ac", lifecycle=Lifecycle.RETIRED), None, Consequence.NOTHING_ELSE),
        (OLD, None, None, Consequence.NOTHING_ELSE),
        (replace(OLD, purpose=Purpose.SERVER), None, None, Consequence.NEW_SERVER_CERTIFICATE),
        (replace(OLD, purpose=Purpose.CLAIM), None, ClaimCertificate("f", "ab", NOW, NOW), Consequence.CLAIM_CLOSED),
        (replace(OLD, purpose=Purpose.CLAIM), None, ClaimCertificate("f", "ac", NOW, NOW), Consequence.NOTHING_ELSE),
    ],
)
def test_what_a_revocation_entails_is_what_the_records_name(
    certificate: Certificate, device: Device | None, claim: ClaimCertificate | None, follows: Consequence
) -> None:
    assert consequence(certificate, device, claim) is follows


def test_a_serial_number_is_read_as_people_copy_it() -> None:
    assert serial_number("AB:0c:1D") == serial_number("ab0c1d") == "ab0c1d"
    for wrong in ("", ":", "0x1f", "xyz", "ab cd", "a" * 41, "-1", "ab\n"):
        with pytest.raises(Malformed):
            serial_number(wrong)
