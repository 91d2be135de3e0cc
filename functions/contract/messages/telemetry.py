"""Messages of what devices say of themselves: telemetry, events, heartbeats; and of questions for that."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, RootModel

from functions.contract.messages.base import FromDevice, GroupName, Message, Request, Time

_Device = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_EventType = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Limit = Annotated[int, Field(ge=1, le=1000)]
_Offset = Annotated[int, Field(ge=0, le=10_000_000)]


class Telemetry(FromDevice):
    """Any JSON object; ``timestamp`` (ISO 8601 or milliseconds) is the device's time."""

    model_config = ConfigDict(extra="allow")

    timestamp: Any = None


class DeviceEvent(RootModel[JsonValue]):
    """Any JSON, on ``events/{type}`` and ``messages/events``."""

    model_config = ConfigDict(strict=True, frozen=True)


class Heartbeat(FromDevice):
    """Evidence of presence; nothing of it is kept."""

    timestamp: Any = None


class TelemetryFilter(Request):
    """Of which devices (one by id or role, or those of a group), and of which time; its end is not in it."""

    device_id: _Device | None = None
    group: GroupName | None = None
    start_time: Time | None = None
    end_time: Time | None = None


class TelemetryQuery(TelemetryFilter):
    """A question for telemetry, newest first.

    With an ``aggregation``, for its numbers over hours or days (UTC); with
    ``points`` over longer spans, whole multiples of these, so that the time
    has no more than so many of them.
    """

    limit: _Limit = 100
    offset: _Offset = 0
    aggregation: Literal["none", "hourly", "daily"] = "none"
    points: Annotated[int, Field(ge=1, le=1000)] | None = None


class EventQuery(TelemetryFilter):
    """A question for events, newest first."""

    event_type: _EventType | None = None
    limit: _Limit = 100
    offset: _Offset = 0


class TelemetryView(Message):
    """What a device measured; ``data`` is any JSON, or in base64 what was none (``encoding``).

    ``timestamp`` is the device's time where that can be, else the hub's. Of an
    aggregation, it is the beginning of the span, and ``data`` has for each key
    ``{min, max, mean, last, count}``.
    """

    device_id: str
    timestamp: datetime
    data: JsonValue
    hub_time: datetime | None = None
    device_time: datetime | None = None
    encoding: Literal["base64"] | None = None


class EventView(Message):
    """What happened to a device; fields as in ``TelemetryView``."""

    device_id: str
    event_type: str
    timestamp: datetime
    data: JsonValue
    hub_time: datetime
    device_time: datetime | None = None
    encoding: Literal["base64"] | None = None


class TelemetryPage(Message):
    """A page of telemetry, and how much matches in all; it may end early, where messages are large."""

    total: int
    entries: list[TelemetryView]


class EventPage(Message):
    """A page of events, and how many match in all; it may end early, where messages are large."""

    total: int
    entries: list[EventView]


class LatestValue(Message):
    """The newest value of a key, and when it was."""

    value: JsonValue
    timestamp: datetime


class TelemetryLatest(Message):
    """The newest value of each key that a device has sent; keys inside others with dots between."""

    device_id: str
    values: dict[str, LatestValue]


class TelemetryReport(Request):
    """What was measured of a device that cannot send it; ``timestamp`` in it is its time, as of a device."""

    device_id: _Device
    data: dict[str, JsonValue]


class TelemetryExport(TelemetryFilter):
    """Asks for a part of all messages, oldest first, that come after a place in them."""

    kind: Literal["telemetry", "events"] = "telemetry"
    event_type: _EventType | None = None
    after: Annotated[str, Field(max_length=128, pattern=r"^([0-9]{1,19}/[A-Za-z0-9_-]{1,64}/[0-9]{1,19})?$")] = ""
    limit: _Limit = 1000


class TelemetryLines(Message):
    """A part of an export; there is more if ``next`` is a place. Lines are ``TelemetryView`` or ``EventView``."""

    next: str | None
    lines: list[JsonValue]
