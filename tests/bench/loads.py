"""The loads on the hub by MQTT: each is a closed loop that tells a tally, until it is cancelled."""

import asyncio
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from cryptography.hazmat.primitives.asymmetric import ec

from functions.adapters import layout
from tests.bench.joining import csr_of, joining
from tests.bench.measure import Tally
from tests.bench.mqtt import Refused, Session, Where
from tests.bench.stage import Device, Stage, many

# Without an answer for this long a message counts as lost, and the device sends its next.
_PATIENCE_SECONDS = 5.0
HANDSHAKES_AT_ONCE = 16
_LOOK_SECONDS = 0.05


class _Asking:
    """One device that publishes, waits for the answer, and publishes the next."""

    def __init__(self, session: Session, tally: Tally, topic: str) -> None:
        self._session = session
        self._tally = tally
        self._topic = topic
        self._number = 0
        self._began = 0.0
        self._token = b""
        session.heard = self._heard

    def ask(self) -> None:
        self._number += 1
        self._token = b'"%d"' % self._number
        self._began = time.perf_counter()
        self._session.publish(
            self._topic,
            b'{"reported":{"rate":%d,"state":"running","pump":{"rpm":1480,"hours":%d}},"clientToken":"%d"}'
            % (self._number, self._number // 100, self._number),
        )

    def _heard(self, topic: str, payload: bytes) -> None:
        if self._token not in payload:
            self._tally.failed("an answer to an earlier message")
        elif topic.endswith("/rejected"):
            self._tally.failed(json.loads(payload)["error"])
            self.ask()
        else:
            self._tally.done(self._began)
            self.ask()

    def look(self) -> None:
        """Give up on a message that is not answered."""
        if self._session.ended.done():
            self._tally.failed("session ended")
        elif time.perf_counter() - self._began > _PATIENCE_SECONDS:
            self._tally.failed("no answer")
            self.ask()


@asynccontextmanager
async def asking(
    where: Where, devices: Sequence[Device], tally: Tally, *, topic: str, answers: Sequence[str]
) -> AsyncIterator[None]:
    """Devices that each send their next message when the last is answered; topics with ``{}`` for the id."""

    async def join(device: Device) -> Session:
        session = await Session.open(where, device.name, device.context)
        await session.subscribe([answer.format(device.name) for answer in answers])
        return session

    sessions = await many(join, devices, HANDSHAKES_AT_ONCE)
    loops = [
        _Asking(session, tally, topic.format(device.name)) for session, device in zip(sessions, devices, strict=True)
    ]
    for each in loops:
        each.ask()

    async def watch() -> None:
        while True:
            await asyncio.sleep(1)
            for each in loops:
                each.look()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        await _stop([watching])
        for session in sessions:
            await session.close()


def updating(stage: Stage, devices: Sequence[Device], tally: Tally) -> AbstractAsyncContextManager[None]:
    """Twin updates, from publishing to ``accepted``."""
    base = "$devicehub/devices/{}/twin/update"
    return asking(stage.broker, devices, tally, topic=base, answers=[f"{base}/accepted", f"{base}/rejected"])


@asynccontextmanager
async def reporting(
    stage: Stage,
    devices: Sequence[Device],
    tally: Tally,
    *,
    ahead: int,
    arrived: Callable[[Stage], Awaitable[int]] | None = None,
) -> AsyncIterator[None]:
    """Telemetry at QoS 1, at most so many messages ahead of what has arrived, which is what counts.

    What has arrived is what the streams have stored, unless another count is given.
    """
    arrived = arrived or stored
    sessions = await many(
        lambda device: Session.open(stage.broker, device.name, device.context), devices, HANDSHAKES_AT_ONCE
    )
    begin = await arrived(stage)

    async def report() -> None:
        sent = known = 0
        while True:
            came = await arrived(stage) - begin
            tally.count += came - known
            known = came
            room = ahead - (sent - known)
            for index in range(sent, sent + max(0, room)):
                which = index % len(sessions)
                payload = b'{"temperature":21.5,"pressure":1.013,"rpm":1480,"state":"running","number":%d}' % index
                sessions[which].publish(devices[which].topic("telemetry"), payload)
            sent += max(0, room)
            await asyncio.sleep(_LOOK_SECONDS)

    task = asyncio.create_task(report())
    try:
        yield
    finally:
        await _stop([task])
        for session in sessions:
            await session.close()


async def stored(stage: Stage) -> int:
    """How many messages the telemetry streams have taken so far."""
    context = stage.admin.jetstream()
    shards = range(layout.STREAMS["telemetry"].shards)
    states = await asyncio.gather(*(context.stream_info(f"telemetry-{shard}") for shard in shards))
    return sum(int(each.state.last_seq) for each in states)


@asynccontextmanager
async def onboarding(stage: Stage, tally: Tally, *, at_once: int) -> AsyncIterator[None]:
    """New devices that join, each from its TLS handshake to the certificate in its hands."""
    claim = stage.claim
    # A device makes its key at its leisure; here it would only be more load.
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(at_once)]

    async def joiner(key: ec.EllipticCurvePrivateKey) -> None:
        while True:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS * 2):
                    await _join(stage, claim, key)
                tally.done(began)
            except (Refused, OSError, TimeoutError) as problem:
                tally.failed(str(problem) or type(problem).__name__)

    tasks = [asyncio.create_task(joiner(key)) for key in keys]
    try:
        yield
    finally:
        await _stop(tasks)


async def _join(stage: Stage, claim: ssl.SSLContext, key: ec.EllipticCurvePrivateKey) -> None:
    async with joining(stage.broker, str(uuid.uuid4()), claim) as claimer:
        name = await claimer.ask({}, "deviceId")
        certificate = await claimer.ask({"deviceId": name, "csrPem": csr_of(name, key)}, "certPem")
        if not certificate.startswith("-----BEGIN CERTIFICATE-----"):
            raise Refused("the answer holds no certificate")


async def _stop(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
