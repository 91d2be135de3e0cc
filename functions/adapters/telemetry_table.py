"""The writing side of the telemetry store in SQLite: batches in one transaction each, numbers by hour, oldest out."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic_core import to_json

from functions.adapters.telemetry_schema import ALL, KINDS, open_file
from functions.domain.telemetry import HOUR, MOST_DEVICE_KEYS, Kind, Numbers, Place, Sent, number_of, values_of

# A stream that is made anew numbers from one again; its messages are told from the old ones by how often it was.
_MADE: Final = 1 << 44
_KNOWN_DEVICES: Final = 50_000
_KNOWN_KEYS: Final = 1_024
_FORGET_AT_ONCE: Final = 2_000
_FREE_AT_ONCE: Final = 2_000

_PUT: Final = "INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COUNT: Final = """
    INSERT INTO hours VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
_ROLL: Final = """
    INSERT INTO rollups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
        count = count + excluded.count, total = total + excluded.total,
        least = min(least, excluded.least), most = max(most, excluded.most),
        last = iif((excluded.last_at, excluded.last_place) > (last_at, last_place), excluded.last, last),
        last_place = iif((excluded.last_at, excluded.last_place) > (last_at, last_place),
            excluded.last_place, last_place),
        last_at = max(last_at, excluded.last_at)
"""
_KEEP_LATEST: Final = """
    INSERT INTO latest VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
        at = excluded.at, place = excluded.place, value = excluded.value
        WHERE (excluded.at, excluded.place) > (at, place)
"""
_KEEP_PLACE: Final = "INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)"
_RENEW: Final = "UPDATE places SET made = made + 1, sequence = 0, nanoseconds = 0 WHERE stream = ?"
_OLDEST: Final = """
    DELETE FROM messages WHERE (device, kind, at, place) IN (
        SELECT device, kind, at, place FROM messages INDEXED BY by_time WHERE kind = ? AND at < ? LIMIT ?
    )
"""


