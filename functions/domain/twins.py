"""Twin rules: two halves, merged by RFC 7396, each with a version and the time of every leaf.

This first form has the values; the rules follow.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from functions.domain.order import Order

MAX_HALF_BYTES = 32 * 1024
MAX_DEPTH = 10
MAX_INTEGER = 2**53


@dataclass(frozen=True, slots=True)
class Half:
    """One half of a twin, ``desired`` or ``reported``.

    ``times`` mirrors the objects of ``doc``; where ``doc`` has a value (a
    scalar, an array or an empty object) it has the time of its last change
    in milliseconds since 1970. ``order`` and ``digest`` are those of the last
    message applied, to refuse what comes late and to know a repeat.
    """

    version: int = 0
    doc: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None
    by: str = ""
    order: Order | None = None
    digest: str = ""
