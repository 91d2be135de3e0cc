"""Register functions: every certificate ever issued, one of them revoked, and the list of the revoked.

Subjects   devicehub.certificates.query, devicehub.certificates.<serial>.get, .revoke,
           devicehub.crl.get
Reads      certificates, devices; pages come from the register's index alone
Writes     revoked, certificates, devices, claim_certificates, claims, revocations, suspensions
Publishes  devicehub.broker.access.changed, devicehub.audit.recorded
"""

from functions.contract.messages import (
    CertificateDetail,
    CertificatePage,
    CertificateQuery,
    CertificateRevoke,
    CertificateRevoked,
    CrlView,
    Nothing,
)
from functions.contract.views import certificate_view
from functions.domain.certificates import Certificate, Purpose, RevocationReason
from functions.domain.devices import Device
from functions.domain.enrolment import ClaimCertificate
from functions.domain.faults import NotFound
from functions.domain.inventory import parse_sorts
from functions.domain.names import CLAIM_PREFIX
from functions.domain.register import (
    SORTABLE,
    CertificatesWanted,
    Consequence,
    State,
    consequence,
    entry_of,
    is_superseded,
    serial_number,
)
from functions.handlers.auditing import record
from functions.handlers.issuing import lost_races_can_be_retried
from functions.handlers.retiring import end_claims
from functions.handlers.revoking import CRL, renew, spread
from functions.handlers.revoking import revoke as revoke_serials
from functions.handlers.rewriting import value_of
from functions.handlers.suspending import lift
from functions.ports import Call, Hub

_TOLD = {
    Consequence.DEVICE_RETIRED: (
        "The device '{name}' is retired by it and its session ends, as this was its certificate."
        " 'devicehub device create {name}' brings it back, with a new one."
    ),
    Consequence.DEVICE_STAYS: (
        "The device '{name}' stays, as it has another certificate. Its session ends, and it comes back with that one."
    ),
    Consequence.CLAIM_CLOSED: ("Nobody joins as '{name}' any more, and its sessions end. Devices that did join stay."),
    Consequence.NEW_SERVER_CERTIFICATE: (
        "Devices do not ask for the list, so they trust it until it is replaced: start the hub again, which makes a"
        " new one."
    ),
    Consequence.NOTHING_ELSE: "Nothing else changes, as '{name}' does not take part with it.",
}


async def query(call: Call[CertificateQuery], hub: Hub) -> CertificatePage:
    """A page of the certificates for which all holds that is asked, and how many there are in all.

    Raises:
        Malformed: a field to sort by does not exist.
    """
    asked = call.body
    now = hub.clock.now()
    wanted = CertificatesWanted(
        text=asked.q,
        state=None if asked.state is None else State(asked.state),
        purpose=None if asked.kind is None else Purpose(asked.kind),
        gate=asked.gate,
        common_name=asked.subject,
        expires_after=asked.expires_after,
        expires_before=asked.expires_before,
        sorts=parse_sorts(asked.sort, SORTABLE, "Certificates"),
        limit=asked.limit,
        offset=asked.offset,
    )
    page = await hub.register.find(wanted, now)
    return CertificatePage(total=page.total, certificates=[certificate_view(entry, now) for entry in page.entries])


async def read(call: Call[Nothing], hub: Hub) -> CertificateDetail:
    """One certificate in any state, itself included.

    Raises:
        Malformed: what is named is no serial number.
        NotFound: the register does not have it.
    """
    certificate = await _registered(call.names[0], hub)
    entry = entry_of(certificate, is_superseded=is_superseded(certificate, await _current(certificate, hub)))
    shown = certificate_view(entry, hub.clock.now())
    return CertificateDetail(**dict(shown), pem=certificate.pem)


async def revoke(call: Call[CertificateRevoke], hub: Hub) -> CertificateRevoked:
    """Revoke one certificate, and say what follows from it; a repeat changes nothing and answers the same.

    The certificate that a device's record names takes the device with it, as
    ``registry.devices.*.revoke`` does. Any other leaves the device as it is:
    its sessions end, because nobody can tell by which certificate they were
    opened, and it comes back with the good one.

    Raises:
        Malformed: what is named is no serial number.
        NotFound: the register does not have it.
        Unavailable: others kept changing one of the records.
    """
    certificate = await _registered(call.names[0], hub)
    name, serial = certificate.common_name, certificate.serial
    reason = None if call.body.reason is None else RevocationReason(call.body.reason)
    with lost_races_can_be_retried():
        decided = await revoke_serials(hub, name, [serial], reason)
        # After the deed, which takes along what the records name at that moment.
        follows = consequence(certificate, await _device(certificate, hub), await _claim(certificate, hub))
        if follows is Consequence.DEVICE_RETIRED:
            decided += await end_claims(hub, name, reason)
            await lift(hub, name)
        await spread(hub, [name])
    entry = value_of(await hub.revoked.get(serial))
    assert entry is not None
    if decided:
        after = {"subject": name, "revoked": decided, "reason": entry.reason, "consequence": follows}
        await record(hub, call, "certificate.revoked", serial, after=after)
    return CertificateRevoked(
        serial=serial,
        subject=name,
        kind=certificate.purpose.value,
        revoked_at=entry.at,
        reason=None if entry.reason is None else entry.reason.value,
        consequence=follows.value,
        message=_TOLD[follows].format(name=name),
    )


async def read_crl(call: Call[Nothing], hub: Hub) -> CrlView:
    """The revocation list as it was published last; the first one is made if there is none yet.

    It is renewed by the broker's keeper and by a timer, not by readers.
    """
    kept = value_of(await hub.revocations.get(CRL))
    if kept is None:
        with lost_races_can_be_retried():
            kept, _ = await renew(hub)
    return CrlView(number=kept.number, this_update=kept.this_update, next_update=kept.next_update, pem=kept.crl_pem)


async def _registered(text: str, hub: Hub) -> Certificate:
    serial = serial_number(text)
    kept = await hub.certificates.get(serial)
    if kept is None:
        raise NotFound(detail=f"The register has no certificate of serial number {serial}.")
    return kept.value


async def _device(certificate: Certificate, hub: Hub) -> Device | None:
    if certificate.purpose is not Purpose.DEVICE:
        return None
    return value_of(await hub.devices.get(certificate.common_name))


async def _claim(certificate: Certificate, hub: Hub) -> ClaimCertificate | None:
    if certificate.purpose is not Purpose.CLAIM:
        return None
    return value_of(await hub.claim_certificates.get(certificate.common_name.removeprefix(CLAIM_PREFIX)))


async def _current(certificate: Certificate, hub: Hub) -> Certificate | None:
    """The certificate that the device's record names."""
    device = await _device(certificate, hub)
    if device is None or device.certificate is None:
        return None
    return value_of(await hub.certificates.get(device.certificate))
