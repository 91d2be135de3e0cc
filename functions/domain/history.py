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

# Revisions of a half that stores keep. 64 changes can be listed: the first of
# them needs the version before it, and the start of a bridge's run may take a
# revision without changing anything (``functions.domain.twins.apply``).
KEPT_REVISIONS: Final = 80
MAX_CHANGES: Final = 64

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER_WRITTEN: Final = Half()


@dataclass(frozen=True, slots=True)
class Change:
    """One version of a half: ``patch`` (RFC 7396) makes it of the version before."""

    half: HalfName
    version: int
    patch: dict[str, Any]
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """A place at which two versions of a half differ, and the last change of it between them.

    ``path`` is a JSON Pointer (RFC 6901). ``before`` and ``after`` are
    ``NOTHING`` where the version has no value there; ``change`` is None where
    it is too old to be known.
    """

    half: HalfName
    path: str
    before: Any
    after: Any
    change: Change | None


class Past:
    """The versions of one half that are known: an unbroken row of them up to the present one.

    Args:
        half: which half it is, for what is told.
        kept: its revisions, oldest first.
    """

    def __init__(self, half: HalfName, kept: Iterable[Half]) -> None:
        self.half: HalfName = half
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
    def newest(self) -> Half:
        """The half as it now is."""
        return self._row[-1] if self._row else _NEVER_WRITTEN

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
        """The changes of the half, newest first: the last 64, as far as they are known."""
        return list(islice(self._changes(), MAX_CHANGES))

    def compare(self, one: Half, other: Half) -> list[Difference]:
        """Where a version differs from a later one of the same half, in the order of the documents."""
        found = list(_places((), one.doc, other.doc))
        open_places = [path for path, _, _ in found]
        changes: dict[tuple[str, ...], Change] = {}
        for change in self._changes():
            if not open_places or change.version <= one.version:
                break
            if change.version <= other.version:
                touched = [path for path in open_places if _touches(change.patch, path)]
                changes |= dict.fromkeys(touched, change)
                open_places = [path for path in open_places if path not in changes]
        return [
            Difference(self.half, _pointer(path), before, after, changes.get(path)) for path, before, after in found
        ]

    def _changes(self) -> Iterator[Change]:
        """Every change that is known, newest first."""
        for place in range(len(self._row) - 1, -1, -1):
            half = self._row[place]
            if place == 0 and not self._is_whole:
                return
            before = self._row[place - 1].doc if place else {}
            yield Change(self.half, half.version, difference(before, half.doc), half.by, self._times[place])

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


def _touches(patch: Any, path: tuple[str, ...]) -> bool:
    """Whether a patch changes the value at a path, something within it, or what holds it."""
    for step in path:
        if not isinstance(patch, dict):
            return True
        if step not in patch:
            return False
        patch = patch[step]
    return True


def _pointer(path: tuple[str, ...]) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)
