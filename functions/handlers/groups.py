"""Group functions: the groups there are, and those that are a query's answer.

Subjects   devicehub.registry.groups.list, .create, devicehub.registry.groups.<group>.update, .delete
Reads      groups, devices (through the index)
Writes     groups

A device's own groups stand in its record; a group without query need not be
made before a device can be in it. Made, it stays when the last device leaves.
"""

from dataclasses import asdict

from functions.contract.messages import (
    Done,
    GroupCreate,
    GroupFact,
    GroupList,
    GroupQuery,
    GroupUpdate,
    Nothing,
)
from functions.domain.audit import AuditEntry
from functions.domain.faults import Conflict, NotFound, Reason
from functions.domain.groups import SORTABLE, Group, check_query, check_room, group_name, requery, saved
from functions.domain.inventory import parse_sorts
from functions.handlers.auditing import make, record_all
from functions.handlers.rewriting import rewrite
from functions.ports import Call, Hub


async def list_(call: Call[GroupQuery], hub: Hub) -> GroupList:
    """A page of the groups that a device is in or that were made, with how many devices each has but for the retired.

    Raises:
        Malformed: a field to sort by does not exist.
    """
    asked = call.body
    sorts = parse_sorts(asked.sort, SORTABLE, "Groups")
    made = {group.name: group for group in await _made(hub)}
    sizes = {**dict.fromkeys(made, 0), **await hub.index.group_sizes()}
    found = sorted(sizes, reverse=bool(sorts) and sorts[-1].descending)
    for sort in reversed(sorts):
        # Each leaves the order of equals as it was.
        found.sort(key=sizes.__getitem__ if sort.field == "device_count" else str, reverse=sort.descending)
    part = found[asked.offset : asked.offset + asked.limit]
    return GroupList(total=len(found), groups=[_fact(name, made.get(name), sizes[name], hub) for name in part])


async def create(call: Call[GroupCreate], hub: Hub) -> GroupFact:
    """Make a group; with a query it is dynamic, and its members are those for whom the query holds.

    Devices that name the group in their record are in it besides. Within the
    query, ``group:`` means the groups of records alone.

    Raises:
        Malformed: the name is none, the query cannot be read, or is more work than it may be (``query_too_costly``).
        Conflict: it was made already (``name_taken``), or there are as many as may be (``group_limit``).
    """
    name, query = group_name(call.body.group), call.body.query
    check_query(query, hub.index.paths)
    check_room(await _made(hub), name, query)
    now = hub.clock.now()
    group = Group(name, now, now, query)
    # Before it is kept, as whoever counts groups asks it too.
    size = await _size(group, hub)
    told = make(hub, call, "group.created", name, after=asdict(group))
    try:
        await hub.groups.create(name, group, pledge=told)
    except Conflict:
        sentence = f"A group named '{name}' was made already. Take another name, or give that one another query."
        raise Conflict(Reason.NAME_TAKEN, sentence) from None
    await record_all(hub, [told])
    return _fact(name, group, size, hub)


async def update(call: Call[GroupUpdate], hub: Hub) -> GroupFact:
    """Give a group that was made another query; with null it is one that devices name themselves.

    Raises:
        Malformed: the query cannot be read, or is more work than it may be.
        NotFound: no group of this name was made.
        Conflict: there are as many dynamic groups as may be (``group_limit``).
    """
    name, query = call.names[0], call.body.query
    check_query(query, hub.index.paths)
    check_room(await _made(hub), name, query)
    now = hub.clock.now()
    size = await _size(Group(name, now, now, query), hub)

    def told(before: Group | None, after: Group) -> AuditEntry:
        return make(hub, call, "group.changed", name, before=before and asdict(before), after=asdict(after))

    written = await rewrite(hub.groups, name, lambda group: requery(group, query, now), tell=told)
    await record_all(hub, written.entries)
    return _fact(name, written.value, size, hub)


async def delete(call: Call[Nothing], hub: Hub) -> Done:
    """Delete a group that was made, and that no device names in its record.

    Raises:
        NotFound: there is no such group.
        Conflict: devices name it (``group_in_use``), or others changed it at the same moment.
    """
    name = call.names[0]
    kept = await hub.groups.get(name)
    members = await hub.index.members(name)
    if members:
        sentence = f"{members} devices name '{name}' in their records. Take them out of it first."
        raise Conflict(Reason.GROUP_IN_USE, sentence)
    if kept is None:
        raise NotFound(detail="There is no group of this name. 'devicehub group list' shows them.")
    told = make(hub, call, "group.deleted", name, before=asdict(kept.value))
    await hub.groups.remove(name, expect=kept.revision, pledge=told)
    await record_all(hub, [told])
    return Done()


async def _made(hub: Hub) -> list[Group]:
    return [kept.value async for _, kept in hub.groups.entries()]


async def _size(group: Group, hub: Hub) -> int:
    """How many devices a group has that the index may not know yet. Raises Malformed where its query is too much."""
    return await hub.index.group_size(group.name, saved(group, hub.index.paths))


def _fact(name: str, group: Group | None, size: int, hub: Hub) -> GroupFact:
    if group is None or group.query is None:
        return GroupFact(group=name, device_count=size)
    asked = saved(group, hub.index.paths)
    if asked is not None and asked.wrong:
        return GroupFact(group=name, device_count=size, query=group.query, wrong=asked.wrong)
    return GroupFact(group=name, device_count=size, query=group.query)
