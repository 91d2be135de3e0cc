"""The operation that retires a device: it takes part no more, its certificates are revoked, its role is free.

Writes     devices, names, claims, renewals, revoked, certificates, revocations, suspensions
Publishes  devicehub.broker.access.changed
"""

from dataclasses import replace
from functools import partial

from functions.domain.certificates import RevocationReason
from functions.domain.devices import Device, Lifecycle, retire
from functions.domain.faults import Conflict
from functions.domain.intents import Intent
from functions.handlers.locking import lock, write_locked
from functions.handlers.names import release_role
from functions.handlers.revoking import revoke, spread
from functions.handlers.rewriting import value_of
from functions.handlers.suspending import lift
from functions.ports import Hub

_REASON = RevocationReason.CESSATION_OF_OPERATION


async def prepare(hub: Hub, key: str, intent: Intent) -> Intent:
    """Take the record; a device in any state of its life can be retired."""
    before = await lock(hub, key, intent.device, lambda _: None)
    return replace(intent, before=before)


async def finish(hub: Hub, key: str, intent: Intent) -> None:
    """Retire the record, then revoke what the device has."""
    assert intent.before is not None
    await write_locked(hub, key, intent.device, partial(retire, at=intent.at))
    if intent.before.role is not None:
        await release_role(hub, intent.before.role, intent.device)
    await end_certificates(hub, intent.before)


async def end_certificates(hub: Hub, before: Device) -> None:
    """Revoke every certificate of a device whose record is retired, and end its sessions.

    The record is retired before the claims are looked through, so that a
    certificate being issued at this moment is either found or never handed
    out. A device that was brought back meanwhile keeps what it got since.

    Args:
        hub: the ports.
        before: the record as it was before.
    """
    device = value_of(await hub.devices.get(before.id))
    is_retired = device is not None and device.lifecycle is Lifecycle.RETIRED
    serials = {before.certificate} | ({device.certificate} if device is not None and is_retired else set())
    await revoke(hub, before.id, sorted(serial for serial in serials if serial is not None), _REASON)
    if is_retired:
        await end_claims(hub, before.id, _REASON)
    await lift(hub, before.id)
    await spread(hub, [before.id])


async def end_claims(hub: Hub, name: str, reason: RevocationReason | None = None) -> list[str]:
    """Revoke all that the claims and the renewal of a retired device led to, then forget them; gives the serials.

    Only claims of the last minutes are kept.
    """
    found = [(hub.claims, key, kept) async for key, kept in hub.claims.entries() if kept.value.device == name]
    renewal = await hub.renewals.get(name)
    if renewal is not None:
        found.append((hub.renewals, name, renewal))
    decided: list[str] = []
    for store, key, kept in found:
        serials = dict.fromkeys((kept.value.certificate, *kept.value.supersedes))
        decided += await revoke(hub, name, [serial for serial in serials if serial is not None], reason)
        try:
            await store.remove(key, expect=kept.revision)
        except Conflict:
            # The device is joining anew at this moment: its record, retired
            # by now, decides whether it may.
            continue
    return decided
