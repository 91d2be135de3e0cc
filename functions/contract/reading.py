"""JSON as it comes from outside: read as it was meant, or refused by name."""

import math
import re
from typing import Any, Final

from pydantic_core import from_json

from functions.domain.documents import check_keys_once
from functions.domain.faults import Malformed, Reason

# What a number over 1.8e308 must have: an exponent of three digits, or very
# many digits before one of two. The parser reads such a number as infinity.
_MAY_OVERFLOW: Final = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{200}")


def read_json(text: bytes, what: str = "payload") -> Any:
    """The values of a JSON text.

    NaN, infinities (``1e999`` is one), lone surrogates, bytes that are not
    UTF-8, a key twice in one object and nesting beyond 200 levels are refused.

    Args:
        text: as it came, of a bounded length.
        what: it is, for the refusal: ``payload``, ``line``.

    Raises:
        Malformed: it is no JSON, or one of these.
    """
    try:
        values = from_json(text, allow_inf_nan=False)
    except ValueError as problem:
        if "recursion limit" in str(problem):
            raise Malformed(Reason.TOO_DEEP, f"The {what} has more than 200 levels.") from problem
        raise Malformed(detail=f"The {what} is not JSON: {problem}.") from problem
    if _MAY_OVERFLOW.search(text) and not _is_finite(values):
        raise Malformed(detail=f"A number in the {what} is too large.")
    check_keys_once(text, values, what)
    return values


def _is_finite(values: Any) -> bool:
    todo = [values]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, float) and not math.isfinite(value):
            return False
    return True
