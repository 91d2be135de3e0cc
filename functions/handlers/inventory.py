"""Inventory functions: pages of devices, and counts of those for whom a query holds.

Subjects   devicehub.registry.query, .ids, .facets, .stats
Reads      the index alone; names too, where ``atLeast`` names a device by its role
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from functions.contract.messages import (
    DeviceFilter,
    DevicePage,
    Encoded,
    FacetQuery,
    Facets,
    FleetQuery,
    FleetStats,
    IdPage,
    IdQuery,
    RegistryQuery,
)
from functions.contract.views import join_page
from functions.domain.grammar import parse_query
from functions.domain.inventory import DeviceQuery, Status, Written, parse_sorts, parse_tag, parse_written, sortable
from functions.domain.names import id_key
from functions.domain.query import All, Compare, Condition, Field, Is, Sign, exactly
from functions.handlers.rewriting import value_of
from functions.ports import Call, Hub

# Of groups, models and tags, each as many as a page can show.
_MOST_FACETS = 100
_MOST_STATS = 1000

# Pages ask the same again and again.
_parse = lru_cache(maxsize=256)(parse_query)


async def query(call: Call[RegistryQuery], hub: Hub) -> Encoded[DevicePage]:
    """A page of the devices for which all holds that is asked, and how many there are in all.

    Raises:
        Malformed: the query cannot be read or answered, a field to sort by
            does not exist, or a tag has no key.
        Unavailable: a revision that must be known has not come in time.
    """
    asked = call.body
    page = await hub.index.query(
        DeviceQuery(
            where=condition_of(asked, hub.index.paths),
            sorts=parse_sorts(asked.sort, sortable(hub.index.paths)),
            limit=asked.limit,
            offset=asked.offset,
            at_least=tuple([await _by_id(parse_written(one), hub) for one in asked.at_least]),
        )
    )
    return Encoded(join_page(page.entries, page.total))


async def ids(call: Call[IdQuery], hub: Hub) -> IdPage:
    """The ids of the devices for which all holds that is asked, in order.

    Raises:
        Malformed: as for ``query``.
    """
    where, limit = condition_of(call.body, hub.index.paths), call.body.limit
    found = await hub.index.ids(where, after=call.body.after, limit=limit)
    return IdPage(devices=found, next=found[-1] if len(found) == limit else None)


async def facets(call: Call[FacetQuery], hub: Hub) -> Facets:
    """How many devices there are by status, group, model and tag, of those for which all holds that is asked.

    Raises:
        Malformed: as for ``query``.
    """
    where = condition_of(call.body, hub.index.paths)
    counts = await hub.index.count(where, drifted_for=timedelta(), most=_MOST_FACETS)
    return Facets(
        total=counts.total,
        status={str(status): size for status, size in counts.by_status.items()},
        group=counts.by_group,
        model=counts.by_model,
        tag=counts.by_tag,
    )


async def stats(call: Call[FleetQuery], hub: Hub) -> FleetStats:
    """How many devices there are, but for the retired, by connection, and by the 1,000 largest groups and models."""
    drifted_for = timedelta(seconds=call.body.out_of_sync_seconds)
    counts = await hub.index.count(All(), drifted_for=drifted_for, most=_MOST_STATS)
    return FleetStats(
        total=counts.total,
        online=counts.by_status.get(Status.ONLINE, 0),
        offline=counts.by_status.get(Status.OFFLINE, 0),
        never_seen=counts.by_status.get(Status.UNKNOWN, 0),
        by_group=counts.by_group,
        by_model=counts.by_model,
        out_of_sync=counts.out_of_sync,
        retired=counts.retired,
    )


async def _by_id(written: Written, hub: Hub) -> Written:
    """What was written, by the id of the device: its role, which its view calls ``deviceId``, lies elsewhere."""
    if hub.roster.is_active(written.device):
        return written
    reserved = value_of(await hub.names.get(id_key(written.device)))
    return written if reserved is None or reserved.role is None else replace(written, device=reserved.device)


def condition_of(asked: DeviceFilter, paths: tuple[str, ...]) -> Condition:
    """What the query and the other parameters say together.

    Raises:
        Malformed: the query cannot be read, or a tag has no key.
    """
    return All((_parse(asked.q, paths=paths), *_parameters(asked)))


def _parameters(asked: DeviceFilter) -> Iterator[Condition]:
    if asked.status is not None:
        yield Is(Field.STATUS, exactly(asked.status))
    if asked.model is not None:
        yield Is(Field.MODEL, exactly(asked.model))
    for group in asked.group:
        yield Is(Field.GROUP, exactly(group))
    yield from map(parse_tag, asked.tag)
    if asked.last_seen_after is not None:
        yield Compare(Field.LAST_SEEN, Sign.MORE, _in_utc(asked.last_seen_after))
    if asked.last_seen_before is not None:
        yield Compare(Field.LAST_SEEN, Sign.LESS, _in_utc(asked.last_seen_before))


def _in_utc(moment: datetime) -> datetime:
    """A time that names no zone is in UTC, as every time of the interface."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
