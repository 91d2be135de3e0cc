"""Messages of what devices say of themselves: telemetry, events, heartbeats."""

from typing import Any

from pydantic import ConfigDict, JsonValue, RootModel

from functions.contract.messages.base import FromDevice


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
