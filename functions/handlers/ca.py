"""The hub's certificate authority: look at it, and put another in its place before devices depend on it.

To replace it is one write, over the revision of the decision that was read.
All else follows from that and can be done again by anyone: claim certificates
of the one before end, and the broker's keeper, which asks for the access
state, takes the new one's certificates and tells so. Then all is settled.

Subjects   devicehub.ca.get, .create, .import
Writes     trust, certificates, claim_certificates, revoked, revocations
Publishes  devicehub.broker.access.changed
"""

from dataclasses import replace

from functions.contract.messages import CaCreate, CaFact, CaImport, CaReplaced, CaView, Nothing
from functions.domain.audit import UNNAMED, Doer
from functions.domain.ca import CA_DAYS, CaCertificate, Trust, Trusted, bundle, ends, judge_chain, settle, succeed
from functions.domain.certificates import key_name
from functions.domain.enrolment import is_claim_live
from functions.domain.faults import Conflict, Reason
from functions.domain.names import CLAIM_PREFIX
from functions.handlers.auditing import make, record_all
from functions.handlers.issuing import lost_races_can_be_retried
from functions.handlers.revoking import revoke, spread, tell
from functions.handlers.rewriting import amend
from functions.handlers.trusting import TRUST, current, look
from functions.ports import Call, Hub


async def read(call: Call[Nothing], hub: Hub) -> CaView:
    """The authority that signs: what its certificates say, and whether it can still be replaced."""
    return _view(await current(hub), hub)


async def create(call: Call[CaCreate], hub: Hub) -> CaReplaced:
    """Make a root CA and put it in the place of the present one; a repeat makes another.

    Raises:
        Conflict: ``ca_in_use``; or the present one is not the one to be replaced.
        Unavailable: the storage or the disk; it may have been done.
    """
    body = call.body
    # What would be refused anyway is refused before a key is made.
    trust = (await look(hub)).value
    _refuse(trust, body.replaces)
    made = await hub.authority.make(body.cn, body.days or CA_DAYS, body.key)
    return await _replace(call, hub, made, body.replaces)


async def import_(call: Call[CaImport], hub: Hub) -> CaReplaced:
    """Put a CA that was made elsewhere, a root or an intermediate, in the place of the present one.

    To import the present one changes nothing, so a repeated call is harmless.

    Raises:
        Malformed: ``bad_ca``: certificates and key cannot be read or do not
            fit, one is weak, over or no CA, or one up to the root is missing.
        Conflict: ``ca_in_use``; or the present one is not the one to be replaced.
        Unavailable: the storage or the disk; it may have been done.
    """
    body = call.body
    chain = hub.authority.examine(body.chain_pem, body.key_pem)
    judge_chain(chain, hub.clock.now())
    trust = (await look(hub)).value
    if trust.issuer == chain[0].fingerprint:
        return _replaced(await current(hub), [], hub)
    _refuse(trust, body.replaces)
    taken = await hub.authority.take(body.chain_pem, body.key_pem)
    return await _replace(call, hub, taken, body.replaces)


async def complete(hub: Hub, broker_takes: str | None = None) -> Trust:
    """Follow the decision, and finish what a replacement cut short has left.

    Args:
        hub: the ports.
        broker_takes: the issuer whose certificates the broker is known to take.

    Raises:
        Conflict: others kept changing one of the records.
        Unavailable: the storage, or the key is not on this machine.
    """
    trust = await current(hub)
    if trust.is_settled:
        return trust
    await _end_claims(hub, trust)
    if broker_takes == trust.issuer:
        await amend(hub.trust, TRUST, lambda found: settle(found, broker_takes))
        return await current(hub)
    return trust


async def finish_replacement(hub: Hub) -> None:
    """Do what calls that replaced the CA, and were cut short, have left; for a timer, in every process that signs.

    Raises:
        Conflict, Unavailable: as ``complete``; what is left is done the next time.
    """
    await complete(hub)
    await hub.authority.tidy()


def _refuse(trust: Trust, replaces: str | None) -> None:
    """Refuse a replacement that is not possible, whatever comes."""
    if replaces is not None and replaces != trust.issuer:
        raise Conflict(detail="The hub's CA is not the one that you mean to replace. Look at it again, then decide.")
    if trust.in_use:
        raise Conflict(Reason.CA_IN_USE)


async def _replace(call: Doer, hub: Hub, authority: Trusted, replaces: str | None) -> CaReplaced:
    """Decide on an authority that is kept already, and do what follows.

    One that is not decided on is left where it is kept: another call may be
    about to decide on the same. The timer forgets it.
    """
    kept = await look(hub)
    before = kept.value
    decided = succeed(before, authority, replaces=replaces, at=hub.clock.now(), by=str(call.caller))
    told = make(hub, call, "ca.replaced", UNNAMED, before=_told(before, hub), after=_told(decided, hub))
    try:
        await hub.trust.replace(TRUST, decided, expect=kept.revision, pledge=told)
    except Conflict as lost:
        if (await look(hub)).value.in_use:
            raise Conflict(Reason.CA_IN_USE) from lost
        raise Conflict(detail="Another replaced the hub's CA at this moment. Look at it, then decide.") from lost
    await hub.authority.follow(decided)
    with lost_races_can_be_retried():
        ended = await _end_claims(hub, decided)
    await record_all(hub, [replace(told, after={**told.after, "endedClaims": ended})])
    await tell(hub)
    return _replaced(decided, ended, hub)


async def _end_claims(hub: Hub, trust: Trust) -> list[str]:
    """Revoke the claim certificates that another authority signed; their names."""
    now = hub.clock.now()
    live = [kept.value async for _, kept in hub.claim_certificates.entries() if is_claim_live(kept.value, now)]
    ended = []
    for claim in live:
        certificate = await hub.certificates.get(claim.serial)
        if certificate is None or certificate.value.issuer != trust.issuer:
            await revoke(hub, f"{CLAIM_PREFIX}{claim.name}", [claim.serial])
            ended.append(claim.name)
    if ended:
        await spread(hub, [f"{CLAIM_PREFIX}{name}" for name in ended])
    return sorted(ended)


def _replaced(trust: Trust, ended: list[str], hub: Hub) -> CaReplaced:
    return CaReplaced(**dict(_view(trust, hub)), ended_claims=ended)


def _view(trust: Trust, hub: Hub) -> CaView:
    chain = hub.authority.describe(_issuer(trust))
    return CaView(
        fingerprint=trust.issuer,
        common_name=chain[0].common_name,
        is_root=len(chain) == 1,
        not_after=ends(chain),
        in_use=trust.in_use,
        settled=trust.is_settled,
        key_encrypted=hub.authority.is_encrypted,
        decided_at=trust.decided_at,
        decided_by=trust.decided_by,
        chain=[_fact(certificate) for certificate in chain],
        ca_pem=bundle(trust),
    )


def _issuer(trust: Trust) -> Trusted:
    return next(one for one in trust.trusted if one.fingerprint == trust.issuer)


def _fact(certificate: CaCertificate) -> CaFact:
    return CaFact(
        subject=certificate.subject,
        issuer=certificate.issuer,
        serial=certificate.serial,
        fingerprint=certificate.fingerprint,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        key=key_name(certificate.key, certificate.curve, certificate.bits),
        signature_hash=certificate.signature_hash,
        path_length=certificate.path_length,
    )


def _told(trust: Trust, hub: Hub) -> dict[str, object]:
    """What the audit trail keeps of an authority."""
    return {"fingerprint": trust.issuer, "subject": hub.authority.describe(_issuer(trust))[0].subject}
