"""Claim certificate functions: what a fleet shares to join with.

The private key of one that the hub issues is kept sealed in the claim's record
and goes with it: at no time is there a key without its claim, or a bundle of
one that is revoked.

Subjects   devicehub.claims.create, .issue, .list, .get, .revoke
Writes     certificates, claim_certificates, revoked, revocations
Publishes  devicehub.broker.access.changed
"""

from dataclasses import replace
from datetime import timedelta

from functions.contract.messages import (
    ClaimCreate,
    ClaimFact,
    ClaimIssue,
    ClaimList,
    ClaimNamed,
    ClaimQuery,
    ClaimRevoke,
    ClaimView,
    Done,
    Issued,
)
from functions.domain.audit import AuditEntry
from functions.domain.certificates import Certificate, Gate, Purpose, entry_of, is_usable
from functions.domain.enrolment import ClaimCertificate, is_claim_live
from functions.domain.faults import Conflict, NotFound, Reason, Unavailable
from functions.domain.names import CLAIM_PREFIX, ClaimName, claim_name
from functions.handlers.auditing import make, record, record_all
from functions.handlers.certificates import issued
from functions.handlers.issuing import lost_races_can_be_retried, read_request
from functions.handlers.revoking import revoke as revoke_serials
from functions.handlers.revoking import spread, tell
from functions.handlers.rewriting import rewrite, value_of
from functions.handlers.server_settings import server_settings
from functions.handlers.trusting import current
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
    await current(hub)
    given = await _given_before(name, digest, hub)
    if given is not None:
        return issued(given, hub)
    certificate = await _register(call, name, call.body.csr_pem, digest, hub)
    told = _told(call, name, certificate, hub)
    if not await _take_name(name, certificate, hub, told):
        # Another call took the name meanwhile; what was signed here goes nowhere.
        given = await _given_before(name, digest, hub)
        if given is None:
            raise Unavailable
        return issued(given, hub)
    await _refuse_if_replaced(certificate, hub)
    await tell(hub)
    await record_all(hub, [told])
    return issued(certificate, hub)


async def issue(call: Call[ClaimIssue], hub: Hub) -> ClaimView:
    """Make a key and a claim certificate for it; the hub keeps the key, sealed, for as long as the claim is good.

    A call whose answer was lost is not repeated but looked up with ``get``:
    by then the name is taken.

    Raises:
        Malformed: ``bad_request``.
        Conflict: ``name_taken``.
    """
    name = claim_name(call.body.name)
    if is_in_use(value_of(await hub.claim_certificates.get(name)), hub):
        raise _taken(name)
    pair = hub.keyring.make(f"{CLAIM_PREFIX}{name}")
    certificate = await _register(call, name, pair.csr_pem, read_request(pair.csr_pem, hub).digest, hub)
    told = _told(call, name, certificate, hub)
    if not await _take_name(name, certificate, hub, told, key_pem=pair.key_pem):
        raise _taken(name)
    await _refuse_if_replaced(certificate, hub)
    await tell(hub)
    await record_all(hub, [told])
    return await _view(name, hub)


async def list_(call: Call[ClaimQuery], hub: Hub) -> ClaimList:
    """A page of the claim certificates by name: of each name the last one, the revoked ones as well if asked for."""
    query = call.body
    found = sorted([kept.value async for _, kept in hub.claim_certificates.entries()], key=lambda claim: claim.name)
    wanted = [claim for claim in found if query.revoked or claim.revoked_at is None]
    return ClaimList(
        total=len(wanted),
        claims=[
            ClaimFact(
                name=claim.name,
                serial=claim.serial,
                created_at=claim.created_at,
                not_after=claim.not_after,
                revoked_at=claim.revoked_at,
                has_bundle=bool(claim.sealed_key),
            )
            for claim in wanted[query.offset : query.offset + query.limit]
        ],
    )


async def read(call: Call[ClaimNamed], hub: Hub) -> ClaimView:
    """All that is to know of a claim certificate that is not revoked; the key is no part of it.

    Raises:
        NotFound: there is none of this name, or it is revoked.
    """
    return await _view(claim_name(call.body.name), hub)


async def revoke(call: Call[ClaimRevoke], hub: Hub) -> Done:
    """Revoke a claim certificate: role and key go, and its sessions end. Devices that joined with it stay.

    Raises:
        NotFound: there is no claim certificate of this name.
    """
    name = claim_name(call.body.name)
    kept = await hub.claim_certificates.get(name)
    if kept is None:
        raise unknown_claim(name)
    with lost_races_can_be_retried():
        decided = await revoke_serials(hub, f"{CLAIM_PREFIX}{name}", [kept.value.serial])
        await spread(hub, [f"{CLAIM_PREFIX}{name}"])
    if decided:
        await record(hub, call, "claim.revoked", name, before={"serial": kept.value.serial})
    return Done()


