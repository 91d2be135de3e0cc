"""Registry functions: the record of one device.

Subjects   devicehub.registry.devices.<device>.get
Reads      devices, presence, desired, reported, certificates
"""

import asyncio

from functions.contract.messages import CertificateFact, DeviceRecord, Nothing
from functions.contract.views import record_view
from functions.domain.devices import Device
from functions.domain.faults import NotFound, Reason
from functions.domain.names import DeviceId
from functions.domain.twins import delta
from functions.handlers.rewriting import value_of
from functions.ports import Call, Hub
from functions.storage import Kept


async def read(call: Call[Nothing], hub: Hub) -> DeviceRecord:
    """One device in any state of its life.

    Raises:
        NotFound: no such device.
    """
    return await shown(hub, await hub.devices.get(call.device), call.device)


async def shown(hub: Hub, record: Kept[Device] | None, device: DeviceId) -> DeviceRecord:
    """All there is to see of a device whose record was just read or written.

    Raises:
        NotFound: there is none.
    """
    if record is None:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    presence, desired, reported, certificate = await asyncio.gather(
        hub.presence.get(device),
        hub.desired.get(device),
        hub.reported.get(device),
        _registered(record.value, hub),
    )
    shows = reported.value.doc if reported is not None else {}
    return record_view(
        record.value,
        value_of(presence),
        certificate,
        heard=hub.heard.of(device),
        reported=shows,
        in_sync=desired is None or not delta(desired.value.doc, shows),
        version=record.revision,
    )


async def _registered(device: Device, hub: Hub) -> CertificateFact | None:
    """What the register has of a device's certificate, where its record is from before it said so itself."""
    if device.certificate is None or device.fingerprint is not None:
        return None
    kept = await hub.certificates.get(device.certificate)
    if kept is None:
        return None
    certificate = kept.value
    return CertificateFact(
        serial=certificate.serial, fingerprint=certificate.fingerprint, not_after=certificate.not_after
    )
