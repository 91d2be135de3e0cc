"""Which devices a condition holds for, as bits."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from functions.adapters.budget import Budget
from functions.adapters.columns import KEY, NO_SIGN, TEXT, Columns, comparable, microseconds, plain_id
from functions.adapters.numbers import bits_of, numbers_in
from functions.domain.faults import Malformed
from functions.domain.query import (
    REPORTED,
    All,
    AnyOf,
    Compare,
    Condition,
    Field,
    Is,
    Not,
    Pattern,
    Saved,
    Sign,
    Tagged,
    Within,
)

_FOLDED: Final = (Field.ID, Field.NAME, Field.ROLE)
_TIMES: Final = (Field.LAST_SEEN, Field.CREATED, Field.UPDATED, Field.OUT_OF_SYNC)
_HIGHEST: Final = "\U0010ffff"
_MICROSECOND: Final = timedelta(microseconds=1)
# An age is compared, not the moment: what is younger was later.
_TURNED: Final = {
    Sign.LESS: Sign.MORE,
    Sign.AT_MOST: Sign.AT_LEAST,
    Sign.MORE: Sign.LESS,
    Sign.AT_LEAST: Sign.AT_MOST,
}


class Chooser:
    """Answers for one moment.

    Args:
        columns: of the devices.
        saved: the questions that are groups, by name.
        now: what ages are counted from, in microseconds since 1970.
        budget: of the question that is answered.
    """

    def __init__(self, columns: Columns, saved: Mapping[str, Saved], now: int, budget: Budget) -> None:
        self._columns = columns
        self._saved = saved
        self._now = now
        self._budget = budget

    def choose(self, where: Condition, among: int) -> int:
        """Those of some for which a condition holds.

        Raises:
            Malformed: it names a group whose own question cannot be answered,
                or is more work than it may be (``query_too_costly``).
        """
        self._budget.check()
        match where:
            case All(parts):
                return self._all(parts, among)
            case AnyOf(parts):
                return self._any(parts, among)
            case Not(part):
                return among & ~self.choose(part, among)
            case Within(pattern):
                found = self._columns.texts.find(pattern, among, self._budget)
                return found | self._columns.labels.holding(pattern, among, self._budget)
            case Tagged(key, value):
                return among & self._tagged(key, value)
            case Is(field, pattern):
                return self._is(field, pattern, among)
            case Compare(field, sign, value):
                return among & self._compare(field, sign, value)

    def _all(self, parts: tuple[Condition, ...], among: int) -> int:
        for part in sorted(parts, key=_cost):
            if not among:
                break
            among = self.choose(part, among)
        return among

    def _any(self, parts: tuple[Condition, ...], among: int) -> int:
        found = 0
        for part in parts:
            found |= self.choose(part, among & ~found)
        return found

    def _is(self, field: str, pattern: Pattern, among: int) -> int:
        columns = self._columns
        if field == Field.GROUP:
            return self._in_group(pattern, among)
        if field in _FOLDED:
            return self._named(field, pattern.folded(), among)
        if field in _TIMES:
            columns.orders[field].settle()
            return among & columns.orders[field].having
        if field.startswith(REPORTED):
            return self._reports(field, pattern, among)
        return among & columns.labels.matching(field, pattern, self._budget)

    def _in_group(self, pattern: Pattern, among: int) -> int:
        """Those whose record has the group, or for whom the question holds that is the group."""
        found = among & self._columns.labels.matching(Field.GROUP, pattern, self._budget)
        names = [name for name in self._saved if pattern.matches(name)] if self._saved else ()
        # In a group's own question, a group is one of the records alone.
        records_alone = Chooser(self._columns, {}, self._now, self._budget)
        for name in names:
            saved = self._saved[name]
            if saved.wrong:
                told = f"the query of the group '{name}' cannot be answered now: {saved.wrong}"
                raise Malformed(detail=f"q: {told}", fields={"q": told})
            found |= records_alone.choose(saved.where, among & ~found)
        return found

    def _named(self, field: str, pattern: Pattern, among: int) -> int:
        """Those whose id, name or role is so: looked up where its beginning is known, else among those that hold it."""
        order = self._columns.orders[field]
        order.settle()
        among &= order.having
        if pattern.is_any:
            return among
        first = pattern.pieces[0]
        if pattern.is_exact and field != Field.ID:
            return among & order.equal(first)
        if pattern.is_exact:
            among &= order.at_least(first) & order.at_most(f"{first}{NO_SIGN}{_HIGHEST}")
        elif first:
            among &= order.at_least(first) & order.at_most(_after(first), or_equal=False)
        else:
            among = self._columns.texts.find(pattern, among, self._budget)
        held, parts = order.values, self._budget.steps(numbers_in(among))
        if len(pattern.pieces) == len(("*", "text", "*")) and not (first or pattern.pieces[-1]):
            # What is within an id is within what it is ordered by: much less work for many.
            inner = pattern.pieces[1]
            return bits_of([one for part in parts for one in part if inner in held[one]])
        plain = plain_id if field == Field.ID else str
        return bits_of([one for part in parts for one in part if pattern.matches(plain(held[one]))])

    def _reports(self, field: str, pattern: Pattern, among: int) -> int:
        order = self._columns.orders[field]
        order.settle()
        if pattern.is_any:
            return among & order.having
        kind, first = TEXT, pattern.pieces[0]
        if pattern.is_exact:
            return among & order.equal(comparable(first))
        last = (kind, _after(first)) if first else (kind + 1,)
        among &= order.at_least((kind, first)) & order.at_most(last, or_equal=False)
        parts = self._budget.steps(numbers_in(among))
        return bits_of(one for part in parts for one in part if pattern.matches(order.value(one)[1]))

    def _tagged(self, key: Pattern, value: Pattern | None) -> int:
        labels = self._columns.labels
        if value is None:
            return labels.matching(KEY, key, self._budget)
        if key.is_exact and value.is_exact:
            return labels.bits(Field.TAG, f"{key.pieces[0]}={value.pieces[0]}")
        parts = self._budget.steps(list(labels.names(Field.TAG)))
        split = ((name, *name.partition("=")[::2]) for part in parts for name in part)
        return labels.any_of(
            Field.TAG, (name for name, known, held in split if key.matches(known) and value.matches(held))
        )

    def _compare(self, field: str, sign: Sign, value: Any) -> int:
        if field in _TIMES:
            if isinstance(value, timedelta):
                sign, value = _TURNED[sign], self._now - value // _MICROSECOND
            else:
                value = microseconds(value)
        elif field.startswith(REPORTED):
            return self._compare_reported(field, sign, value)
        return self._between(field, sign, value)

    def _compare_reported(self, field: str, sign: Sign, value: Any) -> int:
        """Numbers compare with numbers, texts with texts."""
        order, wanted = self._columns.orders[field], comparable(value)
        assert wanted is not None
        kind, _ = wanted
        alike = order.at_least((kind,)) & order.at_most((kind + 1,))
        return alike & self._between(field, sign, wanted)

    def _between(self, field: str, sign: Sign, value: Any) -> int:
        order = self._columns.orders[field]
        match sign:
            case Sign.LESS | Sign.AT_MOST:
                return order.at_most(value, or_equal=sign is Sign.AT_MOST)
            case Sign.MORE | Sign.AT_LEAST:
                return order.at_least(value, or_equal=sign is Sign.AT_LEAST)
        return order.equal(value)


def _after(beginning: str) -> str:
    """What comes after every text with this beginning, and before any other."""
    kept = beginning.rstrip(_HIGHEST)
    # Of the highest sign alone nothing comes after but more of it, which no text has so often.
    return f"{kept[:-1]}{chr(ord(kept[-1]) + 1)}" if kept else _HIGHEST * 2000


def _cost(where: Condition) -> int:
    """What to ask first: that which is least work, as the rest then has fewer to look at."""
    match where:
        case Within():
            return 3
        case Is(field, _):
            return 2 if field in _FOLDED or field.startswith(REPORTED) else 0
        case Compare():
            return 1
        case Not(part):
            return _cost(part)
        case All(parts) | AnyOf(parts):
            return max(map(_cost, parts), default=0)
    return 0
