"""The operation that puts one device in the place of another: what the old one was to the fleet, the new one is.

Role, groups, tags and the desired half of the twin move; the old device is
retired, with its certificates revoked. Groups and tags are added to those of
the replacement, and the moved ones win; a desired half that holds anything
takes the place of the replacement's own. What the devices said themselves
(reported, telemetry, events) stays with each.

Writes     desired, names, devices, claims, revoked, certificates, revocations
Publishes  devicehub.devices.<old>.swapped, .twin.update.delta of the replacement,
           devicehub.broker.access.changed
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256

from pydantic_core import to_jsonable_python

from functions.contract.messages import DeviceSwapped
from functions.contract.subjects import subject
from functions.domain.audit import Agent, entry
from functions.domain.callers import parse_caller
from functions.domain.devices import Device
from functions.domain.faults import Conflict
from functions.domain.intents import Intent, Moved, admit_swap, hand_over, take_over, what_moves
from functions.domain.names import DeviceId
from functions.domain.twins import Half, put
from functions.domain.wishes import WISHED, wished
from functions.handlers.auditing import record_all
from functions.handlers.locking import lock, write_locked
from functions.handlers.names import move_role, release_role
from functions.handlers.retiring import end_certificates
from functions.handlers.rewriting import value_of
from functions.handlers.twins import publish_open_delta
from functions.ports import Hub

_ATTEMPTS = 5


async def prepare(hub: Hub, key: str, intent: Intent) -> Intent:
    """Take both records, refuse what cannot be, and note what moves."""
    new_id = _replacement(intent)
    old = await lock(hub, key, intent.device, lambda _: None)
    new = await lock(hub, key, new_id, lambda found: admit_swap(old, found))
    moved = what_moves(old, value_of(await hub.desired.get(intent.device)))
    take_over(new, moved, intent.device, intent.at)
    return replace(intent, before=old, replacement_before=new, moved=moved)


async def finish(hub: Hub, key: str, intent: Intent) -> None:
    """Move everything, then revoke what the old device had, and tell."""
    assert intent.before is not None
    moved, new_id = intent.moved, _replacement(intent)
    assert moved is not None
    if moved.doc:
        await _move_desired(hub, key, intent, moved)
    if moved.role is not None:
        await move_role(hub, moved.role, intent.device, new_id, key)
    await write_locked(hub, key, new_id, lambda new: take_over(new, moved, intent.device, intent.at))
    if moved.role is not None:
        # It stays, unless the replacement was revoked in this moment.
        await release_role(hub, moved.role, new_id)
    await write_locked(hub, key, intent.device, lambda old: hand_over(old, new_id, intent.at))
    await end_certificates(hub, intent.before)
    await publish_open_delta(DeviceId(new_id), hub)
    await _tell(hub, intent, moved)


async def _move_desired(hub: Hub, key: str, intent: Intent, moved: Moved) -> None:
    """Put the desired half with the replacement, and empty the old device's; both keep their history."""
    change = partial(put, at=intent.at, by=intent.by, digest=key)
    await _put(hub, key, intent, _replacement(intent), lambda half: change(half, doc=moved.doc, times=moved.times))
    await _put(hub, key, intent, intent.device, lambda half: change(half, doc={}, times={}))


async def _put(hub: Hub, key: str, intent: Intent, device: str, change: Callable[[Half], Half]) -> None:
    """Change a half once, as long as the operation has the device's record."""
    lost: Conflict | None = None
    for _ in range(_ATTEMPTS):
        kept = await hub.desired.get(device)
        # Read after the half: once the record is given back others may wish, and what they write here is not
        # what was read.
        record: Device | None = value_of(await hub.devices.get(device))
        if record is None or record.intent != key:
            return
        before = kept.value if kept is not None else Half()
        if before.digest == key:
            await _record(hub, key, intent, device)
            return
        try:
            if kept is None:
                await hub.desired.create(device, change(before))
            else:
                await hub.desired.replace(device, change(before), expect=kept.revision)
        except Conflict as conflict:
            lost = conflict
            continue
        await _record(hub, key, intent, device)
        return
    raise Conflict(detail="Others changed the same twin at every attempt. Try again in a moment.") from lost


async def _record(hub: Hub, key: str, intent: Intent, device: str) -> None:
    """Write down what became of a desired half; who does the same steps writes the same entry."""
    before = Half()
    for kept in await hub.desired.history(device):
        if kept.value.digest == key:
            undo, change = wished(before, kept.value)
            doer = Agent(parse_caller(intent.by), intent.call, intent.origin)
            random = sha256(f"{key} {device}".encode()).hexdigest()[:16]
            made = entry(
                doer,
                WISHED,
                device,
                at=intent.at,
                random=random,
                before=undo,
                after=to_jsonable_python(change),
            )
            await record_all(hub, [made])
            return
        before = kept.value


async def _tell(hub: Hub, intent: Intent, moved: Moved) -> None:
    new = value_of(await hub.devices.get(_replacement(intent)))
    told = DeviceSwapped(
        # Only keyed hashes of UUIDs are kept.
        previous_uuid=None,
        previous_name=intent.device,
        uuid=None,
        device_name=_replacement(intent),
        role=moved.role,
        groups=list(new.groups) if new is not None else list(moved.groups),
        by=intent.by,
        timestamp=intent.at,
    )
    await hub.events.publish(subject("devices", intent.device, "swapped"), told)


def _replacement(intent: Intent) -> str:
    assert intent.replacement is not None
    return intent.replacement
