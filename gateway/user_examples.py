"""Examples of users, their sessions and the first run, for the description of the interface."""

from typing import Any, Final

# What everybody who reads this knows is nobody's.
_PASSWORD: Final = "correct horse battery"  # noqa: S105

SETUP: Final[dict[str, Any]] = {
    "code": "7KQ2-M9XT-04HB-RW6D",
    "name": "anna",
    "password": _PASSWORD,
    "hostnames": ["hub.example"],
}
SIGN_IN: Final[dict[str, Any]] = {"user": "anna", "password": _PASSWORD}
PASSWORD_CHANGE: Final[dict[str, Any]] = {"currentPassword": _PASSWORD, "newPassword": "a long walk by the sea"}
ME: Final[dict[str, Any]] = {
    "user": "anna",
    "role": "admin",
    "session": "5f0c9b1e7a3d2c485f0c9b1e7a3d2c48",
    "expiresAt": "2035-01-01T13:00:00Z",
    "endsAt": "2035-01-02T00:00:00Z",
    "serverTime": "2035-01-01T12:00:00Z",
    "version": "0.1.0",
}
USER: Final[dict[str, Any]] = {
    "name": "anna",
    "role": "admin",
    "disabled": False,
    "createdAt": "2035-01-01T12:00:00Z",
    "changedAt": "2035-01-01T12:00:00Z",
    "signedInAt": "2035-01-01T12:30:00Z",
}
USER_CREATE: Final[dict[str, Any]] = {"name": "bert", "role": "operator", "password": _PASSWORD}
USER_UPDATE: Final[dict[str, Any]] = {"role": "viewer"}
SESSION: Final[dict[str, Any]] = {
    "id": "5f0c9b1e7a3d2c485f0c9b1e7a3d2c48",
    "user": "anna",
    "role": "admin",
    "since": "2035-01-01T12:00:00Z",
    "usedAt": "2035-01-01T12:30:00Z",
    "expiresAt": "2035-01-01T13:30:00Z",
    "origin": "http:192.0.2.7",
}
