"""Joining over ``provision/request``: a device comes with a claim certificate and leaves with its own.

Subjects   devicehub.devices.<id>.provision.request
Writes     names, claims, certificates, devices, whitelist, revoked
Publishes  devicehub.onboarding.<id>, and devicehub.broker.access.changed when a claim ends an older certificate
"""

import asyncio
from typing import Any

from functions.contract.messages import Provisioned, ProvisionRequest
from functions.domain.callers import DEVICE
from functions.domain.certificates import Certificate, Gate, SigningRequest
from functions.domain.devices import Lifecycle
from functions.domain.enrolment import (
    CLAIM_LIFETIME,
    Applicant,
    Claim,
    Reservation,
    begin_claim,
    candidate_names,
    is_live,
)
from functions.domain.faults import Denied, Malformed, Reason, Unavailable
from functions.domain.names import device_id, hardware_uuid, id_key, uuid_key
from functions.domain.traits import check_metadata
from functions.handlers.gates import admit_claimer, look_at_gates, pass_gates
from functions.handlers.issuing import (
    Application,
    issue,
    lost_races_can_be_retried,
    read_request,
)
from functions.handlers.joining import Joining, joining
from functions.handlers.lapsing import finish_claim, live_claim
from functions.handlers.revoking import spread
from functions.handlers.rewriting import rewrite, value_of
from functions.ports import Call, Hub


async def request(call: Call[ProvisionRequest], hub: Hub) -> Provisioned:
    """Keep a name for a hardware UUID, or give a certificate: both handshakes.

    A request without a CSR is the first of two rounds: the topic's id is the
    hardware UUID, and the answer is the name kept for it. With a CSR, a
    ``deviceId`` that is not the topic's id makes it the second round, which
    needs the live claim of the first; else it is the one round, where the
    topic's id is the device id and the CSR's common name. A device's own
    certificate is good for the one round, for its own id.

    Safe to repeat: within the claim, the same UUID gets the same name and the
    same CSR the same certificate.

    Raises:
        Malformed: ``bad_request``, ``bad_csr``, ``cn_mismatch``, ``uuid_mismatch``.
        Denied: a gate is shut (``enrolment_closed``, ``uuid_not_whitelisted``),
            the device is suspended, or another device asks.
        Conflict: ``device_exists``, ``no_claim_in_progress``.
        Unavailable: try again; ``rate_limited`` for too many keys in one claim.
    """
    last = "named" if call.body.csr_pem is None else "accepted"
    async with joining(hub, call, call.names[0], last=last) as steps:
        return await _answer(call, steps, hub)


async def _answer(call: Call[ProvisionRequest], steps: Joining, hub: Hub) -> Provisioned:
    body, topic_id = call.body, call.names[0]
    if call.caller.kind is DEVICE and call.caller.name != topic_id:
        raise Denied(detail="A device may ask only for a certificate of its own.")
    check_metadata(body.meta)
    with lost_races_can_be_retried():
        if body.csr_pem is None:
            return Provisioned(device_id=await _keep_name(call, steps, hub))
        signing = read_request(body.csr_pem, hub)
        in_two_rounds = body.device_id is not None and body.device_id != topic_id
        application = _second_round(call, signing, hub) if in_two_rounds else _one_round(call, signing, hub)
        return _provisioned(await issue(application, steps, hub), hub)


async def finish_claims(hub: Hub) -> None:
    """End every claim that has run out; for a timer, in as many processes as there are.

    Raises:
        Unavailable: the storage; what is left is done the next time.
    """
    now = hub.clock.now()
    # Read to the end first: what is done to a claim changes the store.
    over = [(key, kept) async for key, kept in hub.claims.entries() if not is_live(kept.value, now)]
    changed = [kept.value.device for key, kept in over if await finish_claim(hub, hub.claims, key, kept)]
    if changed:
        await spread(hub, changed)


def _one_round(call: Call[ProvisionRequest], signing: SigningRequest, hub: Hub) -> Application:
    name = device_id(call.names[0])
    if signing.common_name != name:
        raise Malformed(Reason.CN_MISMATCH)
    uuid = call.body.uuid
    uuid_hash = hub.hasher.hash(hardware_uuid(uuid)) if uuid is not None else None
    return _application(call, signing, Applicant(name, uuid_hash, call.caller))


