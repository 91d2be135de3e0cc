"""Bundle functions: a certificate with its private key and all else that a device needs to connect.

Subjects   devicehub.claims.bundle, devicehub.enrolment.files, devicehub.registry.create
Writes     what the registration of a device writes
Records    claim.key-given, onboarding.key-given: a private key leaves the hub only with a word of who got it
"""

from functions.contract.messages import BundleView, ClaimNamed, DeviceRegister, FileContent, FileWanted
from functions.domain.bundles import CLAIM_FILES, make_bundle
from functions.domain.certificates import Certificate
from functions.domain.enrolment import ClaimCertificate, Enrolment, is_open, require_bundle
from functions.domain.faults import Conflict, Denied, NotFound, Reason, Unavailable
from functions.domain.names import claim_name, device_id
from functions.handlers.auditing import record
from functions.handlers.certificates import register
from functions.handlers.claims import unknown_claim
from functions.handlers.gates import ENROLMENT
from functions.handlers.rewriting import value_of
from functions.handlers.server_settings import site_now
from functions.handlers.trusting import current
from functions.ports import Call, Hub


async def claim(call: Call[ClaimNamed], hub: Hub) -> BundleView:
    """The bundle of a claim certificate whose key the hub keeps.

    Raises:
        NotFound: there is none of this name.
        Conflict: ``no_bundle``: its key was made elsewhere, or it is revoked or over.
    """
    name = claim_name(call.body.name)
    found = value_of(await hub.claim_certificates.get(name))
    if found is None:
        raise unknown_claim(name)
    bundle = await _claim_bundle(found, hub)
    await record(hub, call, "claim.key-given", name, after={"serial": found.serial})
    return bundle


async def served(call: Call[FileWanted], hub: Hub) -> FileContent:
    """A file that any device may fetch now: of the one claim certificate that the open window names.

    Raises:
        Denied: ``enrolment_closed``: none may be fetched, for whatever reason.
        NotFound: a window is open, and there is no such file.
    """
    settings = value_of(await hub.enrolment.get(ENROLMENT)) or Enrolment()
    if not settings.serves or not is_open(settings, hub.clock.now()):
        raise _not_served()
    found = value_of(await hub.claim_certificates.get(settings.serves))
    if found is None or found.serial != settings.serves_serial:
        raise _not_served()
    try:
        bundle = await _claim_bundle(found, hub)
    except Conflict as conflict:
        raise _not_served() from conflict
    for file in bundle.files:
        if file.name == call.body.name:
            if file.is_private:
                facts = {"serial": found.serial}
                await record(hub, call, "onboarding.key-given", found.name, kind="claim", after=facts)
            return file
    raise NotFound(detail="There is no such file.")


def _not_served() -> Denied:
    # One sentence whatever the reason: who asks has shown nothing of
    # themselves, and is not to learn which claim certificates there are.
    return Denied(
        Reason.ENROLMENT_CLOSED,
        "No claim files are given out now. An operator opens enrolment with file serving when devices need them.",
    )


async def register_device(call: Call[DeviceRegister], hub: Hub) -> BundleView:
    """Register a device and give its bundle; enrolment need not be open.

    Without a CSR a key is made, which stands in this answer and nowhere else:
    if the answer is lost, revoke the device and register it again. With one,
    the bundle is without the key, and the same CSR is answered as before.

    Raises:
        Malformed: ``bad_request``, ``bad_csr``, or ``cn_mismatch``: the CSR is for another id.
        Conflict: ``device_exists``.
    """
    body = call.body
    name = device_id(body.device_id)
    pair = hub.keyring.make(name) if body.csr_pem is None else None
    csr_pem = pair.csr_pem if pair is not None else body.csr_pem or ""
    certificate = await register(call, name, csr_pem, body.days, hub)
    return await _bundle(certificate, name, pair.key_pem if pair is not None else None, hub, device=name)


async def _claim_bundle(found: ClaimCertificate, hub: Hub) -> BundleView:
    require_bundle(found, hub.clock.now())
    certificate = value_of(await hub.certificates.get(found.serial))
    if certificate is None:
        # In a cluster, a replica may answer that is a moment behind.
        raise Unavailable
    await current(hub)
    return await _bundle(certificate, CLAIM_FILES, hub.keyring.unseal(found.sealed_key, found.key_owner), hub)


async def _bundle(
    certificate: Certificate, name: str, key_pem: str | None, hub: Hub, *, device: str | None = None
) -> BundleView:
    files = make_bundle(
        await site_now(hub),
        name,
        ca_pem=hub.authority.chain_pem,
        cert_pem=certificate.pem,
        key_pem=key_pem,
        device=device,
    )
    return BundleView(
        common_name=certificate.common_name,
        serial=certificate.serial,
        expires_at=certificate.not_after,
        files=[FileContent(name=file.name, content=file.content, is_private=file.is_private) for file in files],
    )
