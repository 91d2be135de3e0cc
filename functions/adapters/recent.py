"""What a process read or wrote last, within bounds of number and bytes."""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")

_MAX_ENTRIES = 4096
# Of encoded values; as Python objects they take five to ten times as much.
_MAX_BYTES = 4 * 1024 * 1024


class Recent(Generic[T]):
    """Values with their revisions, of the keys used last; the others are forgotten."""

    def __init__(self, *, max_entries: int = _MAX_ENTRIES, max_bytes: int = _MAX_BYTES) -> None:
        self._entries: OrderedDict[str, tuple[T, int, int]] = OrderedDict()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0

    def get(self, key: str) -> tuple[T, int] | None:
        """The value and its revision, if they are remembered."""
        found = self._entries.get(key)
        return None if found is None else (found[0], found[1])

    def put(self, key: str, value: T, revision: int, size: int) -> None:
        """Remember a value of so many encoded bytes, unless a later revision is remembered."""
        known = self._entries.get(key)
        if known is not None:
            if known[1] > revision:
                return
            self._bytes -= known[2]
        self._entries[key] = (value, revision, size)
        self._entries.move_to_end(key)
        self._bytes += size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            _, (_, _, forgotten) = self._entries.popitem(last=False)
            self._bytes -= forgotten

    def drop(self, key: str) -> None:
        """Forget a key: what is remembered of it has turned out wrong, or was removed."""
        known = self._entries.pop(key, None)
        if known is not None:
            self._bytes -= known[2]
