"""Direct methods: call a device, and give what it answers.

Subjects   devicehub.devices.<device>.methods.<method>.call
Sends      devicehub.devices.<device>.methods.<method>.request
"""

import asyncio

from functions.contract.messages import MethodAnswer, MethodCall, MethodRequest
from functions.domain.methods import require_online
from functions.handlers.admission import admit_device
from functions.handlers.auditing import record
from functions.handlers.rewriting import value_of
from functions.ports import Call, Hub


async def call(call: Call[MethodCall], hub: Hub) -> MethodAnswer:
    """Have a device do something; status and payload are passed through as it gives them.

    It is sent once, and written down while the device does it. A repeat is
    another call.

    Raises:
        NotFound: no such device; it is offline, or not subscribed to its methods.
        Denied: it is suspended or retired.
        Unavailable: it cannot be sent; ``timeout`` when it did not answer in time.
    """
    method = call.names[1]
    await admit_device(call, hub)
    require_online(value_of(await hub.presence.get(call.device)))
    request = MethodRequest(request_id=hub.downlink.new_id(), method_name=method, payload=call.body.payload)
    told = {"method": method, "requestId": request.request_id}
    recorded = asyncio.ensure_future(record(hub, call, "method.called", call.device, kind="device", after=told))
    try:
        answered = await hub.downlink.call(call.device, request, within=call.body.timeout)
    finally:
        # Whatever became of the call: it may have been done.
        await recorded
    return MethodAnswer(
        request_id=answered.request_id,
        status=answered.status,
        payload=answered.payload,
        message=answered.message,
    )
