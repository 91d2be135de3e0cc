"""What a host can be asked on the bus: each ask is one line, served below ``devicehub.host.<node>.``."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.micro.request import Request
from pydantic import ValidationError

from functions.contract.faults import encode_fault
from functions.contract.messages import Message
from functions.contract.reading import read_json
from functions.contract.service import Endpoints, respond
from functions.contract.subjects import DEADLINE, subject
from functions.domain.faults import Fault, Malformed, Reason, Unavailable

_AT_ONCE = 32
_WAITING_AT_ONCE = 64
_LIMIT_BYTES = 64 * 1024

log = structlog.get_logger("host")


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing that a host can be asked.

    Args:
        path: below ``devicehub.host.<node>.``.
        body: the message that it must be sent.
        answer: the deed; it raises a Fault for what is refused or fails.
        waits: whether most of its time it waits, and takes no room from the others.
    """

    path: tuple[str, ...]
    body: type[Message]
    answer: Callable[[Any], Awaitable[Message]]
    waits: bool = False


class Desk:
    """Serves asks until it is finished; who may ask, the bus decides.

    Args:
        client: connected.
        node: this host's name.
        version: of the hub.
        asks: what can be asked.
    """

    def __init__(self, client: Client, node: str, version: str, asks: Iterable[Ask]) -> None:
        self._client = client
        self._node = node
        self._asks = tuple(asks)
        self._endpoints = Endpoints(
            client,
            name="host",
            version=version,
            stats=lambda _: {"node": node},
            at_once=_AT_ONCE,
            waiting_at_once=_WAITING_AT_ONCE,
        )

    async def start(self) -> None:
        """Take what is asked; returns when the server knows."""
        await self._endpoints.start()
        for ask in self._asks:
            await self._endpoints.add(
                name="-".join(ask.path),
                subject=subject("host", self._node, *ask.path),
                queue=f"host-{self._node}",
                handler=partial(self._serve, ask),
                waits=ask.waits,
            )
        await self._endpoints.ready()

    async def finish(self) -> None:
        """Take nothing more, and finish what was taken."""
        try:
            await self._endpoints.finish()
        except (nats.errors.Error, OSError) as problem:
            # The server is away, so nobody waits for an answer from here.
            log.warning("ended without draining", problem=repr(problem))

    async def _serve(self, ask: Ask, request: Request) -> None:
        work = asyncio.ensure_future(_answer(ask, request.data, request.headers or {}))
        try:
            await asyncio.wait({work})
        finally:
            work.cancel()
        problem = work.exception()
        if problem is None:
            await respond(request, work.result().encode())
            return
        if not isinstance(problem, Fault):
            log.error("unforeseen", ask=".".join(ask.path), exc_info=problem)
            problem = Fault()
        headers, body = encode_fault(problem, datetime.now(UTC))
        await respond(request, body, headers)


async def _answer(ask: Ask, payload: bytes, headers: Mapping[str, str]) -> Message:
    if len(payload) > _LIMIT_BYTES:
        raise Malformed(Reason.TOO_LARGE)
    deadline = headers.get(DEADLINE, "")
    if deadline.isdecimal() and datetime.now(UTC).timestamp() * 1000 > int(deadline):
        raise Unavailable(Reason.TIMEOUT)
    try:
        body = ask.body.model_validate(read_json(payload or b"{}"))
    except ValidationError as problem:
        fields = {".".join(map(str, wrong["loc"])): wrong["msg"] for wrong in problem.errors()}
        raise Malformed(
            detail="; ".join(f"{name}: {text}" for name, text in fields.items()), fields=fields
        ) from problem
    return await ask.answer(body)
