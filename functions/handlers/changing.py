"""The operation that changes what operators write into a device's record, a role among it.

The role is reserved before the record says it and given free after the record
no longer does, so at no time have two devices one role.

Writes     names, devices
"""

from dataclasses import replace
from functools import partial

from functions.domain.intents import Intent, change
from functions.domain.records import amend_record
from functions.handlers.locking import lock, write_locked
from functions.handlers.names import release_role, take_role
from functions.ports import Hub


async def prepare(hub: Hub, key: str, intent: Intent) -> Intent:
    """Take the record, and reserve the role."""
    assert intent.patch is not None
    # Refuses what the record does not take before anything is reserved.
    admit = partial(amend_record, patch=intent.patch, at=intent.at)
    before = await lock(hub, key, intent.device, admit, expect=intent.expects)
    if intent.patch.role:
        await take_role(hub, intent.patch.role, intent.device, key)
    return replace(intent, before=before)


async def finish(hub: Hub, key: str, intent: Intent) -> None:
    """Write the record, then give free what it had."""
    assert intent.before is not None
    assert intent.patch is not None
    await write_locked(hub, key, intent.device, partial(change, intent=intent))
    for role in {intent.before.role, intent.patch.role} if intent.patch.role is not None else ():
        if role:
            await release_role(hub, role, intent.device)
