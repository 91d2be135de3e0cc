"""Numbers in the order of a value that each has: ranges of values, and pages in any order, without sorting.

An order is a list of blocks of a thousand numbers or two, each block with its
numbers as bits as well. A range is the blocks of it joined, a page is found
by passing by blocks that have nothing or too little of what is wanted: 0.1 ms
among 100,000 near the beginning, 1 ms at the end.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol, TypeAlias

from functions.adapters.numbers import bits_of, chosen_of, numbers_in

_FULL: Final = 2048
_FILL: Final = 1280
_THIN: Final = 512

# For how many numbers more room is made at once.
_ROOM: Final = 256

# So few are sorted as they are, which is less than going through the blocks.
_FEW: Final = 256


# Some of those chosen, as bits: all who have one value, or several values with all who have them; then with it numbers
# in ascending order, among which they are.
Run: TypeAlias = "tuple[int, array[int] | None]"


class _Block:
    """Numbers in order, and as bits."""

    __slots__ = ("bits", "numbers")

    def __init__(self, numbers: "array[int]") -> None:
        self.numbers = numbers
        self.bits = bits_of(numbers)


class Order:
    """Numbers by their values, equals by id; numbers that have no value stand apart.

    Values are of one kind that compares. Until it is asked for the first time
    it only takes values in, and sorts them then.

    Args:
        ids: what equals go by, by number; shared, and changed by its owner.
    """

    def __init__(self, ids: list[str]) -> None:
        self._ids = ids
        # By number; None where there is none, and of the last numbers perhaps nothing at all.
        self.values: list[Any] = []
        self._blocks: list[_Block] | None = None
        self._lasts: list[Any] = []
        self.having = 0

    def value(self, number: int) -> Any:
        """The value of a number, or None."""
        return self.values[number] if number < len(self.values) else None

    def put(self, number: int, value: Any) -> None:
        """Give a number another value, or none. Its id must be the one it had with the value before."""
        if number >= len(self.values):
            if value is None:
                return
            self.values.extend([None] * (number + _ROOM - len(self.values)))
        before = self.values[number]
        if before == value:
            return
        if self._blocks is not None and before is not None:
            self._take_out(self._blocks, number)
        self.values[number] = value
        if self._blocks is not None and value is not None:
            self._take_in(self._blocks, number)
        if self._blocks is not None and (before is None) is not (value is None):
            # All the bits are copied for it: 12 KiB at 100,000.
            self.having ^= 1 << number

    def settle(self) -> list[_Block]:
        """Sort what was taken in, unless it is sorted already."""
        if self._blocks is None:
            numbers = [number for number, value in enumerate(self.values) if value is not None]
            # The id last, as sorting keeps the order of equals: two sorts by what lies ready take half as long as one
            # by pairs that are made for it.
            numbers.sort(key=self._ids.__getitem__)
            numbers.sort(key=self.values.__getitem__)
            self._blocks = [
                _Block(array("I", numbers[begin : begin + _FILL])) for begin in range(0, len(numbers), _FILL)
            ]
            self._lasts = [self._key(block.numbers[-1]) for block in self._blocks]
            self.having = bits_of(numbers)
        return self._blocks

    def at_least(self, value: Any, *, or_equal: bool = True) -> int:
        """As bits, the numbers whose value is more than this, or equal."""
        return self._from(*self._place(value, after=not or_equal))

    def at_most(self, value: Any, *, or_equal: bool = True) -> int:
        """As bits, the numbers whose value is less than this, or equal."""
        self.settle()
        return self.having & ~self.at_least(value, or_equal=not or_equal)

    def equal(self, value: Any) -> int:
        """As bits, the numbers of this value."""
        blocks = self.settle()
        begin, first = self._place(value, after=False)
        end, last = self._place(value, after=True)
        if begin == end:
            return bits_of(blocks[begin].numbers[first:last]) if first < last else 0
        bits = bits_of(blocks[begin].numbers[first:])
        for block in blocks[begin + 1 : end]:
            bits |= block.bits
        return bits | (bits_of(blocks[end].numbers[:last]) if last else 0)

    def runs(self, chosen: int, *, descending: bool) -> Iterator[Run]:
        """Those chosen, in order; see ``Runs``."""
        self.settle()
        lacking = chosen & ~self.having
        if lacking and not descending:
            yield lacking, None
        pending, pending_value = 0, None
        for value, bits, numbers in self._pieces(chosen, descending=descending):
            if pending and (numbers is not None or value != pending_value):
                yield pending, None
                pending = 0
            if numbers is not None:
                yield bits, numbers
            else:
                pending, pending_value = pending | bits, value
        if pending:
            yield pending, None
        if lacking and descending:
            yield lacking, None

    def _pieces(self, chosen: int, *, descending: bool) -> Iterator[tuple[Any, int, "array[int] | None"]]:
        """Of each block the part with its first value, that with its last, and what lies between with its numbers."""
        blocks = self.settle()
        for block in reversed(blocks) if descending else blocks:
            common = block.bits & chosen
            if not common:
                continue
            numbers = block.numbers
            first, last = self.values[numbers[0]], self.values[numbers[-1]]
            if first == last:
                yield first, common, None
                continue
            heads = common & bits_of(numbers[: bisect_right(numbers, first, key=self.values.__getitem__)])
            tails = common & bits_of(numbers[bisect_left(numbers, last, key=self.values.__getitem__) :])
            pieces = [(first, heads, None), (None, common ^ heads ^ tails, numbers), (last, tails, None)]
            yield from (piece for piece in (reversed(pieces) if descending else pieces) if piece[1])

    def _key(self, number: int) -> tuple[Any, str]:
        return self.values[number], self._ids[number]

    def _place(self, value: Any, *, after: bool) -> tuple[int, int]:
        """The block and the place in it where a value begins, or ends."""
        blocks = self.settle()
        search = bisect_right if after else bisect_left
        found: int = search(self._lasts, value, key=_first)
        if found == len(blocks):
            return found, 0
        return found, search(blocks[found].numbers, value, key=self.values.__getitem__)

    def _from(self, begin: int, place: int) -> int:
        blocks = self.settle()
        if begin == len(blocks):
            return 0
        bits = bits_of(blocks[begin].numbers[place:]) if place else blocks[begin].bits
        for block in blocks[begin + 1 :]:
            bits |= block.bits
        return bits

    def _take_in(self, blocks: list[_Block], number: int) -> None:
        key = self._key(number)
        if not blocks:
            blocks.append(_Block(array("I")))
            self._lasts.append(key)
        place = min(bisect_left(self._lasts, key), len(blocks) - 1)
        block = blocks[place]
        block.numbers.insert(bisect_left(block.numbers, key, key=self._key), number)
        block.bits |= 1 << number
        if len(block.numbers) > _FULL:
            blocks[place : place + 1] = [_Block(block.numbers[: _FULL // 2]), _Block(block.numbers[_FULL // 2 :])]
            self._lasts.insert(place, None)
            self._note(place + 1)
        self._note(place)

    def _take_out(self, blocks: list[_Block], number: int) -> None:
        key = self._key(number)
        place = bisect_left(self._lasts, key)
        block = blocks[place]
        block.numbers.pop(bisect_left(block.numbers, key, key=self._key))
        block.bits ^= 1 << number
        after = place + 1
        if not block.numbers:
            del blocks[place], self._lasts[place]
        elif len(block.numbers) < _THIN and after < len(blocks) and len(blocks[after].numbers) < _FILL:
            # Else blocks would thin out where values only grow, as times do.
            blocks[place : after + 1] = [_Block(block.numbers + blocks[after].numbers)]
            del self._lasts[place]
        else:
            self._note(place)

    def _note(self, place: int) -> None:
        """Write down the last key of a block."""
        blocks = self.settle()
        self._lasts[place] = self._key(blocks[place].numbers[-1])


class Runs(Protocol):
    """What a page can be sorted by."""

    def value(self, number: int) -> Any:
        """What a number is sorted by, or None."""
        ...

    def runs(self, chosen: int, *, descending: bool) -> Iterator[Run]:
        """Those chosen, in order, one run of them after the other.

        What has no value comes first, or last in the other direction.
        """
        ...


def page(
    chosen: int, terms: Sequence[tuple[Runs, bool]], ids: tuple[Order, bool], offset: int, limit: int
) -> list[int]:
    """Some of those chosen, in the order of several terms.

    Args:
        chosen: as bits.
        terms: orders, each with whether it goes down.
        ids: the order that equals go by in the end, of which each number has a value of its own.
        offset: how many to leave out.
        limit: how many to give at most.
    """
    if chosen.bit_count() <= _FEW:
        return _sorted(numbers_in(chosen), [*terms, ids])[offset : offset + limit]
    if not terms:
        return _page_of_ids(chosen, ids, offset, limit)
    (order, descending), *rest = terms
    found: list[int] = []
    for run, numbers in order.runs(chosen, descending=descending):
        size = run.bit_count()
        if offset >= size:
            offset -= size
            continue
        wanted = limit - len(found)
        if numbers is None:
            found += page(run, rest, ids, offset, wanted)
        else:
            several = chosen_of(reversed(numbers) if descending else numbers, run)
            found += (_sorted(several, [*terms, ids]) if rest else several)[offset : offset + wanted]
        if len(found) == limit:
            break
        offset = 0
    return found


def _page_of_ids(chosen: int, ids: tuple[Order, bool], offset: int, limit: int) -> list[int]:
    order, descending = ids
    blocks = order.settle()
    found: list[int] = []
    for block in reversed(blocks) if descending else blocks:
        common = block.bits & chosen
        if not common:
            continue
        if offset and offset >= (size := common.bit_count()):
            offset -= size
            continue
        numbers = chosen_of(block.numbers, common)
        if descending:
            numbers.reverse()
        found += numbers[offset : offset + limit - len(found)]
        if len(found) == limit:
            break
        offset = 0
    return found


def _sorted(numbers: list[int], terms: Sequence[tuple[Runs, bool]]) -> list[int]:
    """Numbers by several terms; sorting keeps the order of equals, so the last comes first."""
    for order, descending in reversed(terms):
        numbers.sort(key=lambda number, order=order: _rank(order.value(number)), reverse=descending)  # type: ignore[misc]
    return numbers


def _rank(value: Any) -> tuple[Any, ...]:
    """What sorts before anything where there is no value."""
    return () if value is None else (value,)


def _first(key: tuple[Any, str]) -> Any:
    return key[0]
