"""What the inventory is asked, over HTTP and over the bus, and how long it takes to be built again."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from urllib.parse import urlencode

from functions.domain.faults import Fault
from tests.bench.ceilings import loops
from tests.bench.fleet import GROUPS, MODELS, SITES
from tests.bench.measure import Tally
from tests.bench.stage import Stage
from tests.e2e.rig import CLI

_SORTS = ("-lastSeen", "displayName", "-createdAt", "model,-lastSeen", "firmware")
_REBUILD_SECONDS = 300.0


def questions(size: int) -> Sequence[dict[str, str]]:
    """Pages of 50 by a query with filters, an order and a total, as pages and scripts ask them."""
    asked = []
    for number in range(200):
        query = (
            f"group:{GROUPS[number % 10]} status:online",
            f"tag:site={SITES[number % 50]} -tag:row=3",
            f"model:{MODELS[number % 5]} firmware<2.{number % 3}.5 lastSeen<12h",
            f"(status:offline OR status:unknown) lastSeen>{number % 20}h",
        )[number // 5 % 4]
        place = number % 3 * 50 if size > 1000 else 0
        asked.append({"q": query, "sort": _SORTS[number % 5], "limit": "50", "offset": str(place)})
    return asked


def texts(size: int) -> Sequence[dict[str, str]]:
    """Texts that few devices hold, that some do and that all do; most are never asked twice."""
    few = [{"q": f"{number * 7919 % size:06}"[-5:]} for number in range(2000)]
    some = [{"q": f"pump {number % 100:02}", "sort": "-lastSeen"} for number in range(200)]
    return [{**one, "limit": "50"} for one in (*few, *some, {"q": "pump"})]


def facets(size: int) -> Sequence[dict[str, str]]:
    """Counts by label of those that the questions find."""
    return [{"q": one["q"]} for one in questions(size)[:100]]


def paths(address: str, asked: Sequence[dict[str, str]]) -> Iterator[str]:
    """The same questions again and again, as requests."""
    return cycle([f"{address}?{urlencode(one)}" for one in asked])


@asynccontextmanager
async def over_bus(stage: Stage, asked: Sequence[dict[str, str]], tally: Tally, *, at_once: int) -> AsyncIterator[None]:
    """The questions over the bus alone."""
    numbers = ("limit", "offset")
    bodies = cycle([
        json.dumps({name: int(text) if name in numbers else text for name, text in one.items()}).encode()
        for one in asked
    ])  # fmt: skip

    async def ask(_number: int) -> None:
        began = time.perf_counter()
        try:
            await stage.bus.request("devicehub.registry.query", next(bodies), caller=CLI)
            tally.done(began)
        except Fault as fault:
            tally.failed(str(fault.reason))

    async with loops(ask, at_once):
        yield


async def rebuild(stage: Stage) -> dict[str, float]:
    """Build an index as after a restart, in a process of its own: seconds, processor seconds, and bytes a device."""
    url = f"nats://127.0.0.1:{stage.hub.nats_port}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.rebuild", url, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    password = stage.paths.nats_password("functions").read_text().strip()
    async with asyncio.timeout(_REBUILD_SECONDS):
        told, _ = await process.communicate(password.encode() + b"\n")
    assert process.returncode == 0, "the index was not built"
    # Beside what it logs.
    figures: dict[str, float] = json.loads(next(line for line in told.splitlines() if line.startswith(b"{")))
    return figures
