"""Issuing a device's certificate: what both handshakes, ``create-from-csr``, operators and renewals have in common.

The order of writes makes every step safe to repeat: the id and the UUID are
reserved, the claim decides on a serial number, the certificate is signed and
registered under it, the device's record names it, and only then it is handed
out. A call that ends anywhere leaves nothing with a device that the register
does not know, and the same request goes on from there: the same CSR leads to
the same serial, and the register keeps one certificate a serial, so that also
calls at the same time hand out the same one.

All is read at once before, and each write is over what was read: a joining
costs one round of reads and three to five writes one after the other.

Writes     names, claims or renewals, certificates, devices, whitelist
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from functions.domain.ca import admit_joining
from functions.domain.certificates import (
    Certificate,
    Gate,
    Purpose,
    SigningRequest,
    entry_of,
    is_usable,
    judge_request,
)
from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import (
    CLAIM_LIFETIME,
    Applicant,
    Claim,
    Reservation,
    abandon,
    decide_certificate,
    is_live,
    judge_applicant,
    settle_certificate,
)
from functions.domain.faults import Conflict, Denied, Malformed, Reason, Unavailable
from functions.domain.names import id_key, uuid_key
from functions.handlers.gates import admit_claimer, look_at_gates, pass_gates
from functions.handlers.joining import Joining, facts_of
from functions.handlers.lapsing import live_claim
from functions.handlers.rewriting import Written, amend, rewrite, value_of
from functions.handlers.server_settings import server_settings
from functions.handlers.trusting import current, sign_device
from functions.ports import Hub
from functions.storage import Kept, Store

_SECOND_DEVICE = "This hardware UUID has a device already, under another id."


@dataclass(frozen=True, slots=True)
class Application:
    """A request for a device's certificate whose CSR has been read and judged.

    ``gate`` is where it came in; ``name`` and ``metadata`` replace what the
    registry has, where given; ``joins`` asks for a live claim, begun before;
    ``renews`` is a device's own wish for a newer certificate; without a
    ``lifetime``, the certificate is good for as long as the settings say.
    """

    applicant: Applicant
    csr_pem: str
    digest: str
    gate: Gate
    joins: bool = False
    name: str = ""
    metadata: dict[str, Any] | None = None
    lifetime: timedelta | None = None
    renews: bool = False

    @property
    def claim_key(self) -> str:
        """Where its claim is kept; without a UUID, all that makes two requests the same is the CSR."""
        if self.renews:
            return self.applicant.device
        return self.applicant.uuid_hash or f"csr-{self.digest}"


@contextmanager
def lost_races_can_be_retried() -> Iterator[None]:
    """Turn a lost race into ``unavailable``: to a device, that its hub was busy is no conflict of its own."""
    try:
        yield
    except Conflict as conflict:
        if conflict.reason is not Reason.VERSION_CONFLICT:
            raise
        raise Unavailable from conflict


def read_request(csr_pem: str, hub: Hub) -> SigningRequest:
    """Read a CSR and refuse what the hub will not sign.

    Raises:
        Malformed: ``bad_csr``.
    """
    request = hub.authority.inspect(csr_pem)
    judge_request(request)
    return request


async def issue(application: Application, steps: Joining, hub: Hub) -> Certificate:
    """Give the applicant its certificate: a new one, or for a CSR it asked with before, the same.

    A repeat passes no gate again, as nobody new joins by it. ``steps`` is
    told what is done on the way.

    Raises:
        Malformed: ``cn_mismatch``: the claim keeps another name.
        Denied: a gate is shut, or the device is suspended.
        Conflict: ``device_exists``, ``no_claim_in_progress``.
        Unavailable: another request for the same device came between; or the
            hub has a new CA, and its broker is about to follow.
    """
    applicant = application.applicant
    steps.device = applicant.device
    admit_joining(await current(hub), applicant.caller)
    gates, seen, application = await asyncio.gather(
        look_at_gates(applicant.caller, hub), _look(application, hub), _with_lifetime(application, hub)
    )
    admit_claimer(gates, applicant.caller, hub)
    given = await _given_before(application, seen, hub)
    if given is not None:
        return given
    if not seen.has_decided(application):
        if not applicant.as_staff and not application.renews:
            await pass_gates(gates, applicant.uuid_hash, hub)
            await steps.tell("admitted", changes=False)
        _check_claim(application, seen)
        if not seen.is_begun:
            await _reserve(applicant, seen, hub)
    decided = await _decide(application, seen, hub)
    if decided.changed:
        await steps.tell("claimed", {"serial": decided.value.certificate, "supersedes": decided.value.supersedes})
    certificate = await _register(application, decided, steps, hub)
    written = await _settle(application, decided.value, certificate, seen, steps, hub)
    if written.changed:
        steps.settled(facts_of(written.before), facts_of(written.value))
    return certificate


async def _with_lifetime(application: Application, hub: Hub) -> Application:
    if application.lifetime is not None:
        return application
    return replace(application, lifetime=(await server_settings(hub)).device_lifetime)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was known of an applicant when its request was judged.

    ``is_begun``: a live claim that has led to nothing yet keeps the id and the
    UUID for it, and no device has the id.
    """

    claim: Kept[Claim] | None
    device: Kept[Device] | None
    reserved: Kept[Reservation] | None = None
    bound: Kept[Reservation] | None = None
    is_begun: bool = False

    def has_decided(self, application: Application) -> bool:
        """Whether the claim has decided on a certificate for this very CSR: then this is a repeat."""
        claim = value_of(self.claim)
        return (
            claim is not None
            and claim.csr_digest == application.digest
            and claim.device == application.applicant.device
        )


