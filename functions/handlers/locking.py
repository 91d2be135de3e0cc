"""Records that an operation has to itself: no other changes them until it gives them back.

The mark is the operation's key, in the record. What others write into a
marked record (a certificate, a revocation) leaves the mark where it is.

Writes     devices
"""

from collections.abc import Callable
from dataclasses import replace

from functions.domain.devices import Device
from functions.domain.faults import Conflict, NotFound, Reason, Unavailable
from functions.handlers.rewriting import Written, amend, rewrite
from functions.ports import Hub

BUSY = "Another operation on this device is under way. Try again in a moment."


async def lock(
    hub: Hub, key: str, device: str, admit: Callable[[Device], object], *, expect: int | None = None
) -> Device:
    """Take a record for an operation; the record as it was.

    Args:
        hub: the ports.
        key: of the operation.
        device: whose record.
        admit: refuses, by a fault, a record that the operation is not for.
        expect: the revision that the record must have, where it must have one.

    Raises:
        NotFound: there is no such device.
        Conflict: the record has another revision; others kept changing it.
        Unavailable: another operation has it.
    """

    def take(found: Device | None) -> Device:
        if found is None:
            raise NotFound(Reason.UNKNOWN_DEVICE)
        if found.intent is not None:
            raise Unavailable(detail=BUSY)
        admit(found)
        return replace(found, intent=key)

    kept = await hub.devices.get(device)
    if kept is None:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    if expect is None:
        written = await rewrite(hub.devices, device, take, kept)
        assert written.before is not None
        return written.before
    if kept.revision == expect:
        await hub.devices.replace(device, take(kept.value), expect=expect)
        return kept.value
    raise Conflict


async def write_locked(hub: Hub, key: str, device: str, change: Callable[[Device], Device]) -> Written[Device] | None:
    """Change a record that the operation has, in one write that also gives it back; one given back stays as it is."""

    def write(found: Device) -> Device:
        return replace(change(found), intent=None) if found.intent == key else found

    return await amend(hub.devices, device, write)


async def unlock(hub: Hub, key: str, device: str) -> None:
    """Give a record back as it is."""
    await write_locked(hub, key, device, lambda found: found)
