"""An index that is built and measured, as a process: ``python -m tests.bench.rebuild URL``, password on stdin."""

import asyncio
import json
import sys
import time
from datetime import timedelta

import psutil
import uvloop

from functions.adapters.clock import SystemClock
from functions.adapters.index import BucketIndex
from functions.contract import bus
from functions.contract.memory import settle_memory
from functions.domain.query import All


async def main(url: str) -> None:
    client = await bus.connect(url, user="functions", password=sys.stdin.readline().strip())
    index = BucketIndex(client, SystemClock())
    settle_memory()
    before = psutil.Process().memory_info().rss
    began, busy = time.perf_counter(), time.process_time()
    await index.start()
    await index.ready()
    took = {"seconds": time.perf_counter() - began, "processor": time.process_time() - busy}
    # It answers by now, so this counts as memory and not as time.
    await index.learned()
    settle_memory()
    devices = (await index.count(All(), drifted_for=timedelta())).total
    held = psutil.Process().memory_info().rss - before
    print(json.dumps({**took, "devices": devices, "bytes": held / max(devices, 1)}))
    await index.stop()
    await asyncio.wait_for(client.close(), 5)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
