"""Which twins are in sync, and what devices report where it can be asked for: told to the inventory.

What is desired of a device is kept here; what devices report is not, so that
they cannot fill this process. A report is therefore judged as it comes; when
something else is desired, the last report is read from the store.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import orjson
from pydantic_core import to_json

from functions.adapters.codec import Codec
from functions.adapters.feed import Change
from functions.adapters.inventory import Inventory
from functions.domain.drift import drifted_at, shortened
from functions.domain.faults import Unavailable
from functions.domain.inventory import facts_of
from functions.domain.twins import Half
from functions.storage import Kept

_AT_ONCE: Final = 32
_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Half:
    """What matters here of a stored half."""

    doc: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Any] = field(default_factory=dict)


_NOTHING: Final = _Half()
_CODEC: Final[Codec[_Half]] = Codec(_Half)


def read_half(data: bytes) -> _Half:
    """What matters of a stored half: by the codec's own rules, in a third of its time.

    Numbers of a half are within 2^53, where both readers agree.

    Raises:
        Undecodable: as the codec tells it.
    """
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        told = None
    if isinstance(told, dict):
        doc, times = told.get("doc", {}), told.get("times", {})
        if isinstance(doc, dict) and isinstance(times, dict):
            return _Half(doc, times)
    # It says what is wrong.
    return _CODEC.decode(data)


class TwinWatch:
    """Judges twins as their halves are told.

    All that is desired must be told first, then all that is reported, then
    ``settle`` called; from then on either may come at any time.

    Args:
        inventory: is told of each twin.
        paths: of what devices report, those that can be asked for.
        read: the reported half that is now kept for a device.
    """

    def __init__(
        self,
        inventory: Inventory,
        paths: tuple[str, ...],
        read: Callable[[str], Awaitable[Kept[Half] | None]],
    ) -> None:
        self._inventory = inventory
        self._paths = paths
        self._read = read
        # By device, document and times in JSON, which takes a third of what they take as objects; where all times are
        # one, that one alone.
        self._wishes: dict[str, bytes] = {}
        self._unjudged: set[str] = set()
        self._is_settled = False
        self._due = asyncio.Event()

    def take_desired(self, change: Change) -> None:
        """Take in what is desired of a device."""
        half = _NOTHING if change.data is None else read_half(change.data)
        if half.doc:
            # What orjson gives keeps the room that it was written in: 1 KiB of which a few bytes are used.
            self._wishes[sys.intern(change.key)] = to_json((half.doc, shortened(half.times)))
        elif self._wishes.pop(change.key, None) is None:
            return
        self._unjudged.add(change.key)
        if self._is_settled:
            self._due.set()

    def take_reported(self, change: Change) -> None:
        """Judge what a device reports."""
        self._judge(change.key, _NOTHING if change.data is None else read_half(change.data))

    def settle(self) -> None:
        """Judge those that never reported."""
        for key in tuple(self._unjudged):
            self._judge(key, _NOTHING)
        # Another, as a set keeps the room that it once took.
        self._unjudged = set()
        self._is_settled = True

    async def run(self) -> None:
        """Judge those of whom something else is desired, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            while self._unjudged:
                try:
                    await self._catch_up(list(islice(self._unjudged, _AT_ONCE)))
                except Unavailable:
                    await asyncio.sleep(_RETRY_SECONDS)

    async def _catch_up(self, keys: list[str]) -> None:
        for key, kept in zip(keys, await asyncio.gather(*map(self._read, keys)), strict=True):
            # A report that came meanwhile was judged already, and may be newer.
            if key in self._unjudged:
                self._judge(key, _NOTHING if kept is None else _Half(kept.value.doc, kept.value.times))

    def _judge(self, key: str, reported: _Half) -> None:
        self._unjudged.discard(key)
        wish = self._wishes.get(key)
        drifted = None
        if wish is not None:
            doc, times = orjson.loads(wish)
            drifted = drifted_at(doc, times, reported.doc, reported.times)
        self._inventory.put_twin(key, facts_of(reported.doc, drifted, self._paths))
