"""Whether a device that calls takes part: the first question of every message of a device."""

from typing import Any

from functions.domain.devices import admit
from functions.ports import Call, Hub


async def admit_device(call: Call[Any], hub: Hub) -> None:
    """Refuse a device that the registry does not know, or that may not take part now.

    The roster answers for those that may, at most 2 s late; only what it does
    not know costs a read.

    Raises:
        NotFound: no such device (``unknown_device``).
        Denied: the device is suspended or retired.
    """
    if hub.roster.is_active(call.device):
        return
    kept = await hub.devices.get(call.device)
    admit(None if kept is None else kept.value)
