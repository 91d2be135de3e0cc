"""A host that is measured, asked and heard over a real bus, with the stack's permissions."""

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from bridge.host.asks import Desk
from bridge.host.metrics.metering import FIGURES, Metering
from functions.contract.bus import Bus
from tests.integration.gateway.conftest import Nats


async def test_a_host_tells_of_itself_and_answers(nats: Nats) -> None:
    async def pids() -> Mapping[str, int]:
        return {"self": os.getpid()}

    nats.start()
    host, gateway, functions = [await nats.connect(user) for user in ("host", "gateway", "functions")]
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(message: Any) -> None:
        heard.put_nowait(json.loads(message.data))

    metering = Metering(Bus(host), "n1", pids, every=0.05)
    desk = Desk(host, "n1", "1.0.0", metering.asks())
    await gateway.subscribe("devicehub.host.*.metrics.sampled", cb=hear)
    await gateway.flush()
    await desk.start()
    early = await functions.request("devicehub.host.n1.metrics", b"", timeout=5)
    work = asyncio.create_task(metering.run())
    try:
        async with asyncio.timeout(20):
            told = [await heard.get() for _ in range(3)]
        now = json.loads((await functions.request("devicehub.host.n1.metrics", b"", timeout=5)).data)
        history = json.loads((await functions.request("devicehub.host.n1.metrics.history", b"", timeout=5)).data)
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        await desk.finish()
        for client in (host, gateway, functions):
            await client.close()

    assert json.loads(early.data)["error"] == "unavailable"
    assert all(one["node"] == "n1" and one["memory"]["totalBytes"] > 0 for one in told)
    assert told[-1]["parts"][0]["unit"] == "self"
    assert told[-1]["parts"][0]["percent"] is not None
    assert now["at"] >= told[-1]["at"]
    assert set(history["series"]) == set(FIGURES)
    assert history["stepSeconds"] == 10
    assert history["series"]["memoryUsedBytes"]["max"][0] > 0