def unknown_claim(name: str) -> NotFound:
    """The fault for a name that no claim certificate has."""
    return NotFound(detail=f"There is no claim certificate '{name}'.")


def is_in_use(claim: ClaimCertificate | None, hub: Hub) -> bool:
    """Whether a name is taken: its claim certificate is neither revoked nor over."""
    return claim is not None and is_claim_live(claim, hub.clock.now())


def _taken(name: ClaimName) -> Conflict:
    return Conflict(
        Reason.NAME_TAKEN, f"There is a claim certificate '{name}'. Take another name, or delete that one first."
    )


async def _view(name: ClaimName, hub: Hub) -> ClaimView:
    claim = value_of(await hub.claim_certificates.get(name))
    if claim is None or claim.revoked_at is not None:
        raise unknown_claim(name)
    certificate = value_of(await hub.certificates.get(claim.serial))
    if certificate is None:
        # In a cluster, a replica may answer that is a moment behind.
        raise Unavailable
    return ClaimView(
        name=name,
        common_name=certificate.common_name,
        serial=certificate.serial,
        fingerprint=certificate.fingerprint,
        created_at=claim.created_at,
        created_by=certificate.issued_to,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        revoked_at=claim.revoked_at,
        has_bundle=bool(claim.sealed_key),
        cert_pem=certificate.pem,
    )


async def _take_name(
    name: ClaimName, certificate: Certificate, hub: Hub, told: AuditEntry, *, key_pem: str = ""
) -> bool:
    """Give the name to a certificate, with its key if the hub is to keep it; False where another call has it."""
    mine = ClaimCertificate(name, certificate.serial, certificate.issued_at, certificate.not_after)
    if key_pem:
        mine = replace(mine, sealed_key=hub.keyring.seal(key_pem, mine.key_owner))

    def take(claim: ClaimCertificate | None) -> ClaimCertificate:
        return claim if claim is not None and is_claim_live(claim, certificate.issued_at) else mine

    with lost_races_can_be_retried():
        return (await rewrite(hub.claim_certificates, name, take, tell=lambda *_: told)).value == mine


def _told(
    call: Call[ClaimCreate] | Call[ClaimIssue], name: ClaimName, certificate: Certificate, hub: Hub
) -> AuditEntry:
    facts = {"serial": certificate.serial, "notAfter": certificate.not_after}
    return make(hub, call, "claim.created", name, after=facts)


async def _refuse_if_replaced(certificate: Certificate, hub: Hub) -> None:
    """Take a claim certificate back whose CA was replaced while it was made, and so may have been missed.

    Raises:
        Unavailable: it was.
    """
    if (await current(hub)).issuer != certificate.issuer:
        await revoke_serials(hub, certificate.common_name, [certificate.serial])
        raise Unavailable(detail="The hub's CA was replaced at this moment. Ask again.")


async def _given_before(name: ClaimName, digest: str, hub: Hub) -> Certificate | None:
    """What the same request led to before; a name in use is refused before anything is signed.

    Raises:
        Conflict: ``name_taken``.
    """
    now = hub.clock.now()
    claim = value_of(await hub.claim_certificates.get(name))
    if claim is None or not is_claim_live(claim, now):
        return None
    kept = await hub.certificates.get(claim.serial)
    if kept is None or kept.value.csr_digest != digest or not is_usable(kept.value, now):
        raise _taken(name)
    return kept.value


async def _register(
    call: Call[ClaimCreate] | Call[ClaimIssue], name: ClaimName, csr_pem: str, digest: str, hub: Hub
) -> Certificate:
    """Sign a claim certificate and register it."""
    now = hub.clock.now()
    days = call.body.days
    lifetime = timedelta(days=days) if days is not None else (await server_settings(hub)).claim_lifetime
    await current(hub)
    signed = await hub.authority.sign(
        csr_pem,
        common_name=f"{CLAIM_PREFIX}{name}",
        purpose=Purpose.CLAIM,
        not_after=now + lifetime,
    )
    certificate = entry_of(
        signed,
        purpose=Purpose.CLAIM,
        common_name=f"{CLAIM_PREFIX}{name}",
        at=now,
        gate=Gate.CLAIM,
        issued_to=str(call.caller),
        csr_digest=digest,
    )
    await hub.certificates.create(signed.serial, certificate)
    return certificate
