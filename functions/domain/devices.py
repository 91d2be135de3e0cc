"""The registry's record of a device, and what each state of its life allows.

=========================  ========  ==========================  =================================
may it, or may others ...  active    suspended                   retired
=========================  ========  ==========================  =================================
connect to the broker      yes       no: denied and cut off      no: its certificates are revoked
send and be answered       yes       no: ``device_suspended``    no: ``device_retired``
get or renew certificates  yes       no: ``device_suspended``    only to be brought back
be wished things (twin)    yes       yes: told when it resumes   no: ``device_retired``
be called and messaged     yes       no                          no
be read and exported       yes       yes                         yes
change name, groups, tags  yes       yes                         yes
have or be given a role    yes       yes                         no: retiring gives it free
be replaced (swap)         yes       yes                         no: ``device_retired``
replace another (swap)     yes       no: ``device_suspended``    no: ``device_retired``
be suspended, be resumed   yes       yes                         no: ``device_retired``
be retired                 yes       yes                         yes: it changes nothing
=========================  ========  ==========================  =================================

A retired record is never removed: it keeps what the device was, what it
replaced and what replaced it. It is brought back by an operator (``create``)
or, where enrolment is open, by the same hardware UUID.
"""

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
    were kept here lacks both. ``metadata`` is what the device told when it
    joined; what it reports of itself stands in its twin (``domain.traits``).
    ``replaces`` and ``replaced_by`` are the ids of a swap's other device.
    ``intent`` is the key of the operation that has the record to itself now.
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
    replaces: str | None = None
    replaced_by: str | None = None
    intent: str | None = None


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


def retire(device: Device, at: datetime) -> Device:
    """The record when the device takes part no more: its role is free again; one retired before keeps its time."""
    if device.lifecycle is Lifecycle.RETIRED:
        return device
    return replace(device, lifecycle=Lifecycle.RETIRED, role=None, updated_at=at)
