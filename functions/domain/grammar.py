r"""The grammar of queries: one for HTTP, the command line and pages.

::

    query     = either { "OR" either }
    either    = { [ "AND" ] condition }
    condition = ( "-" | "NOT" ) condition | "(" query ")" | field sign value | text
    sign      = ":" | "=" | "!=" | "<" | "<=" | ">" | ">="

Conditions with a blank between must all hold. ``pump "north hall"`` are two
texts; ``*`` outside of quotes stands for anything. Within quotes, ``\"`` and ``\\``
stand for the sign itself. ``!=`` is ``-`` and ``=``.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from functions.domain.faults import Malformed
from functions.domain.fields import Signs, WrongValue, condition_of, pattern_of
from functions.domain.query import All, AnyOf, Condition, Not, Within

MAX_CHARACTERS: Final = 1024
MAX_CONDITIONS: Final = 32
MAX_DEPTH: Final = 8
_MAX_WILDCARDS: Final = 4
# Whatever has one is looked through, 0.2 s among 100,000 devices, and nothing else is answered meanwhile. What that
# comes to is bounded where it is answered (``query_too_costly``).
_MOST_WILDCARDS: Final = 8

_FIELD: Final = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)(:|!=|<=|>=|=|<|>)")
_ENDS: Final = frozenset(" \t\r\n\x0b\x0c()")
_OR, _AND, _NOT = "OR", "AND", "NOT"


def parse_query(text: str, *, paths: Collection[str] = (), name: str = "q") -> Condition:
    """Read a query; one of blanks alone asks for nothing, so that everything holds.

    Args:
        text: the query.
        paths: of what a device reports, those that a condition can be about.
        name: of the field that has the text, for the refusal.

    Raises:
        Malformed: it says at which character, and what was expected there.
    """
    try:
        if len(text) > MAX_CHARACTERS:
            raise _WrongError(MAX_CHARACTERS, f"a query has at most {MAX_CHARACTERS} characters")
        return _Reader(text, frozenset(paths)).read()
    except _WrongError as wrong:
        told = f"at character {wrong.at + 1}: {wrong}."
        raise Malformed(detail=f"{name}: {told}", fields={name: told}, position=wrong.at) from None


class _WrongError(Exception):
    """What is wrong with a query, from which character on."""

    def __init__(self, at: int, told: str) -> None:
        super().__init__(told)
        self.at = at


@dataclass(frozen=True, slots=True)
class _Word:
    """A word, where it begins, and its signs without quotes."""

    at: int
    text: str
    signs: Signs


class _Reader:
    """Reads one query, from left to right."""

    def __init__(self, text: str, paths: frozenset[str]) -> None:
        self._text = text
        self._paths = paths
        self._at = 0
        self._conditions = 0
        self._wildcards = 0

    def read(self) -> Condition:
        """The whole query."""
        self._pass_blanks()
        if self._at == len(self._text):
            return All()
        found = self._either(0)
        if self._at < len(self._text):
            raise _WrongError(self._at, "')' closes nothing")
        return found

    def _either(self, depth: int) -> Condition:
        """Groups of conditions with OR between, up to the end or a parenthesis that closes."""
        parts = [self._all(depth)]
        while self._takes(_OR):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self, depth: int) -> Condition:
        """Conditions that must all hold, up to OR, the end or a parenthesis that closes."""
        parts = [self._one(depth)]
        while self._at < len(self._text) and self._text[self._at] != ")" and not self._is_next(_OR):
            self._takes(_AND)
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self, depth: int) -> Condition:
        begin = self._at
        if depth > MAX_DEPTH:
            raise _WrongError(begin, f"parentheses and '-' are at most {MAX_DEPTH} deep")
        if begin == len(self._text) or self._text[begin] == ")" or self._is_next(_OR) or self._is_next(_AND):
            raise _WrongError(begin, "a condition is expected here: a text, or a field and its value as status:online")
        if self._text[begin] == "-":
            self._at += 1
            if self._text[self._at : self._at + 1].isspace():
                raise _WrongError(begin, "'-' stands right before the condition that must not hold")
            return Not(self._one(depth + 1))
        if self._takes(_NOT):
            return Not(self._one(depth + 1))
        if self._text[begin] == "(":
            return self._group(depth)
        return self._condition()

    def _group(self, depth: int) -> Condition:
        begin = self._at
        self._at += 1
        self._pass_blanks()
        found = self._either(depth + 1)
        if self._at == len(self._text):
            raise _WrongError(begin, "this '(' is not closed")
        self._at += 1
        self._pass_blanks()
        return found

    def _condition(self) -> Condition:
        self._conditions += 1
        begin = self._at
        if self._conditions > MAX_CONDITIONS:
            raise _WrongError(begin, f"a query has at most {MAX_CONDITIONS} conditions")
        match = _FIELD.match(self._text, begin)
        if match is None:
            return Within(pattern_of(self._word().signs))
        self._at = match.end()
        field, sign = match.groups()
        value = self._word()
        if not value.text:
            raise _WrongError(value.at, f"a value is expected after '{match.group()}'")
        try:
            found = condition_of(field, "=" if sign == "!=" else sign, value.signs, self._paths)
        except WrongValue as wrong:
            raise _WrongError(begin if wrong.is_of_field else value.at, str(wrong)) from None
        return Not(found) if sign == "!=" else found

    def _word(self) -> _Word:
        """A word up to a blank or parenthesis outside of quotes, and the blanks after it."""
        begin = self._at
        signs = tuple(self._signs())
        wildcards = sum(sign == "*" and not is_quoted for sign, is_quoted in signs)
        if wildcards > _MAX_WILDCARDS:
            raise _WrongError(begin, f"a value has at most {_MAX_WILDCARDS} '*'")
        # Alone it says that there is something, which is known.
        self._wildcards += wildcards if len(signs) > 1 else 0
        if self._wildcards > _MOST_WILDCARDS:
            raise _WrongError(begin, f"a query has at most {_MOST_WILDCARDS} '*', besides those that stand alone")
        word = _Word(begin, self._text[begin : self._at], signs)
        self._pass_blanks()
        return word

    def _signs(self) -> Iterator[tuple[str, bool]]:
        opened: int | None = None
        while self._at < len(self._text):
            sign = self._text[self._at]
            if opened is None and sign in _ENDS:
                return
            self._at += 1
            if sign == '"':
                opened = self._at - 1 if opened is None else None
            elif sign == "\\" and opened is not None:
                yield self._escaped(), True
            else:
                yield sign, opened is not None
        if opened is not None:
            raise _WrongError(opened, "this quote is not closed")

    def _escaped(self) -> str:
        sign = self._text[self._at : self._at + 1]
        if sign not in ('"', "\\"):
            raise _WrongError(self._at - 1, "within quotes, '\\' stands before '\"' or '\\'")
        self._at += 1
        return sign

    def _is_next(self, word: str) -> bool:
        end = self._at + len(word)
        return self._text.startswith(word, self._at) and (end == len(self._text) or self._text[end] in _ENDS)

    def _takes(self, word: str) -> bool:
        """Pass a keyword by if it comes next."""
        if not self._is_next(word):
            return False
        self._at += len(word)
        self._pass_blanks()
        return True

    def _pass_blanks(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
