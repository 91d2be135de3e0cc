"""Twin history: what a twin was, what changed it and who did, and where two of its versions differ.

Subjects   devicehub.twins.<device>.history, .at, .compare
Reads      devices, the kept revisions of desired and reported, and of wishes older than these the audit trail
"""

import asyncio
from datetime import datetime
from typing import Any

from functions.contract.messages import (
    TwinChange,
    TwinCompare,
    TwinComparison,
    TwinDifference,
    TwinHistory,
    TwinHistoryQuery,
    TwinMoment,
    TwinVersions,
    TwinView,
)
from functions.domain.audit import Trail
from functions.domain.documents import NOTHING
from functions.domain.faults import Malformed
from functions.domain.history import MAX_CHANGES, Change, Difference, Past, check_order, order_changes
from functions.domain.names import DeviceId
from functions.domain.twins import Half
from functions.domain.wishes import read_wish, recall
from functions.handlers.rewriting import value_of
from functions.handlers.twins import Twin, registered, view_of
from functions.ports import Call, Hub
from functions.storage import Kept

# A time, or the versions of both halves.
_Moment = datetime | tuple[int, int]

# Read from the audit trail for one question.
_MOST_WISHES = 1000
_ASKED_FOR = "'time', or 'desired' and 'reported'"


async def list_(call: Call[TwinHistoryQuery], hub: Hub) -> TwinHistory:
    """A page of the changes of a twin, newest first: 64 of reports, and of wishes what the audit trail has.

    Raises:
        NotFound: no such device.
    """
    asked = call.body
    desired, reported = await _read(call.device, hub)
    if desired.oldest is not None and asked.half != "reported":
        desired = await _recall(desired, call.device, hub)
    pasts = [past for past in (desired, reported) if asked.half in (past.half, None)]
    changes = order_changes(*(past.changes() for past in pasts))
    page = changes[asked.offset : asked.offset + asked.limit]
    return TwinHistory.model_construct(total=len(changes), changes=[_change(each) for each in page])


async def at(call: Call[TwinMoment], hub: Hub) -> TwinView:
    """The twin as it was at a time, or with given versions of both halves.

    Raises:
        NotFound: no such device; a version that never was; or what is asked
            for is not kept any more (``not_kept``).
        Malformed: neither a time nor two versions, or a time to come.
    """
    asked = call.body
    moment = _moment("", asked.time, asked.desired, asked.reported, hub.clock.now())
    if moment is None:
        raise Malformed(detail=f"Say which twin: {_ASKED_FOR}.")
    desired, reported = await _read(call.device, hub, moment)
    return view_of(call.device, Twin(*_as_it_was(moment, desired, reported)))


async def compare(call: Call[TwinCompare], hub: Hub) -> TwinComparison:
    """Where a twin differs from an earlier one, and who changed it there last.

    Raises:
        NotFound: as for ``at``.
        Malformed: as for ``at``; or the first twin is the later one.
    """
    asked, now = call.body, hub.clock.now()
    first = _moment("from", asked.from_time, asked.from_desired, asked.from_reported, now)
    last = _moment("to", asked.to_time, asked.to_desired, asked.to_reported, now)
    if first is None:
        raise Malformed(detail="Say which twin to begin with: 'fromTime', or 'fromDesired' and 'fromReported'.")
    desired, reported = await _read(call.device, hub, first, *([] if last is None else [last]))
    before = _as_it_was(first, desired, reported)
    after = (desired.newest, reported.newest) if last is None else _as_it_was(last, desired, reported)
    check_order(before, after)
    found = [*desired.compare(before[0], after[0]), *reported.compare(before[1], after[1])]
    return TwinComparison.model_construct(
        device_id=call.device,
        from_=_versions(before),
        to=_versions(after),
        total=len(found),
        differences=[_difference(each) for each in found[asked.offset : asked.offset + asked.limit]],
    )


async def _read(device: DeviceId, hub: Hub, *moments: _Moment) -> tuple[Past, Past]:
    """What is kept of both halves of a registered device, and of wishes as much more as the moments need.

    Raises:
        NotFound: no such device.
    """
    record, desired, reported = await asyncio.gather(
        hub.devices.get(device), hub.desired.history(device), hub.reported.history(device)
    )
    registered(value_of(record))
    wished = Past("desired", _halves(desired))
    if not all(wished.reaches(moment if isinstance(moment, datetime) else moment[0]) for moment in moments):
        wished = await _recall(wished, device, hub)
    return wished, Past("reported", _halves(reported), most=MAX_CHANGES)


async def _recall(desired: Past, device: DeviceId, hub: Hub) -> Past:
    """The desired half with its older versions, as far as the audit trail knows them."""
    if desired.oldest is None:
        return desired
    entries = await hub.audit.about(Trail.TWINS, "twin", device, most=_MOST_WISHES)
    wishes = [wish for wish in map(read_wish, entries) if wish is not None]
    return Past("desired", [*recall(desired.oldest, wishes), *desired.known])


def _moment(
    prefix: str, time: datetime | None, desired: int | None, reported: int | None, now: datetime
) -> _Moment | None:
    """A time, or the versions of both halves; None where nothing is given.

    Raises:
        Malformed: both are given, or one version alone, or a time to come.
    """
    names = [f"{prefix}{name.capitalize()}" if prefix else name for name in ("time", "desired", "reported")]
    if time is not None and (desired, reported) == (None, None):
        if time > now:
            raise Malformed(detail=f"{names[0]}: lies in the future", fields={names[0]: "lies in the future"})
        return time
    if time is None and desired is not None and reported is not None:
        return desired, reported
    given = {name for name, value in zip(names, (time, desired, reported), strict=True) if value is not None}
    if not given:
        return None
    wrong = f"give '{names[0]}', or '{names[1]}' and '{names[2]}'"
    raise Malformed(detail=f"Of one twin, {wrong}.", fields=dict.fromkeys(sorted(given), wrong))


def _as_it_was(moment: _Moment, desired: Past, reported: Past) -> tuple[Half, Half]:
    if isinstance(moment, datetime):
        return desired.at(moment), reported.at(moment)
    return desired.version(moment[0]), reported.version(moment[1])


def _change(change: Change) -> TwinChange:
    return TwinChange.model_construct(
        half=change.half, version=change.version, change=change.patch, by=change.by, timestamp=change.at
    )


def _difference(found: Difference) -> TwinDifference:
    told: dict[str, Any] = {"half": found.half, "path": found.path}
    if found.before is not NOTHING:
        told["before"] = found.before
    if found.after is not NOTHING:
        told["after"] = found.after
    if found.last is not None:
        told |= {"version": found.last.version, "by": found.last.by, "timestamp": found.last.at}
    # What is not set is not sent.
    return TwinDifference.model_construct(**told)


def _versions(halves: tuple[Half, Half]) -> TwinVersions:
    return TwinVersions.model_construct(desired=halves[0].version, reported=halves[1].version)


def _halves(kept: list[Kept[Half]]) -> list[Half]:
    return [each.value for each in kept]
