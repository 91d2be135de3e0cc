"""Bytes cut into lines, holding no more of any line than may be."""

from collections.abc import Iterator
from typing import NamedTuple


class Line(NamedTuple):
    """A line without its end: what is kept of it, and how many bytes it has."""

    text: bytes
    length: int

    @property
    def is_cut(self) -> bool:
        """Whether only its beginning is kept."""
        return self.length > len(self.text)


class Lines:
    """Lines of bytes that come in pieces.

    Args:
        most: bytes that are kept of a line.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun: list[bytes] = []
        self._kept = 0
        self._length = 0

    @property
    def begun(self) -> int:
        """How many bytes there are of a line whose end did not come yet."""
        return self._length

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that end in a piece."""
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._add(piece)
            yield self._take()
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        self._length += len(piece)
        if piece and self._kept < self._most:
            kept = piece[: self._most - self._kept]
            self._begun.append(kept)
            self._kept += len(kept)

    def _take(self) -> Line:
        line = Line(b"".join(self._begun), self._length)
        self._begun, self._kept, self._length = [], 0, 0
        return line
