"""Jobs over a whole fleet, one after the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from functions.contract.messages import JobDetail, JobItemQuery, JobView, TwinJob
from tests.bench.measure import Tally
from tests.bench.stage import Stage
from tests.e2e.rig import CLI

_LOOK_SECONDS = 0.1


@asynccontextmanager
async def wishing(stage: Stage, tally: Tally) -> AsyncIterator[None]:
    """Jobs that wish something of every device, as fast as they go; each device that is done counts."""

    async def work() -> None:
        for number in count(1):
            wish = TwinJob(q="", desired={"round": number})
            job = await stage.bus.call("devicehub.jobs.create.twins", wish, JobView, caller=CLI, within=30)
            known, state = 0, "running"
            while state == "running":
                await asyncio.sleep(_LOOK_SECONDS)
                subject = f"devicehub.jobs.{job.id}.get"
                told = await stage.bus.call(subject, JobItemQuery(limit=1), JobDetail, caller=CLI)
                tally.count += told.done - known
                known, state = told.done, told.state
                if told.failed:
                    tally.failed(f"{told.failed} devices of a job")

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
