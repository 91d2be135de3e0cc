"""The way to devices: requests to the bridges, and the answers of devices, which every function process hears."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from functions.adapters.durable import require_connection
from functions.contract.faults import decode_fault
from functions.contract.messages import Encoded, Message, MethodRequest, MethodResponse
from functions.contract.reading import read_json
from functions.contract.subjects import DEADLINE, ROOT, subject
from functions.domain.faults import Malformed, Reason, Unavailable
from functions.domain.names import DeviceId

# What a broker takes to say that it has a message; with a busy one it is a few milliseconds.
_TAKEN_SECONDS = 2.0
# So many requests are with the bridges at once: a thousand that came at once would share the seconds of each.
_SENDING_AT_ONCE = 64
# Calls that wait in one process. Each costs some 2 KiB and what is sent with it.
_MOST_WAITING = 4096

log = structlog.get_logger("functions")


@dataclass(frozen=True, slots=True)
class _Wait:
    subject: str
    answer: asyncio.Future[MethodResponse]


class NatsDownlink:
    """Requests over the bus (``functions.ports.Downlink``).

    A request's id begins with what only this process begins its ids with, so
    of the answers, which all processes hear, each knows its own without
    reading the others. What comes when nobody waits for it any more, or a
    second time, is dropped and counted as ``late``.

    Args:
        client: the connection.
        now: seconds since 1970.
    """

    def __init__(self, client: Client, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._now = now
        self._own = secrets.token_hex(8)
        self._numbers = count(1)
        self._waiting: dict[str, _Wait] = {}
        self._sending = asyncio.Semaphore(_SENDING_AT_ONCE)
        self.counts: Counter[str] = Counter()

    async def start(self) -> None:
        """Hear what devices answer."""
        await self._client.subscribe(f"{ROOT}.devices.*.methods.*.response", cb=self._heard)

    def new_id(self) -> str:
        """An id that no other request has."""
        return f"{self._own}-{next(self._numbers):x}"

    async def call(self, device: DeviceId, request: MethodRequest, *, within: float) -> MethodResponse:
        """Send a request and give the device's answer.

        Raises:
            NotFound: nobody is subscribed (``not_subscribed``).
            Unavailable: it was not sent; ``timeout`` when no answer came;
                ``rate_limited`` when as many calls wait as may.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise Unavailable(Reason.RATE_LIMITED, "As many calls wait for devices as may. Try again in a moment.")
        answer: asyncio.Future[MethodResponse] = asyncio.get_running_loop().create_future()
        expected = subject("devices", device, "methods", request.method_name, "response")
        self._waiting[request.request_id] = _Wait(expected, answer)
        self.counts["calls"] += 1
        try:
            async with asyncio.timeout(within):
                # The answer may come before the broker's word that it has the request.
                await self.send(device, ("methods", request.method_name, "request"), request, within=within)
                return await answer
        except TimeoutError as problem:
            self.counts["timeouts"] += 1
            raise Unavailable(
                Reason.TIMEOUT, f"The device did not answer within {within:g} s; it may have done it, or do it still."
            ) from problem
        finally:
            del self._waiting[request.request_id]

    async def send(
        self, device: DeviceId, path: tuple[str, ...], body: Message | Encoded[Any], *, within: float | None
    ) -> None:
        """Give the broker a message for a device, when it is its turn.

        Raises:
            NotFound: nobody is subscribed (``not_subscribed``).
            Unavailable: the broker was not given it; ``timeout`` when that is not known.
        """
        # From now, and not from its turn: what waits for that gets no longer time.
        headers = {} if within is None else {DEADLINE: str(int((self._now() + within) * 1000))}
        async with self._sending:
            require_connection(self._client)
            reply = await self._request(subject("devices", device, *path), body.encode(), headers)
        fault = decode_fault(reply.headers, reply.data)
        if fault is not None:
            raise fault

    def end(self) -> None:
        """Give up waiting: the process ends."""
        for wait in self._waiting.values():
            if not wait.answer.done():
                told = "The hub is being restarted while the device was to answer; it may have done it, or do it still."
                wait.answer.set_exception(Unavailable(Reason.TIMEOUT, told))

    async def _request(self, subject: str, payload: bytes, headers: dict[str, str]) -> Msg:
        try:
            return await self._client.request(subject, payload, timeout=_TAKEN_SECONDS, headers=headers)
        except nats.errors.NoRespondersError as problem:
            raise Unavailable(detail="No bridge to a broker is there now.") from problem
        except nats.errors.MaxPayloadError as problem:
            raise Malformed(Reason.TOO_LARGE) from problem
        except (TimeoutError, nats.errors.TimeoutError) as problem:
            raise Unavailable(Reason.TIMEOUT) from problem
        except (nats.errors.Error, OSError) as problem:
            raise Unavailable(detail="The bus cannot be reached now.") from problem

    async def _heard(self, msg: Msg) -> None:
        if self._own.encode() not in msg.data:
            return
        with suppress(Malformed, ValidationError):
            response = MethodResponse.model_validate(read_json(msg.data))
            wait = self._waiting.get(response.request_id)
            if wait is not None and wait.subject == msg.subject and not wait.answer.done():
                wait.answer.set_result(response)
            else:
                self.counts["late"] += 1
                log.info("answer dropped", subject=msg.subject, request=response.request_id[:64])
            return
        self.counts["unreadable"] += 1
        log.warning("answer not understood", subject=msg.subject)
