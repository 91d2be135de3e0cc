"""Claim certificate functions: what a fleet shares to join with.

Subjects   devicehub.claims.create, .list, .revoke
Writes     certificates, claim_certificates, revoked, revocations
Publishes  devicehub.broker.access.changed
"""

from datetime import timedelta

from functions.contract.messages import ClaimCreate, ClaimFact, ClaimList, ClaimRevoke, Done, Issued, Nothing
from functions.domain.certificates import CLAIM_CERTIFICATE_LIFETIME, Certificate, Gate, Purpose, is_usable
from functions.domain.enrolment import ClaimCertificate, is_claim_live
from functions.domain.faults import Conflict, NotFound, Reason, Unavailable
from functions.domain.names import CLAIM_PREFIX, ClaimName, claim_name
from functions.handlers.certificates import issued
from functions.handlers.issuing import lost_races_can_be_retried, read_request
from functions.handlers.revoking import revoke as revoke_serials
from functions.handlers.revoking import spread, tell
from functions.handlers.rewriting import rewrite
from functions.ports import Call, Hub


async def create(call: Call[ClaimCreate], hub: Hub) -> Issued:
    """Sign a claim certificate; its common name is ``claim-NAME``, whatever the CSR says.

    The same CSR under the same name leads to the same certificate. A name can
    be used again once its certificate is revoked or over.

    Raises:
        Malformed: ``bad_request``, ``bad_csr``.
        Conflict: ``name_taken``.
    """
    name = claim_name(call.body.name)
    digest = read_request(call.body.csr_pem, hub).digest
    given = await _given_before(name, digest, hub)
    if given is not None:
        return issued(given, hub)
    certificate = await _register(call, name, digest, hub)
    mine = ClaimCertificate(name, certificate.serial, certificate.issued_at, certificate.not_after)

    def take(claim: ClaimCertificate | None) -> ClaimCertificate:
        return claim if claim is not None and is_claim_live(claim, certificate.issued_at) else mine

    with lost_races_can_be_retried():
        written = await rewrite(hub.claim_certificates, name, take)
    if written.value != mine:
        # Another call took the name meanwhile; what was signed here goes nowhere.
        given = await _given_before(name, digest, hub)
        if given is None:
            raise Unavailable
        return issued(given, hub)
    await tell(hub)
    return issued(certificate, hub)


async def list_(call: Call[Nothing], hub: Hub) -> ClaimList:
    """Every claim certificate by name: of each name the last, with the revoked ones."""
    claims = sorted([kept.value async for _, kept in hub.claim_certificates.entries()], key=lambda claim: claim.name)
    return ClaimList(
        claims=[
            ClaimFact(
                name=claim.name,
                serial=claim.serial,
                created_at=claim.created_at,
                not_after=claim.not_after,
                revoked_at=claim.revoked_at,
            )
            for claim in claims
        ]
    )


async def revoke(call: Call[ClaimRevoke], hub: Hub) -> Done:
    """Revoke a claim certificate: its role goes and its sessions end. Devices that joined with it stay.

    Raises:
        NotFound: there is no claim certificate of this name.
    """
    name = claim_name(call.body.name)
    kept = await hub.claim_certificates.get(name)
    if kept is None:
        raise NotFound(detail=f"There is no claim certificate '{name}'.")
    with lost_races_can_be_retried():
        await revoke_serials(hub, f"{CLAIM_PREFIX}{name}", [kept.value.serial])
        await spread(hub, [f"{CLAIM_PREFIX}{name}"])
    return Done()


async def _given_before(name: ClaimName, digest: str, hub: Hub) -> Certificate | None:
    """What the same request led to before; a name in use is refused before anything is signed.

    Raises:
        Conflict: ``name_taken``.
    """
    now = hub.clock.now()
    claim = await hub.claim_certificates.get(name)
    if claim is None or not is_claim_live(claim.value, now):
        return None
    kept = await hub.certificates.get(claim.value.serial)
    if kept is None or kept.value.csr_digest != digest or not is_usable(kept.value, now):
        raise Conflict(Reason.NAME_TAKEN, f"There is a claim certificate '{name}'.")
    return kept.value


async def _register(call: Call[ClaimCreate], name: ClaimName, digest: str, hub: Hub) -> Certificate:
    """Sign a claim certificate and register it."""
    now = hub.clock.now()
    days = call.body.days
    signed = await hub.authority.sign(
        call.body.csr_pem,
        common_name=f"{CLAIM_PREFIX}{name}",
        purpose=Purpose.CLAIM,
        not_after=now + (timedelta(days=days) if days is not None else CLAIM_CERTIFICATE_LIFETIME),
    )
    certificate = Certificate(
        serial=signed.serial,
        purpose=Purpose.CLAIM,
        common_name=f"{CLAIM_PREFIX}{name}",
        fingerprint=signed.fingerprint,
        not_before=signed.not_before,
        not_after=signed.not_after,
        issued_at=now,
        gate=Gate.CLAIM,
        issued_to=str(call.caller),
        csr_digest=digest,
        pem=signed.pem,
    )
    await hub.certificates.create(signed.serial, certificate)
    return certificate
