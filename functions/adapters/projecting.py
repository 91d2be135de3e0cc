"""Follows the streams of devices' messages into the telemetry store.

What the store says it knows is where each stream is followed from, and it is
written with the messages themselves: so each message is kept and counted
once, whenever this ends and is begun again. A consumer that remembers on the
server would be a second word on the same thing.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog
from nats.aio.client import Client
from pydantic_core import to_json

from functions.adapters.durable import find
from functions.adapters.feed import Change, LogFeed
from functions.adapters.following import BatchFollower, end
from functions.adapters.layout import STREAMS
from functions.contract.reading import read_json
from functions.contract.stored import device_and_kind
from functions.contract.subjects import ROOT, TIME, TYPE
from functions.domain.faults import Malformed, Unavailable
from functions.domain.telemetry import EPOCH, Keeping, Kind, Place, Sent, milliseconds_of, time_told
from functions.ports import Clock, TelemetryStore

_FORGET_SECONDS = 600.0
# Between two batches of a stream, for the next to be larger where messages come one by one.
_GATHER_SECONDS = 0.1
_FEW = 200

_MILLISECONDS = re.compile("[0-9]{1,15}")

log = structlog.get_logger("functions")


class Projector:
    """Writes what comes in the streams into a store, and has it forget what is old.

    Args:
        client: the connection.
        store: where to.
        keeping: what is to be kept.
        clock: by which things are old.
    """

    def __init__(self, client: Client, store: TelemetryStore, keeping: Keeping, clock: Clock) -> None:
        self._client = client
        self._store = store
        self._keeping = keeping
        self._clock = clock
        self._followers: list[BatchFollower] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to follow.

        Raises:
            Unavailable: the server cannot say where the streams stand, or the store is not open.
        """
        for kind in Kind:
            for name in STREAMS[kind].names:
                after = await self._known(name)
                follower = BatchFollower(self._client, name, self._taking(name, kind), feed=LogFeed, after=after)
                self._followers.append(follower)
                task = asyncio.create_task(follower.run(), name=name)
                task.add_done_callback(_tell)
                self._tasks.append(task)
        self._tasks.append(asyncio.create_task(self._forget()))

    async def filled(self) -> None:
        """Wait until the store has all that was in the streams when it began."""
        for follower in self._followers:
            await follower.filled.wait()

    async def stop(self) -> None:
        """Follow no longer."""
        await end(self._tasks)

    def _taking(self, stream: str, kind: Kind) -> Callable[[Sequence[Change]], Awaitable[None]]:
        async def take(changes: Sequence[Change]) -> None:
            sent = [sent_of(change) for change in changes if change.data is not None]
            last = changes[-1]
            await self._store.put(stream, kind, sent, Place(last.revision, last.nanoseconds))
            if len(changes) < _FEW:
                await asyncio.sleep(_GATHER_SECONDS)

        return take

    async def _known(self, stream: str) -> int:
        """After which message to go on; from the first where the stream is another than was known."""
        place = await self._store.place(stream)
        if place is None:
            return 0
        if await self._is_at(stream, place):
            return place.sequence
        log.warning("stream was made anew", stream=stream)
        await self._store.renew(stream)
        return 0

    async def _is_at(self, stream: str, place: Place) -> bool:
        subject = f"$JS.API.DIRECT.GET.{stream}"
        found = await find(self._client, subject, to_json({"seq": place.sequence}))
        if found is not None:
            at = datetime.fromisoformat((found.headers or {})["Nats-Time-Stamp"])
            return (at - EPOCH) // timedelta(microseconds=1) == place.nanoseconds // 1000
        # Gone by its age or for room: then others came after it, which a new stream cannot have.
        later = {"seq": place.sequence, "next_by_subj": f"{ROOT}.stored.>"}
        return await find(self._client, subject, to_json(later)) is not None

    async def _forget(self) -> None:
        while True:
            try:
                await self._store.forget(self._keeping, milliseconds_of(self._clock.now()))
            except Unavailable as fault:
                log.warning("telemetry store cannot forget now", cause=repr(fault.__cause__ or fault))
            await asyncio.sleep(_FORGET_SECONDS)


def _tell(task: asyncio.Task[None]) -> None:
    """Nobody waits for these tasks: without a word, telemetry would only seem to have ended."""
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.error("stream is followed no longer", stream=task.get_name(), exc_info=problem, mend="restart the index")


def sent_of(change: Change) -> Sent:
    """What a message of a stream says; its payload may be anything."""
    payload, headers = change.data or b"", change.headers or {}
    device, kind = device_and_kind(change.subject)
    try:
        content, is_bytes = read_json(payload), False
    except Malformed:
        content, is_bytes = None, True
    taken = headers.get(TIME, "")
    return Sent(
        device=device,
        sequence=change.revision,
        hub_time=int(taken) if _MILLISECONDS.fullmatch(taken) else change.nanoseconds // 10**6,
        payload=payload,
        content=content,
        is_bytes=is_bytes,
        device_time=time_told(content),
        type=kind or headers.get(TYPE, ""),
    )
