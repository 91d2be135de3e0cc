"""Exports, asked of the functions a part at a time and written as lines of text."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import orjson

from functions.contract.lines import CSV, csv_line, csv_row, heading, ndjson_line
from functions.domain.faults import Unavailable

_PART: Final = 200
# Nobody begins a long export anew because a worker was restarted.
_PAUSES_SECONDS: Final = (0.5, 1.0, 2.0)

TELEMETRY_COLUMNS: Final = ("deviceId", "timestamp", "data", "hubTime", "deviceTime", "encoding")
EVENT_COLUMNS: Final = ("deviceId", "eventType", *TELEMETRY_COLUMNS[1:])

AUDIT_COLUMNS: Final = (
    "id",
    "at",
    "outcome",
    "action",
    "actor",
    "origin",
    "call",
    "kind",
    "target",
    "before",
    "after",
    "cut",
)
# What is JSON in its cell.
_IN_JSON: Final = frozenset({"data", "before", "after", "cut"})

Part = list[dict[str, Any]]
# Calls a function, by the tokens of its subject, with a payload.
Ask = Callable[[Sequence[str], bytes], Awaitable[bytes]]


async def parts(ask: Ask, *, with_twins: bool) -> AsyncIterator[Part]:
    """The devices in the order of their ids, a part at a time; one part at least.

    Raises:
        Fault: what a function answered instead.
    """
    after: str | None = ""
    while after is not None:
        asked = orjson.dumps({"after": after, "limit": _PART})
        part = orjson.loads(await _ask(ask, ("registry", "export"), asked))
        devices: Part = part["lines"]
        if with_twins:
            await _add_twins(ask, devices)
        yield devices
        after = part["next"]


async def written(media_type: str, found: AsyncIterator[Part], first: Part | None = None) -> AsyncIterator[bytes]:
    """The text of parts, of which the first may have been asked for already."""
    line = ndjson_line
    if media_type == CSV:
        line = csv_line
        yield heading()
    if first is not None:
        yield b"".join(map(line, first))
    async for part in found:
        yield b"".join(map(line, part))


async def measured_parts(ask: Ask, wanted: dict[str, Any]) -> AsyncIterator[Part]:
    """Telemetry or events as a ``TelemetryExport`` wants them, oldest first, a part at a time; one part at least.

    Raises:
        Fault: what a function answered instead.
    """
    async for part in _continued(ask, ("telemetry", "export"), wanted):
        yield part


async def audit_parts(ask: Ask, wanted: dict[str, Any]) -> AsyncIterator[Part]:
    """Entries of the audit trail as an ``AuditExport`` wants them, oldest first, a part at a time; one at least.

    Raises:
        Fault: what a function answered instead.
    """
    async for part in _continued(ask, ("audit", "export"), wanted):
        yield part


async def _continued(ask: Ask, tokens: Sequence[str], wanted: dict[str, Any]) -> AsyncIterator[Part]:
    """The parts that a function gives, each asked for by where the one before ended."""
    after = ""
    while True:
        asked = orjson.dumps({**wanted, "after": after})
        part = orjson.loads(await _ask(ask, tokens, asked))
        yield part["lines"]
        if part["next"] is None:
            return
        after = part["next"]


async def lines_text(
    media_type: str, found: AsyncIterator[Part], columns: Sequence[str], first: Part | None = None
) -> AsyncIterator[bytes]:
    """The text of parts in columns, of which the first may have been asked for already."""
    is_csv = media_type == CSV
    if is_csv:
        yield csv_row(columns)
    for part in (first,) if first is not None else ():
        yield b"".join(_line(line, columns, is_csv=is_csv) for line in part)
    async for part in found:
        yield b"".join(_line(line, columns, is_csv=is_csv) for line in part)


def _line(line: dict[str, Any], columns: Sequence[str], *, is_csv: bool) -> bytes:
    if not is_csv:
        return ndjson_line(line)
    # Data in base64 stay as they are.
    in_json = _IN_JSON if "encoding" not in line else frozenset()
    cells = {
        name: orjson.dumps(value).decode() if name in in_json else value
        for name, value in line.items()
        if value is not None or name == "data"
    }
    return csv_row(cells.get(column, "") for column in columns)


async def _add_twins(ask: Ask, devices: Part) -> None:
    """Put its twin with each device; an answer has as many of them as fit into it."""
    done = 0
    while done < len(devices):
        asked = orjson.dumps({"devices": [device["deviceId"] for device in devices[done:]]})
        twins: Part = orjson.loads(await _ask(ask, ("twins", "export"), asked))["twins"]
        for device, twin in zip(devices[done:], twins, strict=False):
            device.update(twin)
        done += len(twins)


async def _ask(ask: Ask, tokens: Sequence[str], payload: bytes) -> bytes:
    for pause in _PAUSES_SECONDS:
        try:
            return await ask(tokens, payload)
        except Unavailable:
            await asyncio.sleep(pause)
    return await ask(tokens, payload)
