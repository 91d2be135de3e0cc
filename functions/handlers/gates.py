"""The gates that whoever wants to join must pass: claim certificate, enrolment window, whitelist.

Writes     whitelist, when an entry is used
"""

import asyncio
from dataclasses import dataclass

from functions.domain.callers import CLAIM, Caller
from functions.domain.enrolment import ClaimCertificate, Enrolment, admit_claim, admit_enrolment, use
from functions.domain.faults import Conflict
from functions.handlers.rewriting import value_of
from functions.ports import Hub

ENROLMENT = "enrolment"


@dataclass(frozen=True, slots=True)
class Gates:
    """What decides whether the caller may have anybody join now, as it was read."""

    claim_certificate: ClaimCertificate | None
    enrolment: Enrolment


async def look_at_gates(caller: Caller, hub: Hub) -> Gates:
    """Read what the functions below go by."""
    if caller.kind is not CLAIM:
        return Gates(None, value_of(await hub.enrolment.get(ENROLMENT)) or Enrolment())
    claim, enrolment = await asyncio.gather(hub.claim_certificates.get(caller.name), hub.enrolment.get(ENROLMENT))
    return Gates(value_of(claim), value_of(enrolment) or Enrolment())


def admit_claimer(gates: Gates, caller: Caller, hub: Hub) -> None:
    """Refuse a claim certificate that has no role with the broker now.

    Raises:
        Denied: it is revoked, over or unknown.
    """
    admit_claim(gates.claim_certificate, caller, hub.clock.now())


async def pass_gates(gates: Gates, uuid_hash: str | None, hub: Hub) -> None:
    """Pass enrolment window and whitelist; the use of a whitelist entry is noted.

    Raises:
        Denied: ``enrolment_closed`` or ``uuid_not_whitelisted``.
    """
    now = hub.clock.now()
    if not gates.enrolment.whitelist_enforced or uuid_hash is None:
        admit_enrolment(gates.enrolment, None, now)
        return
    kept = await hub.whitelist.get(uuid_hash)
    admit_enrolment(gates.enrolment, value_of(kept), now)
    if kept is None:
        return
    used = use(kept.value, now)
    if used == kept.value:
        return
    try:
        await hub.whitelist.replace(uuid_hash, used, expect=kept.revision)
    except Conflict:
        # Another message of the same device noted it, or an operator changed
        # the entry just now, which counts from the next message.
        return
