"""Examples of jobs, for the description of the interface."""

from typing import Any, Final

METHOD_JOB: Final[dict[str, Any]] = {
    "q": "tag:site=A firmware<1.4",
    "method": "reboot",
    "payload": {"delay": 5},
    "timeout": 10,
    "rate": 20,
}

TWIN_JOB: Final[dict[str, Any]] = {"group": ["north"], "desired": {"rate": 15}}

TAG_JOB: Final[dict[str, Any]] = {"devices": ["pump-0001", "pump-0002"], "tags": {"site": "A", "lab": None}}

JOB: Final[dict[str, Any]] = {
    "id": "01dd98f51a00-385fb48a",
    "kind": "methods",
    "state": "running",
    "total": 250,
    "waiting": 190,
    "done": 58,
    "failed": 2,
    "cancelled": 0,
    "method": "reboot",
    "rate": 20,
    "by": "app:dashboard",
    "createdAt": "2035-01-01T12:00:00Z",
    "finishedAt": None,
    "cancelledBy": None,
    "cancelReason": None,
    "retryOf": None,
}

JOB_DETAIL: Final[dict[str, Any]] = {
    **JOB,
    "body": {"payload": {"delay": 5}, "timeout": 10},
    "items": [
        {
            "device": "pump-0001",
            "state": "done",
            "error": None,
            "message": None,
            "status": 200,
            "payload": {"rebootsAt": "2035-01-01T12:00:05Z"},
            "payloadCut": False,
            "at": "2035-01-01T12:00:01Z",
        },
        {
            "device": "pump-0002",
            "state": "failed",
            "error": "device_offline",
            "message": "The device has never connected. It can be called when it has.",
            "status": None,
            "payload": None,
            "payloadCut": False,
            "at": "2035-01-01T12:00:01Z",
        },
    ],
    "matches": 250,
}
