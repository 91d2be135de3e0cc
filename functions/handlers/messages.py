"""Messages to devices: what the broker has taken, it keeps for the device's session.

Subjects   devicehub.devices.<device>.messages.send
Sends      devicehub.devices.<device>.messages.devicebound
"""

import secrets

from pydantic_core import to_json

from functions.contract.messages import Encoded, MessageSend, MessageSent
from functions.handlers.admission import admit_device
from functions.handlers.auditing import record
from functions.handlers.rewriting import value_of
from functions.ports import Call, Hub


async def send(call: Call[MessageSend], hub: Hub) -> MessageSent:
    """Give the broker a message for a device: at once where it is connected, else when its session goes on.

    ``sent`` says that its session is connected, ``held`` that the broker
    keeps it. Beyond that a broker tells nothing of what a device has taken.
    A repeat is another message.

    Raises:
        NotFound: no such device; no session of it, connected or kept, is subscribed to its messages.
        Denied: it is suspended or retired.
        Unavailable: the broker was not given it; ``timeout`` when that is not known.
    """
    await admit_device(call, hub)
    presence = value_of(await hub.presence.get(call.device))
    payload = to_json(call.body.payload)
    body: Encoded[MessageSent] = Encoded(payload)
    await hub.downlink.send(call.device, ("messages", "devicebound"), body, within=call.body.expires_in)
    sent = MessageSent(
        message_id=secrets.token_hex(12),
        device_id=call.device,
        state="sent" if presence is not None and presence.online else "held",
        timestamp=hub.clock.now(),
    )
    told = {"messageId": sent.message_id, "bytes": len(payload), "state": sent.state}
    await record(hub, call, "message.sent", call.device, kind="device", after=told)
    return sent
