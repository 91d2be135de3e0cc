"""Twin history: the versions of each half that are kept, what each changed, and what differs between two of them.

All of it is read from the kept revisions of a half. Times are those of the
changes as everyone was told them, to the millisecond. Of two changes that met
in a race the later version may have been begun first; in a history times
never run backwards, so it then has the time of the one before.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Literal

from functions.domain.documents import NOTHING, same
from functions.domain.faults import Malformed, NotFound, Reason
from functions.domain.twins import Half

HalfName = Literal["desired", "reported"]

# Revisions of a half that stores keep. 64 changes can always be told: the first of
# them needs the version before it, and the start of a bridge's run may take a
# revision without changing anything (``functions.domain.twins.apply``).
KEPT_REVISIONS: Final = 80
MAX_CHANGES: Final = 64

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER_WRITTEN: Final = Half()


@dataclass(frozen=True, slots=True)
class Change:
    """One version of a half, and the document of the one before."""

    half: HalfName
    version: int
    before: dict[str, Any]
    after: dict[str, Any]
    by: str
    at: datetime

    @property
    def patch(self) -> dict[str, Any]:
        """The merge patch (RFC 7396) that makes the version of the one before; worked out each time it is asked for."""
        return difference(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Author:
    """Who made a version, and when."""

    version: int
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """A place at which two versions of a half differ, and who changed it last between them.

    ``path`` is a JSON Pointer (RFC 6901). ``before`` and ``after`` are
    ``NOTHING`` where the version has no value there; ``last`` is None where
    that is too old to be known.
    """

    half: HalfName
    path: str
    before: Any
    after: Any
    last: Author | None


class Past:
    """The versions of one half that are known: an unbroken row of them up to the present one.

    Args:
        half: which half it is, for what is told.
        kept: its revisions, oldest first.
        most: how many changes are told; all that are known where it is None.
    """

    def __init__(self, half: HalfName, kept: Iterable[Half], *, most: int | None = None) -> None:
        self.half: HalfName = half
        self._most = most
        row: list[Half] = []
        for each in kept:
            if row and each.version == row[-1].version + 1:
                row.append(each)
            elif not row or each.version != row[-1].version:
                row = [each]
        # Version 0 is what everything begins with, whether it was kept or not.
        self._row = [each for each in row if each.version > 0]
        self._times: list[datetime] = []
        for each in self._row:
            at = to_millisecond(each.at or _EPOCH)
            self._times.append(max(at, self._times[-1]) if self._times else at)

    @property
    def oldest(self) -> Half | None:
        """The first version that is known, if there are older ones that are not."""
        return None if self._is_whole else self._row[0]

    @property
    def known(self) -> tuple[Half, ...]:
        """Every version that is known, oldest first."""
        return tuple(self._row)

    @property
    def newest(self) -> Half:
        """The half as it now is."""
        return self._row[-1] if self._row else _NEVER_WRITTEN

    def reaches(self, moment: datetime | int) -> bool:
        """Whether the half is known as it was then, or with that version."""
        if self._is_whole or moment == 0:
            return True
        return self._row[0].version <= moment if isinstance(moment, int) else self._times[0] <= to_millisecond(moment)

    def version(self, number: int) -> Half:
        """The half when it had this version; version 0 is the empty one from before the first change.

        Raises:
            NotFound: it never had (``not_found``), or that is not kept any more (``not_kept``).
        """
        if number == 0:
            return _NEVER_WRITTEN
        if number > self.newest.version:
            raise NotFound(detail=f"The {self.half} half has no version {number}; its last is {self.newest.version}.")
        if number < self._row[0].version:
            raise self._not_kept(f"Version {number} of the {self.half} half")
        return self._row[number - self._row[0].version]

    def at(self, moment: datetime) -> Half:
        """The half as it was at the end of a moment's millisecond.

        Raises:
            NotFound: that is not kept any more (``not_kept``).
        """
        place = bisect_right(self._times, to_millisecond(moment))
        if place > 0:
            return self._row[place - 1]
        if self._is_whole:
            return _NEVER_WRITTEN
        raise self._not_kept(f"The {self.half} half of that time")

    def changes(self) -> list[Change]:
        """The last changes of the half, newest first, as far as they are known."""
        return [
            Change(self.half, half.version, before, half.doc, half.by, at)
            for half, before, at in islice(self._steps(), self._most)
        ]

    def compare(self, one: Half, other: Half) -> list[Difference]:
        """Where a version differs from a later one of the same half, in the order of the documents."""
        found = list(_places((), one.doc, other.doc))
        untold = [path for path, _, _ in found]
        last: dict[tuple[str, ...], Author] = {}
        for half, before, at in self._steps():
            if not untold or half.version <= one.version:
                break
            if half.version <= other.version:
                author = Author(half.version, half.by, at)
                last |= {path: author for path in untold if not _same_at(path, before, half.doc)}
                untold = [path for path in untold if path not in last]
        return [Difference(self.half, _pointer(path), before, after, last.get(path)) for path, before, after in found]

    def _steps(self) -> Iterator[tuple[Half, dict[str, Any], datetime]]:
        """Every version of which the one before is known, newest first: with the document before, and its time."""
        for place in range(len(self._row) - 1, -1, -1):
            half = self._row[place]
            if place == 0 and not self._is_whole:
                return
            yield half, self._row[place - 1].doc if place else {}, self._times[place]

    @property
    def _is_whole(self) -> bool:
        """Whether nothing is missing before the first version that is known."""
        return not self._row or self._row[0].version == 1

    def _not_kept(self, what: str) -> NotFound:
        first, at = self._row[0].version, self._times[0].isoformat(timespec="milliseconds")
        told = f"from version {first} on ({at.replace('+00:00', 'Z')})"
        return NotFound(Reason.NOT_KEPT, f"{what} is not kept any more; it is known {told}.")


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7396) that makes one document of another; ``{}`` if they are the same."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, new in after.items():
        old = before.get(key, NOTHING)
        if isinstance(old, dict) and isinstance(new, dict):
            if inner := difference(old, new):
                patch[key] = inner
        elif old is NOTHING or not same(old, new):
            patch[key] = new
    return patch


def order_changes(*halves: Iterable[Change]) -> list[Change]:
    """The changes of both halves in one list, newest first; of one half by version, whatever the clocks said."""
    return sorted((change for half in halves for change in half), key=lambda one: (one.at, one.version), reverse=True)


def to_millisecond(moment: datetime) -> datetime:
    """The moment without what is finer than a millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def check_order(one: tuple[Half, Half], other: tuple[Half, Half]) -> None:
    """Refuse to compare a twin with an earlier one.

    Raises:
        Malformed: a half of the first is newer than that of the second.
    """
    if any(before.version > after.version for before, after in zip(one, other, strict=True)):
        raise Malformed(detail="A twin is compared with a later one, and here 'from' is later than 'to'.")


def _places(path: tuple[str, ...], before: dict[str, Any], after: dict[str, Any]) -> Iterable[tuple[Any, Any, Any]]:
    """Each path at which two documents differ, with both values; a part that is new or gone is one place."""
    for key in (*before, *(key for key in after if key not in before)):
        old, new = before.get(key, NOTHING), after.get(key, NOTHING)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _places((*path, key), old, new)
        elif old is NOTHING or new is NOTHING or not same(old, new):
            yield (*path, key), old, new


def _same_at(path: tuple[str, ...], one: Any, other: Any) -> bool:
    """Whether two documents have the same at a path, or both nothing."""
    for step in path:
        one = one.get(step, NOTHING) if isinstance(one, dict) else NOTHING
        other = other.get(step, NOTHING) if isinstance(other, dict) else NOTHING
    return one is other or (NOTHING not in (one, other) and same(one, other))


def _pointer(path: tuple[str, ...]) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)
