from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.domain.certificates import Certificate, Purpose
from functions.domain.devices import Device
from functions.domain.enrolment import Claim
from functions.domain.faults import Conflict, Reason, Unavailable
from functions.domain.renewals import judge_confirmation, judge_renewal, judge_session, note_session
from functions.domain.sessions import SessionMark

NOW = datetime(2035, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ASKED = SessionMark(NOW, "192.0.2.7:50000")
RENEWAL = Claim("", "pump-7", "device:pump-7", NOW, "digest", "new", ("oldest", "old"), ASKED)
DEVICE = Device("pump-7", NOW, NOW, certificate="new")
CURRENT = Certificate("new", Purpose.DEVICE, "pump-7", "", NOW, NOW, NOW, "renewal", "device:pump-7", "digest", "")


def test_a_device_renews_once_an_hour_but_may_ask_again_for_what_it_got() -> None:
    judge_renewal(CURRENT, None, "digest", NOW)
    judge_renewal(CURRENT, RENEWAL, "other", NOW)
    judge_renewal(replace(CURRENT, gate="provision"), None, "other", NOW)
    judge_renewal(None, None, "other", NOW)
    judge_renewal(CURRENT, None, "other", NOW + timedelta(hours=1))

    with pytest.raises(Unavailable) as refused:
        judge_renewal(CURRENT, None, "other", NOW + timedelta(minutes=59))

    assert refused.value.reason is Reason.RATE_LIMITED
    assert "2035-01-01T13:00:00Z" in refused.value.detail


def test_the_newest_session_that_asked_is_noted() -> None:
    later, earlier = SessionMark(NOW + SECOND, "192.0.2.7:50001"), SessionMark(NOW - SECOND, "192.0.2.7:49999")

    assert note_session(replace(RENEWAL, asked_in=None), ASKED).asked_in == ASKED
    assert note_session(RENEWAL, later).asked_in == later
    assert note_session(RENEWAL, earlier).asked_in == ASKED
    assert note_session(RENEWAL, SessionMark(NOW, "192.0.2.7:50001")).asked_in != ASKED


@pytest.mark.parametrize(
    ("session", "is_good"),
    [
        (ASKED, False),
        (SessionMark(NOW - SECOND, "192.0.2.7:49999"), False),
        (SessionMark(NOW, "192.0.2.7:50001"), False),
        (SessionMark(NOW + 2 * SECOND, "192.0.2.7:50001"), True),
        (SessionMark(NOW + 2 * SECOND, "192.0.2.7:50000"), True),
    ],
)
def test_a_session_confirms_if_it_began_after_the_certificate_was_issued(session: SessionMark, is_good: bool) -> None:
    issued_at = NOW + 2.5 * SECOND
    if is_good:
        judge_session(RENEWAL, issued_at, session)
        return

    with pytest.raises(Conflict) as refused:
        judge_session(RENEWAL, issued_at, session)

    assert refused.value.reason is Reason.SESSION_TOO_OLD


def test_another_session_within_the_same_second_confirms() -> None:
    judge_session(RENEWAL, NOW + 0.2 * SECOND, SessionMark(NOW, "192.0.2.7:50001"))


def test_only_the_last_certificate_is_confirmed() -> None:
    judge_confirmation(DEVICE, RENEWAL, "new")
    judge_confirmation(DEVICE, None, "new")

    cases = [
        (DEVICE, RENEWAL, "old", Reason.SUPERSEDED),
        (replace(DEVICE, certificate="joined-anew"), RENEWAL, "new", Reason.SUPERSEDED),
        (DEVICE, RENEWAL, "unheard-of", Reason.NO_RENEWAL_IN_PROGRESS),
        (DEVICE, None, "old", Reason.NO_RENEWAL_IN_PROGRESS),
        # Cut short before the registry named it: what the device has is not what waits.
        (replace(DEVICE, certificate="old"), replace(RENEWAL, supersedes=()), "old", Reason.NO_RENEWAL_IN_PROGRESS),
    ]
    for device, renewal, certificate, reason in cases:
        with pytest.raises(Conflict) as refused:
            judge_confirmation(device, renewal, certificate)
        assert refused.value.reason is reason
