"""Texts by number, and which of them hold another text: narrowed down by pairs of signs, then looked through."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from functions.adapters.budget import Budget
from functions.adapters.numbers import Members, bits_of, numbers_in
from functions.domain.query import Pattern

# Pairs of signs that are kept apart; in letters and digits there are fewer than 1,300.
_MOST_PAIRS: Final = 2048
_FIRST_BYTES: Final = 128
# So many texts are looked at in one step: some milliseconds.
_A_STEP: Final = 1000

# What was found in so many texts at least is kept, for the last so many patterns: to look through 100,000 texts takes
# 7 ms, to keep one answer true costs each change of a text 0.2 µs.
_MANY: Final = 1000
_MOST_ANSWERS: Final = 256

_Pair = tuple[str, str]


# Between the fields of a text; where a field or a pattern has it, another sign takes its place. Both are ASCII, as one
# other sign would make each text two or four times as long.
_BORDER: Final = "\x1f"
_NO_BORDER: Final = "\x1e"


class Texts:
    """Texts by number, each of several fields; letters in either case are alike.

    Until ``settle`` has ended, of some texts no pairs are known, and those
    are looked through for every pattern.

    Args:
        settled: whether pairs are known from the beginning.
    """

    def __init__(self, *, settled: bool = True) -> None:
        self._texts: list[str] = []
        self._having = Members()
        self._pairs: dict[_Pair, bytearray] = {}
        # Which texts have a pair that came after as many as are kept.
        self._others = bytearray(_FIRST_BYTES)
        self._is_full = False
        self._bytes = _FIRST_BYTES
        # Of the numbers from this one on no pairs are known; None where they are of all.
        self._unpaired: int | None = None if settled else 0
        self._answers: OrderedDict[Pattern, int] = OrderedDict()

    def put(self, number: int, fields: Iterable[str]) -> None:
        """Give a number other fields, of which one at least is not empty; or none."""
        text = _BORDER.join(map(_searched, fields))
        if number >= len(self._texts):
            self._grow(number)
        before = self._texts[number]
        if before == text:
            return
        self._texts[number] = text
        if not before:
            self._having.add(number)
        elif not text:
            self._having.discard(number)
        if self._unpaired is None or number < self._unpaired:
            self._pair(number, before, text)
        for pattern, bits in self._answers.items():
            if _is_in(pattern, before) != _is_in(pattern, text):
                self._answers[pattern] = bits ^ (1 << number)

    def settle(self) -> Iterator[None]:
        """Learn the pairs of all texts, step by step; each may be asked and changed in between."""
        while self._unpaired is not None and self._unpaired < len(self._texts):
            end = min(self._unpaired + _A_STEP, len(self._texts))
            for number in range(self._unpaired, end):
                self._pair(number, "", self._texts[number])
            self._unpaired = end
            yield
        self._unpaired = None

    def find(self, pattern: Pattern, among: int, budget: Budget) -> int:
        """As bits, those among some of whom a field holds what the pattern says.

        Raises:
            Malformed: it would take more than the budget has.
        """
        pattern = Pattern(tuple(map(_searched, pattern.pieces)))
        answer = self._answers.get(pattern)
        if answer is not None:
            self._answers.move_to_end(pattern)
            return answer & among
        likely = self._likely(pattern)
        if (likely & among).bit_count() < _MANY:
            return self._holding(pattern, likely & among, budget)
        # All that hold it, whoever they are among, as others will ask for the same.
        answer = self._answers[pattern] = self._holding(pattern, likely, budget)
        if len(self._answers) > _MOST_ANSWERS:
            self._answers.popitem(last=False)
        return answer & among

    def _likely(self, pattern: Pattern) -> int:
        """As bits, those whose texts have every pair of signs that the pattern has."""
        likely = self._having.bits
        unknown = 0 if self._unpaired is None else likely >> self._unpaired << self._unpaired
        for piece in pattern.pieces:
            for pair in set(pairwise(piece)):
                # Where it is not kept apart, nobody has it, or those who have it are among the others.
                likely &= int.from_bytes(self._pairs.get(pair, self._others), "little")
        return likely | unknown

    def _holding(self, pattern: Pattern, likely: int, budget: Budget) -> int:
        needle = pattern.pieces[0]
        is_known = not self._is_full and self._unpaired is None
        if pattern.is_any or (pattern.is_exact and (not needle or (len(needle) == 2 and is_known))):
            return likely
        texts, parts = self._texts, budget.steps(numbers_in(likely))
        if pattern.is_exact:
            return bits_of([number for part in parts for number in part if needle in texts[number]])
        return bits_of([number for part in parts for number in part if _is_in(pattern, texts[number])])

    def _pair(self, number: int, before: str, text: str) -> None:
        place, bit = number >> 3, 1 << (number & 7)
        old, new = set(pairwise(before)), set(pairwise(text))
        get = self._pairs.get
        for pair in new - old if old else new:
            # A row is never empty.
            row = get(pair) or self._row(pair)
            row[place] |= bit
        for pair in old - new:
            kept = get(pair)
            if kept is not None:
                kept[place] &= ~bit

    def _row(self, pair: _Pair) -> bytearray:
        if len(self._pairs) >= _MOST_PAIRS:
            self._is_full = True
            return self._others
        row = self._pairs[pair] = bytearray(self._bytes)
        return row

    def _grow(self, number: int) -> None:
        self._texts.extend([""] * (number + 1 - len(self._texts)))
        if number >> 3 < self._bytes:
            return
        self._bytes = max(self._bytes * 2, (number >> 3) + 1)
        for row in (self._others, *self._pairs.values()):
            row.extend(bytes(self._bytes - len(row)))


def _searched(text: str) -> str:
    return text.casefold().replace(_BORDER, _NO_BORDER)


def _is_in(pattern: Pattern, text: str) -> bool:
    """Whether a field of a text holds a pattern; that of one who has no fields does not."""
    return bool(text) and any(map(pattern.is_within, text.split(_BORDER)))
