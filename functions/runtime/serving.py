"""Serves routes on the bus through the NATS service protocol (ADR-32).

The library awaits one callback at a time per subscription, so each call is
handed to a task of its own, of which there are at most so many: when all are
busy the callback waits, and the messages with it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import nats.errors
import structlog
from nats.aio.client import Client
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, EndpointStats, Service, ServiceConfig

from functions.contract.subjects import QUEUE
from functions.ports import Hub
from functions.route import Route
from functions.runtime.calls import answer, fitting

_CALLS_AT_ONCE = 256

log = structlog.get_logger("functions")


class Runtime:
    """Serves a hub's functions until it is drained."""

    def __init__(self, client: Client, hub: Hub, routes: Iterable[Route], *, name: str, version: str) -> None:
        self._client = client
        self._hub = hub
        self._routes = tuple(routes)
        self._service = Service(client, ServiceConfig(name=name, version=version, stats_handler=self._stats))
        self._slots = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._calls: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._nanoseconds: Counter[str] = Counter()

    async def start(self) -> None:
        """Subscribe every route; returns when the server knows them all."""
        await self._service.start()
        for route in self._routes:
            await self._service.add_endpoint(
                EndpointConfig(
                    name=route.name,
                    subject=route.full_subject,
                    queue_group=QUEUE,
                    handler=self._handler(route),
                    metadata={"handler": f"{route.handler.__module__}.{route.handler.__name__}"},
                )
            )
        await self._client.flush()

    async def drain(self) -> None:
        """Take no new calls, finish those taken and queued, and close the connection.

        ``Service.stop()`` would drop what is queued, and draining the client
        alone would close it under the calls still running.
        """
        try:
            await asyncio.gather(*(endpoint._subscription.drain() for endpoint in self._service._endpoints))
            while self._running:
                await asyncio.wait(self._running)
            await self._client.drain()
        except (nats.errors.Error, OSError) as problem:
            # The server is away, so nobody waits for an answer from here.
            log.warning("ended without draining", problem=repr(problem))
            # Closing flushes first, and fails in its turn.
            with suppress(OSError):
                await self._client.close()

    def _handler(self, route: Route) -> Callable[[Request], Awaitable[None]]:
        async def take(request: Request) -> None:
            await self._slots.acquire()
            task = asyncio.create_task(self._serve(route, request))
            self._running.add(task)
            task.add_done_callback(self._release)

        return take

    def _release(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()

    async def _serve(self, route: Route, request: Request) -> None:
        # Not the loop's time, which some loops keep in whole milliseconds.
        started = time.perf_counter_ns()
        reply = await answer(route, self._hub, request.subject, request.data, request.headers or {})
        reply = fitting(reply, self._hub, self._client.max_payload)
        self._calls[route.name] += 1
        self._faults[route.name] += reply.reason is not None
        self._nanoseconds[route.name] += time.perf_counter_ns() - started
        try:
            await request.respond(reply.body, reply.headers or None)
        except (ValueError, nats.errors.Error) as problem:
            # No reply subject, or the connection went while the call ran: the
            # caller has timed out or never wanted an answer.
            log.warning("reply lost", subject=request.subject, problem=repr(problem))

    def _stats(self, endpoint: EndpointStats) -> dict[str, int]:
        """Counts of the calls themselves; the library's own see only the handing over."""
        name = endpoint.name
        calls = self._calls[name]
        return {
            "calls": calls,
            "faults": self._faults[name],
            "averageMicroseconds": self._nanoseconds[name] // max(calls, 1) // 1000,
            "running": len(self._running),
        }
