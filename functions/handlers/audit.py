"""Audit functions: who did what, to what, and from where.

Subjects   devicehub.audit.query, devicehub.audit.export, devicehub.audit.refused
Reads      the audit trail's index alone
"""

from dataclasses import replace

from functions.contract.messages import (
    AuditExport,
    AuditFilter,
    AuditLines,
    AuditList,
    AuditQuery,
    AuditView,
    Done,
    Encoded,
    RefusalReport,
)
from functions.domain.audit import UNNAMED, AuditEntry, AuditWanted, Outcome, is_origin, parse_target
from functions.domain.faults import Malformed
from functions.domain.refusals import Refusal
from functions.handlers.refusing import write
from functions.ports import Call, Hub

# Of an answer's part; one entry alone may have more.
_ENOUGH_BYTES = 192 * 1024


async def query(call: Call[AuditQuery], hub: Hub) -> AuditList:
    """A page of the entries for which all holds that is asked, and how many there are in all.

    Raises:
        Unavailable: the trail is still being read; ask again in a moment.
    """
    asked = call.body
    wanted = replace(_wanted(asked), oldest_first=asked.sort == "at", limit=asked.limit, offset=asked.offset)
    page = await hub.trails.find(wanted)
    return AuditList(total=page.total, entries=[_view(one) for one in page.entries])


async def export(call: Call[AuditExport], hub: Hub) -> Encoded[AuditLines]:
    """A part of all entries that are asked for, oldest first; what is written meanwhile comes at the end.

    Raises:
        Unavailable: the trail is still being read; ask again in a moment.
    """
    asked = call.body
    wanted = replace(_wanted(asked), oldest_first=True, limit=asked.limit, past=asked.after)
    found = await hub.trails.walk(wanted)
    lines: list[bytes] = []
    size = 0
    for one in found:
        line = _view(one).encode()
        size += len(line)
        if lines and size > _ENOUGH_BYTES:
            break
        lines.append(line)
    is_all = len(lines) == len(found) < asked.limit
    last = b"null" if is_all else b'"%s"' % found[len(lines) - 1].id.encode()
    return Encoded(b'{"next":%s,"lines":[%s]}' % (last, b",".join(lines)))


async def refused(call: Call[RefusalReport], hub: Hub) -> Done:
    """Write down what the gateway refused before it called any function; it sums them, so each comes once.

    Raises:
        Malformed: an origin has another form.
        Unavailable: it cannot be kept now.
    """
    told = [
        Refusal(
            actor=one.actor,
            origin=one.origin,
            function=UNNAMED,
            what=one.what,
            error=one.error,
            why=one.why,
            call=one.call,
            since=one.since,
            until=one.until,
            count=one.count,
        )
        for one in call.body.refusals
    ]
    if not all(is_origin(one.origin) for one in told):
        raise Malformed(detail="An origin has another form.")
    await write(hub, told)
    return Done()


def _wanted(asked: AuditFilter) -> AuditWanted:
    kind, target = parse_target(asked.target)
    return AuditWanted(
        actor=asked.actor,
        action=asked.action,
        kind=kind,
        target=target,
        after=asked.start_time,
        before=asked.end_time,
        outcome=None if asked.outcome is None else Outcome(asked.outcome),
    )


def _view(one: AuditEntry) -> AuditView:
    return AuditView(
        id=one.id,
        at=one.at,
        action=one.action,
        actor=one.actor,
        origin=one.origin,
        call=one.call,
        kind=one.kind,
        target=one.target,
        before=one.before,
        after=one.after,
        cut=list(one.cut),
        outcome=one.outcome.value,
    )
