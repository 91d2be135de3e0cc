"""Record functions: what operators change in the registry: labels and notes, retirement, and one device for another.

Subjects   devicehub.registry.devices.<device>.update, .retire, .revoke, .swap
Writes     devices, through ``intents``
Publishes  devicehub.devices.<old>.swapped, devicehub.broker.access.changed
"""

from dataclasses import replace

from functions.contract.messages import (
    DeviceRecord,
    DeviceRetire,
    DeviceRevoke,
    DeviceSwap,
    DeviceUpdate,
    Done,
)
from functions.domain.audit import Doer
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Conflict, Malformed, NotFound, Reason, Unavailable
from functions.domain.intents import Intent, Operation, admit_swap
from functions.domain.names import DeviceId
from functions.domain.records import RecordPatch, amend_record, check_patch, expect_version
from functions.handlers.intents import perform, settled
from functions.handlers.locking import BUSY
from functions.handlers.names import check_role
from functions.handlers.registry import shown
from functions.handlers.retiring import end_certificates
from functions.ports import Call, Hub
from functions.storage import Kept

_ATTEMPTS = 5


async def update(call: Call[DeviceUpdate], hub: Hub) -> DeviceRecord:
    """Change name, role, groups, tags or notes; the record after it.

    A change that changes nothing writes nothing, so a repeated call is
    harmless.

    Raises:
        NotFound: no such device.
        Malformed: a value that no record takes, with ``fields``.
        Denied: ``device_retired``: a role for a retired device.
        Conflict: ``version_conflict``: the record is not the expected one;
            ``name_taken``: another device has the role, or it is a device's id.
        Unavailable: another operation on this device is under way.
    """
    patch = _patch(call.body)
    check_patch(patch)
    refuse_own_id(call.device, patch)
    await change(call, hub, call.device, patch, call.body.expected_version)
    return await shown(hub, await hub.devices.get(call.device), call.device)


async def change(
    doer: Doer, hub: Hub, device: DeviceId, patch: RecordPatch, expected_version: int | None = None
) -> bool:
    """Put a checked change into a record, and write it down; whether it changed anything.

    Raises:
        NotFound, Malformed, Denied, Conflict, Unavailable: as ``update``.
    """
    lost: Conflict | None = None
    for _ in range(_ATTEMPTS):
        kept = _found(await settled(hub, device))
        expect_version(kept.revision, expected_version)
        after = amend_record(kept.value, patch, hub.clock.now())
        if after is kept.value:
            return False
        try:
            if after.role != kept.value.role and after.role is not None:
                # Also part of the operation; here a refusal leaves the record as it is, its version too.
                await check_role(hub, after.role, device)
            # Also where one record is all that it changes, so that whoever finishes it writes it down.
            intent = _intent(doer, device, hub, Operation.CHANGE)
            await perform(hub, replace(intent, patch=patch, expects=kept.revision))
        except Conflict as conflict:
            if conflict.reason is not Reason.VERSION_CONFLICT:
                raise
            lost = conflict
            continue
        return True
    raise Conflict(detail="Others changed the same record at every attempt. Try again in a moment.") from lost


def refuse_own_id(device: str, patch: RecordPatch) -> None:
    """Refuse as a role what leads to the device already.

    Raises:
        Malformed: with ``fields``.
    """
    if patch.role is not None and patch.role.lower() == device.lower():
        wrong = "is the id of the device, which is addressed by that already"
        raise Malformed(detail=f"role: {wrong}", fields={"role": wrong})


async def retire(call: Call[DeviceRetire], hub: Hub) -> DeviceRecord:
    """Revoke every certificate of a device, end its sessions and give its role free; its record, which stays, retired.

    A repeat does again what may be left of it, and is harmless. Operations on
    the device that are not decided yet are pushed aside: nothing delays it.

    Raises:
        NotFound: no such device.
        Unavailable: the storage; what was begun is finished by a timer.
    """
    await _retire(call, hub)
    return await shown(hub, await hub.devices.get(call.device), call.device)


async def revoke(call: Call[DeviceRevoke], hub: Hub) -> Done:
    """As ``retire``: without a certificate no device takes part.

    Raises:
        NotFound, Unavailable: as ``retire``.
    """
    await _retire(call, hub)
    return Done()


async def swap(call: Call[DeviceSwap], hub: Hub) -> DeviceRecord:
    """Put another device in the place of this one; the record of the replacement after it.

    Role, groups, tags and desired state move, and this device is retired: all
    of it, or nothing. A repeat of a swap that was done gives the same answer.

    Raises:
        NotFound: one of the devices is not there.
        Denied: this device is retired, or the replacement is not active.
        Conflict: ``swap_refused``: both have a role, or they are one device.
        Malformed: the replacement would have too many groups or tags.
        Unavailable: another operation on one of them is under way.
    """
    replacement = DeviceId(call.body.replacement)
    old, new = await settled(hub, call.device), await settled(hub, replacement)
    if old is not None and new is not None and _is_done(old.value, new.value):
        return await shown(hub, new, replacement)
    admit_swap(old.value if old is not None else None, new.value if new is not None else None)
    await perform(hub, replace(_intent(call, call.device, hub, Operation.SWAP), replacement=replacement))
    return await shown(hub, await hub.devices.get(replacement), replacement)


async def _retire(call: Call[DeviceRetire] | Call[DeviceRevoke], hub: Hub) -> None:
    lost: Unavailable | None = None
    for _ in range(_ATTEMPTS):
        device = _found(await settled(hub, call.device, at_once=True)).value
        if device.lifecycle is Lifecycle.RETIRED:
            # What may be left of the attempt that retired it, or of the revocation of its certificate.
            await end_certificates(hub, device)
            return
        try:
            await perform(hub, _intent(call, call.device, hub, Operation.RETIRE))
        except Unavailable as fault:
            if fault.detail != BUSY:
                raise
            # Another operation took the record in between.
            lost = fault
            continue
        return
    raise Unavailable(detail=BUSY) from lost


def _patch(body: DeviceUpdate) -> RecordPatch:
    """What was asked for; what was given as null is taken away, what was not given is left."""
    given = body.model_fields_set
    return RecordPatch(
        name=(body.display_name or "") if "display_name" in given else None,
        role=(body.role or "") if "role" in given else None,
        groups=tuple(body.groups or ()) if "groups" in given else None,
        tags=body.tags or {},
        clears_tags="tags" in given and body.tags is None,
        notes=(body.notes or "") if "notes" in given else None,
    )


def _intent(doer: Doer, device: str, hub: Hub, operation: Operation) -> Intent:
    return Intent(operation, device, hub.clock.now(), str(doer.caller), doer.id, doer.origin)


def _is_done(old: Device, new: Device) -> bool:
    return (old.lifecycle, old.replaced_by, new.replaces) == (Lifecycle.RETIRED, new.id, old.id)


def _found(kept: Kept[Device] | None) -> Kept[Device]:
    if kept is None:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    return kept
