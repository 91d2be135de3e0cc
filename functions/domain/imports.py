"""Devices that come from elsewhere: what an import makes of a line, and what of a line it leaves undone."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from functions.domain.certificates import Certificate
from functions.domain.devices import Device, Lifecycle
from functions.domain.documents import check, same
from functions.domain.faults import Conflict, Malformed, Reason
from functions.domain.names import device_id
from functions.domain.records import RecordPatch, amend_record, check_patch
from functions.domain.traits import MAX_TRAIT_CHARACTERS, check_metadata, traits
from functions.domain.twins import Half, apply

_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)

OTHER_HARDWARE = "The device here is another piece of hardware: the hashes of the UUIDs differ."
TAKEN_HARDWARE = "The hardware UUID of this line belongs to another device here."


@dataclass(frozen=True, slots=True)
class Imported:
    """A device as a line has it; what is None was not given."""

    id: str
    patch: RecordPatch = field(default_factory=RecordPatch)
    model: str | None = None
    firmware: str | None = None
    metadata: dict[str, Any] | None = None
    lifecycle: Lifecycle | None = None
    uuid_hash: str | None = None
    certificate: str | None = None
    created_at: datetime | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    desired: dict[str, Any] | None = None
    desired_version: int | None = None
    reported: dict[str, Any] | None = None
    reported_version: int | None = None


def check_imported(line: Imported) -> None:
    """Refuse what no device of this hub may be.

    Raises:
        Malformed: with ``fields`` where one can be named.
    """
    device_id(line.id)
    check_patch(line.patch)
    check_metadata(line.metadata, "metadata")
    for name, text in (("model", line.model), ("firmware", line.firmware)):
        if text is not None and (len(text) > MAX_TRAIT_CHARACTERS or not text.isprintable()):
            wrong = f"must be at most {MAX_TRAIT_CHARACTERS} printable characters"
            raise Malformed(detail=f"{name}: {wrong}", fields={name: wrong})
    for other in (line.replaces, line.replaced_by):
        if other is not None:
            device_id(other)
    if line.patch.role and line.lifecycle is Lifecycle.RETIRED:
        wrong = "a retired device has none"
        raise Malformed(detail=f"role: {wrong}", fields={"role": wrong})
    for doc in (line.desired, line.reported):
        if doc is not None:
            # As a patch of an empty half, which is what it will be.
            check(doc)
            apply(Half(), doc, at=_ANY_TIME, by="")


def first_record(line: Imported, certificate: Certificate | None, at: datetime) -> Device:
    """The record of a device that was not here; its role is given to it afterwards.

    Args:
        line: checked.
        certificate: its own, where this hub's register has that.
        at: the time now.
    """
    device = Device(
        line.id,
        created_at=line.created_at or at,
        updated_at=at,
        lifecycle=line.lifecycle or Lifecycle.ACTIVE,
        uuid_hash=line.uuid_hash,
        certificate=certificate.serial if certificate is not None else None,
        fingerprint=certificate.fingerprint if certificate is not None else None,
        not_after=certificate.not_after if certificate is not None else None,
        model=line.model or "",
        firmware=line.firmware or "",
        metadata=line.metadata or {},
        replaces=line.replaces,
        replaced_by=line.replaced_by,
    )
    return amend_record(device, replace(line.patch, role=None), at)


def with_facts(device: Device, line: Imported, reported: dict[str, Any], at: datetime) -> Device:
    """The record with the line's facts: model and firmware where the device says nothing itself, and its hardware.

    Raises:
        Conflict: ``device_exists``: it is another piece of hardware.
    """
    if line.uuid_hash is not None and device.uuid_hash not in (None, line.uuid_hash):
        raise Conflict(Reason.DEVICE_EXISTS, OTHER_HARDWARE)
    own = traits(device, reported)
    metadata = device.metadata if line.metadata is None or same(device.metadata, line.metadata) else line.metadata
    changed = replace(
        device,
        uuid_hash=device.uuid_hash or line.uuid_hash,
        model=device.model if line.model is None or line.model == own.model else line.model,
        firmware=device.firmware if line.firmware is None or line.firmware == own.firmware else line.firmware,
        metadata=metadata,
        replaces=device.replaces or line.replaces,
        replaced_by=device.replaced_by or line.replaced_by,
    )
    return device if changed == device else replace(changed, updated_at=at)


def first_half(doc: dict[str, Any] | None, version: int | None, at: datetime, by: str) -> Half | None:
    """A half of the twin of a device that was not here, with the version it had; None where there is nothing."""
    if not doc and not version:
        return None
    half = apply(Half(), doc or {}, at=at, by=by)
    return replace(half, version=max(version or 0, half.version), at=at, by=by)


def remarks(line: Imported, device: Device | None, certificate: Certificate | None) -> list[str]:
    """What of a line is not done; ``device`` is the record that was here before, ``certificate`` what is linked."""
    told: list[str] = []
    if device is None:
        if certificate is None and line.lifecycle is not Lifecycle.RETIRED:
            told.append("It has no certificate here: it joins again, or 'devicehub device create' gives it one.")
        return told
    if line.lifecycle is not None and line.lifecycle is not device.lifecycle:
        told.append(f"It stays {device.lifecycle}: an import suspends, resumes and retires nothing that is here.")
    if line.reported:
        told.append("What it reports stays as it is here: that is the device's own word.")
    if line.desired is not None and device.lifecycle is Lifecycle.RETIRED:
        told.append("Its desired half stays as it is: it is retired.")
    return told
