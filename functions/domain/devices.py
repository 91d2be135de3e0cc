"""The registry's record of a device."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from functions.domain.faults import Denied, NotFound, Reason


class Lifecycle(StrEnum):
    """Whether a device may take part."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Device:
    """One device, as the registry keeps it.

    ``uuid_hash`` is the keyed hash of the hardware UUID, never the UUID;
    ``certificate`` the serial number (lower-case hex) of the current one, and
    ``fingerprint`` and ``not_after`` are of that; a record written before they
    were kept here lacks both.
    """

    id: str
    created_at: datetime
    updated_at: datetime
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    uuid_hash: str | None = None
    certificate: str | None = None
    name: str = ""
    role: str | None = None
    groups: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    notes: str = ""
    model: str = ""
    firmware: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None
    not_after: datetime | None = None


def admit(device: Device | None) -> Device:
    """Give the device back if it may send and be told anything.

    Raises:
        NotFound: the registry has no such device (``unknown_device``).
        Denied: it is suspended or retired.
    """
    if device is None:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    if device.lifecycle is Lifecycle.SUSPENDED:
        raise Denied(Reason.DEVICE_SUSPENDED)
    if device.lifecycle is Lifecycle.RETIRED:
        raise Denied(Reason.DEVICE_RETIRED)
    return device


@dataclass(frozen=True, slots=True)
class Suspension:
    """That the broker must deny a device everything: since when, and by whom.

    ``holds`` once the device's record says so too; until then the suspension
    has begun, and whoever finds it later finishes it.
    """

    at: datetime
    by: str
    holds: bool = False


def suspend(device: Device, at: datetime) -> Device:
    """The device's record when it may not take part for now; one that is suspended keeps its time.

    Raises:
        Denied: it is retired.
    """
    return _turn(device, Lifecycle.SUSPENDED, at)


def resume(device: Device, at: datetime) -> Device:
    """The device's record when it takes part again; one that does keeps its time.

    Raises:
        Denied: it is retired.
    """
    return _turn(device, Lifecycle.ACTIVE, at)


def _turn(device: Device, to: Lifecycle, at: datetime) -> Device:
    if device.lifecycle is Lifecycle.RETIRED:
        raise Denied(Reason.DEVICE_RETIRED)
    return device if device.lifecycle is to else replace(device, lifecycle=to, updated_at=at)
