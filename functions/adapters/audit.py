"""The audit trail on NATS JetStream, and in TinyDB for tests and one call of one function."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import structlog
from nats.aio.client import Client
from pydantic_core import from_json, to_json
from tinydb import where
from tinydb.table import Table

from functions.adapters.batches import read_last
from functions.adapters.codec import Codec, check_key
from functions.adapters.durable import write
from functions.adapters.layout import TRAILS
from functions.domain.audit import AuditEntry, AuditRecord, AuditWanted, Trail, left_out
from functions.domain.faults import Unavailable
from functions.storage import Page

_MESSAGE_ID = "Nats-Msg-Id"
# Records that wait for the storage, at most: a thousand of the largest are 64 MiB, of the usual ones 1 MiB.
_MOST_LATE = 1000
_REFUSALS_AT_ONCE = 200
_REFUSALS_A_SECOND = 20
# A server takes messages of 1 MiB, and an entry has 8 KiB and a little at most, where it is of a twin 64: of those a
# call writes one.
_MOST_ENTRIES = 64
_RECORD_BYTES = 900 * 1024
# With so much read of one thing it is enough: thousands of the usual records, a few dozen of the largest.
_ENOUGH_BYTES = 4 * 1024 * 1024

log = structlog.get_logger("functions")

# Beside those of the stores.
AUDIT_TABLE = "hub-audit"

CODEC: Codec[AuditRecord] = Codec(AuditRecord, limit_bytes=_RECORD_BYTES)


class JetStreamAudit:
    """Appends to the trails of the layout (``functions.ports.Audit``).

    What could not be written stays in memory, and is tried again with
    ``catch_up`` and before whatever is appended next. The server knows a
    record by its first entry's id for two minutes, so none is kept twice
    because its acknowledgement was lost.

    Who may ask to join can be refused as often as they like, so of refusals
    a process keeps 20 a second, after the first 200; the others are counted,
    and their number is kept with the next.

    Args:
        client: the connection.
        now: monotonic seconds.
    """

    def __init__(self, client: Client, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._late: deque[AuditRecord] = deque()
        self._catching_up = asyncio.Lock()
        self._refusals = _Allowance(now)

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Keep what one call did; durable when it returns.

        Raises:
            Unavailable: it was not stored, or not said to be in time.
        """
        if entries[-1].is_refusal:
            entries = self._refusals.take(entries)
        for record in _records(entries):
            is_kept = False
            try:
                await self._write(record)
                is_kept = True
            finally:
                # Also when the call's time was over while it waited.
                if not is_kept:
                    self._put_off(record)
        if self._late:
            await self.catch_up()

    async def about(self, trail: Trail, kind: str, target: str, *, most: int) -> list[AuditEntry]:
        """What was last done to one thing, oldest first, within some MiB."""
        where = TRAILS[trail]
        subject = where.subject(check_key(kind), check_key(target))
        messages = await read_last(self._client, where.name, subject, most=most, most_bytes=_ENOUGH_BYTES)
        entries = [entry for message in messages for entry in CODEC.decode(message.data).entries]
        return _of(entries, kind, target, most)

    async def catch_up(self) -> None:
        """Write what waits; what cannot be written now goes on waiting. Nothing is done while another call does it."""
        if self._catching_up.locked():
            # Hundreds that were late at once would each write what all of them left.
            return
        async with self._catching_up:
            await self._write_late()

    async def _write_late(self) -> None:
        while self._late:
            record = self._late[0]
            try:
                await self._write(record)
            except Unavailable as fault:
                log.warning("audit entries wait", records=len(self._late), cause=repr(fault.__cause__))
                return
            # It may have been given up meanwhile, for there were too many.
            if self._late and self._late[0] is record:
                self._late.popleft()

    async def _write(self, record: AuditRecord) -> None:
        first = record.entries[0]
        subject = TRAILS[first.trail].subject(first.kind, first.target)
        await write(self._client, subject, CODEC.encode(record), {_MESSAGE_ID: first.id})

    def _put_off(self, record: AuditRecord) -> None:
        self._late.append(record)
        if len(self._late) > _MOST_LATE:
            for lost in self._late.popleft().entries:
                log.error("audit entry lost", action=lost.action, actor=lost.actor, target=lost.target, call=lost.call)


class _Allowance:
    """What of the refusals is kept: so many at once, then so many a second."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._left = float(_REFUSALS_AT_ONCE)
        self._at = now()
        self._left_out = 0

    def take(self, entries: Sequence[AuditEntry]) -> Sequence[AuditEntry]:
        """The entries of a refusal, if they are to be kept, with the number of those that were not; else none."""
        now = self._now()
        self._left = min(self._left + (now - self._at) * _REFUSALS_A_SECOND, _REFUSALS_AT_ONCE)
        self._at = now
        if self._left < 1:
            if not self._left_out:
                log.warning("refusals left out of the audit trail", caller=entries[-1].actor)
            self._left_out += 1
            return ()
        self._left -= 1
        number, self._left_out = self._left_out, 0
        return (*entries, left_out(entries[-1], number)) if number else entries


def _records(entries: Sequence[AuditEntry]) -> Iterator[AuditRecord]:
    """The entries as records that a message can hold: one, unless there are very many."""
    for begin in range(0, len(entries), _MOST_ENTRIES):
        yield AuditRecord(tuple(entries[begin : begin + _MOST_ENTRIES]))


def _of(entries: Sequence[AuditEntry], kind: str, target: str, most: int) -> list[AuditEntry]:
    """The last of the entries that are about one thing."""
    return [entry for entry in entries if (entry.kind, entry.target) == (kind, target)][-most:]


class TinyAudit:
    """A trail in a TinyDB table, a document a record (``functions.ports.Audit``)."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Keep what one call did."""
        data = CODEC.encode(AuditRecord(tuple(entries)))
        self._table.upsert({"id": entries[0].id, "record": from_json(data)}, where("id") == entries[0].id)

    async def about(self, trail: Trail, kind: str, target: str, *, most: int) -> list[AuditEntry]:
        """What was last done to one thing, oldest first."""
        return _of([entry for entry in self.written if entry.trail is trail], check_key(kind), check_key(target), most)

    async def catch_up(self) -> None:
        """Nothing waits."""

    @property
    def written(self) -> list[AuditEntry]:
        """All that is there, in the order of writing."""
        records = [CODEC.decode(to_json(document["record"])) for document in self._table.all()]
        return [entry for record in records for entry in record.entries]


class TinyTrails:
    """The trail in a TinyDB table as what can be asked (``functions.ports.Trails``); it reads all for each question."""

    def __init__(self, audit: TinyAudit) -> None:
        self._audit = audit

    async def find(self, wanted: AuditWanted) -> Page[AuditEntry]:
        """A page of the entries that are wanted."""
        found = self._found(wanted)
        return Page(found[wanted.offset : wanted.offset + wanted.limit], len(found))

    async def walk(self, wanted: AuditWanted) -> list[AuditEntry]:
        """The entries of a page."""
        return (await self.find(wanted)).entries

    def _found(self, wanted: AuditWanted) -> list[AuditEntry]:
        found = sorted(filter(wanted.matches, self._audit.written), key=lambda one: one.id)
        return found if wanted.oldest_first else found[::-1]
