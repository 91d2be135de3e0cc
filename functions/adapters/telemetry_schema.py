"""The tables of the telemetry store in SQLite, and a file with them.

Messages lie by device and time, so that a page of a device is a few dozen
pages of the file however many messages others have. An hour's count of
messages is kept for each device, and for all as device 0: totals are sums of
those. Numbers are put together by hour as they are written.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final

from functions.domain.telemetry import Kind

VERSION: Final = 1
# Device 0 stands for all of them.
ALL: Final = 0
KINDS: Final = {Kind.TELEMETRY: 0, Kind.EVENTS: 1}

# Of a writer's memory and of a reader's, in KiB.
_CACHE: Final = -8_000
_LOG_BYTES: Final = 64 * 1024 * 1024

_SCHEMA: Final = """
    CREATE TABLE devices (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL);
    CREATE TABLE messages (
        device INTEGER, kind INTEGER, at INTEGER, place INTEGER, type TEXT, hub_time INTEGER, device_time INTEGER,
        is_bytes INTEGER, payload BLOB, PRIMARY KEY (device, kind, at, place)
    ) WITHOUT ROWID;
    CREATE INDEX by_time ON messages (kind, at, device, place);
    CREATE TABLE hours (
        device INTEGER, kind INTEGER, hour INTEGER, type TEXT, count INTEGER, PRIMARY KEY (device, kind, hour, type)
    ) WITHOUT ROWID;
    CREATE TABLE rollups (
        device INTEGER, hour INTEGER, key TEXT, count INTEGER, total REAL, least REAL, most REAL, last REAL,
        last_at INTEGER, last_place INTEGER, PRIMARY KEY (device, hour, key)
    ) WITHOUT ROWID;
    CREATE TABLE latest (
        device INTEGER, key TEXT, at INTEGER, place INTEGER, value BLOB, PRIMARY KEY (device, key)
    ) WITHOUT ROWID;
    CREATE TABLE places (stream TEXT PRIMARY KEY, made INTEGER, sequence INTEGER, nanoseconds INTEGER);
"""


def open_file(path: Path) -> sqlite3.Connection:
    """The file, made if it is missing; for the thread that calls this.

    Raises:
        sqlite3.Error: it is no such file, or of another version.
    """
    # Made before SQLite does, which would let others read it.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    rows = sqlite3.connect(path, isolation_level=None)
    try:
        rows.execute("PRAGMA auto_vacuum = INCREMENTAL")
        rows.execute("PRAGMA journal_mode = WAL")
        # A crash of the machine takes the last transactions, with the places
        # up to which the streams are known: so they are read again from there.
        rows.execute("PRAGMA synchronous = NORMAL")
        rows.execute(f"PRAGMA cache_size = {_CACHE:d}")
        rows.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES:d}")
        found = rows.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            rows.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif found != VERSION:
            raise sqlite3.DatabaseError(f"{path} is of version {found}; this program has {VERSION}")
    except sqlite3.Error:
        rows.close()
        raise
    return rows


def open_reading(path: Path) -> sqlite3.Connection:
    """The same file to be read; for the thread that calls this."""
    rows = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    rows.execute(f"PRAGMA cache_size = {_CACHE:d}")
    return rows
