"""Telemetry and events into their streams; heartbeats and status as evidence of presence.

Subjects   devicehub.devices.<device>.telemetry, .events.<type>, .messages.events, .heartbeat, .status
Appends    devicehub.stored.telemetry.<shard>.<device>, devicehub.stored.events.<shard>.<device>

What is appended is the payload as the device sent it, also where it is no
JSON: it may be all that a device can say. Its headers say when the hub took
it, and when the device says it was, in milliseconds since 1970.
"""

from contextlib import suppress
from typing import Any

from pydantic import JsonValue
from pydantic_core import from_json

from functions.contract.messages import DeviceEvent, Done, Heartbeat, Telemetry
from functions.contract.subjects import DEVICE_TIME, TIME, TYPE
from functions.domain.checks import DEVICE_AHEAD
from functions.domain.faults import Conflict, Malformed
from functions.domain.names import is_token
from functions.domain.telemetry import device_time, milliseconds_of, moment, time_told
from functions.handlers.admission import admit_device
from functions.handlers.alarming import open_alarm
from functions.ports import Call, Hub

# An event that names no type.
_UNTYPED = "message"


async def telemetry(call: Call[Telemetry] | Call[None], hub: Hub) -> Done:
    """Append a device's measurements.

    Raises:
        NotFound: no such device.
        Denied: the device is suspended or retired.
        Malformed: ``timestamp`` is neither ISO 8601 nor milliseconds.
    """
    await admit_device(call, hub)
    headers = {}
    if call.body is not None and call.body.timestamp is not None:
        at = device_time(call.body.timestamp)
        if at is None:
            raise Malformed(detail="'timestamp' is neither ISO 8601 nor milliseconds since 1970.")
        headers[DEVICE_TIME] = str(at)
        await _check_clock(call, at, hub)
    await _append("telemetry", call, hub, call.payload, headers)
    return Done()


async def event(call: Call[DeviceEvent] | Call[None], hub: Hub) -> Done:
    """Append an event of the type that the subject names.

    Raises:
        NotFound: no such device.
        Denied: the device is suspended or retired.
    """
    await admit_device(call, hub)
    await _append("events", call, hub, call.payload, _event_headers(call.names[1], _content(call)))
    return Done()


async def message_event(call: Call[DeviceEvent] | Call[None], hub: Hub) -> Done:
    """Append an event whose type stands in it as ``eventType``; without one its type is ``message``.

    Published clients wrap the event as ``{"data": "<its JSON text>"}``: what
    is appended is that text. A body of any other form is the event itself.

    Raises:
        NotFound: no such device.
        Denied: the device is suspended or retired.
        Malformed: ``eventType`` is no name.
    """
    await admit_device(call, hub)
    content, payload = _unwrap(_content(call), call.payload)
    kind = content.get("eventType", _UNTYPED) if isinstance(content, dict) else _UNTYPED
    if not isinstance(kind, str) or not is_token(kind):
        raise Malformed(detail="'eventType' is not 1 to 64 letters, digits, '_' or '-'.")
    await _append("events", call, hub, payload, _event_headers(kind, content))
    return Done()


async def heartbeat(call: Call[Heartbeat], hub: Hub) -> Done:
    """Take note that a device lives; nothing is kept.

    Presence follows the broker's sessions so far. Where a heartbeat is to
    decide earlier than a session's timeout, it starts from here.

    Raises:
        NotFound: no such device.
        Denied: the device is suspended or retired.
    """
    await admit_device(call, hub)
    return Done()


async def status(call: Call[DeviceEvent], hub: Hub) -> Done:
    """Take note of what a device, or its last will, says of its state; nothing is kept.

    ``{"online": false}`` is what a last will says; the end of the session
    that sent it says the same, and decides.

    Raises:
        NotFound: no such device.
        Denied: the device is suspended or retired.
    """
    await admit_device(call, hub)
    return Done()


async def _check_clock(call: Call[Any], milliseconds: int, hub: Hub) -> None:
    """Open an alarm where a device's time lies ahead; behind, it may be sending what it measured long ago."""
    ahead = moment(milliseconds) - hub.clock.now()
    if ahead > DEVICE_AHEAD:
        # Others may note the same alarm at the same time; that is no reason to refuse the measurement.
        with suppress(Conflict):
            await open_alarm(hub, "device-clock-ahead", call.device, detail="By more than a minute.")


def _content(call: Call[DeviceEvent] | Call[None]) -> JsonValue:
    return None if call.body is None else call.body.root


async def _append(stream: str, call: Call[Any], hub: Hub, payload: bytes, headers: dict[str, str]) -> None:
    # A call without a payload means an empty object to the runtime, and is stored as one.
    taken = milliseconds_of(hub.clock.now())
    await hub.streams.append(stream, call.device, payload or b"{}", {TIME: str(taken), **headers})


def _event_headers(kind: str, content: JsonValue) -> dict[str, str]:
    """Type and, where there is one, device time: an event may be any JSON, so what is no time is no fault."""
    at = time_told(content)
    return {TYPE: kind} if at is None else {TYPE: kind, DEVICE_TIME: str(at)}


def _unwrap(body: JsonValue, payload: bytes) -> tuple[JsonValue, bytes]:
    """The event that a message holds, and its JSON."""
    text = body.get("data") if isinstance(body, dict) else None
    if not isinstance(text, str):
        return body, payload
    try:
        return from_json(text, allow_inf_nan=False), text.encode()
    except ValueError:
        return body, payload
