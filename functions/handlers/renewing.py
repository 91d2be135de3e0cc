"""Renewal: a device asks for a newer certificate over its own session, and confirms it in a session opened with it.

Subjects   devicehub.devices.<device>.certificates.renew, .renew.confirm
Writes     renewals, certificates, devices, revoked, revocations
Publishes  devicehub.broker.access.changed
Records    device.renewed, device.renewal-confirmed, certificate.revoked

A renewal is issued as any certificate is (``functions.handlers.issuing``),
with a claim of its own kind: the registry names the new certificate from then
on, and what the device held before stays good until it confirms, or until the
claim's time is over. What a confirmation proves, and what it cannot, stands in
``docs/decisions``.
"""

import asyncio
from functools import partial

from functions.contract.messages import CertificateCreated, Renew, RenewConfirm, RenewConfirmed
from functions.domain.certificates import Gate
from functions.domain.devices import admit
from functions.domain.enrolment import Applicant, is_live
from functions.domain.faults import Malformed, Reason, Unavailable
from functions.domain.renewals import judge_confirmation, judge_renewal, judge_session, note_session
from functions.domain.sessions import SessionMark
from functions.handlers.auditing import record
from functions.handlers.certificates import created
from functions.handlers.issuing import Application, issue, lost_races_can_be_retried, read_request
from functions.handlers.joining import Joining
from functions.handlers.lapsing import finish_claim
from functions.handlers.revoking import spread, tell
from functions.handlers.rewriting import amend, value_of
from functions.ports import Call, Hub


async def renew(call: Call[Renew], hub: Hub) -> CertificateCreated:
    """Give a device a newer certificate; the one it has stays good until the new one is confirmed.

    The same CSR leads to the same certificate. Another one before the
    confirmation takes the place of the first, and the device has the full
    time again.

    Raises:
        Malformed: ``bad_csr``, or ``cn_mismatch``: it is not for this device.
        NotFound: ``unknown_device``.
        Denied: the device is suspended or retired.
        Unavailable: try again; ``rate_limited`` for too many keys, or too soon after the last renewal.
    """
    body, name, session = call.body, call.device, _session_of(call)
    signing = read_request(body.csr_pem, hub)
    if signing.common_name != name:
        raise Malformed(Reason.CN_MISMATCH)
    kept, kept_renewal = await asyncio.gather(hub.devices.get(name), hub.renewals.get(name))
    device, renewal = admit(value_of(kept)), value_of(kept_renewal)
    current = await hub.certificates.get(device.certificate) if device.certificate is not None else None
    judge_renewal(value_of(current), renewal, signing.digest, hub.clock.now())
    application = Application(
        Applicant(name, None, call.caller), body.csr_pem, signing.digest, gate=Gate.RENEWAL, renews=True
    )
    steps = Joining(hub, call, name)
    with lost_races_can_be_retried():
        certificate = await issue(application, steps, hub)
        # Before the answer: no session that the answer came in may confirm it.
        await amend(hub.renewals, name, partial(note_session, session=session))
    if steps.after is not None:
        await record(hub, call, "device.renewed", name, before=steps.before, after=steps.after)
    return created(certificate, body.request_id, hub)


async def confirm(call: Call[RenewConfirm], hub: Hub) -> RenewConfirmed:
    """End a renewal: what the device held before is revoked, and it comes back with the new one as its sessions end.

    A repeat is answered as before.

    Raises:
        NotFound: ``unknown_device``.
        Denied: the device is suspended or retired.
        Conflict: ``session_too_old``, ``superseded``, ``no_renewal_in_progress``.
        Unavailable: try again.
    """
    name, serial, session = call.device, call.body.certificate_id, _session_of(call)
    record_, kept = await asyncio.gather(hub.devices.get(name), hub.renewals.get(name))
    device = admit(value_of(record_))
    judge_confirmation(device, value_of(kept), serial)
    if kept is not None:
        certificate = await hub.certificates.get(serial)
        if certificate is None:
            raise Unavailable
        judge_session(kept.value, certificate.value.issued_at, session)
        with lost_races_can_be_retried():
            await finish_claim(hub, hub.renewals, name, kept, call)
            await record(hub, call, "device.renewal-confirmed", name, after={"certificate": serial})
            # Last, as it ends the session that waits for the answer. The keeper, which makes the list anew when
            # it asks, does so once for all that confirm at the same time.
            await tell(hub, [name])
    return RenewConfirmed(device_id=name, certificate_id=serial)


async def finish_renewals(hub: Hub) -> None:
    """End every renewal whose time is over, though not confirmed; for a timer, in as many processes as there are.

    It reads all renewals in progress: 10,000 take 0.2 s of one core.

    Raises:
        Unavailable: the storage; what is left is done the next time.
        Conflict: others kept changing a record.
    """
    now = hub.clock.now()
    # Read to the end first: what is done to a renewal changes the store.
    over = [(name, kept) async for name, kept in hub.renewals.entries() if not is_live(kept.value, now)]
    changed = [name for name, kept in over if await finish_claim(hub, hub.renewals, name, kept)]
    if changed:
        await spread(hub, changed)


def _session_of(call: Call[Renew] | Call[RenewConfirm]) -> SessionMark:
    """The session that the message came in.

    Raises:
        Unavailable: the bridge did not say.
    """
    if call.session is None:
        raise Unavailable(detail="The hub does not know yet in which session this was sent. Send it again in a moment.")
    return call.session
