"""The telemetry store under load: what has come into it, and many messages made in it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import time

from functions.adapters.telemetry_reader import TelemetryReader
from functions.adapters.telemetry_schema import open_file
from functions.domain.telemetry import HOUR, TelemetryWanted
from tests.bench.stage import Device, Stage

_AT_ONCE = 500_000
_DEVICES = 1_000
_PAYLOAD = b'{"temperature":21.5,"pressure":1.013,"rpm":1480,"state":"running","number":123456}'
# All devices in turn, ten milliseconds apart, as messages come; so those of one lie everywhere in the file.
_MAKE = """
    WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :last)
    INSERT INTO messages SELECT :device + i % :devices, 0, :begin + i * 10, i + 1, '', :begin + i * 10 + 3,
        :begin + i * 10, 0, :payload FROM n
"""
_COUNT = "INSERT INTO hours SELECT device, 0, at - at % :hour, '', count(*) FROM messages GROUP BY 1, 3"
_COUNT_ALL = "INSERT INTO hours SELECT 0, 0, hour, '', sum(count) FROM hours GROUP BY hour"


async def kept(stage: Stage) -> int:
    """How many messages the store has taken so far."""
    return await asyncio.to_thread(_kept, _file(stage))


async def fill(stage: Stage, rows: int, devices: Sequence[Device]) -> None:
    """Have the store hold so many messages of 1,000 devices, these among them, an equal number of each."""
    await asyncio.to_thread(_fill, _file(stage), rows, [device.name for device in devices])


def _kept(file: Path) -> int:
    reader = TelemetryReader(file)
    try:
        return reader.count(TelemetryWanted())
    finally:
        reader.close()


def _fill(file: Path, rows: int, names: Sequence[str]) -> None:
    store = open_file(file)
    # It is made fast, and asked as it is.
    store.execute("PRAGMA cache_size = -700000")
    store.execute("PRAGMA synchronous = OFF")
    others = [f"made-{number:04}" for number in range(_DEVICES - len(names))]
    made = [store.execute("INSERT INTO devices (id) VALUES (?)", (name,)).lastrowid for name in (*names, *others)]
    begin = int(time() * 1000) - rows * 10
    for first in range(0, rows, _AT_ONCE):
        store.execute(
            _MAKE,
            {
                "first": first,
                "last": min(rows, first + _AT_ONCE),
                "device": made[0],
                "devices": _DEVICES,
                "begin": begin,
                "payload": _PAYLOAD,
            },
        )
    store.execute(_COUNT, {"hour": HOUR})
    store.execute(_COUNT_ALL)
    store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    store.close()


def _file(stage: Stage) -> Path:
    return stage.paths.telemetry / "telemetry.sqlite"
