"""What a query says of devices, as a tree of conditions; ``functions.domain.grammar`` reads one from text."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from functions.domain.versions import Version

# Before the path of what a device reports, in the name of a field.
REPORTED: Final = "twin.reported."
MAX_PATHS: Final = 16


class Field(StrEnum):
    """What a condition can be about, besides paths of what a device reports."""

    ID = "id"
    NAME = "name"
    ROLE = "role"
    MODEL = "model"
    FIRMWARE = "firmware"
    GROUP = "group"
    TAG = "tag"
    STATUS = "status"
    LIFECYCLE = "lifecycle"
    IN_SYNC = "twinInSync"
    OUT_OF_SYNC = "outOfSync"
    LAST_SEEN = "lastSeen"
    CREATED = "createdAt"
    UPDATED = "updatedAt"


class Sign(StrEnum):
    """How a value is compared."""

    EQUAL = "="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text, or several between which anything may stand: ``a*b`` is ``("a", "b")``."""

    pieces: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        """Whether it is one text."""
        return len(self.pieces) == 1

    @property
    def is_any(self) -> bool:
        """Whether any text does."""
        return len(self.pieces) > 1 and not any(self.pieces)

    def folded(self) -> "Pattern":
        """The pattern for texts whose letters are folded."""
        return Pattern(tuple(piece.casefold() for piece in self.pieces))

    def matches(self, text: str) -> bool:
        """Whether it is the whole text."""
        first, last = self.pieces[0], self.pieces[-1]
        if self.is_exact:
            return text == first
        if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
            return False
        return _follow(text, self.pieces[1:-1], len(first), len(text) - len(last))

    def is_within(self, text: str) -> bool:
        """Whether it is found somewhere in the text."""
        return self.pieces[0] in text if self.is_exact else _follow(text, self.pieces, 0, len(text))


@dataclass(frozen=True, slots=True)
class Within:
    """Id, name, role, model or a tag holds this, letters in either case."""

    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Is:
    """A field is this, as it is written; of id, name and role letters in either case. Of a path: its text is this.

    ``*`` alone says that there is something.
    """

    field: str
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag of this key is there, with this value where one is named."""

    key: Pattern
    value: Pattern | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    """A field compares so with a value of its kind; what a device does not have compares with nothing.

    A duration stands for the moment so long ago, and what is compared is the
    age: ``lastSeen<7d`` is seen less than seven days ago.
    """

    field: str
    sign: Sign
    value: "Value"


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these holds; of none, everything does."""

    parts: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these holds at least."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """This does not hold."""

    part: "Condition"


Value: TypeAlias = Version | datetime | timedelta | float | int | bool | str | None
Condition: TypeAlias = Within | Is | Tagged | Compare | All | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Saved:
    """A question that was kept under a name, and what is wrong with it now, if anything is."""

    where: Condition = field(default_factory=All)
    wrong: str = ""


def exactly(text: str) -> Pattern:
    """The pattern of one text."""
    return Pattern((text,))


def conditions(where: Condition) -> Iterator[Condition]:
    """Every condition of a tree, with those that join others."""
    yield where
    if isinstance(where, Not):
        yield from conditions(where.part)
    elif isinstance(where, All | AnyOf):
        for part in where.parts:
            yield from conditions(part)


def names(where: Condition, name: str) -> bool:
    """Whether any condition is about a field."""
    return any(isinstance(one, Is | Compare) and one.field == name for one in conditions(where))


def _follow(text: str, pieces: tuple[str, ...], begin: int, end: int) -> bool:
    """Whether the pieces come one after the other in a part of a text."""
    for piece in pieces:
        found = text.find(piece, begin, end)
        if found < 0:
            return False
        begin = found + len(piece)
    return True
