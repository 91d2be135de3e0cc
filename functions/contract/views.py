"""Devices as everyone sees them, also in parts: a list joins JSON that is ready instead of making it for each reader.

A device's view comes from records that change at different times, the
registry's, its presence and its twin. Each gives its part of the JSON object,
what a device is (``functions.domain.traits``) a part of its own, and the parts
together are the ``DeviceView``.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from functions.contract.messages import CertificateFact, CertificateView, DeviceRecord, DeviceView
from functions.domain.devices import Device
from functions.domain.faults import Unavailable
from functions.domain.inventory import status_of
from functions.domain.presence import Evidence
from functions.domain.register import Entry, state_of
from functions.domain.sessions import Presence
from functions.domain.traits import traits

# Between values in JSON, in which it cannot stand.
_BORDER = b"\x1f"
_RECORD = (
    b'{"uuid":null,"deviceId":%b,"deviceName":%b,"displayName":%b,"role":%b,"groups":%b,"tags":%b,"lifecycle":%b'
    b',"createdAt":%b,"updatedAt":%b,"certificate":null'
)
_RECORD_WITH_CERTIFICATE = _RECORD.removesuffix(b"null") + b'{"serial":%b,"fingerprint":%b,"notAfter":%b}'
_WITHOUT_CERTIFICATE = _RECORD.count(b"%b")
_PRESENCE = b',"status":%b,"presence":{"online":%b,"evidence":%b,"at":%b,"address":%b},"lastSeen":%b'
_NO_PRESENCE = b',"status":"unknown","presence":null,"lastSeen":null'
_IN_SYNC = b',"twinInSync":true}'
_OUT_OF_SYNC = b',"twinInSync":false}'

# Before the devices, so that an edge that sends these on need not read them.
_TOTAL = b'{"total":'
_LIST = b',"%s":['
_END = b"]}"


def view(
    device: Device,
    presence: Presence | None,
    certificate: CertificateFact | None = None,
    *,
    in_sync: bool = True,
) -> DeviceView:
    """A device as lists and pages show it; without a certificate given, with what its record says of it."""
    return DeviceView(
        device_id=device.role or device.id,
        device_name=device.id,
        display_name=device.name or device.id,
        role=device.role,
        groups=list(device.groups),
        tags=device.tags,
        # Only its keyed hash is stored.
        uuid=None,
        status=status_of(presence).value,
        presence=None if presence is None else _evidence(presence),
        last_seen=None if presence is None else presence.at,
        twin_in_sync=in_sync,
        model=device.model,
        firmware=device.firmware,
        metadata=device.metadata,
        certificate=certificate or certificate_of(device),
        lifecycle=device.lifecycle,
        created_at=device.created_at,
        updated_at=device.updated_at,
    )


def record_view(
    device: Device,
    presence: Presence | None,
    certificate: CertificateFact | None,
    *,
    heard: Evidence | None = None,
    reported: dict[str, Any],
    in_sync: bool,
    version: int,
) -> DeviceRecord:
    """All there is to see of one device: its view, with what it reports of itself, and what lists do not show."""
    own = traits(device, reported)
    sources: dict[str, Any] = {
        "model": own.model_from,
        "firmware": own.firmware_from,
        "metadata": own.metadata_from,
    }
    known = replace(device, model=own.model, firmware=own.firmware, metadata=own.metadata)
    shown = dict(view(known, presence, certificate, in_sync=in_sync))
    if heard is not None and heard.last is not None and presence is not None:
        last = (heard.last, presence.at)
        shown |= {"presence": {**_evidence(presence), **_times(heard)}, "last_seen": max(last)}
    return DeviceRecord(
        **shown,
        notes=device.notes,
        sources={name: source for name, source in sources.items() if source},
        replaces=device.replaces,
        replaced_by=device.replaced_by,
        version=version,
    )


def certificate_of(device: Device) -> CertificateFact | None:
    """The device's certificate, as far as its record tells: one of an earlier version has the serial number alone."""
    if device.certificate is None:
        return None
    return CertificateFact(serial=device.certificate, fingerprint=device.fingerprint, not_after=device.not_after)


