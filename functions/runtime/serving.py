"""Serves routes: each call is answered by ``calls.answer``, and counted."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial

import nats.errors
import structlog
from nats.aio.client import Client
from nats.micro.request import Request
from nats.micro.service import EndpointStats

from functions.contract import bus
from functions.contract.service import Endpoints, respond
from functions.contract.subjects import QUEUE
from functions.ports import Hub
from functions.route import Route
from functions.runtime.calls import answer, fitting

_CALLS_AT_ONCE = 256
# More than may wait for devices, so that one too many is refused and does not wait to wait.
_WAITING_AT_ONCE = 8192

log = structlog.get_logger("functions")


class Runtime:
    """Serves a hub's functions until it is drained.

    Args:
        client: connected.
        hub: the ports.
        routes: the functions.
        name: of the service.
        version: of the hub.
        more: by a route's name, what else is counted of it.
    """

    def __init__(
        self,
        client: Client,
        hub: Hub,
        routes: Iterable[Route],
        *,
        name: str,
        version: str,
        more: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        self._client = client
        self._hub = hub
        self._routes = tuple(routes)
        self._more = more or {}
        self._endpoints = Endpoints(
            client,
            name=name,
            version=version,
            stats=self._stats,
            at_once=_CALLS_AT_ONCE,
            waiting_at_once=_WAITING_AT_ONCE,
        )
        self._calls: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._nanoseconds: Counter[str] = Counter()

    async def start(self) -> None:
        """Subscribe every route; returns when the server knows them all."""
        await self._endpoints.start()
        for route in self._routes:
            await self._endpoints.add(
                name=route.name,
                subject=route.full_subject,
                queue=QUEUE,
                handler=partial(self._serve, route),
                metadata={"handler": f"{route.handler.__module__}.{route.handler.__name__}"},
                waits=route.waits,
            )
        await self._endpoints.ready()

    async def drain(self) -> None:
        """Take no new calls, finish those taken and queued, and close the connection."""
        try:
            await self._endpoints.finish()
        except (nats.errors.Error, OSError) as problem:
            # The server is away, so nobody waits for an answer from here.
            log.warning("ended without draining", problem=repr(problem))
        await bus.leave(self._client)

    async def _serve(self, route: Route, request: Request) -> None:
        # Not the loop's time, which some loops keep in whole milliseconds.
        started = time.perf_counter_ns()
        reply = await answer(route, self._hub, request.subject, request.data, request.headers or {})
        reply = fitting(reply, self._hub, self._client.max_payload)
        self._calls[route.name] += 1
        self._faults[route.name] += reply.reason is not None
        self._nanoseconds[route.name] += time.perf_counter_ns() - started
        await respond(request, reply.body, reply.headers)

    def _stats(self, endpoint: EndpointStats) -> dict[str, int]:
        """Counts of the calls themselves; the library's own see only the handing over."""
        name = endpoint.name
        calls = self._calls[name]
        return {
            "calls": calls,
            "faults": self._faults[name],
            "microseconds": self._nanoseconds[name] // 1000,
            "averageMicroseconds": self._nanoseconds[name] // max(calls, 1) // 1000,
            "running": self._endpoints.running,
            **self._more.get(name, {}),
        }
