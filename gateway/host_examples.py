"""Examples of what the hub's hosts tell, for the description of the interface."""

from typing import Any, Final

SERVICE: Final[dict[str, Any]] = {
    "node": "hub-4f1c2a9b",
    "unit": "bridge",
    "description": "Bridge between MQTT and the bus",
    "state": "active",
    "subState": "running",
    "since": "2035-01-01T11:58:00Z",
    "pid": 4242,
    "memoryBytes": 54525952,
    "restarts": 0,
    "version": "0.1.0",
    "verbs": ["start", "stop", "restart"],
    "seenAt": "2035-01-01T12:00:00Z",
    "problem": None,
}

SERVICE_ACTED: Final[dict[str, Any]] = {"verb": "restart", "result": "done", "service": SERVICE}

LOG_ENTRY: Final[dict[str, Any]] = {
    "cursor": "f=5312;o=90412",
    "time": "2035-01-01T11:59:58Z",
    "priority": "warning",
    "text": "bus: reconnecting",
    "identifier": None,
    "pid": None,
    "isBinary": False,
    "isTruncated": False,
    "lost": 0,
}