def record_values(device: Device) -> bytes:
    """What the registry's record gives to a view, without the names of the fields: a third of what they take."""
    told = [
        device.role or device.id,
        device.id,
        device.name or device.id,
        device.role,
        device.groups,
        device.tags,
        device.lifecycle,
        device.created_at,
        device.updated_at,
    ]
    if device.certificate is not None:
        told += [device.certificate, device.fingerprint, device.not_after]
    return _joined(told)


def record_part(values: bytes) -> bytes:
    """The part of a view that the registry's record gives; the object stays open."""
    told = tuple(values.split(_BORDER))
    return (_RECORD if len(told) == _WITHOUT_CERTIFICATE else _RECORD_WITH_CERTIFICATE) % told


def traits_part(model: str, firmware: str, metadata: bytes) -> bytes:
    """The part of a view that record and twin give together, ``metadata`` as JSON; the object stays open."""
    return b',"model":%b,"firmware":%b,"metadata":%b' % (orjson.dumps(model), orjson.dumps(firmware), metadata)


def presence_values(presence: Presence) -> bytes:
    """What presence gives to a view, without the names of the fields."""
    status, evidence = status_of(presence), _evidence(presence)
    return _joined((status, *evidence.values()))


def presence_part(values: bytes) -> bytes:
    """The part of a view that presence gives, of no values where there is none; the object stays open."""
    if not values:
        return _NO_PRESENCE
    status, online, evidence, at, address = values.split(_BORDER)
    return _PRESENCE % (status, online, evidence, at, address, at)


def twin_part(in_sync: bool) -> bytes:
    """The part of a view that the twin gives, up to the end of the object."""
    return _IN_SYNC if in_sync else _OUT_OF_SYNC


def certificate_view(entry: Entry, now: datetime) -> CertificateView:
    """A certificate as lists show it, in the state that it has at a time."""
    return CertificateView(
        serial=entry.serial,
        subject=entry.common_name,
        kind=entry.purpose.value,
        state=state_of(entry, now).value,
        fingerprint=entry.fingerprint,
        not_before=entry.not_before,
        not_after=entry.not_after,
        issued_at=entry.issued_at,
        issued_to=entry.issued_to,
        gate=entry.gate,
        revoked_at=entry.revoked_at,
        reason=None if entry.revocation_reason is None else entry.revocation_reason.value,
    )


def join_page(views: Iterable[bytes], total: int, name: bytes = b"devices") -> bytes:
    """A page of views that are JSON already: ``{"total":…,NAME:[…]}``, a ``DevicePage`` where no name is given."""
    return b"".join((_TOTAL, str(total).encode(), _LIST % name, b",".join(views), _END))


def split_page(page: bytes, name: bytes = b"devices") -> tuple[int, bytes]:
    """The total of a page, and its list as the JSON array that it is.

    Args:
        page: ``{"total":…,NAME:[…]}``, as ``join_page`` makes it, or a message of these two fields.
        name: of the list.

    Raises:
        Unavailable: the page is something else.
    """
    total, middle, listed = page.removeprefix(_TOTAL).partition(_LIST % name)
    if not (middle and total.isdigit() and listed.endswith(_END)):
        raise Unavailable(detail="The answer of the function cannot be read.")
    return int(total), b"[" + listed[:-1]


def _joined(values: Iterable[object]) -> bytes:
    return _BORDER.join([orjson.dumps(value, None, orjson.OPT_UTC_Z) for value in values])


def _times(heard: Evidence) -> dict[str, object]:
    return {"messageAt": heard.message_at, "heartbeatAt": heard.heartbeat_at, "lastWillAt": heard.will_at}


def _evidence(presence: Presence) -> dict[str, object]:
    return {
        "online": presence.online,
        "evidence": presence.evidence,
        "at": presence.at,
        "address": presence.address or None,
    }
