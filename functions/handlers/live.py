"""Who may hear what as it happens: asked by whoever hands events on.

Subjects   devicehub.live.<topic>.follow, a route a topic, as each has a scope of its own
Reads      names, devices
"""

import asyncio

from functions.contract.messages import Follow, Followed
from functions.domain.names import id_key
from functions.handlers.rewriting import value_of
from functions.ports import Call, Hub

_AT_ONCE = 50


async def follow(call: Call[Follow], hub: Hub) -> Followed:
    """That the caller may hear the topic, which its route decides, and the ids of the devices it names.

    What is neither id nor role of a device stays as it is, as it may come to be one's id.

    Raises:
        Unavailable: the storage.
    """
    names, found = call.body.devices, list[str]()
    for begin in range(0, len(names), _AT_ONCE):
        found += await asyncio.gather(*(id_of(name, hub) for name in names[begin : begin + _AT_ONCE]))
    return Followed(devices=found)


async def id_of(name: str, hub: Hub) -> str:
    """The id of the device that a name is the role of; any other name as it is."""
    if hub.roster.is_active(name):
        return name
    reserved = value_of(await hub.names.get(id_key(name)))
    return name if reserved is None or reserved.role != name else reserved.device
