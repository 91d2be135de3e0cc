"""Registry functions: the record of one device, and pages of many.

Subjects   devicehub.registry.devices.<device>.get, devicehub.registry.query
Reads      devices, presence, certificates; a page comes from the index
"""

import asyncio

from functions.contract.messages import CertificateFact, DevicePage, DeviceView, Nothing, RegistryQuery
from functions.domain.devices import Device
from functions.domain.faults import NotFound, Reason
from functions.domain.sessions import Presence
from functions.ports import Call, Hub

# Certificates of a page that are read at once: a page may have a thousand.
_AT_ONCE = 100


async def read(call: Call[Nothing], hub: Hub) -> DeviceView:
    """One device in any state of its life.

    Raises:
        NotFound: no such device.
    """
    record, presence = await asyncio.gather(hub.devices.get(call.device), hub.presence.get(call.device))
    if record is None:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    fact = await _certificate(record.value, hub)
    return _view(record.value, presence.value if presence else None, fact)


async def query(call: Call[RegistryQuery], hub: Hub) -> DevicePage:
    """A page of the devices whose id, name or role holds the text, by id, and how many there are in all."""
    asked = call.body
    devices, total = await hub.index.query(asked.q, limit=asked.limit, offset=asked.offset)
    facts: list[CertificateFact | None] = []
    for begin in range(0, len(devices), _AT_ONCE):
        facts += await asyncio.gather(*(_certificate(device, hub) for device in devices[begin : begin + _AT_ONCE]))
    views = [_view(device, hub.index.presence(device.id), fact) for device, fact in zip(devices, facts, strict=True)]
    return DevicePage(devices=views, total=total)


async def _certificate(device: Device, hub: Hub) -> CertificateFact | None:
    if device.certificate is None:
        return None
    kept = await hub.certificates.get(device.certificate)
    if kept is None:
        return None
    certificate = kept.value
    return CertificateFact(
        serial=certificate.serial, fingerprint=certificate.fingerprint, not_after=certificate.not_after
    )


def _view(device: Device, presence: Presence | None, certificate: CertificateFact | None) -> DeviceView:
    return DeviceView(
        device_id=device.role or device.id,
        device_name=device.id,
        display_name=device.name or device.id,
        role=device.role,
        groups=list(device.groups),
        tags=device.tags,
        # Only its keyed hash is stored.
        uuid=None,
        status="unknown" if presence is None else "online" if presence.online else "offline",
        presence=None if presence is None else _evidence(presence),
        last_seen=None if presence is None else presence.at,
        model=device.model,
        firmware=device.firmware,
        metadata=device.metadata,
        certificate=certificate,
        lifecycle=device.lifecycle,
        created_at=device.created_at,
        updated_at=device.updated_at,
    )


def _evidence(presence: Presence) -> dict[str, object]:
    return {
        "online": presence.online,
        "evidence": presence.evidence,
        "at": presence.at,
        "address": presence.address or None,
    }
