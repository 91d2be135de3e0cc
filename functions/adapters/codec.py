"""Keys and values as they are stored: what a key may be, where it lies, and values of one type as JSON."""

import re
from typing import Generic, TypeVar
from zlib import crc32

from pydantic import TypeAdapter, ValidationError

from functions.domain.faults import Malformed, Reason

T = TypeVar("T")

DEFAULT_LIMIT_BYTES = 256 * 1024

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Undecodable(Exception):
    """What is stored is not of the type its store keeps; the message says where, and shows nothing of it."""


def check_key(key: str) -> str:
    """Give the key back if a store may keep a value under it.

    Raises:
        Malformed: it is not 1 to 128 of ``[A-Za-z0-9_-]``.
    """
    if _KEY.fullmatch(key) is None:
        raise Malformed(detail="A key is 1 to 128 letters, digits, '_' or '-'.")
    return key


def shard_of(key: str, shards: int) -> int:
    """The number of the shard that holds a key."""
    return crc32(key.encode()) % shards


class Codec(Generic[T]):
    """Turns values of one type into JSON and back, without loss.

    Stored values outlive the code that wrote them: a field that the type no
    longer has is ignored, and one it did not have then takes its default.

    Args:
        kind: a frozen dataclass of the domain.
        limit_bytes: largest encoded value.
    """

    def __init__(self, kind: type[T], *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._kind = kind
        self._adapter = TypeAdapter(kind)
        self._limit_bytes = limit_bytes

    def encode(self, value: T) -> bytes:
        """The value as JSON in UTF-8.

        Raises:
            Malformed: it is larger than the store takes (``too_large``).
        """
        # A field of another type than declared would only be warned of, and could not be read back.
        data = self._adapter.dump_json(value, warnings="error")
        if len(data) > self._limit_bytes:
            raise Malformed(
                Reason.TOO_LARGE, f"The record would have {len(data)} bytes; at most {self._limit_bytes} are kept."
            )
        return data

    def decode(self, data: bytes) -> T:
        """The value that was encoded.

        Raises:
            Undecodable: the data is no value of the type.
        """
        try:
            return self._adapter.validate_json(data)
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(str(step) for step in first["loc"])
            # Without its cause, whose text repeats the stored value.
            raise Undecodable(f"stored {self._kind.__name__}: {place or 'value'}: {first['msg']}") from None
