"""The audit trail in an SQLite file: what JetStream keeps, where it can be asked by actor, action, target and time.

The file is no more than a copy: it is made anew from the streams when it is
lost. An id sorts by time, so every index gives its entries newest first
without sorting; the first that a question has a value for is read, and what
else is asked stands in it too. Writing needs no sync, as what a crash of the
machine takes is read again.

At 100,000 entries a page of 100 with its total takes 0.2 to 5 ms, the last
pages 50 ms; an entry costs 0.8 KB.
"""

import os
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from functions.adapters.codec import Codec
from functions.domain.audit import AuditEntry, AuditWanted, Trail

_CODEC: Final = Codec(AuditEntry)
_VERSION: Final = 2
# Totals beyond this are counted once a second.
EXACT_UP_TO: Final = 10_000

_SCHEMA: Final = """
    CREATE TABLE entries (
        id TEXT PRIMARY KEY, trail TEXT, sequence INTEGER, actor TEXT, topic TEXT, action TEXT, kind TEXT, target TEXT,
        outcome TEXT, body BLOB
    ) WITHOUT ROWID;
    CREATE INDEX by_target ON entries (target, id, kind, actor, action, topic);
    CREATE INDEX by_actor ON entries (actor, id, kind, target, action, topic);
    CREATE INDEX by_action ON entries (action, id);
    CREATE INDEX by_topic ON entries (topic, id);
    CREATE INDEX by_outcome ON entries (outcome, id);
    CREATE INDEX by_place ON entries (trail, sequence);
    CREATE TABLE places (trail TEXT PRIMARY KEY, sequence INTEGER, id TEXT);
"""
_PUT: Final = "INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ALL: Final = "SELECT body FROM entries"
_EACH: Final = "SELECT 1 FROM entries"
# By the question's first value: what has the fewest entries, as a rule, comes first.
_INDEXES: Final = {
    "target": "by_target",
    "actor": "by_actor",
    "action": "by_action",
    "topic": "by_topic",
    "outcome": "by_outcome",
}
_COUNT: Final = "SELECT count(*) FROM"
_PLACE: Final = "INSERT OR REPLACE INTO places VALUES (?, ?, ?)"


class TrailTable:
    """Entries in a file of its own; what cannot be read, or is of another version, is made anew.

    One thread writes; ``reader`` opens it for another.

    Args:
        path: of the file; its directory exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = self._open()

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def reader(self) -> "TrailReader":
        """What asks it; for the thread that calls this."""
        return TrailReader(self._path)

    def place(self, trail: Trail) -> tuple[int, str] | None:
        """The last message that was taken in of a trail: its sequence number, and its first entry's id."""
        found = self._rows.execute("SELECT sequence, id FROM places WHERE trail = ?", (trail,)).fetchone()
        return None if found is None else (found[0], found[1])

    def put(self, trail: Trail, sequence: int, entries: Iterable[AuditEntry]) -> None:
        """Take in one message of a trail; readers see it after ``commit``."""
        taken = list(entries)
        if not self._rows.in_transaction:
            self._rows.execute("BEGIN")
        self._rows.executemany(
            _PUT,
            [
                (
                    one.id,
                    trail,
                    sequence,
                    one.actor,
                    one.action.partition(".")[0],
                    one.action,
                    one.kind,
                    one.target,
                    one.outcome,
                    _CODEC.encode(one),
                )
                for one in taken
            ],
        )
        self._rows.execute(_PLACE, (trail, sequence, taken[0].id if taken else ""))

    def commit(self) -> None:
        """Let readers see what was taken in."""
        if self._rows.in_transaction:
            self._rows.execute("COMMIT")

    def forget(self, trail: Trail, *, before: int) -> None:
        """Drop what the stream has dropped: everything before this sequence number."""
        self._rows.execute("DELETE FROM entries WHERE trail = ? AND sequence < ?", (trail, before))

    def clear(self, trail: Trail) -> None:
        """Drop all of a trail, to read it again."""
        self._rows.execute("DELETE FROM entries WHERE trail = ?", (trail,))
        self._rows.execute("DELETE FROM places WHERE trail = ?", (trail,))

    def _open(self) -> sqlite3.Connection:
        try:
            return _prepared(self._path)
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            return _prepared(self._path)


class TrailReader:
    """Asks the file; every question sees it as it is at that moment."""

    def __init__(self, path: Path) -> None:
        self._rows = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def find(self, wanted: AuditWanted) -> list[AuditEntry]:
        """A page of the wanted entries."""
        where, values = _where(wanted)
        order = "ASC" if wanted.oldest_first else "DESC"
        statement = f"{_ALL} {where} ORDER BY id {order} LIMIT :limit OFFSET :offset"
        found = self._rows.execute(statement, {**values, "limit": wanted.limit, "offset": wanted.offset})
        return [_CODEC.decode(body) for (body,) in found]

    def count(self, wanted: AuditWanted, *, most: int | None) -> int:
        """How many are wanted in all; with ``most``, that many at most are counted."""
        where, values = _where(wanted)
        inner = f"{_EACH} {where}" if most is None else f"{_EACH} {where} LIMIT {most:d}"
        number: int = self._rows.execute(f"{_COUNT} ({inner})", values).fetchone()[0]
        return number


def _prepared(path: Path) -> sqlite3.Connection:
    # Made before SQLite does, which would let others read it.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    rows = sqlite3.connect(path, isolation_level=None)
    try:
        rows.execute("PRAGMA journal_mode = WAL")
        rows.execute("PRAGMA synchronous = OFF")
        found = rows.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            rows.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif found != _VERSION:
            raise sqlite3.DatabaseError(f"version {found}")
        rows.execute("SELECT count(*) FROM places").fetchone()
    except sqlite3.DatabaseError:
        rows.close()
        raise
    return rows


def _where(wanted: AuditWanted) -> tuple[str, Mapping[str, Any]]:
    """What follows the table's name: the index to read, and the conditions; and their values."""
    action = None if wanted.action is None else "action" if "." in wanted.action else "topic"
    values: dict[str, Any] = {"target": wanted.target, "actor": wanted.actor, "kind": wanted.kind}
    if action is not None:
        values[action] = wanted.action
    # Nearly all are done: an index of those would be the whole table.
    values["outcome"] = wanted.outcome
    values = {name: value for name, value in values.items() if value is not None}
    terms = [f"{name} = :{name}" for name in values]
    index = next((f"INDEXED BY {index}" for name, index in _INDEXES.items() if name in values), "")
    for name, moment, sign in (("after", wanted.after, ">="), ("before", wanted.before, "<")):
        if moment is not None:
            terms.append(f"id {sign} :{name}")
            values[name] = _first_id(moment)
    if wanted.past:
        terms.append("id > :past")
        values["past"] = wanted.past
    return (f"{index} WHERE {' AND '.join(terms)}" if terms else ""), values


def _first_id(moment: datetime) -> str:
    """What no id of an earlier millisecond reaches, and every id of this one and later ones does."""
    return f"{max(int(moment.timestamp() * 1000), 0):012x}"
