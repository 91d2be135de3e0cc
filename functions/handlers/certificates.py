"""Certificate functions: sign a device's CSR, register a device, and revoke one.

Subjects   devicehub.certificates.create-from-csr,
           devicehub.registry.devices.<device>.create, .revoke
Writes     names, claims, certificates, devices, whitelist, revoked, revocations, suspensions
Publishes  devicehub.onboarding.<device>, devicehub.broker.access.changed
"""

from datetime import timedelta
from typing import Any

from functions.contract.messages import CertificateCreated, CreateFromCsr, DeviceCreate, Issued
from functions.domain.certificates import Certificate, Gate
from functions.domain.enrolment import Applicant
from functions.domain.faults import Malformed, Reason
from functions.domain.names import DeviceId, device_id, hardware_uuid, is_device_id
from functions.domain.traits import check_metadata
from functions.handlers.auditing import record
from functions.handlers.issuing import Application, issue, lost_races_can_be_retried, read_request
from functions.handlers.joining import Joining, joining
from functions.ports import Call, Hub


async def create_from_csr(call: Call[CreateFromCsr], hub: Hub) -> CertificateCreated:
    """Give a device its certificate; its id is the CSR's common name.

    The same CSR leads to the same certificate as long as that is the device's.

    Raises:
        Malformed: ``bad_request``, ``bad_csr``, or ``cn_mismatch`` where the common name can be no device id.
        Denied: a gate is shut, or the device is suspended.
        Conflict: ``device_exists``, and the request does not prove to be it by its UUID.
    """
    async with joining(hub, call) as steps:
        return await _create_from_csr(call, steps, hub)


async def _create_from_csr(call: Call[CreateFromCsr], steps: Joining, hub: Hub) -> CertificateCreated:
    body = call.body
    check_metadata(body.meta)
    signing = read_request(body.csr_pem, hub)
    if not is_device_id(signing.common_name):
        raise Malformed(Reason.CN_MISMATCH, "The common name of the CSR is no device id.")
    uuid_hash = hub.hasher.hash(hardware_uuid(body.uuid)) if body.uuid is not None else None
    application = Application(
        applicant=Applicant(signing.common_name, uuid_hash, call.caller),
        csr_pem=body.csr_pem,
        digest=signing.digest,
        gate=Gate.CREATE_FROM_CSR,
        metadata=body.meta,
    )
    with lost_races_can_be_retried():
        certificate = await issue(application, steps, hub)
    return created(certificate, body.request_id, hub)


async def create_device(call: Call[DeviceCreate], hub: Hub) -> Issued:
    """Register a device and sign its first certificate; enrolment need not be open.

    A retired device is brought back by it, with a new certificate.

    Raises:
        Malformed: ``bad_request``, ``bad_csr``, or ``cn_mismatch``: the CSR is for another id.
        Conflict: ``device_exists``.
    """
    certificate = await register(call, device_id(call.names[0]), call.body.csr_pem, call.body.days, hub)
    return issued(certificate, hub)


async def register(call: Call[Any], name: DeviceId, csr_pem: str, days: int | None, hub: Hub) -> Certificate:
    """Register a device for an operator, with its certificate for so many days; the same CSR gives the same one.

    Raises:
        Malformed: ``bad_csr``, or ``cn_mismatch``: the CSR is for another id.
        Conflict: ``device_exists``.
    """
    signing = read_request(csr_pem, hub)
    if signing.common_name != name:
        raise Malformed(Reason.CN_MISMATCH)
    application = Application(
        applicant=Applicant(name, None, call.caller, as_staff=True),
        csr_pem=csr_pem,
        digest=signing.digest,
        gate=Gate.STAFF,
        lifetime=timedelta(days=days) if days is not None else None,
    )
    steps = Joining(hub, call, name)
    with lost_races_can_be_retried():
        certificate = await issue(application, steps, hub)
    if steps.after is not None:
        await record(hub, call, "device.created", name, before=steps.before, after=steps.after)
    return certificate


def created(certificate: Certificate, request_id: str | None, hub: Hub) -> CertificateCreated:
    """The reply that carries a certificate to the device that asked for it."""
    return CertificateCreated(
        request_id=request_id,
        device_id=certificate.common_name,
        certificate_id=certificate.serial,
        cert_pem=certificate.pem,
        ca_chain_pem=hub.authority.chain_pem,
        expires_at=certificate.not_after,
    )


def issued(certificate: Certificate, hub: Hub) -> Issued:
    """The reply that carries a certificate to an operator."""
    return Issued(
        common_name=certificate.common_name,
        serial=certificate.serial,
        cert_pem=certificate.pem,
        ca_chain_pem=hub.authority.chain_pem,
        expires_at=certificate.not_after,
    )
