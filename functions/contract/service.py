"""Serving on the bus through the NATS service protocol (ADR-32), as functions and gateway do it.

The library awaits one callback at a time per subscription, so each call is
handed to a task of its own, of which there are at most so many: when all are
busy the callback waits, and the messages with it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, EndpointStats, Service, ServiceConfig

Handler = Callable[[Request], Coroutine[Any, Any, None]]

log = structlog.get_logger("bus")


class Endpoints:
    """A service found by ``$SRV.PING``, and its endpoints.

    Args:
        client: connected.
        name: of the service.
        version: of the hub.
        stats: what ``$SRV.STATS`` tells of an endpoint.
        at_once: how many calls run at the same time.
        waiting_at_once: how many more of the endpoints that mostly wait.
    """

    def __init__(
        self,
        client: Client,
        *,
        name: str,
        version: str,
        stats: Callable[[EndpointStats], Mapping[str, Any]],
        at_once: int,
        waiting_at_once: int = 0,
    ) -> None:
        self._client = client
        self._service = Service(client, ServiceConfig(name=name, version=version, stats_handler=stats))
        self._slots = asyncio.Semaphore(at_once)
        self._waiting_slots = asyncio.Semaphore(waiting_at_once)
        self._running: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many calls run now."""
        return len(self._running)

    async def start(self) -> None:
        """Answer the service protocol."""
        await self._service.start()

    async def add(
        self,
        *,
        name: str,
        subject: str,
        queue: str,
        handler: Handler,
        metadata: dict[str, str] | None = None,
        waits: bool = False,
    ) -> None:
        """Serve a subject as one of a queue group; ``ready`` tells when the server knows.

        ``waits`` says that its calls mostly wait, and take no room from those that work.
        """
        slots = self._waiting_slots if waits else self._slots

        def release(task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            slots.release()

        async def take(request: Request) -> None:
            await slots.acquire()
            task = asyncio.create_task(handler(request))
            self._running.add(task)
            task.add_done_callback(release)

        await self._service.add_endpoint(
            EndpointConfig(name=name, subject=subject, queue_group=queue, handler=take, metadata=metadata)
        )

    async def ready(self) -> None:
        """Wait until the server knows of every endpoint added."""
        await self._client.flush()

    async def finish(self) -> None:
        """Take no new calls, and finish those taken and queued; the connection stays open.

        ``Service.stop()`` would drop what is queued, and draining the client
        alone would close it under the calls still running.
        """
        await asyncio.gather(*(endpoint._subscription.drain() for endpoint in self._service._endpoints))
        while self._running:
            await asyncio.wait(self._running)


async def respond(request: Request, body: bytes, headers: dict[str, str] | None = None) -> None:
    """Answer a call, if anyone still waits for it."""
    try:
        await request.respond(body, headers or None)
    except (ValueError, nats.errors.Error) as problem:
        # No reply subject, or the connection went while the call ran: the
        # caller has timed out or never wanted an answer.
        log.warning("reply lost", subject=request.subject, problem=repr(problem))
