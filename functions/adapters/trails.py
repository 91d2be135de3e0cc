"""The audit trail's index of a node: follows the streams into a file, and answers from it."""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import structlog
from nats.aio.client import Client
from pydantic_core import to_json

from functions.adapters.audit import CODEC
from functions.adapters.batches import sequence_of
from functions.adapters.codec import Undecodable
from functions.adapters.durable import ask, status_of
from functions.adapters.feed import Change, LogFeed
from functions.adapters.following import Follower, end
from functions.adapters.layout import TRAILS, AuditTrail
from functions.adapters.trail_table import EXACT_UP_TO, TrailReader, TrailTable
from functions.domain.audit import AuditEntry, AuditWanted
from functions.domain.faults import Unavailable
from functions.storage import Page

R = TypeVar("R")

_FILE = "audit.sqlite"
_TOTAL_SECONDS = 1.0
_REMEMBERED = 64
_FORGET_SECONDS = 600.0

log = structlog.get_logger("functions")


class SqliteTrails:
    """The audit trail, followed into a file (``functions.ports.Trails``).

    It holds what was written up to a moment ago. Questions are answered on a
    thread of their own, so that a long count holds up nothing else.

    Args:
        client: the connection.
        folder: where the file lies and stays; without one, it is made anew each time.
    """

    def __init__(self, client: Client, folder: Path | None = None) -> None:
        self._client = client
        self._folder = folder
        self._followers: list[Follower] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._table: TrailTable | None = None
        self._reader: TrailReader | None = None
        self._is_committing = False
        self._totals: dict[AuditWanted, tuple[float, int]] = {}

    async def start(self) -> None:
        """Begin to follow.

        Raises:
            Unavailable: the server cannot say where the streams stand.
            OSError: the file cannot be made.
        """
        if self._folder is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="devicehub-")
        folder = self._folder or Path(self._scratch.name if self._scratch else "")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._table = TrailTable(folder / _FILE)
        self._reader = await self._on_thread(self._table.reader)
        for trail in TRAILS.values():
            after = await self._known(trail, self._table)
            follower = Follower(self._client, trail.name, self._taking(trail, self._table), feed=LogFeed, after=after)
            self._followers.append(follower)
            self._tasks.append(asyncio.create_task(follower.run()))
        self._tasks.append(asyncio.create_task(self._forget(self._table)))

    async def filled(self) -> None:
        """Wait until it holds all that was in the streams when it began."""
        for follower in self._followers:
            await follower.filled.wait()

    async def stop(self) -> None:
        """Follow no longer, and close the file."""
        await end(self._tasks)
        if self._reader is not None:
            await self._on_thread(self._reader.close)
        if self._table is not None:
            self._table.commit()
            self._table.close()
            self._table = None
        self._thread.shutdown()
        if self._scratch is not None:
            self._scratch.cleanup()

    async def find(self, wanted: AuditWanted) -> Page[AuditEntry]:
        """A page of the entries that are wanted.

        Raises:
            Unavailable: they are still being read, or can be read no longer.
        """
        entries = await self.walk(wanted)
        assert self._reader is not None
        return Page(entries, await self._total(wanted, self._reader))

    async def walk(self, wanted: AuditWanted) -> list[AuditEntry]:
        """The entries of such a page, uncounted.

        Raises:
            Unavailable: as ``find``.
        """
        reader = self._reader
        if reader is None or not all(follower.filled.is_set() for follower in self._followers):
            raise Unavailable(detail="The audit trail is still being read. Ask again in a moment.")
        for task in self._tasks:
            if task.done() and not task.cancelled() and (problem := task.exception()):
                raise Unavailable(detail="The audit trail cannot be read now.") from problem
        return await self._on_thread(lambda: reader.find(wanted))

    async def _total(self, wanted: AuditWanted, reader: TrailReader) -> int:
        what = replace(wanted, limit=0, offset=0, oldest_first=False)
        now = time.monotonic()
        known = self._totals.get(what)
        if known is not None and now - known[0] < _TOTAL_SECONDS:
            return known[1]
        total = await self._on_thread(lambda: reader.count(what, most=EXACT_UP_TO + 1))
        if total <= EXACT_UP_TO:
            return total
        total = await self._on_thread(lambda: reader.count(what, most=None))
        self._totals.pop(what, None)
        self._totals[what] = (now, total)
        while len(self._totals) > _REMEMBERED:
            del self._totals[next(iter(self._totals))]
        return total

    def _taking(self, trail: AuditTrail, table: TrailTable) -> Callable[[Change], None]:
        def take(change: Change) -> None:
            if change.data is None:
                return
            entries = CODEC.decode(change.data).entries
            try:
                table.put(trail.trail, change.revision, entries)
            except sqlite3.Error as problem:
                # Nobody waits for this task: without a word, only who asks next would learn of it.
                log.error("audit index cannot be written", problem=str(problem), mend="make room, and start again")
                raise
            if not self._is_committing:
                # Once for all that is handed over in this turn of the loop.
                self._is_committing = True
                asyncio.get_running_loop().call_soon(self._commit, table)

        return take

    def _commit(self, table: TrailTable) -> None:
        self._is_committing = False
        if self._table is not None:
            table.commit()

    async def _known(self, trail: AuditTrail, table: TrailTable) -> int:
        """After which message to go on; from the first where the file is of another stream than is there now."""
        place = table.place(trail.trail)
        if place is None:
            return 0
        sequence, first_id = place
        if await self._is_at(trail, sequence, first_id):
            return sequence
        log.warning("audit index is made anew", trail=trail.trail)
        table.clear(trail.trail)
        return 0

    async def _is_at(self, trail: AuditTrail, sequence: int, first_id: str) -> bool:
        subject = f"$JS.API.DIRECT.GET.{trail.name}"
        reply = await ask(self._client, subject, to_json({"seq": sequence}))
        if status_of(reply) is None:
            try:
                entries = CODEC.decode(reply.data).entries
            except Undecodable:
                return True
            return bool(entries) and entries[0].id == first_id
        # Gone by its age or for room: then others came after it, which it cannot have if the stream is a new one.
        last = await ask(self._client, subject, to_json({"last_by_subj": f"devicehub.stored.audit.{trail.trail}.>"}))
        return status_of(last) is None and sequence_of(last) >= sequence

    async def _forget(self, table: TrailTable) -> None:
        """Drop now and then what the streams have dropped."""
        while True:
            for trail in TRAILS.values():
                try:
                    first = await self._first(trail)
                except Unavailable:
                    continue
                if first is not None:
                    table.forget(trail.trail, before=first)
            await asyncio.sleep(_FORGET_SECONDS)

    async def _first(self, trail: AuditTrail) -> int | None:
        """The sequence number of the oldest message that the stream has; None where it has none."""
        wanted = {"seq": 1, "next_by_subj": f"devicehub.stored.audit.{trail.trail}.>"}
        reply = await ask(self._client, f"$JS.API.DIRECT.GET.{trail.name}", to_json(wanted))
        return sequence_of(reply) if status_of(reply) is None else None

    async def _on_thread(self, deed: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, deed)