async def _look(application: Application, hub: Hub) -> _Seen:
    applicant = application.applicant
    begun = _begun(application, hub)
    if begun is not None:
        device = await hub.devices.get(applicant.device)
        if device is None:
            return _Seen(begun, None, is_begun=True)
    return _Seen(
        *await asyncio.gather(
            live_claim(hub, _claims_for(application, hub), application.claim_key),
            hub.devices.get(applicant.device),
            hub.names.get(id_key(applicant.device)),
            _bound(applicant.uuid_hash, hub),
        )
    )


def _begun(application: Application, hub: Hub) -> Kept[Claim] | None:
    """The claim of a first round that this process answered, which the second mostly follows at once.

    The decision is written over its revision. That proves that it still
    stood, and what it keeps with it, and saves reading all that.
    """
    recalled = hub.claims.recall(application.claim_key) if application.joins else None
    if recalled is None:
        return None
    claim, revision = recalled
    now = hub.clock.now()
    is_fresh = is_live(claim, now) and claim.certificate is None and not claim.supersedes
    return Kept(claim, revision, now) if is_fresh and claim.device == application.applicant.device else None


def _claims_for(application: Application, hub: Hub) -> Store[Claim]:
    return hub.renewals if application.renews else hub.claims


async def _bound(uuid_hash: str | None, hub: Hub) -> Kept[Reservation] | None:
    return await hub.names.get(uuid_key(uuid_hash)) if uuid_hash is not None else None


async def _given_before(application: Application, seen: _Seen, hub: Hub) -> Certificate | None:
    """What the same CSR led to before, where that needs no further step.

    That is the device's certificate, unless a claim begun since asks for a
    new one; and in a claim, what was given for an earlier CSR: a message that
    comes late must not put that in the place of the latest. A device that
    renews may come with its old CSR again, as some keys make only one: after
    a while that is no repeat.
    """
    claim, device = value_of(seen.claim), value_of(seen.device)
    serials = list(reversed(claim.supersedes)) if claim is not None and claim.csr_digest != application.digest else []
    if device is not None and device.certificate is not None and not application.joins:
        serials.insert(0, device.certificate)
    for serial in serials:
        kept = await hub.certificates.get(serial)
        if kept is not None and _is_repeat(application, kept.value, hub):
            if device is not None and device.lifecycle is Lifecycle.SUSPENDED:
                raise Denied(Reason.DEVICE_SUSPENDED)
            return kept.value
    return None


def _is_repeat(application: Application, certificate: Certificate, hub: Hub) -> bool:
    now = hub.clock.now()
    is_recent = not application.renews or now - certificate.issued_at < hub.renewal_grace
    return certificate.csr_digest == application.digest and is_usable(certificate, now) and is_recent


def _check_claim(application: Application, seen: _Seen) -> None:
    if not application.joins:
        return
    if seen.claim is None:
        raise Conflict(Reason.NO_CLAIM_IN_PROGRESS)
    if seen.claim.value.device != application.applicant.device:
        raise Malformed(Reason.CN_MISMATCH, "The common name of the CSR is not the name kept for this UUID.")


async def _reserve(applicant: Applicant, seen: _Seen, hub: Hub) -> None:
    """Judge the applicant, and keep the id and the UUID for it."""
    uuid_hash, bound = applicant.uuid_hash, value_of(seen.bound)
    if bound is not None and bound.device != applicant.device:
        await _refuse_second_device(hub, bound)

    def take(reserved: Reservation | None) -> Reservation:
        judge_applicant(applicant, value_of(seen.device), reserved)
        if reserved is None:
            return Reservation(applicant.device, uuid_hash)
        # An attempt without a UUID reserved it and led to nothing.
        return replace(reserved, uuid_hash=uuid_hash) if reserved.uuid_hash is None else reserved

    def bind(found: Reservation | None) -> Reservation:
        if found is not None and found.device == applicant.device:
            return found
        if found != bound:
            raise Conflict(Reason.DEVICE_EXISTS, _SECOND_DEVICE)
        return Reservation(applicant.device, uuid_hash)

    await rewrite(hub.names, id_key(applicant.device), take, seen.reserved)
    if uuid_hash is not None:
        await rewrite(hub.names, uuid_key(uuid_hash), bind, seen.bound)


