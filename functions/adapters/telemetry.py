"""The telemetry store in SQLite, and in memory for tests and one call of one function."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pydantic_core import to_json

from functions.adapters.telemetry_reader import TelemetryReader
from functions.adapters.telemetry_table import TelemetryTable
from functions.domain.faults import Unavailable
from functions.domain.telemetry import (
    HOUR,
    MOST_DEVICE_KEYS,
    Cursor,
    Keeping,
    KeptMessage,
    Kind,
    Latest,
    Numbers,
    Place,
    Sent,
    Span,
    TelemetryWanted,
    number_of,
    values_of,
)

R = TypeVar("R")

_FILE = "telemetry.sqlite"


class SqliteTelemetry:
    """The telemetry store in a file (``functions.ports.TelemetryStore``).

    One thread writes and another reads, so that neither waits for the other.

    Args:
        folder: where the file lies; without one, it is made anew each time.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._writing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telemetry-write")
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telemetry-read")
        self._table: TelemetryTable | None = None
        self._reader: TelemetryReader | None = None

    async def open(self) -> None:
        """Open the file, made if it is missing.

        Raises:
            Unavailable: it cannot be used.
            OSError: its directory cannot be made.
        """
        if self._folder is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="devicehub-")
        folder = self._folder or Path(self._scratch.name if self._scratch else "")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / _FILE
        self._table = await self._on(self._writing, lambda: TelemetryTable(path))
        self._reader = await self._on(self._reading, lambda: TelemetryReader(path))

    async def close(self) -> None:
        """Close the file."""
        for thread, one in ((self._reading, self._reader), (self._writing, self._table)):
            if one is not None:
                await self._on(thread, one.close)
            thread.shutdown()
        self._table = self._reader = None
        if self._scratch is not None:
            self._scratch.cleanup()

    async def place(self, stream: str) -> Place | None:
        """Up to where a stream is known."""
        return await self._write(lambda table: table.place(stream))

    async def renew(self, stream: str) -> None:
        """Begin again at the first message of a stream that was made anew."""
        await self._write(lambda table: table.renew(stream))

    async def put(self, stream: str, kind: Kind, sent: Sequence[Sent], place: Place) -> None:
        """Keep messages of a stream, and note up to where it is known then."""
        await self._write(lambda table: table.put(stream, kind, sent, place))

    async def forget(self, keeping: Keeping, now: int) -> None:
        """Drop what is older, and the oldest of what is more, than is to be kept; a little at a time."""
        for kind in Kind:
            await self._forget(kind, now - keeping.milliseconds(kind))
        while await self._write(lambda table: table.used_bytes()) > keeping.most_bytes:
            oldest = await self._write(lambda table: table.oldest_hour())
            # The present hour stays: it could not be told from what comes.
            if oldest is None or oldest[1] + HOUR > now:
                break
            await self._forget(oldest[0], oldest[1] + HOUR)
        await self._write(lambda table: table.forget_numbers(now - keeping.numbers))
        await self._write(lambda table: table.give_back())

    async def find(self, wanted: TelemetryWanted) -> list[KeptMessage]:
        """A page of the wanted messages."""
        return await self._read(lambda reader: reader.find(wanted))

    async def count(self, wanted: TelemetryWanted) -> int:
        """How many messages are wanted in all."""
        return await self._read(lambda reader: reader.count(wanted))

    async def spans(self, devices: Sequence[str] | None, begin: int, end: int) -> list[Span]:
        """The numbers of every hour that begins in this time."""
        return await self._read(lambda reader: reader.spans(devices, begin, end))

    async def latest(self, device: str) -> list[Latest]:
        """The newest value of each key of a device, by key."""
        return await self._read(lambda reader: reader.latest(device))

    async def _forget(self, kind: Kind, before: int) -> None:
        while await self._write(lambda table: table.forget(kind, before)):
            pass

    async def _write(self, deed: Callable[[TelemetryTable], R]) -> R:
        table = self._table
        if table is None:
            raise _closed()
        return await self._on(self._writing, lambda: deed(table))

    async def _read(self, deed: Callable[[TelemetryReader], R]) -> R:
        reader = self._reader
        if reader is None:
            raise _closed()
        return await self._on(self._reading, lambda: deed(reader))

    async def _on(self, thread: ThreadPoolExecutor, deed: Callable[[], R]) -> R:
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, deed)
        except sqlite3.Error as problem:
            raise Unavailable(detail="The telemetry store cannot be used now.") from problem


