"""``gateway.serverless.handler`` as a platform runs it: a process of its own, one event after the other."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.integration.gateway.conftest import DEVICE, SECONDS, Functions, Gateway, Nats, until
from tests.unit.gateway.events import KINDS, Answer, Request, read

TWIN = f"/api/devices/{DEVICE}/twin"
Token = Callable[..., Awaitable[str]]

PLATFORM = """
import json, sys
from gateway.serverless import handler
for line in sys.stdin:
    print(json.dumps(handler(json.loads(line), None)), flush=True)
"""


class Platform:
    """Hands events in and reads what comes back."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def invoke(self, event: dict[str, Any]) -> Answer:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(event).encode() + b"\n")
        while True:
            line = await asyncio.wait_for(self.process.stdout.readline(), SECONDS)
            told = json.loads(line)
            # Lines of the log are JSON objects too.
            if "statusCode" in told:
                return read(told)


@pytest.fixture
async def platform(gateway: Gateway) -> AsyncIterator[Platform]:
    environ = {**gateway.environ, "HUB_LOG_LEVEL": "error"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PLATFORM),
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    yield Platform(process)
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_events_find_the_bus_that_the_environment_names(
    nats: Nats, functions: Functions, platform: Platform, token: Token
) -> None:
    nats.start()
    await functions.start()
    bearer = ("Authorization", f"Bearer {await token('twins:read', 'twins:write')}")

    for number, make in enumerate(KINDS.values(), start=1):
        body = b'{"desired":{"n":%d}}' % number
        patch = Request("PATCH", TWIN, "", (bearer, ("Content-Type", "application/json"), ("Host", "hub")), body)
        assert (await platform.invoke(make(patch))).status == 200
        answer = await platform.invoke(make(Request("GET", TWIN, "", (bearer, ("Host", "hub")))))
        assert answer.status == 200
        assert json.loads(answer.body)["desired"] == {"n": number}


async def test_an_event_before_the_bus_is_there_is_told_so_and_the_next_is_not(
    nats: Nats, functions: Functions, platform: Platform, token: Token
) -> None:
    event = KINDS["http-v2"](Request("GET", TWIN, "", (("Authorization", "Bearer dh_" + "x" * 43),)))
    assert (await platform.invoke(event)).status == 503

    nats.start()
    await functions.start()

    async def is_served() -> bool:
        return (await platform.invoke(event)).status == 401

    await until(is_served)