@dataclass(slots=True)
class _Batch:
    """What a batch comes to, before it is written."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    hours: dict[tuple[int, int, int, str], int] = field(default_factory=dict)
    numbers: dict[tuple[int, int, str], Numbers] = field(default_factory=dict)
    latest: dict[tuple[int, str], tuple[int, int, Any]] = field(default_factory=dict)


class TelemetryTable:
    """Messages of devices in a file; for one thread.

    Args:
        path: of the file; its directory exists.

    Raises:
        sqlite3.Error: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._rows = open_file(path)
        self._devices: OrderedDict[str, int] = OrderedDict()
        self._keys: OrderedDict[int, set[str]] = OrderedDict()

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def place(self, stream: str) -> Place | None:
        """Up to where a stream is known; None if nothing of it is."""
        found = self._rows.execute("SELECT sequence, nanoseconds FROM places WHERE stream = ?", (stream,)).fetchone()
        return Place(*found) if found is not None and found[0] else None

    def renew(self, stream: str) -> None:
        """Begin again at the first message of a stream that was made anew; what is kept of the old one stays."""
        self._rows.execute(
            "UPDATE places SET made = made + 1, sequence = 0, nanoseconds = 0 WHERE stream = ?", (stream,)
        )

    def put(self, stream: str, kind: Kind, sent: Sequence[Sent], place: Place) -> None:
        """Keep messages of a stream and note up to where it is known then; both or nothing.

        Messages up to the place that is noted already are passed over, so a
        batch may come again.
        """
        found = self._rows.execute("SELECT made, sequence FROM places WHERE stream = ?", (stream,)).fetchone()
        made, known = found or (0, 0)
        if place.sequence <= known:
            return
        with self._transaction():
            batch = _Batch()
            for one in sent:
                if one.sequence > known:
                    self._add(batch, one, kind, made * _MADE + one.sequence)
            self._write(batch)
            self._rows.execute(_KEEP_PLACE, (stream, made, place.sequence, place.nanoseconds))

    def forget(self, kind: Kind, before: int) -> bool:
        """Drop some of the messages from before an hour; whether there are more of them."""
        before -= before % HOUR
        with self._transaction():
            done = self._rows.execute(_OLDEST, (KINDS[kind], before, _FORGET_AT_ONCE))
            if done.rowcount >= _FORGET_AT_ONCE:
                return True
            self._drop_hours(kind, before)
            return False

    def forget_numbers(self, before: int) -> None:
        """Drop the numbers from before an hour."""
        before -= before % HOUR
        for (number,) in self._rows.execute("SELECT number FROM devices").fetchall():
            self._rows.execute("DELETE FROM rollups WHERE device = ? AND hour < ?", (number, before))

    def oldest_hour(self) -> tuple[Kind, int] | None:
        """The first hour of which there are messages, and of which kind; None if there are none."""
        first = "SELECT kind, hour FROM hours WHERE device = ? ORDER BY hour LIMIT 1"
        found = self._rows.execute(first, (ALL,)).fetchone()
        return None if found is None else (next(kind for kind, number in KINDS.items() if number == found[0]), found[1])

    def used_bytes(self) -> int:
        """How much of the file is in use."""
        pages, free, size = (self._pragma(name) for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * size

    def give_back(self) -> None:
        """Give some of what is free back to the disk."""
        self._rows.execute(f"PRAGMA incremental_vacuum({_FREE_AT_ONCE:d})").fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._rows.execute("COMMIT")
        except BaseException:
            if self._rows.in_transaction:
                self._rows.execute("ROLLBACK")
            # What was learnt in it is undone too.
            self._devices.clear()
            self._keys.clear()
            raise

    def _add(self, batch: _Batch, one: Sent, kind: Kind, place: int) -> None:
        device, at = self._number(one.device), one.at
        batch.rows.append(
            (device, KINDS[kind], at, place, one.type, one.hub_time, one.device_time, one.is_bytes, one.payload)
        )
        hour = at - at % HOUR
        for each in (device, ALL):
            where = (each, KINDS[kind], hour, one.type)
            batch.hours[where] = batch.hours.get(where, 0) + 1
        if kind is not Kind.TELEMETRY:
            return
        for key, value in values_of(one.content).items():
            if not self._is_known(device, key):
                continue
            newest = batch.latest.get((device, key))
            if newest is None or (at, place) > newest[:2]:
                batch.latest[device, key] = (at, place, value)
            number = number_of(value)
            if number is not None:
                so_far, one_more = batch.numbers.get((device, hour, key)), _one(number, at, place)
                batch.numbers[device, hour, key] = one_more if so_far is None else so_far.joined(one_more)

    def _write(self, batch: _Batch) -> None:
        self._rows.executemany(_PUT, batch.rows)
        self._rows.executemany(_COUNT, [(*where, count) for where, count in batch.hours.items()])
        self._rows.executemany(
            _ROLL,
            [
                (*where, one.count, one.total, one.least, one.most, one.last, *one.last_place)
                for where, one in batch.numbers.items()
            ],
        )
        self._rows.executemany(
            _KEEP_LATEST,
            [(*where, at, place, to_json(value)) for where, (at, place, value) in batch.latest.items()],
        )

    def _drop_hours(self, kind: Kind, before: int) -> None:
        every = self._rows.execute("SELECT number FROM devices UNION ALL SELECT ?", (ALL,)).fetchall()
        self._rows.executemany(
            "DELETE FROM hours WHERE device = ? AND kind = ? AND hour < ?",
            [(number, KINDS[kind], before) for (number,) in every],
        )

    def _number(self, device: str) -> int:
        """The number of a device in this file, a new one for a new device."""
        number = self._devices.get(device)
        if number is None:
            self._rows.execute("INSERT OR IGNORE INTO devices (id) VALUES (?)", (device,))
            found: int = self._rows.execute("SELECT number FROM devices WHERE id = ?", (device,)).fetchone()[0]
            number = self._devices[device] = found
            if len(self._devices) > _KNOWN_DEVICES:
                self._devices.popitem(last=False)
        return number

    def _is_known(self, device: int, key: str) -> bool:
        """Whether the values of a key are followed: a device has so many keys at most."""
        keys = self._keys.get(device)
        if keys is None:
            found = self._rows.execute("SELECT key FROM latest WHERE device = ?", (device,))
            keys = self._keys[device] = {known for (known,) in found}
            if len(self._keys) > _KNOWN_KEYS:
                self._keys.popitem(last=False)
        if key not in keys:
            if len(keys) >= MOST_DEVICE_KEYS:
                return False
            keys.add(key)
        return True

    def _pragma(self, name: str) -> int:
        number: int = self._rows.execute(f"PRAGMA {name}").fetchone()[0]
        return number


def _one(number: float, at: int, place: int) -> Numbers:
    return Numbers(1, number, number, number, number, (at, place))
