"""Suspension: a device that may not take part for now, and its way back.

Subjects   devicehub.registry.devices.<device>.suspend, .resume
Writes     suspensions, devices
Publishes  devicehub.broker.access.changed
Records    device.suspended, device.resumed

Functions go by the device's record. The broker's keeper goes by the entries
in ``suspensions``, as nobody can look through the fleet for it each minute. An
entry is written before the record and marked as holding after it, so that
what a call cut short had left is found by the entry alone.
"""

from dataclasses import replace
from datetime import timedelta

from functions.contract.messages import DeviceRecord, Nothing
from functions.domain import devices as rules
from functions.domain.audit import Doer
from functions.domain.devices import Lifecycle, Suspension
from functions.domain.faults import Conflict, NotFound, Reason
from functions.handlers.auditing import record, timer
from functions.handlers.registry import read
from functions.handlers.revoking import tell
from functions.handlers.rewriting import Written, amend, rewrite, value_of
from functions.handlers.salvaging import read_past
from functions.ports import Call, Hub
from functions.storage import Spoiled

# No call is at work on an entry that has been as it is for this long.
_SETTLED_AFTER = timedelta(minutes=1)


async def suspend(call: Call[Nothing], hub: Hub) -> DeviceRecord:
    """Let a device take no part until it is resumed: the broker denies it everything and ends its sessions.

    Its twin's desired half can still be changed. A repeat changes nothing,
    and ends sessions that have come since.

    Raises:
        NotFound: ``unknown_device``.
        Denied: ``device_retired``.
        Conflict: others kept changing the record.
    """
    name, now = call.device, hub.clock.now()
    record = value_of(await hub.devices.get(name))
    if record is None:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    rules.suspend(record, now)
    fresh = Suspension(now, str(call.caller))
    # Begun anew where it holds already: a resumption at the same time must
    # find that the entry is no longer the one that it is about to remove.
    await rewrite(hub.suspensions, name, lambda found: replace(found or fresh, holds=False))
    written = await amend(hub.devices, name, lambda device: rules.suspend(device, now))
    await rewrite(hub.suspensions, name, lambda found: replace(found or fresh, holds=True))
    await tell(hub, [name])
    if written is not None and written.changed:
        await _record(hub, call, written)
    return await read(call, hub)


async def resume(call: Call[Nothing], hub: Hub) -> DeviceRecord:
    """Let a suspended device take part again; for one that does, it finishes what an earlier call left.

    Its sessions end once more, for the subscriptions that it made meanwhile
    were denied: it comes back and makes them again.

    Raises:
        NotFound: ``unknown_device``.
        Denied: ``device_retired``.
        Conflict: others kept changing the record.
    """
    now = hub.clock.now()
    written = await amend(hub.devices, call.device, lambda device: rules.resume(device, now))
    if written is None:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    if await lift(hub, call.device) or written.changed:
        await tell(hub, [call.device])
    if written.changed:
        await _record(hub, call, written)
    return await read(call, hub)


async def lift(hub: Hub, device: str) -> bool:
    """Forget a suspension that the device's record does not bear out (any more); whether there was one."""
    while (kept := await hub.suspensions.get(device)) is not None:
        record = value_of(await hub.devices.get(device))
        if record is not None and record.lifecycle is Lifecycle.SUSPENDED:
            return False
        try:
            await hub.suspensions.remove(device, expect=kept.revision)
        except Conflict:
            continue
        return True
    return False


async def finish_suspensions(hub: Hub) -> None:
    """Finish what calls that were cut short left, and mend what cannot be read; for a timer, in as many as there are.

    It reads the record of every device that is suspended, which are few: the
    broker itself takes half a second to deny 600.

    Raises:
        Unavailable: the storage; what is left is done the next time.
        Conflict: others kept changing a record.
    """
    settled = hub.clock.now() - _SETTLED_AFTER
    found, spoiled = await read_past(hub.suspensions)
    old = {device: kept.value for device, kept in found.items() if kept.at <= settled}
    changed = [device for device, entry in old.items() if await _finish(hub, device, entry)]
    changed += [one.key for one in spoiled if one.at <= settled and await _mend(hub, one)]
    if changed:
        await tell(hub, changed)


async def _finish(hub: Hub, device: str, entry: Suspension) -> bool:
    """Make record and entry agree; whether they did not."""
    record = value_of(await hub.devices.get(device))
    lifecycle = record.lifecycle if record is not None else Lifecycle.RETIRED
    if lifecycle is Lifecycle.RETIRED or (lifecycle is Lifecycle.ACTIVE and entry.holds):
        return await lift(hub, device)
    if entry.holds:
        return False
    written = await amend(hub.devices, device, lambda found: _suspended_unless_retired(found, entry))
    await amend(hub.suspensions, device, lambda found: replace(found, holds=True))
    if written is not None and written.changed:
        await _record(hub, timer(), written)
    return True


async def _mend(hub: Hub, lost: Spoiled) -> bool:
    """Make an entry that cannot be read anew, as the device's record has it; whether the device is denied no more.

    Where the record cannot be read either, the device stays denied: that is for a person.
    """
    try:
        await hub.devices.get(lost.key)
    except Spoiled:
        return False
    entry = Suspension(lost.at, str(timer().caller), holds=True)
    try:
        await hub.suspensions.replace(lost.key, entry, expect=lost.revision)
    except Conflict:
        # Another process has just done the same.
        return False
    return await _finish(hub, lost.key, entry)


async def _record(hub: Hub, doer: Doer, written: Written[rules.Device]) -> None:
    after = written.value.lifecycle
    action = "device.suspended" if after is Lifecycle.SUSPENDED else "device.resumed"
    before = written.before.lifecycle if written.before is not None else None
    await record(hub, doer, action, written.value.id, before={"lifecycle": before}, after={"lifecycle": after})


def _suspended_unless_retired(device: rules.Device, entry: Suspension) -> rules.Device:
    return device if device.lifecycle is Lifecycle.RETIRED else rules.suspend(device, entry.at)
