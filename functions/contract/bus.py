"""The bus as gateway, bridges and commands use it: requests that answer or raise a fault, and events.

The functions themselves are served by ``functions.runtime``; this is the
calling side.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from functions.contract import subjects
from functions.contract.faults import decode_fault
from functions.contract.messages import Message
from functions.domain.callers import Caller
from functions.domain.faults import Reason, Unavailable

M = TypeVar("M", bound=Message)

log = structlog.get_logger("bus")

# Several calls of one process are in flight at once on one connection; the
# client's own buffer while the server is away is bounded, so that a long
# outage is felt by the callers instead of by memory.
_PENDING_BYTES = 4 * 1024 * 1024


class _Client(Client):
    """The library's client, mended in two places.

    A PING stays behind what was sent before it. Its own goes to the socket
    past what waits for the next write. So ``flush`` returned before the server
    knew of a subscription, and a drained subscription could still be handed
    messages, which then were lost.

    A request's deadline is ``asyncio.timeout``. Its own is ``wait_for``, which
    before Python 3.12 loses a cancellation that meets the answer: a handler
    then ran on past its deadline. And a reply's address ends in a number: its
    own draws random bytes for each, though no other user may listen there.
    """

    _numbers = count()

    async def _send_ping(self, future: "asyncio.Future[bool] | None" = None) -> None:
        if self.is_connected and self._transport is not None and self._pending:
            self._transport.writelines(self._pending[:])
            self._pending = []
            self._pending_data_size = 0
        await super()._send_ping(future)

    async def _request_new_style(
        self,
        subject: str,
        payload: bytes,
        timeout: float = 1,  # noqa: ASYNC109 - The library's signature.
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        if self.is_draining_pubs:
            raise nats.errors.ConnectionDrainingError
        if not self._resp_sub_prefix:
            await self._init_request_sub()
        assert self._resp_sub_prefix is not None
        number = str(next(self._numbers))
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._resp_map[number] = answer
        try:
            await self.publish(subject, payload, reply=f"{self._resp_sub_prefix.decode()}{number}", headers=headers)
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError as problem:
            raise nats.errors.TimeoutError from problem
        finally:
            self._resp_map.pop(number, None)


async def connect(
    url: str,
    *,
    user: str,
    password: str,
    closed: Callable[[], Awaitable[None]] | None = None,
    disconnected: Callable[[], Awaitable[None]] | None = None,
    reconnected: Callable[[], Awaitable[None]] | None = None,
    failed: Callable[[Exception], Awaitable[None]] | None = None,
) -> Client:
    """Connect as one of the hub's parts; waits for the server as long as it takes, now and whenever it goes away.

    A refused password counts as the server being away, as it may be mended
    there: ``failed`` is awaited with each problem on the way. Who cannot wait
    gives up when told, or after a time of its own.

    The inbox prefix is the user's own, which is all that its permissions let
    it listen on. ``closed`` is awaited when the client has given up for good
    (a subject over 4,096 bytes does that): the process should end then.

    Raises:
        Unavailable: the address is none that could ever be reached.
    """
    client = _Client()
    try:
        await client.connect(
            url,
            user=user,
            password=password,
            name=user,
            inbox_prefix=f"_INBOX_{user}".encode(),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,  # type: ignore[arg-type]  # Seconds, of which it takes parts.
            connect_timeout=2,
            ping_interval=10,
            max_outstanding_pings=2,
            pending_size=_PENDING_BYTES,
            allow_reconnect=True,
            closed_cb=closed,
            disconnected_cb=disconnected,
            reconnected_cb=reconnected,
            error_cb=failed,
        )
    except (OSError, nats.errors.Error, TimeoutError) as problem:
        raise Unavailable(detail=f"The NATS server at {url} cannot be reached: {problem}") from problem
    return client


async def leave(client: Client) -> None:
    """Send what is to be sent, and close the connection; quietly where the server is away, as nobody waits then."""
    try:
        await client.drain()
    except (nats.errors.Error, OSError) as problem:
        log.warning("bus left without goodbye", problem=repr(problem))
        # Closing flushes first, and fails in its turn.
        with suppress(OSError):
            await client.close()


class Bus:
    """Calls functions and hears events, over a connection that its maker closes."""

    def __init__(self, client: Client, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._client = client
        self._now = now

    @property
    def is_connected(self) -> bool:
        """Whether the server is there now."""
        return self._client.is_connected

    async def call(self, subject: str, body: Message, answer: type[M], *, caller: Caller, within: float = 5.0) -> M:
        """Call a function and give its answer; ``within`` in seconds.

        Raises:
            Fault: what the function answered instead, or Unavailable.
        """
        data = await self.request(subject, body.encode(), caller=caller, within=within)
        return answer.model_validate_json(data)

    async def request(
        self,
        subject: str,
        payload: bytes,
        *,
        caller: Caller,
        within: float = 5.0,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Call a function with a payload as it is, and give its answer as it is.

        Raises:
            Fault: what the function answered instead; ``unavailable`` when no
                function serves the subject or the server is away, ``timeout``
                when none answered in time: the call may have been done.
        """
        deadline = self._now() + timedelta(seconds=within)
        stamped = {
            subjects.CALLER: str(caller),
            subjects.DEADLINE: str(int(deadline.timestamp() * 1000)),
            **(headers or {}),
        }
        try:
            reply = await self._client.request(subject, payload, timeout=within, headers=stamped)
        except nats.errors.NoRespondersError as problem:
            raise Unavailable(detail="No function answers this call now.") from problem
        except (TimeoutError, nats.errors.TimeoutError) as problem:
            raise Unavailable(Reason.TIMEOUT) from problem
        except (nats.errors.Error, OSError) as problem:
            raise Unavailable(detail="The bus cannot be reached now.") from problem
        fault = decode_fault(reply.headers, reply.data)
        if fault is not None:
            raise fault
        return reply.data

    async def gather(self, subject: str, *, within: float, quiet: float = 0.2) -> list[bytes]:
        """What all who hear a subject answer to nothing, until none did for ``quiet`` seconds, or ``within`` is over.

        Raises:
            Unavailable: the server is away.
        """
        answers: list[bytes] = []
        inbox = self._client.new_inbox()
        try:
            subscription = await self._client.subscribe(inbox)
            try:
                await self._client.publish(subject, b"", reply=inbox)
                async with asyncio.timeout(within):
                    while not (answer := await subscription.next_msg(timeout=quiet)).headers:
                        answers.append(answer.data)
            except (TimeoutError, nats.errors.TimeoutError):
                # Nobody else answers; a header is how the server says that nobody hears it at all.
                return answers
            finally:
                await subscription.unsubscribe()
        except (nats.errors.Error, OSError) as problem:
            raise Unavailable(detail="The bus cannot be reached now.") from problem
        return answers

    async def publish(self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None) -> None:
        """Publish an event.

        Raises:
            Unavailable: the server is away and the client's buffer is full.
        """
        try:
            await self._client.publish(subject, payload, headers=dict(headers) if headers else None)
        except (nats.errors.Error, OSError) as problem:
            raise Unavailable(detail="The bus cannot be reached now.") from problem

    async def subscribe(
        self, subject: str, heard: Callable[[Msg], Awaitable[None]], *, queue: str = ""
    ) -> Subscription:
        """Hear a subject; one message at a time is handed over."""
        return await self._client.subscribe(subject, queue=queue, cb=heard)
