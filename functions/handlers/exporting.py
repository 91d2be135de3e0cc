"""Export functions: all devices and their twins, a part at a time, in the order of their ids.

Subjects   devicehub.registry.export, devicehub.twins.export
Reads      devices, reported; desired and reported

A part is as much as fits well into one answer, so neither this process nor
who asks ever holds more than that of the fleet.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from functions.contract.messages import DeviceExport, DeviceLine, DeviceLines, Encoded, TwinExport, TwinLine, TwinLines
from functions.domain.names import device_id
from functions.domain.traits import traits
from functions.domain.twins import Half
from functions.handlers.rewriting import value_of
from functions.ports import Call, Hub

T = TypeVar("T")

_AT_ONCE = 50
# Of an answer; what is read last may come on top of it, 4 MiB at most.
_ENOUGH_BYTES = 192 * 1024
_UNWRITTEN = Half()


async def export(call: Call[DeviceExport], hub: Hub) -> Encoded[DeviceLines]:
    """The records of the devices whose ids come after one; retired devices are among them.

    What is changed meanwhile is exported as it was or as it is.

    Raises:
        Unavailable: this worker does not know all devices yet, or the storage.
    """
    names = hub.roster.ids_after(call.body.after, call.body.limit)
    lines = await _gather(names, lambda name: _line(name, hub))
    last = names[len(lines) - 1] if len(lines) < len(names) or len(names) == call.body.limit else None
    found = b",".join(line for line in lines if line)
    return Encoded(b'{"lines":[%s],"next":%s}' % (found, b"null" if last is None else b'"%s"' % last.encode()))


async def export_twins(call: Call[TwinExport], hub: Hub) -> Encoded[TwinLines]:
    """The twins of the first of the devices that are named, one at least; who wants the others asks for those.

    Raises:
        Malformed: what is named is no device id.
    """
    names = [device_id(name) for name in call.body.devices]
    return Encoded(b'{"twins":[%s]}' % b",".join(await _gather(names, lambda name: _twin(name, hub))))


async def _gather(names: Sequence[str], make: Callable[[str], Awaitable[bytes]]) -> list[bytes]:
    """What is made of the first of the names: of all, or until it is enough for an answer."""
    made: list[bytes] = []
    size = 0
    for begin in range(0, len(names), _AT_ONCE):
        for one in await asyncio.gather(*map(make, names[begin : begin + _AT_ONCE])):
            if made and size + len(one) > _ENOUGH_BYTES:
                return made
            made.append(one)
            size += len(one)
    return made


async def _line(name: str, hub: Hub) -> bytes:
    kept, reported = await asyncio.gather(hub.devices.get(name), hub.reported.get(name))
    if kept is None:
        return b""
    device = kept.value
    own = traits(device, (value_of(reported) or _UNWRITTEN).doc)
    return DeviceLine(
        device_id=device.id,
        display_name=device.name,
        role=device.role,
        groups=list(device.groups),
        tags=device.tags,
        notes=device.notes,
        model=own.model,
        firmware=own.firmware,
        metadata=device.metadata,
        lifecycle=device.lifecycle.value,
        uuid_hash=device.uuid_hash,
        certificate=device.certificate,
        created_at=device.created_at,
        updated_at=device.updated_at,
        replaces=device.replaces,
        replaced_by=device.replaced_by,
    ).encode()


async def _twin(name: str, hub: Hub) -> bytes:
    desired, reported = await asyncio.gather(hub.desired.get(name), hub.reported.get(name))
    wish, report = value_of(desired) or _UNWRITTEN, value_of(reported) or _UNWRITTEN
    return TwinLine(
        desired=wish.doc, desired_version=wish.version, reported=report.doc, reported_version=report.version
    ).encode()
