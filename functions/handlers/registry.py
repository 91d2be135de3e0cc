"""Registry functions: the record of one device, pages of many, and counts of all.

Subjects   devicehub.registry.devices.<device>.get, devicehub.registry.query, .stats
Reads      devices, presence, reported, certificates; pages and counts come from the index alone
"""

import asyncio

from functions.contract.messages import (
    CertificateFact,
    DevicePage,
    DeviceRecord,
    Encoded,
    FleetStats,
    Nothing,
    RegistryQuery,
)
from functions.contract.views import join_page, record_view
from functions.domain.devices import Device
from functions.domain.faults import NotFound, Reason
from functions.domain.inventory import DeviceQuery, Status, parse_sorts, parse_tag
from functions.domain.names import DeviceId
from functions.handlers.rewriting import value_of
from functions.ports import Call, Hub, Kept


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
    presence, reported, certificate = await asyncio.gather(
        hub.presence.get(device), hub.reported.get(device), _registered(record.value, hub)
    )
    return record_view(
        record.value,
        value_of(presence),
        certificate,
        reported=reported.value.doc if reported is not None else {},
        version=record.revision,
    )


async def query(call: Call[RegistryQuery], hub: Hub) -> Encoded[DevicePage]:
    """A page of the devices for which all holds that is asked, and how many there are in all.

    Raises:
        Malformed: a field to sort by does not exist, or a tag has no key.
    """
    asked = call.body
    page = await hub.index.query(
        DeviceQuery(
            text=asked.q,
            status=None if asked.status is None else Status(asked.status),
            model=asked.model,
            groups=tuple(asked.group),
            tags=tuple(parse_tag(text) for text in asked.tag),
            seen_after=asked.last_seen_after,
            seen_before=asked.last_seen_before,
            sorts=parse_sorts(asked.sort),
            limit=asked.limit,
            offset=asked.offset,
        )
    )
    return Encoded(join_page(page.views, page.total))


async def stats(call: Call[Nothing], hub: Hub) -> FleetStats:
    """How many devices there are, in any state of their life, by connection, group and model."""
    counts = await hub.index.count()
    return FleetStats(
        total=sum(counts.by_status.values()),
        online=counts.by_status.get(Status.ONLINE, 0),
        offline=counts.by_status.get(Status.OFFLINE, 0),
        never_seen=counts.by_status.get(Status.UNKNOWN, 0),
        by_group=counts.by_group,
        by_model=counts.by_model,
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
