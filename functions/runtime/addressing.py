"""Devices are addressed by their id, or by the role that one of them has.

An id comes first; as no role is an id (``functions.handlers.names``), a name
leads to one device or to none. Mostly it is the id of a device that takes
part, which the roster knows without asking; a role costs three reads.
"""

from dataclasses import replace
from typing import Any

from functions.domain.names import id_key
from functions.ports import Call, Hub
from functions.route import Route


async def by_id(route: Route, call: Call[Any], hub: Hub) -> Call[Any]:
    """The call with the device's id in the place of its role; as it is where there is no such role.

    Raises:
        Unavailable: the storage.
    """
    if not route.by_role or hub.roster.is_active(call.names[0]) or await hub.devices.get(call.names[0]) is not None:
        return call
    device = await holder_of(hub, call.names[0])
    return call if device is None else replace(call, names=(device, *call.names[1:]))


async def holder_of(hub: Hub, role: str) -> str | None:
    """The id of the device that has a role, spelled as it is here; None if none has."""
    reserved = await hub.names.get(id_key(role))
    if reserved is None or reserved.value.role != role:
        return None
    kept = await hub.devices.get(reserved.value.device)
    return kept.value.id if kept is not None and kept.value.role == role else None
