"""Method calls: from a request on the bus to a device over mutual TLS, and back."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from functions.contract.messages import MethodAnswer, MethodCall
from functions.domain.faults import Fault, Reason
from tests.bench.ceilings import loops
from tests.bench.loads import HANDSHAKES_AT_ONCE
from tests.bench.measure import Tally
from tests.bench.mqtt import Session
from tests.bench.stage import Device, Stage, many
from tests.e2e.rig import CLI

_KNOWN_SECONDS = 15.0
_PAUSE_SECONDS = 0.05
_PAYLOAD: Final[JsonValue] = {"rate": 12, "valve": "open"}


@asynccontextmanager
async def calling(stage: Stage, devices: Sequence[Device], tally: Tally) -> AsyncIterator[None]:
    """Callers, one a device, that each call again when the device has answered."""
    sessions = await many(lambda device: _answering(stage, device), devices, HANDSHAKES_AT_ONCE)
    await asyncio.gather(*(_until_known(stage, device) for device in devices))

    async def call(number: int) -> None:
        began = time.perf_counter()
        try:
            await _call(stage, devices[number])
            tally.done(began)
        except Fault as fault:
            tally.failed(str(fault.reason))

    try:
        async with loops(call, len(devices)):
            yield
    finally:
        for session in sessions:
            await session.close()


async def _answering(stage: Stage, device: Device) -> Session:
    """A device that gives back what it is asked."""
    session = await Session.open(stage.broker, device.name, device.context)

    def heard(topic: str, payload: bytes) -> None:
        request = from_json(payload)
        answer = {"requestId": request["requestId"], "status": 200, "payload": request["payload"]}
        session.publish(topic.removesuffix("request") + "response", to_json(answer))

    session.heard = heard
    await session.subscribe([device.topic("methods/+/request")])
    return session


async def _call(stage: Stage, device: Device) -> MethodAnswer:
    subject = f"devicehub.devices.{device.name}.methods.echo.call"
    return await stage.bus.call(subject, MethodCall(payload=_PAYLOAD, timeout=5), MethodAnswer, caller=CLI, within=10)


async def _until_known(stage: Stage, device: Device) -> None:
    async with asyncio.timeout(_KNOWN_SECONDS):
        while True:
            try:
                await _call(stage, device)
            except Fault as fault:
                if fault.reason is not Reason.DEVICE_OFFLINE:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return
