"""The names that devices are known by: who has which id, UUID or role.

Ids and roles share one space of names, in which upper and lower case are
alike: a device can be addressed by either, so no role can be an id, and
nobody can join under an id that is a role. A role's reservation is worth as
much as its holder's record says: one that the holder does not have, and is
not being given by an operation, is anybody's.

Writes     names
"""

from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import Reservation
from functions.domain.faults import Conflict, Reason
from functions.domain.names import id_key
from functions.handlers.rewriting import value_of
from functions.ports import Hub

_ATTEMPTS = 5


async def take_role(hub: Hub, role: str, device: str, key: str) -> None:
    """Reserve a role for a device, by the operation that has the device's record to itself.

    It is written also where the device has it reserved already, so that
    nobody takes it for one left over who looked before.

    Raises:
        Conflict: ``name_taken``; others kept changing the reservation.
    """
    mine = Reservation(device, None, role=role, by=key)
    lost: Conflict | None = None
    for _ in range(_ATTEMPTS):
        kept = await hub.names.get(id_key(role))
        if kept is not None and kept.value == mine:
            return
        await _refuse_taken(hub, role, device, value_of(kept))
        try:
            if kept is None:
                await hub.names.create(id_key(role), mine)
            else:
                await hub.names.replace(id_key(role), mine, expect=kept.revision)
        except Conflict as conflict:
            lost = conflict
            continue
        return
    raise Conflict(detail="Others took and gave up this role at every attempt. Try again in a moment.") from lost


async def check_role(hub: Hub, role: str, device: str) -> None:
    """Refuse a role that a device could not be given now.

    Raises:
        Conflict: ``name_taken``.
    """
    await _refuse_taken(hub, role, device, value_of(await hub.names.get(id_key(role))))


async def move_role(hub: Hub, role: str, old: str, new: str, key: str) -> None:
    """Reserve a role for the device that takes the place of its holder, as long as that operation has its record."""
    kept = await hub.names.get(id_key(role))
    if kept is None or kept.value.device != old or kept.value.role is None:
        return
    # Read after the reservation: while the operation has the record, nobody else takes or gives up its role.
    record = value_of(await hub.devices.get(new))
    if record is None or record.intent != key:
        return
    try:
        await hub.names.replace(id_key(role), Reservation(new, None, role=role, by=key), expect=kept.revision)
    except Conflict:
        # Who does the same steps at the same time was first.
        return


async def release_role(hub: Hub, role: str, device: str) -> None:
    """Give a role free that a device no longer has; one that it has, or is being given, stays."""
    kept = await hub.names.get(id_key(role))
    if kept is None or kept.value.role is None or kept.value.device != device:
        return
    # Read after the reservation: whoever takes the role anew writes that first, and the removal fails.
    record = value_of(await hub.devices.get(device))
    if record is not None and (record.intent is not None or _has(record, role)):
        return
    try:
        await hub.names.remove(id_key(role), expect=kept.revision)
    except Conflict:
        return


async def _refuse_taken(hub: Hub, role: str, device: str, reserved: Reservation | None) -> None:
    """Refuse a name that is an id, or another device's role; one left over from a device that gave it up is free.

    Raises:
        Conflict: ``name_taken``.
    """
    if reserved is None:
        # An id of before ids were reserved.
        if await hub.devices.get(role) is not None:
            raise _is_id(role)
        return
    if reserved.role is None:
        raise _is_id(role)
    holder = value_of(await hub.devices.get(reserved.device)) if reserved.device != device else None
    if holder is not None and (_has(holder, role) or holder.intent is not None):
        raise _taken(f"The device {holder.id} has this role.")


def _has(device: Device, role: str) -> bool:
    return device.role is not None and device.role.lower() == role.lower() and device.lifecycle is not Lifecycle.RETIRED


def _is_id(role: str) -> Conflict:
    return _taken(f"'{role}' is the id of a device, so it can be no role.")


def _taken(told: str) -> Conflict:
    return Conflict(Reason.NAME_TAKEN, told, fields={"role": told})
