"""What the addresses of the audit trail are asked and answer."""

from typing import Any, Final

AUDIT: Final[dict[str, Any]] = {
    "id": "01dd98f51a00-f32bf80e945215e7",
    "at": "2035-01-01T12:00:00Z",
    "action": "device.suspended",
    "actor": "app:dashboard",
    "origin": "http:192.0.2.7",
    "call": "5f0c2d9e1ab34c77",
    "kind": "device",
    "target": "pump-0001",
    "before": {"lifecycle": "active"},
    "after": {"lifecycle": "suspended"},
    "cut": [],
    "outcome": "done",
}
AUDIT_LINE: Final = (
    '{"id":"01dd98f51a00-f32bf80e945215e7","at":"2035-01-01T12:00:00Z","action":"device.suspended",'
    '"actor":"app:dashboard","origin":"http:192.0.2.7","call":"5f0c2d9e1ab34c77","kind":"device",'
    '"target":"pump-0001","before":{"lifecycle":"active"},"after":{"lifecycle":"suspended"},"cut":[],'
    '"outcome":"done"}\n'
)