def _second_round(call: Call[ProvisionRequest], signing: SigningRequest, hub: Hub) -> Application:
    if signing.common_name != call.body.device_id:
        raise Malformed(Reason.CN_MISMATCH)
    uuid_hash = hub.hasher.hash(_topic_uuid(call))
    return _application(call, signing, Applicant(signing.common_name, uuid_hash, call.caller), joins=True)


def _application(
    call: Call[ProvisionRequest], signing: SigningRequest, applicant: Applicant, *, joins: bool = False
) -> Application:
    body = call.body
    return Application(
        applicant=applicant,
        csr_pem=body.csr_pem or "",
        digest=signing.digest,
        gate=Gate.TWO_ROUNDS if joins else Gate.ONE_ROUND,
        joins=joins,
        name=body.name or "",
        metadata=body.meta,
    )


def _topic_uuid(call: Call[ProvisionRequest]) -> str:
    if call.caller.kind is DEVICE:
        raise Malformed(detail="With a device's own certificate, send a CSR whose common name is the device id.")
    uuid = hardware_uuid(call.names[0])
    if call.body.uuid is not None and call.body.uuid.lower() != uuid:
        raise Malformed(Reason.UUID_MISMATCH)
    return uuid


async def _keep_name(call: Call[ProvisionRequest], steps: Joining, hub: Hub) -> str:
    """The first round: begin a claim, and give the name kept for the UUID."""
    uuid = _topic_uuid(call)
    uuid_hash = hub.hasher.hash(uuid)
    # Taken before, so that a claim found live is live by it.
    now = hub.clock.now()
    gates, bound, seen = await asyncio.gather(
        look_at_gates(call.caller, hub), hub.names.get(uuid_key(uuid_hash)), live_claim(hub, hub.claims, uuid_hash)
    )
    admit_claimer(gates, call.caller, hub)
    await pass_gates(gates, uuid_hash, hub)
    await steps.tell("admitted", changes=False)
    if bound is None:
        name = await _reserve_name(uuid, uuid_hash, hub)
    else:
        name = bound.value.device
        device = await hub.devices.get(name)
        if device is not None and device.value.lifecycle is Lifecycle.SUSPENDED:
            raise Denied(Reason.DEVICE_SUSPENDED)
    fresh = Claim(uuid_hash, name, str(call.caller), now + CLAIM_LIFETIME)
    steps.device = name
    begun = begin_claim(value_of(seen), fresh, now)
    writing = rewrite(hub.claims, uuid_hash, lambda claim: begin_claim(claim, fresh, now), seen)
    is_news = begun != value_of(seen)
    written = await (steps.conclude(writing, None, _begun(begun), "named") if is_news else writing)
    steps.device = written.value.device
    if written.changed:
        steps.settled(None, _begun(written.value))
    return written.value.device


def _begun(claim: Claim) -> dict[str, Any]:
    return {"expiresAt": claim.expires_at}


async def _reserve_name(uuid: str, uuid_hash: str, hub: Hub) -> str:
    """Reserve a name for a UUID that has none.

    First the id is reserved, then the UUID bound to it: a call that ends in
    between leaves a reservation that the same UUID finds again.
    """
    for name in candidate_names(uuid, uuid_hash):
        mine = Reservation(name, uuid_hash)
        if await _first(hub, id_key(name), mine) == mine:
            return (await _first(hub, uuid_key(uuid_hash), mine)).device
    raise Unavailable(detail="No name is free for this UUID.")


async def _first(hub: Hub, key: str, mine: Reservation) -> Reservation:
    """Who has the name: whoever reserved it first, mostly this call."""
    return (await rewrite(hub.names, key, lambda found: found or mine, None)).value


def _provisioned(certificate: Certificate, hub: Hub) -> Provisioned:
    return Provisioned(
        device_id=certificate.common_name,
        cert_pem=certificate.pem,
        ca_chain_pem=hub.authority.chain_pem,
        expires_at=certificate.not_after,
    )