async def _refuse_second_device(hub: Hub, bound: Reservation) -> None:
    """A UUID has one device; but a name that was kept and never used, or a retired device, gives it free."""
    claim = await live_claim(hub, hub.claims, bound.uuid_hash) if bound.uuid_hash is not None else None
    if claim is not None and claim.value.device == bound.device:
        raise Conflict(Reason.DEVICE_EXISTS, _SECOND_DEVICE)
    device = await hub.devices.get(bound.device)
    if device is not None and device.value.lifecycle is not Lifecycle.RETIRED:
        raise Conflict(Reason.DEVICE_EXISTS, _SECOND_DEVICE)


async def _decide(application: Application, seen: _Seen, hub: Hub) -> Written[Claim]:
    applicant = application.applicant
    now = hub.clock.now()
    serial = hub.authority.new_serial()
    lifetime = hub.renewal_grace if application.renews else CLAIM_LIFETIME
    fresh = Claim(
        uuid_hash=applicant.uuid_hash or "",
        device=applicant.device,
        claim_certificate=str(applicant.caller),
        expires_at=now + lifetime,
    )

    def decide(claim: Claim | None) -> Claim:
        if claim is None:
            if application.joins:
                raise Conflict(Reason.NO_CLAIM_IN_PROGRESS)
            claim = fresh
        elif claim.device != applicant.device:
            raise Conflict(Reason.DEVICE_EXISTS, _SECOND_DEVICE)
        return decide_certificate(claim, value_of(seen.device), application.digest, serial, now, lifetime)

    return await rewrite(_claims_for(application, hub), application.claim_key, decide, seen.claim)


async def _register(application: Application, decided: Written[Claim], steps: Joining, hub: Hub) -> Certificate:
    """Sign under the serial that the claim decided on, unless that has been done."""
    claim = decided.value
    assert claim.certificate is not None
    kept = None if decided.changed else await hub.certificates.get(claim.certificate)
    if kept is not None:
        return kept.value
    now = hub.clock.now()
    assert application.lifetime is not None
    signed = await sign_device(
        hub, application.csr_pem, claim.device, serial=claim.certificate, not_after=now + application.lifetime
    )
    await steps.tell("signed", {"serial": signed.serial}, changes=False)
    certificate = entry_of(
        signed,
        purpose=Purpose.DEVICE,
        common_name=claim.device,
        at=now,
        gate=application.gate,
        issued_to=str(application.applicant.caller),
        csr_digest=application.digest,
    )
    try:
        await hub.certificates.create(signed.serial, certificate)
    except Conflict:
        # The same request, at the same time: what it registered goes out, and
        # what was signed here goes nowhere.
        kept = await hub.certificates.get(signed.serial)
        if kept is None:
            raise
        return kept.value
    facts = {"serial": signed.serial, "fingerprint": signed.fingerprint, "notAfter": signed.not_after}
    await steps.tell("registered", {**facts, "gate": application.gate})
    return certificate


async def _settle(
    application: Application, claim: Claim, certificate: Certificate, seen: _Seen, steps: Joining, hub: Hub
) -> Written[Device]:
    """Write the certificate into the device's record, which from then on names it.

    The record is also what decides when two requests for one id came so far.
    """
    applicant = application.applicant
    now = hub.clock.now()
    was = seen.device.value.lifecycle if seen.device is not None else Lifecycle.ACTIVE

    def settle(device: Device | None) -> Device:
        if device is None:
            device = Device(applicant.device, created_at=now, updated_at=now)
        elif device.certificate != claim.certificate:
            judge_applicant(applicant, device, None)
        settled = settle_certificate(device, claim, was, now)
        if settled is device:
            return device
        return replace(
            settled,
            fingerprint=certificate.fingerprint,
            not_after=certificate.not_after,
            uuid_hash=settled.uuid_hash or applicant.uuid_hash,
            name=application.name or settled.name,
            metadata=settled.metadata if application.metadata is None else application.metadata,
        )

    before = value_of(seen.device)
    after = settle(before)
    writing = rewrite(hub.devices, applicant.device, settle, seen.device)
    written = await (writing if after == before else steps.conclude(writing, facts_of(before), facts_of(after)))
    if written.value.certificate != claim.certificate:
        store = _claims_for(application, hub)
        await amend(store, application.claim_key, lambda found: abandon(found) if found == claim else found)
        raise Unavailable(detail="Another request for this device came first. Ask again.")
    return written
