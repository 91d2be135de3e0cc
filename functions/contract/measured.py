"""Telemetry and events as JSON, made without parsing what is JSON already."""

import math
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from functions.domain.telemetry import KeptMessage, Kind, Latest, Numbers, Span


def message_view(one: KeptMessage, kind: Kind) -> bytes:
    """A message as a ``TelemetryView`` or ``EventView``."""
    payload, encoding = one.payload, b""
    if one.is_bytes:
        payload, encoding = b'"%b"' % b64encode(one.payload), b',"encoding":"base64"'
    event_type = b',"eventType":"%b"' % one.type.encode() if kind is Kind.EVENTS else b""
    told = b"" if one.device_time is None else b',"deviceTime":"%b"' % iso(one.device_time)
    return b'{"deviceId":"%b"%b,"timestamp":"%b","data":%b,"hubTime":"%b"%b%b}' % (
        one.device.encode(),
        event_type,
        iso(one.at),
        payload,
        iso(one.hub_time),
        told,
        encoding,
    )


def span_view(one: Span) -> bytes:
    """Numbers over a time as a ``TelemetryView``."""
    data = {key: _numbers(numbers) for key, numbers in sorted(one.numbers.items())}
    return b'{"deviceId":"%b","timestamp":"%b","data":%b}' % (one.device.encode(), iso(one.at), orjson.dumps(data))


def latest_view(device: str, values: Iterable[Latest]) -> bytes:
    """The newest values of a device as a ``TelemetryLatest``."""
    each = b",".join(
        b'%b:{"value":%b,"timestamp":"%b"}' % (orjson.dumps(one.key), one.value, iso(one.at)) for one in values
    )
    return b'{"deviceId":"%b","values":{%b}}' % (device.encode(), each)


def iso(milliseconds: int) -> bytes:
    """A time in ISO 8601, UTC, to the millisecond."""
    seconds, rest = divmod(milliseconds, 1000)
    return b"%b.%03dZ" % (datetime.fromtimestamp(seconds, UTC).isoformat()[:19].encode(), rest)


def _numbers(one: Numbers) -> dict[str, Any]:
    # The sum of numbers near the largest there are may be none any more.
    mean = one.mean if math.isfinite(one.total) else None
    return {"min": one.least, "max": one.most, "mean": mean, "last": one.last, "count": one.count}
