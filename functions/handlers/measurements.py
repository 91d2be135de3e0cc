"""Telemetry and events asked for, exported, and told for devices that cannot.

Subjects   devicehub.telemetry.query, .export, .report, devicehub.telemetry.<device>.latest, devicehub.events.query
Reads      the telemetry store, names, devices; the index for the devices of a group
Appends    devicehub.stored.telemetry.<shard>.<device>
"""

from dataclasses import replace

import orjson

from functions.contract.measured import latest_view, message_view, span_view
from functions.contract.messages import (
    Done,
    Encoded,
    EventPage,
    EventQuery,
    Nothing,
    TelemetryExport,
    TelemetryFilter,
    TelemetryLatest,
    TelemetryLines,
    TelemetryPage,
    TelemetryQuery,
    TelemetryReport,
)
from functions.contract.subjects import CALLER, TIME
from functions.contract.views import join_page
from functions.domain.devices import admit
from functions.domain.faults import Malformed, NotFound, Reason
from functions.domain.names import DeviceId
from functions.domain.query import Field, Is, exactly
from functions.domain.telemetry import (
    Aggregation,
    Cursor,
    Kind,
    TelemetryWanted,
    milliseconds_of,
    span_for,
    spans,
)
from functions.handlers.live import id_of
from functions.handlers.rewriting import value_of
from functions.ports import Call, Hub

# Of an answer's payloads; what is no JSON becomes a third longer. A server takes 1 MiB unless set otherwise.
_ENOUGH_BYTES = 640 * 1024
_MOST_MEMBERS = 10_000
_FOR_EVER = 2**62


async def query(call: Call[TelemetryQuery], hub: Hub) -> Encoded[TelemetryPage]:
    """A page of telemetry, newest first, or of its numbers over hours or days.

    Raises:
        NotFound: no such device.
        Malformed: device and group at once, ``points`` without aggregation, a
            group of too many devices, too many numbers for one answer.
        Unavailable: it takes too long, or the store cannot be used now.
    """
    asked = call.body
    if asked.aggregation != "none":
        return await _numbers(asked, hub)
    if asked.points is not None:
        raise _wrong("points", "can be given with an aggregation, hourly or daily")
    return Encoded(await _page(asked, Kind.TELEMETRY, None, hub))


async def events(call: Call[EventQuery], hub: Hub) -> Encoded[EventPage]:
    """A page of events, newest first.

    Raises:
        NotFound, Malformed, Unavailable: as for ``query``.
    """
    return Encoded(await _page(call.body, Kind.EVENTS, call.body.event_type, hub))


async def latest(call: Call[Nothing], hub: Hub) -> Encoded[TelemetryLatest]:
    """The newest value of each key that a device has sent.

    Raises:
        NotFound: no such device.
        Unavailable: the store cannot be used now.
    """
    device = await _device(call.names[0], hub)
    return Encoded(latest_view(device, await hub.telemetry.latest(device)))


async def report(call: Call[TelemetryReport], hub: Hub) -> Done:
    """Keep measurements of a device that cannot send them itself; they are durable when it returns.

    Repeated, they are kept twice, as a device's own are.

    Raises:
        NotFound: no such device.
        Denied: it is suspended or retired.
    """
    device = await _device(call.body.device_id, hub)
    admit(value_of(await hub.devices.get(device)))
    headers = {TIME: str(milliseconds_of(hub.clock.now())), CALLER: str(call.caller)}
    await hub.streams.append("telemetry", DeviceId(device), orjson.dumps(call.body.data), headers)
    return Done()


async def export(call: Call[TelemetryExport], hub: Hub) -> Encoded[TelemetryLines]:
    """A part of all messages, oldest first; what comes meanwhile is in it where its time is still to come.

    Raises:
        NotFound, Malformed, Unavailable: as for ``query``.
    """
    asked, kind = call.body, Kind(call.body.kind)
    wanted = replace(
        await _wanted(asked, kind, hub),
        type=asked.event_type,
        limit=asked.limit,
        most_bytes=_ENOUGH_BYTES,
        oldest_first=True,
        after=_cursor(asked.after),
    )
    found = await hub.telemetry.find(wanted)
    last = b'"%d/%b/%d"' % (found[-1].at, found[-1].device.encode(), found[-1].place) if found else b"null"
    return Encoded(b'{"next":%b,"lines":[%b]}' % (last, b",".join(message_view(one, kind) for one in found)))


async def _page(asked: TelemetryQuery | EventQuery, kind: Kind, event_type: str | None, hub: Hub) -> bytes:
    wanted = replace(
        await _wanted(asked, kind, hub),
        type=event_type,
        limit=asked.limit,
        offset=asked.offset,
        most_bytes=_ENOUGH_BYTES,
    )
    found = await hub.telemetry.find(wanted)
    total = await hub.telemetry.count(wanted)
    return join_page((message_view(one, kind) for one in found), total, b"entries")


async def _numbers(asked: TelemetryQuery, hub: Hub) -> Encoded[TelemetryPage]:
    wanted = await _wanted(asked, Kind.TELEMETRY, hub)
    unit = Aggregation(asked.aggregation).milliseconds
    begin = wanted.begin - wanted.begin % unit
    rows = await hub.telemetry.spans(wanted.devices, begin, wanted.end)
    times = [row.at for row in rows] or [begin]
    found = spans(rows, span_for(asked.points, unit, min(times), max(times)))
    page = found[asked.offset : asked.offset + asked.limit]
    return Encoded(join_page(map(span_view, page), len(found), b"entries"))


async def _wanted(asked: TelemetryFilter, kind: Kind, hub: Hub) -> TelemetryWanted:
    """Which devices are meant, and of which time."""
    return TelemetryWanted(
        kind=kind,
        devices=await _devices(asked, hub),
        begin=0 if asked.start_time is None else max(0, milliseconds_of(asked.start_time)),
        end=_FOR_EVER if asked.end_time is None else max(0, milliseconds_of(asked.end_time)),
    )


async def _devices(asked: TelemetryFilter, hub: Hub) -> tuple[str, ...] | None:
    if asked.device_id is not None:
        if asked.group is not None:
            raise _wrong("group", "cannot be given together with deviceId")
        return (await _device(asked.device_id, hub),)
    if asked.group is None:
        return None
    found = await hub.index.ids(Is(Field.GROUP, exactly(asked.group)), after="", limit=_MOST_MEMBERS + 1)
    if len(found) > _MOST_MEMBERS:
        raise _wrong("group", f"has more than {_MOST_MEMBERS} devices; ask for its devices one by one, or for all")
    return tuple(found)


async def _device(name: str, hub: Hub) -> str:
    """The id of a device that is named by its id or its role; of one that is retired too."""
    if hub.roster.is_active(name) or await hub.devices.get(name) is not None:
        return name
    device = await id_of(name, hub)
    if device == name:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    return device


def _cursor(text: str) -> Cursor | None:
    if not text:
        return None
    at, device, place = text.split("/")
    return Cursor(int(at), device, int(place))


def _wrong(name: str, told: str) -> Malformed:
    return Malformed(detail=f"{name}: {told}", fields={name: told})
