"""Bridges: the epoch of each start, by which a bridge's messages are put in order.

Subjects   devicehub.broker.bridges.start
Writes     bridges, only over the revision it read
"""

from functions.contract.messages import BridgeEpoch, BridgeName
from functions.domain.faults import Malformed
from functions.domain.marks import BridgeStart
from functions.domain.names import is_token
from functions.handlers.rewriting import rewrite
from functions.ports import Call, Hub


async def start(call: Call[BridgeName], hub: Hub) -> BridgeEpoch:
    """Begin a run of a bridge: an epoch higher than that of any start before.

    Epochs may be skipped (a start whose answer was lost), never given twice.

    Raises:
        Malformed: the name could not stand in an order.
    """
    name = call.body.bridge
    if not is_token(name):
        raise Malformed(detail="A bridge's name is 1 to 64 letters, digits, '_' or '-'.")
    written = await rewrite(hub.bridges, name, lambda kept: BridgeStart(1 if kept is None else kept.epoch + 1))
    return BridgeEpoch(epoch=written.value.epoch)
