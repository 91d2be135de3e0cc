"""Claims that have run out: what they superseded is revoked, and they are forgotten.

Writes     claims, renewals, revoked, certificates, devices
Records    certificate.revoked
"""

from functions.domain.audit import Doer
from functions.domain.certificates import RevocationReason
from functions.domain.enrolment import Claim, ended_certificates, is_live
from functions.domain.faults import Conflict
from functions.handlers.auditing import make, record_all, timer
from functions.handlers.revoking import revoke, tell
from functions.handlers.rewriting import value_of
from functions.ports import Hub
from functions.storage import Kept, Store


async def live_claim(hub: Hub, store: Store[Claim], key: str) -> Kept[Claim] | None:
    """The claim, if it is live; one that has run out is ended, so that a fresh one loses nothing of it.

    ``store`` is that of claims or of renewals.
    """
    kept = await store.get(key)
    if kept is None or is_live(kept.value, hub.clock.now()):
        return kept
    if await finish_claim(hub, store, key, kept):
        await tell(hub, [kept.value.device])
    return None


async def finish_claim(hub: Hub, store: Store[Claim], key: str, kept: Kept[Claim], doer: Doer | None = None) -> bool:
    """End a claim that is over: revoke what it superseded, then forget it; whether anything was to be revoked.

    Several may do it at once, and a claim begun anew meanwhile stays. ``doer``
    is who ended it, where its time was not over.
    """
    name = kept.value.device
    ended = ended_certificates(kept.value, value_of(await hub.devices.get(name)))
    decided = await revoke(hub, name, ended, RevocationReason.SUPERSEDED)
    facts = {"commonName": name, "reason": RevocationReason.SUPERSEDED}
    agent = doer or timer()
    await record_all(hub, [make(hub, agent, "certificate.revoked", serial, after=facts) for serial in decided])
    try:
        await store.remove(key, expect=kept.revision)
    except Conflict:
        # Someone else ended it too, or a new certificate was decided on in its last moment.
        return bool(ended)
    return bool(ended)
