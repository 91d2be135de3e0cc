"""What the interface's description shows as examples of telemetry and events; each is a message as it really is."""

from typing import Any, Final

TELEMETRY: Final[dict[str, Any]] = {
    "deviceId": "pump-0001",
    "timestamp": "2035-01-01T12:00:00.000Z",
    "data": {"temperature": 21.5, "state": "running"},
    "hubTime": "2035-01-01T12:00:00.012Z",
    "deviceTime": "2035-01-01T12:00:00.000Z",
}

EVENT: Final[dict[str, Any]] = {
    "deviceId": "pump-0001",
    "eventType": "overheated",
    "timestamp": "2035-01-01T12:00:00.012Z",
    "data": {"temperature": 91},
    "hubTime": "2035-01-01T12:00:00.012Z",
}

TELEMETRY_LATEST: Final[dict[str, Any]] = {
    "deviceId": "pump-0001",
    "values": {
        "motor.rpm": {"value": 1480, "timestamp": "2035-01-01T11:59:00.000Z"},
        "temperature": {"value": 21.5, "timestamp": "2035-01-01T12:00:00.000Z"},
    },
}

TELEMETRY_REPORT: Final[dict[str, Any]] = {"deviceId": "pump-0001", "data": {"temperature": 21.5}}

TELEMETRY_LINE: Final = (
    '{"deviceId":"pump-0001","timestamp":"2035-01-01T12:00:00.000Z","data":{"temperature":21.5},'
    '"hubTime":"2035-01-01T12:00:00.012Z","deviceTime":"2035-01-01T12:00:00.000Z"}\n'
)
EVENT_LINE: Final = (
    '{"deviceId":"pump-0001","eventType":"overheated","timestamp":"2035-01-01T12:00:00.012Z",'
    '"data":{"temperature":91},"hubTime":"2035-01-01T12:00:00.012Z"}\n'
)
