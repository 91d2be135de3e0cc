"""Renewal: when a device may have a newer certificate, and what must be so before its old one ends.

The claim of a renewal is a ``Claim``: the certificate decided on last, and
the ones that end when it is confirmed or its time is over.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from functions.domain.certificates import Certificate, Gate
from functions.domain.devices import Device
from functions.domain.enrolment import Claim
from functions.domain.faults import Conflict, Reason, Unavailable
from functions.domain.sessions import SessionMark

# Each renewal that is confirmed puts a certificate on the revocation list for
# the rest of its ten years; a device in a loop must not fill that.
_BETWEEN = timedelta(hours=1)


def judge_renewal(current: Certificate | None, renewal: Claim | None, digest: str, now: datetime) -> None:
    """Refuse a device that renews what it has renewed and confirmed only just now.

    A repeat of the CSR that led to the current certificate is no new renewal.

    Args:
        current: what the register has of the device's certificate.
        renewal: the one in progress.
        digest: of the CSR.
        now: the time.

    Raises:
        Unavailable: ``rate_limited``, with when to ask again.
    """
    if renewal is not None or current is None or current.gate != Gate.RENEWAL or current.csr_digest == digest:
        return
    again = current.issued_at + _BETWEEN
    if now < again:
        raise Unavailable(
            Reason.RATE_LIMITED, f"The certificate was renewed just now. Ask again after {again:%Y-%m-%dT%H:%M:%SZ}."
        )


def note_session(renewal: Claim, session: SessionMark) -> Claim:
    """Note that the renewal was asked for in a session: it can be confirmed in a later one only."""
    asked = renewal.asked_in
    if asked is not None and session.since < asked.since:
        return renewal
    return replace(renewal, asked_in=session)


def judge_confirmation(device: Device, renewal: Claim | None, certificate: str) -> None:
    """Refuse to take a certificate for the one that a renewal led to, if it is not; the repeat of a confirmation is.

    Raises:
        Conflict: ``superseded`` if another one took its place,
            ``no_renewal_in_progress`` if the hub waits for none.
    """
    if renewal is None:
        if device.certificate != certificate:
            raise Conflict(Reason.NO_RENEWAL_IN_PROGRESS)
        return
    if certificate in renewal.supersedes or (renewal.certificate == certificate != device.certificate):
        raise Conflict(
            Reason.SUPERSEDED, "Another certificate was issued to this device since. Connect with that, and confirm it."
        )
    if renewal.certificate != certificate:
        raise Conflict(Reason.NO_RENEWAL_IN_PROGRESS, "No certificate with this id waits to be confirmed.")


def judge_session(renewal: Claim, issued_at: datetime, session: SessionMark) -> None:
    """Refuse a confirmation from a session that cannot have been opened with the new certificate.

    No broker tells which certificate a session was opened with. But one that
    the renewal was asked in, or that began before the certificate was issued,
    was not opened with it. The broker's log knows whole seconds.

    Raises:
        Conflict: ``session_too_old``.
    """
    asked = renewal.asked_in
    is_of_before = asked is not None and (session == asked or session.since < asked.since)
    if is_of_before or session.since < issued_at.replace(microsecond=0):
        raise Conflict(Reason.SESSION_TOO_OLD)
