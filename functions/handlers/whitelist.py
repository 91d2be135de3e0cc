"""Whitelist functions: which hardware may join while the whitelist is enforced.

A UUID is kept only as its keyed hash, which is the entry's id, with its last
four characters for a reader to recognise it by. Every gate reads the entry
itself, so one that is disabled or removed lets nobody in from then on.

Subjects   devicehub.whitelist.create, .batch, .list,
           devicehub.whitelist.entries.<id>.update, .remove
Writes     whitelist
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from functions.contract.messages import (
    Done,
    Nothing,
    WhitelistBatch,
    WhitelistCreate,
    WhitelistFact,
    WhitelistPage,
    WhitelistQuery,
    WhitelistReport,
    WhitelistUpdate,
)
from functions.contract.whitelisting import report
from functions.domain.audit import UNNAMED, AuditEntry
from functions.domain.enrolment import Whitelisted
from functions.domain.faults import Conflict, Malformed, NotFound, Reason
from functions.domain.inventory import parse_sorts
from functions.domain.names import hardware_uuid
from functions.domain.whitelist import SORTABLE, Line, Result, Verdict, Wanted, judge, line_of, select
from functions.handlers.auditing import make, record, record_all
from functions.handlers.issuing import lost_races_can_be_retried
from functions.handlers.rewriting import amend, value_of
from functions.ports import Call, Hub
from functions.storage import Page

_ATTEMPTS = 5
_DISABLED = "it is disabled"
# Of a batch in the audit trail.
_SHOWN_HINTS = 20


async def create(call: Call[WhitelistCreate], hub: Hub) -> WhitelistFact:
    """Put one hardware UUID on the whitelist; a repeat of the same call is answered as before.

    Raises:
        Malformed: it is no hardware UUID.
        Conflict: ``already_whitelisted``: it is there with other facts, or disabled.
    """
    body = call.body
    line = Line(1, hardware_uuid(body.uuid), body.note, body.hardware_version, body.manufacturer)
    entry = _entry(line, hub)
    told = make(hub, call, "whitelist.added", entry.uuid_hash, after=_shown(entry))
    try:
        await hub.whitelist.create(entry.uuid_hash, entry, pledge=told)
    except Conflict:
        kept = value_of(await hub.whitelist.get(entry.uuid_hash))
        if kept is None or _facts(kept) != _facts(entry):
            raise Conflict(
                Reason.ALREADY_WHITELISTED,
                f"The UUID is on the whitelist already, as the entry {entry.uuid_hash}. Change that one.",
            ) from None
        return _view(kept)
    await record_all(hub, [told])
    return _view(entry)


async def batch(call: Call[WhitelistBatch], hub: Hub) -> WhitelistReport:
    """Put many on the whitelist, and tell of each line what became of it; with a dry run, what would.

    A line that is wrong, or names a UUID that an earlier one names, keeps none
    of the others out; an entry that is there is left as it is. Safe to repeat:
    after a fault, the same call adds what is missing.
    """
    judged = judge(line_of(number, cells) for number, cells in enumerate(call.body.lines, start=1))

    dry_run = call.body.dry_run
    entries = [_entry(line, hub) for line in judged.good]
    wanted = {entry.uuid_hash: entry for entry in entries}
    with lost_races_can_be_retried():
        there = await (hub.whitelist.get_all(wanted) if dry_run else hub.whitelist.create_all(wanted))
    verdicts = [
        _verdict(line, value_of(there.get(entry.uuid_hash))) for line, entry in zip(judged.good, entries, strict=True)
    ]
    told = report([*judged.others, *verdicts], dry_run=dry_run)
    if told.added and not dry_run:
        await _record_batch(call, judged.good, told, hub)
    return told


async def list_(call: Call[WhitelistQuery], hub: Hub) -> WhitelistPage:
    """A page of the wanted entries, the newest first unless sorted otherwise, and how many there are in all.

    Raises:
        Malformed: what is to be sorted by is no field, or the UUID none.
    """
    query = call.body
    wanted = Wanted(
        q=query.q,
        key=hub.hasher.hash(hardware_uuid(query.uuid)) if query.uuid is not None else None,
        is_disabled=None if query.state is None else query.state == "disabled",
        is_used=query.used,
        sorts=parse_sorts(query.sort, SORTABLE, "The whitelist") if query.sort else (),
    )
    if wanted.key is not None:
        kept = value_of(await hub.whitelist.get(wanted.key))
        one = select([kept] if kept is not None else [], wanted)
        found = Page(one[query.offset : query.offset + query.limit], len(one))
    else:
        found = await hub.whitelist_index.find(wanted, query.limit, query.offset)
    return WhitelistPage(total=found.total, entries=[_view(entry) for entry in found.entries])


async def update(call: Call[WhitelistUpdate], hub: Hub) -> WhitelistFact:
    """Disable or enable an entry, or change what is noted of it; what is not given stays.

    Raises:
        Malformed: nothing is to be changed.
        NotFound: there is no such entry.
    """
    changes = call.body.model_dump(exclude_none=True)
    if not changes:
        raise Malformed(detail="Give 'disabled', 'note', 'hardwareVersion' or 'manufacturer'.")

    def told(found: Whitelisted, _: Whitelisted) -> AuditEntry:
        before = {name: getattr(found, name) for name in changes}
        return make(hub, call, "whitelist.changed", call.names[0], before=before, after=changes)

    written = await amend(hub.whitelist, call.names[0], lambda entry: replace(entry, **changes), tell=told)
    if written is None:
        raise _unknown()
    await record_all(hub, written.entries)
    return _view(written.value)


async def remove(call: Call[Nothing], hub: Hub) -> Done:
    """Take an entry off the whitelist. Devices that joined by it stay.

    Raises:
        NotFound: there is no such entry.
        Conflict: devices joined by it at every attempt.
    """
    lost: Conflict | None = None
    for _ in range(_ATTEMPTS):
        kept = await hub.whitelist.get(call.names[0])
        if kept is None:
            raise _unknown()
        told = make(hub, call, "whitelist.removed", call.names[0], before=_shown(kept.value))
        try:
            await hub.whitelist.remove(call.names[0], expect=kept.revision, pledge=told)
        except Conflict as conflict:
            lost = conflict
            continue
        await record_all(hub, [told])
        return Done()
    raise Conflict(detail="The entry was used at every attempt to remove it. Try again in a moment.") from lost


def _verdict(line: Line, kept: Whitelisted | None) -> Verdict:
    if kept is None:
        return Verdict(line.number, Result.ADDED)
    return Verdict(line.number, Result.PRESENT, _DISABLED if kept.disabled else "")


async def _record_batch(call: Call[WhitelistBatch], lines: Sequence[Line], told: WhitelistReport, hub: Hub) -> None:
    hints = [line.hint for line in islice(lines, _SHOWN_HINTS)]
    after = {"added": told.added, "present": told.present, "hints": hints}
    await record(hub, call, "whitelist.added", UNNAMED, after=after)


def _entry(line: Line, hub: Hub) -> Whitelisted:
    return Whitelisted(
        hub.hasher.hash(line.uuid),
        hint=line.hint,
        added_at=hub.clock.now(),
        note=line.note,
        hardware_version=line.hardware_version,
        manufacturer=line.manufacturer,
    )


def _facts(entry: Whitelisted) -> tuple[object, ...]:
    """What whoever puts an entry there says of it."""
    return (entry.note, entry.hardware_version, entry.manufacturer, entry.disabled)


def _shown(entry: Whitelisted) -> dict[str, Any]:
    """What the audit trail has of an entry."""
    return {
        "hint": entry.hint,
        "note": entry.note,
        "hardwareVersion": entry.hardware_version,
        "manufacturer": entry.manufacturer,
        "disabled": entry.disabled,
    }


def _unknown() -> NotFound:
    return NotFound(detail="The whitelist has no such entry.")


def _view(entry: Whitelisted) -> WhitelistFact:
    return WhitelistFact(
        id=entry.uuid_hash,
        hint=entry.hint,
        note=entry.note,
        hardware_version=entry.hardware_version,
        manufacturer=entry.manufacturer,
        disabled=entry.disabled,
        added_at=entry.added_at,
        first_used_at=entry.first_used_at,
        last_used_at=entry.last_used_at,
    )
