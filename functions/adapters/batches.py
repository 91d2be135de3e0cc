"""Reading what a stream holds of one subject: batches of direct gets (ADR-31), without a consumer."""

import asyncio
from collections.abc import Sequence

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic_core import to_json

from functions.adapters.durable import NOT_FOUND, REQUEST_SECONDS, find, refusal, release, require_connection, status_of
from functions.domain.faults import Unavailable

_BATCH = 128
_END_OF_BATCH = "204"


async def read_all(
    client: Client, stream: str, subject: str, *, start: int = 1, end: int | None = None, batch: int = _BATCH
) -> list[Msg]:
    """Every message that a stream has of a subject, in its order.

    Args:
        client: the connection.
        stream: which allows direct gets.
        subject: without wildcards.
        start: the sequence number to begin at.
        end: the one before which to stop.
        batch: how many to ask for at once.

    Raises:
        Unavailable: the storage does not answer.
    """
    found: list[Msg] = []
    inbox = client.new_inbox()
    require_connection(client)
    came: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await client.subscribe(inbox, cb=came.put)
    try:
        pending = True
        while pending:
            wanted = {"seq": start, "next_by_subj": subject, "batch": batch}
            await client.publish(_address(stream), to_json(wanted), reply=inbox)
            pending = await _read_batch(came, found)
            start = sequence_of(found[-1]) + 1 if found else 0
            if end is not None and start >= end:
                break
    except (nats.errors.Error, OSError, TimeoutError) as problem:
        raise Unavailable(detail="The storage did not answer in time.") from problem
    finally:
        await release(subscription)
    return found if end is None else [message for message in found if sequence_of(message) < end]


async def read_last(client: Client, stream: str, subject: str, *, most: int, most_bytes: int) -> list[Msg]:
    """The last messages that a stream has of a subject, oldest first.

    A stream can only be read forwards; so where to begin is looked for by
    halving, which takes a short request a step. It reads from the end in
    steps that grow, and takes no further step when it has enough.

    Args:
        client: the connection.
        stream: which allows direct gets.
        subject: without wildcards.
        most: how many at most.
        most_bytes: with how many bytes it is enough; a step is read whole.

    Raises:
        Unavailable: the storage does not answer.
    """
    last = await _next(client, stream, {"last_by_subj": subject})
    if last is None:
        return []
    found: list[Msg] = []
    end = sequence_of(last) + 1
    step = 16
    while len(found) < most and _bytes(found) < most_bytes:
        step = min(step, most - len(found))
        start = await _start_of(client, stream, subject, len(found) + step, end)
        read = await read_all(client, stream, subject, start=start, end=end, batch=min(step, _BATCH))
        if not read:
            break
        found = [*read, *found]
        end = sequence_of(read[0])
        step *= 2
    return found


async def _start_of(client: Client, stream: str, subject: str, number: int, end: int) -> int:
    """The lowest sequence number from which on there are at most so many messages of the subject."""
    low, high = 1, end
    while low < high:
        middle = (low + high) // 2
        first = await _next(client, stream, {"seq": middle, "next_by_subj": subject, "batch": 1})
        if first is None or _pending(first) + 1 <= number:
            high = middle
        else:
            # All up to it have more behind them.
            low = sequence_of(first) + 1
    return low


async def _next(client: Client, stream: str, wanted: dict[str, object]) -> Msg | None:
    return await find(client, _address(stream), to_json(wanted))


async def _read_batch(came: asyncio.Queue[Msg], found: list[Msg]) -> bool:
    """Add the messages of one batch; whether there are more than it held."""
    while True:
        async with asyncio.timeout(REQUEST_SECONDS):
            message = await came.get()
        status = status_of(message)
        if status is None:
            found.append(message)
        elif status == _END_OF_BATCH:
            return _pending(message) > 0
        elif status == NOT_FOUND:
            return False
        else:
            raise refusal(message)


def sequence_of(message: Msg) -> int:
    """The number of a message in its stream."""
    return int((message.headers or {})["Nats-Sequence"])


def _pending(message: Msg) -> int:
    """How many of the subject come after it."""
    return int((message.headers or {})["Nats-Num-Pending"])


def _bytes(messages: Sequence[Msg]) -> int:
    return sum(len(message.data) for message in messages)


def _address(stream: str) -> str:
    return f"$JS.API.DIRECT.GET.{stream}"
