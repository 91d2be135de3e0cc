"""Direct methods: call a device, and give what it answers; or keep the call until the device is there.

Subjects   devicehub.devices.<device>.methods.<method>.call
Writes     queued
Sends      devicehub.devices.<device>.methods.<method>.request
"""

import asyncio
import secrets
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from functions.contract.messages import MethodAnswer, MethodCall, MethodRequest
from functions.domain.faults import Conflict, NotFound, Reason, Unavailable
from functions.domain.methods import QueuedCall, enqueue, require_online, settle, take, taken
from functions.domain.names import DeviceId
from functions.handlers.admission import admit_device
from functions.handlers.auditing import record
from functions.handlers.rewriting import amend, rewrite, value_of
from functions.ports import Call, Hub

# What a device is told when a call of it waits: accepted, and not done.
_QUEUED_STATUS = 202
_ABSENT = (Reason.DEVICE_OFFLINE, Reason.NOT_SUBSCRIBED)

log = structlog.get_logger("functions")


async def call(call: Call[MethodCall], hub: Hub) -> MethodAnswer:
    """Have a device do something; status and payload are passed through as it gives them.

    It is sent once, and written down while the device does it. A repeat is
    another call. With ``queue`` a call of a device that is not there is kept,
    durably, and sent when it comes.

    Raises:
        NotFound: no such device; it is offline, or not subscribed to its methods.
        Denied: it is suspended or retired.
        Unavailable: it cannot be sent; ``timeout`` when it did not answer in
            time; ``rate_limited`` when as many calls wait as may.
    """
    await admit_device(call, hub)
    try:
        require_online(value_of(await hub.presence.get(call.device)))
        return await _call_now(call, hub)
    except NotFound as absent:
        if not call.body.queue or absent.reason not in _ABSENT:
            raise
    return await _queue(call, hub)


async def deliver_queued(device: DeviceId, hub: Hub) -> None:
    """Send what waits for a device that has come, in its order; what nobody is subscribed to goes on waiting.

    One call of this delivers, however many are made at once. Where the hub
    dies between the sending and its own note of that, a call is sent again
    later, under the same request id.
    """
    if await hub.queued.get(device) is None:
        return
    now = hub.clock.now()
    marked = await amend(hub.queued, device, lambda queue: take(queue, now))
    delivered: set[str] = set()
    for one in taken(marked.value, now) if marked is not None and marked.changed else ():
        request = MethodRequest(request_id=one.request_id, method_name=one.method, payload=one.payload)
        left = (one.expires_at - now).total_seconds()
        try:
            await hub.downlink.send(device, ("methods", one.method, "request"), request, within=left)
        except NotFound:
            continue
        except Unavailable as fault:
            log.warning("queued calls wait on", device=device, reason=fault.reason)
            break
        delivered.add(one.request_id)
    await _tidy(device, hub, frozenset(delivered), now)


async def finish_queued(hub: Hub) -> None:
    """Send what was left to devices that are there, and forget what is over; for a timer."""
    devices = [DeviceId(key) async for key, _ in hub.queued.entries()]
    for device in devices:
        presence = await hub.presence.get(device)
        if presence is not None and presence.value.online:
            await deliver_queued(device, hub)
        else:
            await _tidy(device, hub)


async def _call_now(call: Call[MethodCall], hub: Hub) -> MethodAnswer:
    method = call.names[1]
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


async def _queue(call: Call[MethodCall], hub: Hub) -> MethodAnswer:
    now = hub.clock.now()
    queued = QueuedCall(
        # Not one of this process's own: its answer comes when nobody waits, and is not late for that.
        request_id=f"queued-{secrets.token_hex(12)}",
        method=call.names[1],
        payload=call.body.payload,
        by=str(call.caller),
        queued_at=now,
        expires_at=now + timedelta(seconds=call.body.expires_in),
    )
    await rewrite(hub.queued, call.device, lambda queue: enqueue(queue, queued, now))
    told = {"method": queued.method, "requestId": queued.request_id, "expiresAt": queued.expires_at}
    await record(hub, call, "method.queued", call.device, kind="device", after=told)
    presence = await hub.presence.get(call.device)
    if presence is not None and presence.value.online:
        # It came while this was written, so whoever told of that may have found nothing.
        await deliver_queued(call.device, hub)
    return MethodAnswer(
        request_id=queued.request_id,
        status=_QUEUED_STATUS,
        payload=None,
        message="The call waits for the device.",
        queued_until=queued.expires_at,
    )


async def _tidy(
    device: DeviceId, hub: Hub, delivered: frozenset[str] = frozenset(), taken_at: datetime | None = None
) -> None:
    """Let go of what was delivered or is over, and of the whole queue where nothing is left."""
    now = hub.clock.now()
    left = await amend(hub.queued, device, lambda queue: settle(queue, delivered, taken_at, now))
    if left is not None and not left.value.calls:
        # One that came meanwhile stays.
        with suppress(Conflict):
            await hub.queued.remove(device, expect=left.revision)
