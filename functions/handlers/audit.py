"""Audit functions: who did what, to what, and from where.

Subjects   devicehub.audit.query
Reads      the audit trail's index alone
"""

from functions.contract.messages import AuditList, AuditQuery, AuditView
from functions.domain.audit import AuditEntry, AuditWanted, parse_target
from functions.ports import Call, Hub


async def query(call: Call[AuditQuery], hub: Hub) -> AuditList:
    """A page of the entries for which all holds that is asked, and how many there are in all.

    Raises:
        Unavailable: the trail is still being read; ask again in a moment.
    """
    asked = call.body
    kind, target = parse_target(asked.target)
    page = await hub.trails.find(
        AuditWanted(
            actor=asked.actor,
            action=asked.action,
            kind=kind,
            target=target,
            after=asked.start_time,
            before=asked.end_time,
            oldest_first=asked.sort == "at",
            limit=asked.limit,
            offset=asked.offset,
        )
    )
    return AuditList(total=page.total, entries=[_view(one) for one in page.entries])


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
    )
