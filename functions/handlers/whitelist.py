"""Whitelist functions: which hardware may join while the whitelist is enforced.

A UUID is kept only as its keyed hash, with its last four characters for a
reader to recognise it by.

Subjects   devicehub.whitelist.add, .list
Writes     whitelist
"""

import asyncio
from itertools import islice

from functions.contract.messages import Nothing, WhitelistAdd, WhitelistAdded, WhitelistFact, WhitelistView
from functions.domain.audit import UNNAMED
from functions.domain.enrolment import Enrolment, Whitelisted
from functions.domain.faults import Conflict
from functions.domain.names import hardware_uuid
from functions.handlers.auditing import record
from functions.handlers.gates import ENROLMENT
from functions.ports import Call, Hub

# Writes at once. One after the other, 10,000 durable writes of 0.5 ms and more
# would take most of the time that the call has.
_AT_ONCE = 64
_HINT_CHARACTERS = 4
# Of a batch in the audit trail.
_SHOWN_HINTS = 20


async def add(call: Call[WhitelistAdd], hub: Hub) -> WhitelistAdded:
    """Add hardware UUIDs; one already there, or named twice, is left as it is.

    Safe to repeat: after a fault, the same call adds what is missing.

    Raises:
        Malformed: one of them is no hardware UUID; then none is added.
    """
    now = hub.clock.now()
    entries: dict[str, Whitelisted] = {}
    for text in call.body.uuids:
        uuid = hardware_uuid(text)
        key = hub.hasher.hash(uuid)
        entries[key] = Whitelisted(key, hint=uuid[-_HINT_CHARACTERS:], added_at=now, note=call.body.note)
    left = iter(entries.values())
    added = 0
    while batch := list(islice(left, _AT_ONCE)):
        done = await asyncio.gather(*(_add(entry, hub) for entry in batch), return_exceptions=True)
        for result in done:
            # Only once all are done, so that none goes on after the reply.
            if isinstance(result, BaseException):
                raise result
            added += result
    if added:
        target = next(iter(entries)) if len(entries) == 1 else UNNAMED
        hints = [entry.hint for entry in islice(entries.values(), _SHOWN_HINTS)]
        facts = {"added": added, "present": len(entries) - added, "hints": hints, "note": call.body.note}
        await record(hub, call, "whitelist.added", target, after=facts)
    return WhitelistAdded(added=added, present=len(call.body.uuids) - added)


async def list_(call: Call[Nothing], hub: Hub) -> WhitelistView:
    """The whole whitelist, the newest entries first."""
    settings = await hub.enrolment.get(ENROLMENT)
    enrolment = settings.value if settings is not None else Enrolment()
    entries = [kept.value async for _, kept in hub.whitelist.entries()]
    entries.sort(key=lambda entry: (entry.added_at, entry.uuid_hash), reverse=True)
    return WhitelistView(enforced=enrolment.whitelist_enforced, entries=[_fact(entry) for entry in entries])


async def _add(entry: Whitelisted, hub: Hub) -> bool:
    try:
        await hub.whitelist.create(entry.uuid_hash, entry)
    except Conflict:
        return False
    return True


def _fact(entry: Whitelisted) -> WhitelistFact:
    return WhitelistFact(
        uuid_hash=entry.uuid_hash,
        hint=entry.hint,
        note=entry.note,
        disabled=entry.disabled,
        added_at=entry.added_at,
        first_used_at=entry.first_used_at,
        last_used_at=entry.last_used_at,
    )
