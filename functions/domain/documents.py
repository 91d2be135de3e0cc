"""JSON documents: what may stand in one, when two are the same, and how large one is."""

import json
import math
import re
from functools import partial
from json import JSONEncoder
from typing import Any, Final

from functions.domain.faults import Malformed, Reason

# Objects and arrays within each other, the document itself being the first.
MAX_DEPTH = 10
# Beyond it a reader that keeps numbers as IEEE 754 doubles (RFC 7493, 2.2)
# would show another number than the one sent.
MAX_INTEGER = 2**53

# Stands where a document has no value; equal to nothing in JSON.
NOTHING: Final = object()

_SHOWN_CHARACTERS = 64
_KEY_END = re.compile(rb'"[ \t\r\n]*:')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_compact = JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode


def check(document: dict[str, Any]) -> None:
    """Refuse what no half of a twin may hold; nulls are left to the rules of merging.

    It goes level by level and stops at the first one too deep, so that no
    nesting costs more than the levels allowed.

    Raises:
        Malformed: ``too_deep``; or a key with a control character, an integer
            beyond 2^53 or a number that is not finite (``1e999`` is parsed to
            infinity).
    """
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for container in level:
            deeper += _check_level(container)
        if not deeper:
            return
        level = deeper
    raise Malformed(Reason.TOO_DEEP, f"The document has more than {MAX_DEPTH} levels.")


def _check_level(container: Any) -> list[Any]:
    """Check the keys and numbers of one object or array and give what is nested in it."""
    values = container
    if isinstance(container, dict):
        if _CONTROL.search("".join(container)):
            raise Malformed(detail="A key of the document has a control character.")
        values = container.values()
    nested = []
    for value in values:
        kind = type(value)
        if kind is dict or kind is list:
            nested.append(value)
        elif kind is int:
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise Malformed(detail="An integer of the document is beyond 2^53; send it as a string.")
        elif kind is float and not math.isfinite(value):
            raise Malformed(detail="A number of the document is too large.")
    return nested


def check_keys_once(text: bytes, values: Any, what: str = "payload") -> None:
    """Refuse JSON in which an object has a key twice: its reader kept one, another reader may keep the other.

    A string with a colon after it is a key, and so each member shows as one of
    those; text within strings may look the same, but takes none of them away.
    So if the text has no more of them than members were found, none is lost.

    Args:
        text: the JSON, as it came.
        values: what a parser made of it.
        what: it is, for the refusal.

    Raises:
        Malformed: a key stands twice in one object.
    """
    if len(_KEY_END.findall(text)) > _members(values):
        # No number is made of its digits: Python refuses very many of them.
        json.loads(text, object_pairs_hook=partial(_refuse_doubles, what), parse_int=len, parse_float=len)


def _members(values: Any) -> int:
    """How many members the objects among the values have."""
    if type(values) is dict:
        count, values = len(values), values.values()
    elif type(values) is list:
        count = 0
    else:
        return 0
    for value in values:
        kind = type(value)
        if kind is dict or kind is list:
            count += _members(value)
    return count


def _refuse_doubles(what: str, members: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in members:
        if key in seen:
            raise Malformed(detail=f"The {what} has the key {json.dumps(key[:_SHOWN_CHARACTERS])} twice in one object.")
        seen.add(key)


def size(document: dict[str, Any]) -> int:
    """Bytes of the document as compact JSON in UTF-8."""
    text = _compact(document)
    return len(text) if text.isascii() else len(text.encode())


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, as JSON has it.

    To Python ``True`` is ``1``; to JSON it is not. ``1`` and ``1.0`` are one
    number to both.
    """
    kind = type(one)
    if kind is not type(other):
        return one == other and not isinstance(one, bool) and not isinstance(other, bool)
    if kind is dict:
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if kind is list:
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
