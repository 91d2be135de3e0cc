"""What each part of the hub holds, minute by minute, under telemetry that goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import psutil
from websockets.asyncio.client import connect

from tests.bench.measure import Tally
from tests.bench.stage import Stage

_MINUTE = 60.0


async def held(stage: Stage, tally: Tally, *, minutes: int) -> tuple[dict[str, list[float]], list[float]]:
    """What each part holds at the beginning and after each minute, as ``sizes`` has it; and the rate of each minute."""
    held = {name: [size] for name, size in sizes(stage).items()}
    rates: list[float] = []
    tally.take()
    for minute in range(1, minutes + 1):
        began = time.perf_counter()
        await asyncio.sleep(_MINUTE)
        count, _, errors = tally.take()
        rates.append(count / (time.perf_counter() - began))
        if errors:
            raise AssertionError(f"minute {minute}: {errors}")
        for name, size in sizes(stage).items():
            held.setdefault(name, []).append(size)
        shown = "  ".join(f"{name} {each[-1]:.1f}" for name, each in held.items())
        print(f"minute {minute}: {rates[-1]:,.0f}/s; MiB: {shown}", flush=True)
    return held, rates


def sizes(stage: Stage) -> dict[str, float]:
    """What each part holds now in MiB, of its own: what is mapped from files depends on who else maps them."""
    return {
        name: sum(resident(process, "Anonymous") for process in each) / 1024
        for name, each in sorted(stage.parts().items())
    }


def resident(process: psutil.Process, name: str) -> int:
    """KiB of a process: ``Rss`` has what is shared in each, ``Pss`` once in all; ``Anonymous`` is of no file."""
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(f"the kernel tells no {name}")


@asynccontextmanager
async def listening(stage: Stage, devices: Sequence[str], token: str) -> AsyncIterator[None]:
    """A WebSocket that hears these devices, so that the gateway reads what all send."""
    url = f"ws://127.0.0.1:{stage.hub.http_port}/ws?token={token}"
    async with connect(url, compression=None) as socket:
        await socket.send(orjson.dumps({"type": "subscribe", "topics": ["telemetry"], "devices": devices}).decode())

        async def read() -> None:
            async for _ in socket:
                pass

        reading = asyncio.create_task(read())
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
