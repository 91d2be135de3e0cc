"""What is told of a twin at each of its changes, written as JSON without making its messages first.

On the path of every report: making the models took ten times as long as
writing the JSON they hold (30 us a report against 4). What they hold was
checked when it came in; that it is what the models say, tests see to.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic_core import to_json

from functions.contract.messages import Encoded, TwinAccepted, TwinDocuments
from functions.domain.names import DeviceId
from functions.domain.twins import Half


def accepted(
    device: DeviceId,
    operation: Literal["get", "update"],
    desired: Half,
    reported: Half,
    *,
    is_updated: bool,
    token: str | None,
    at: datetime,
) -> Encoded[TwinAccepted]:
    """The answer to a device; ``is_updated`` if its own message made the reported half what it is."""
    shown = _half(reported)
    answer: dict[str, Any] = {
        "deviceId": device,
        "operation": operation,
        "desired": _half(desired),
        "reported": shown,
        "updated": {"desired": None, "reported": shown if is_updated else None},
    }
    if token is not None:
        answer["clientToken"] = token
    answer["timestamp"] = at
    return Encoded(to_json(answer))


def documents(
    device: DeviceId, before: tuple[Half, Half], after: tuple[Half, Half], *, by: str, at: datetime
) -> Encoded[TwinDocuments]:
    """The event after a change, of both halves (desired, reported) before and after."""
    event = {
        "deviceId": device,
        "before": {"desired": _half(before[0]), "reported": _half(before[1])},
        "after": {"desired": _half(after[0]), "reported": _half(after[1])},
        "by": by,
        "timestamp": at,
    }
    return Encoded(to_json(event))


def _half(half: Half) -> dict[str, Any]:
    return {"version": half.version, "doc": half.doc}
