"""What a bucket holds and every change after it, read in order and without a gap.

A feed is one short-lived consumer that is asked for batches, so a slow reader
is never overrun. It ends at the first sign that it may have missed something
(the server silent, restarted, or a message lost); whoever follows a bucket
opens the next feed after the last revision it has seen. The client's own
ordered consumer resumes by itself, but stays deaf for 3.5 s after a restart
of the server and does not tell; its ``kv.watch`` is deaf for 19 s.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from secrets import token_hex
from types import TracebackType
from typing import NamedTuple, Self

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from pydantic_core import to_json

from functions.adapters.durable import REQUEST_SECONDS, StorageError, refusal, release, require_connection, status_of
from functions.domain.faults import Unavailable

# A process that follows many buckets has a batch of each in memory at once; with 256 that was 2.4 MB more of an index.
_BATCH = 64
_HEARTBEAT_SECONDS = 0.5
_SILENT_SECONDS = 3 * _HEARTBEAT_SECONDS
# Heartbeats without a message while there are said to be some: a disk may be slow.
_MOST_IDLE = 20
_PULL = to_json({"batch": _BATCH, "expires": 30 * 10**9, "idle_heartbeat": int(_HEARTBEAT_SECONDS * 10**9)})
# The server forgets a consumer that nobody has asked for so long.
_FORGOTTEN_SECONDS = 10.0

_IDLE = "100"
_END_OF_PULL = ("404", "408")
# A message's reply subject tells, from a place on, its number in the stream, its number for the consumer, its time
# in nanoseconds, and how many are to come; before them stand domain and account where the server has such (ADR-15).
_FACTS = 9
_FACTS_AT = 5
_FACTS_AT_WITH_DOMAIN = 7
# A message with one of these is the mark of a removal, made by a client or by the server.
_REMOVAL = ("KV-Operation", "Nats-Marker-Reason")


class Change(NamedTuple):
    """What a bucket was told of a key, ``nanoseconds`` after 1970; ``data`` is None where the key was removed.

    ``headers`` are those that its message has, if any, ``subject`` is its subject.
    """

    key: str
    revision: int
    nanoseconds: int
    data: bytes | None
    subject: str = ""
    headers: Mapping[str, str] | None = None

    @property
    def at(self) -> datetime:
        """When it was told."""
        return datetime.fromtimestamp(self.nanoseconds / 10**9, UTC)


def is_removal(message: Msg) -> bool:
    """Whether a message of a bucket marks the removal of its key."""
    return message.headers is not None and any(name in message.headers for name in _REMOVAL)


class Feed:
    """Reads one bucket: the last of every key, oldest first, and then what comes.

    Use it as an async context.

    Args:
        client: the connection.
        bucket: the bucket's name.
        after: begin after this revision; with 0, from what the bucket holds.
    """

    def __init__(self, client: Client, bucket: str, *, after: int = 0) -> None:
        self._client = client
        self._bucket = bucket
        self._after = after
        self._came: asyncio.Queue[Msg] = asyncio.Queue()
        self._due = 0
        self._seen = 0
        self._idle = 0
        self.caught_up = False

    async def __aenter__(self) -> Self:
        """Open the consumer. Raises Unavailable."""
        stream, subjects, begin = self._source()
        config = ConsumerConfig(
            name=token_hex(8),
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE if self._after else begin,
            opt_start_seq=self._after + 1 if self._after else None,
            ack_policy=AckPolicy.NONE,
            filter_subject=subjects,
            inactive_threshold=_FORGOTTEN_SECONDS,
            num_replicas=1,
            mem_storage=True,
        )
        self._inbox = self._client.new_inbox()
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{config.name}"
        require_connection(self._client)
        try:
            info = await self._client.jetstream(timeout=REQUEST_SECONDS).add_consumer(stream, config)
            self._subscription: Subscription = await self._client.subscribe(self._inbox, cb=self._came.put)
        except (nats.errors.Error, OSError) as problem:
            raise Unavailable(detail="The storage did not answer in time.") from problem
        self.caught_up = not info.num_pending
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await release(self._subscription)

    async def batch(self) -> list[Change]:
        """The next changes, as soon as there is one; none if nothing came for half a second.

        Raises:
            Unavailable: something may have been missed; the feed is of no more use.
        """
        if self._due == 0:
            await self._pull()
        changes: list[Change] = []
        message = await self._wait()
        while True:
            status = status_of(message)
            if status is None:
                changes.append(self._take(message))
            elif status in _END_OF_PULL:
                self._due = 0
            elif status != _IDLE:
                raise refusal(message)
            if self._due == 0 or self._came.empty():
                self._count_idle(changes)
                return changes
            message = self._came.get_nowait()

    def _source(self) -> tuple[str, str | None, DeliverPolicy]:
        """The stream, its subjects that are read, and where to begin without ``after``."""
        return f"KV_{self._bucket}", f"$KV.{self._bucket}.>", DeliverPolicy.LAST_PER_SUBJECT

    def _count_idle(self, changes: list[Change]) -> None:
        """Give up on a feed that says there is more, and does not hand it over.

        The server's count of what is to come is kept by differences, while
        keys are written again that it has yet to hand over.
        """
        self._idle = 0 if changes or self.caught_up else self._idle + 1
        if self._idle > _MOST_IDLE:
            raise Unavailable(detail="The storage fell silent.")

    async def _pull(self) -> None:
        try:
            await self._client.publish(self._next, _PULL, reply=self._inbox)
        except (nats.errors.Error, OSError) as problem:
            raise Unavailable(detail="The storage cannot be reached now.") from problem
        self._due = _BATCH

    async def _wait(self) -> Msg:
        try:
            async with asyncio.timeout(_SILENT_SECONDS):
                return await self._came.get()
        except TimeoutError as problem:
            raise Unavailable(detail="The storage fell silent.") from problem

    def _take(self, message: Msg) -> Change:
        # The library makes two objects and a time of this, which is half of what it takes to receive a message.
        facts = message.reply.split(".")
        at = _FACTS_AT if len(facts) == _FACTS else _FACTS_AT_WITH_DOMAIN
        revision, number, nanoseconds, pending = map(int, facts[at : at + 4])
        self._due -= 1
        self._seen += 1
        if number != self._seen:
            lost = StorageError({"description": f"message {self._seen} of the feed is missing"})
            raise Unavailable(detail="The storage's answer was lost on the way.") from lost
        self.caught_up = self.caught_up or pending == 0
        key = message.subject.rpartition(".")[2]
        data = message.data if message.headers is None or not is_removal(message) else None
        return Change(key, revision, nanoseconds, data, message.subject, message.headers)


class LogFeed(Feed):
    """Reads a stream that only grows, message by message: all that it holds, oldest first, and then what comes.

    Use it as a ``Feed``, with the stream's name for the bucket's.
    """

    def _source(self) -> tuple[str, str | None, DeliverPolicy]:
        return self._bucket, None, DeliverPolicy.ALL
