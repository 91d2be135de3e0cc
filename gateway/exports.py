"""An export of all devices, asked of the functions a part at a time and written as lines of text."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import orjson

from functions.contract.lines import CSV, csv_line, heading, ndjson_line
from functions.domain.faults import Unavailable

_PART: Final = 200
# Nobody begins a long export anew because a worker was restarted.
_PAUSES_SECONDS: Final = (0.5, 1.0, 2.0)

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
