"""Versions as people number them: 1.10 comes after 1.9, and 2.0-rc.1 before 2.0."""

import re
from typing import Final, TypeAlias

# Each part is its rank, its number and its word, so that any two versions compare.
Version: TypeAlias = tuple[tuple[int, int, str], ...]

_PART: Final = re.compile(r"[0-9]+|[a-z]+")
_BEFORE: Final = (0, 0, "")
_END: Final = (1, 0, "")
# Of a number, which nobody can have meant to be longer.
_MOST_DIGITS: Final = 64


def version_of(text: str) -> Version | None:
    """What a version is compared by; None of a text without letter or digit.

    Numbers compare as numbers and come after words, words by code point,
    letters in either case alike. ``v`` before the first number, zeros at the
    end (``1.4.0`` is ``1.4``) and what follows ``+`` do not count. What
    follows the first ``-`` makes it earlier than without.
    """
    core, hyphen, early = text.casefold().partition("+")[0].partition("-")
    parts = _parts(core)
    if not parts:
        return None
    if parts[0] == (2, 0, "v") and len(parts) > 1:
        del parts[0]
    while parts and parts[-1] == (3, 0, ""):
        parts.pop()
    if hyphen:
        parts += [_BEFORE, *_parts(early)]
    return (*parts, _END)


def _parts(text: str) -> list[tuple[int, int, str]]:
    return [(3, int(part[:_MOST_DIGITS]), "") if part.isdigit() else (2, 0, part) for part in _PART.findall(text)]
