"""What a process read or wrote last, within bounds of number and bytes.

The values used last are kept as they are, those before them encoded and
packed: about a fifth of a twin's half where a fleet reports alike. A packed
one takes 20 us to be had again, a read several times as much of all processes together.
"""

import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MAX_ENTRIES: Final = 4096
# Of encoded values; as Python objects they take five to ten times as much.
_MAX_BYTES: Final = 4 * 1024 * 1024
# What a packed value takes besides its own bytes: its key, its revision and their places.
_PLACE_BYTES: Final = 260
# A longer dictionary costs each packing more than it saves.
_ALIKE_BYTES: Final = 4096
_RAW: Final = -15
# Over so many askings it is judged whether remembering is of use; of that many one is made all the same.
_JUDGED: Final = 256
_TRIED: Final = 16


class Recent(Generic[T]):
    """Values with their revisions, of the keys used last; the others are forgotten.

    Where other processes write the same keys, what is remembered is mostly
    wrong, and a write over it that is refused costs as much as a read. So it
    counts: while every second memory was wrong, it tells one in sixteen.

    Args:
        decode: makes a value of its encoded form.
        max_entries: how many are kept as values.
        max_bytes: of those, as encoded.
        packed_bytes: what the others may take, with their places; none of them are kept by default.
    """

    def __init__(
        self,
        decode: Callable[[bytes], T],
        *,
        max_entries: int = _MAX_ENTRIES,
        max_bytes: int = _MAX_BYTES,
        packed_bytes: int = 0,
    ) -> None:
        self._decode = decode
        self._entries: OrderedDict[str, tuple[T, int, bytes]] = OrderedDict()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._packed: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self._most_packed = packed_bytes
        self._packed_bytes = 0
        # The first that was packed: what others have in common with it is packed as a place in it.
        self._alike = b""
        self._asked = self._told = self._wrong = 0

    def get(self, key: str) -> tuple[T, int] | None:
        """The value and its revision, if they are remembered and likely to be right."""
        found = self._entries.get(key)
        packed = self._packed.get(key) if found is None else None
        if found is None and packed is None:
            return None
        self._asked += 1
        if self._is_doubtful and self._asked % _TRIED:
            return None
        self._told += 1
        if self._told >= _JUDGED:
            # What was long ago counts half.
            self._told, self._wrong = self._told // 2, self._wrong // 2
        if packed is not None:
            return self._decode(zlib.decompressobj(_RAW, self._alike).decompress(packed[1])), packed[0]
        assert found is not None
        return found[0], found[1]

    def put(self, key: str, value: T, revision: int, data: bytes) -> None:
        """Remember a value and how it is encoded, unless a later revision is remembered."""
        known = self._revision(key)
        if known is not None:
            if known > revision:
                return
            self._forget(key)
        self._entries[key] = (value, revision, data)
        self._bytes += len(data)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            oldest, (_, revision, data) = self._entries.popitem(last=False)
            self._bytes -= len(data)
            self._pack(oldest, revision, data)

    def drop(self, key: str) -> None:
        """Forget a key: what is remembered of it has turned out wrong, or was removed."""
        if self._revision(key) is not None:
            self._wrong += 1
            self._forget(key)

    @property
    def _is_doubtful(self) -> bool:
        return self._told >= _TRIED and self._wrong * 2 >= self._told

    def _revision(self, key: str) -> int | None:
        if (found := self._entries.get(key)) is not None:
            return found[1]
        packed = self._packed.get(key)
        return None if packed is None else packed[0]

    def _forget(self, key: str) -> None:
        if (found := self._entries.pop(key, None)) is not None:
            self._bytes -= len(found[2])
        elif (packed := self._packed.pop(key, None)) is not None:
            self._packed_bytes -= len(packed[1]) + _PLACE_BYTES

    def _pack(self, key: str, revision: int, data: bytes) -> None:
        if not self._most_packed:
            return
        if not self._alike:
            self._alike = data[:_ALIKE_BYTES]
        packer = zlib.compressobj(1, zlib.DEFLATED, _RAW, zdict=self._alike)
        packed = packer.compress(data) + packer.flush()
        self._packed[key] = revision, packed
        self._packed_bytes += len(packed) + _PLACE_BYTES
        while self._packed_bytes > self._most_packed:
            _, (_, forgotten) = self._packed.popitem(last=False)
            self._packed_bytes -= len(forgotten) + _PLACE_BYTES