class MemoryTelemetry:
    """The telemetry store in memory (``functions.ports.TelemetryStore``); it reads all for each question."""

    def __init__(self) -> None:
        self._kept: list[tuple[Kind, int, Sent]] = []
        self._numbers: dict[tuple[str, int], dict[str, Numbers]] = {}
        self._latest: dict[str, dict[str, tuple[int, int, bytes]]] = {}
        self._places: dict[str, Place] = {}
        self._devices: dict[str, int] = {}
        self._arrivals = 0

    async def place(self, stream: str) -> Place | None:
        """Up to where a stream is known."""
        return self._places.get(stream)

    async def renew(self, stream: str) -> None:
        """Begin again at the first message of a stream that was made anew."""
        self._places.pop(stream, None)

    async def put(self, stream: str, kind: Kind, sent: Sequence[Sent], place: Place) -> None:
        """Keep messages of a stream, and note up to where it is known then."""
        known = self._places.get(stream, Place(0, 0)).sequence
        if place.sequence <= known:
            return
        for one in sent:
            if one.sequence > known:
                self._arrivals += 1
                self._devices.setdefault(one.device, len(self._devices) + 1)
                self._kept.append((kind, self._arrivals, one))
                if kind is Kind.TELEMETRY:
                    self._count(one, self._arrivals)
        self._places[stream] = place

    async def forget(self, keeping: Keeping, now: int) -> None:
        """Drop what is older than is to be kept, by whole hours."""
        before = {kind: now - keeping.milliseconds(kind) for kind in Kind}
        self._kept = [one for one in self._kept if one[2].at >= before[one[0]] - before[one[0]] % HOUR]
        oldest = now - keeping.numbers
        self._numbers = {where: one for where, one in self._numbers.items() if where[1] >= oldest - oldest % HOUR}

    async def find(self, wanted: TelemetryWanted) -> list[KeptMessage]:
        """A page of the wanted messages."""
        found = self._matching(wanted)[wanted.offset : wanted.offset + wanted.limit]
        size = 0
        for number, one in enumerate(found):
            size += len(one.payload)
            if number and size > wanted.most_bytes:
                return found[:number]
        return found

    async def count(self, wanted: TelemetryWanted) -> int:
        """How many messages are wanted in all."""
        return len(self._matching(wanted))

    async def spans(self, devices: Sequence[str] | None, begin: int, end: int) -> list[Span]:
        """The numbers of every hour that begins in this time."""
        return [
            Span(device, hour, dict(numbers))
            for (device, hour), numbers in self._numbers.items()
            if (devices is None or device in devices) and begin <= hour < end
        ]

    async def latest(self, device: str) -> list[Latest]:
        """The newest value of each key of a device, by key."""
        return [Latest(key, at, value) for key, (at, _, value) in sorted(self._latest.get(device, {}).items())]

    def _matching(self, wanted: TelemetryWanted) -> list[KeptMessage]:
        kept = [_message(one, place) for kind, place, one in self._kept if kind is wanted.kind]
        found = sorted(filter(wanted.matches, kept), key=self._order, reverse=not wanted.oldest_first)
        if wanted.after is None:
            return found
        border = self._order(wanted.after)
        return [
            one for one in found if self._order(one) != border and (self._order(one) > border) == wanted.oldest_first
        ]

    def _order(self, one: KeptMessage | Cursor) -> tuple[int, int, int]:
        return one.at, self._devices.get(one.device, 0), one.place

    def _count(self, one: Sent, place: int) -> None:
        latest = self._latest.setdefault(one.device, {})
        for key, value in values_of(one.content).items():
            if key not in latest and len(latest) >= MOST_DEVICE_KEYS:
                continue
            if key not in latest or (one.at, place) > latest[key][:2]:
                latest[key] = (one.at, place, to_json(value))
            number = number_of(value)
            if number is not None:
                hour = self._numbers.setdefault((one.device, one.at - one.at % HOUR), {})
                new = Numbers(1, number, number, number, number, (one.at, place))
                hour[key] = hour[key].joined(new) if key in hour else new


def _message(one: Sent, place: int) -> KeptMessage:
    return KeptMessage(one.device, one.at, place, one.hub_time, one.device_time, one.type, one.is_bytes, one.payload)


def _closed() -> Unavailable:
    return Unavailable(detail="The telemetry store is not open yet. Ask again in a moment.")
