"""Changing one record when others may change it too: read, decide, write over what was read, and again if lost."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from functions.domain.audit import AuditEntry
from functions.domain.faults import Conflict
from functions.storage import Kept, Store

T = TypeVar("T")

# Two writers of one key meet now and then, five times in a row means that
# something writes it all the time: then the caller should know.
_ATTEMPTS = 5


class Unread(Enum):
    """Nothing is known yet of what a key holds; other than None, which says that it holds nothing."""

    UNREAD = auto()


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """What a key holds after a rewrite, with its revision; ``before`` is what it held, None for nothing.

    ``entries`` are what the write pledged: write them down with ``record_all``.
    """

    value: T
    revision: int
    before: T | None
    entries: tuple[AuditEntry, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the rewrite wrote anything."""
        return self.value != self.before


async def rewrite(
    store: Store[T],
    key: str,
    change: Callable[[T | None], T],
    seen: Kept[T] | Unread | None = Unread.UNREAD,
    *,
    tell: Callable[[T | None, T], AuditEntry] | None = None,
) -> Written[T]:
    """Put ``change(value)`` in the place of the value, or of None where there is none yet.

    ``change`` is a pure decision and may be asked several times. What it
    raises ends the rewrite; what equals the old value is not written.
    ``seen`` is what was read of the key just now, to save the first read.
    ``tell`` makes the entry for the audit trail of value and change, which the
    write pledges.

    Raises:
        Conflict: others changed the key at every one of five attempts.
    """
    lost: Conflict | None = None
    for _ in range(_ATTEMPTS):
        kept = await store.get(key) if isinstance(seen, Unread) else seen
        seen = Unread.UNREAD
        before = kept.value if kept is not None else None
        value = change(before)
        if kept is not None and value == before:
            return Written(value, kept.revision, before)
        pledge = tell(before, value) if tell is not None else None
        try:
            if kept is None:
                revision = await store.create(key, value, pledge=pledge)
            else:
                revision = await store.replace(key, value, expect=kept.revision, pledge=pledge)
        except Conflict as conflict:
            lost = conflict
            continue
        return Written(value, revision, before, (pledge,) if pledge is not None else ())
    raise Conflict(detail="Others changed the same record at every attempt. Try again in a moment.") from lost


async def amend(
    store: Store[T], key: str, change: Callable[[T], T], *, tell: Callable[[T, T], AuditEntry] | None = None
) -> Written[T] | None:
    """As ``rewrite``, for a record that is there; None, and nothing written, where there is none.

    Raises:
        Conflict: others changed the key at every one of five attempts.
    """

    def present(value: T | None) -> T:
        if value is None:
            raise _AbsentError
        return change(value)

    def told(before: T | None, after: T) -> AuditEntry:
        assert before is not None
        assert tell is not None
        return tell(before, after)

    try:
        return await rewrite(store, key, present, tell=told if tell is not None else None)
    except _AbsentError:
        return None


class _AbsentError(Exception):
    """There is no record to amend."""


def value_of(kept: Kept[T] | None) -> T | None:
    """What was kept, or None for nothing."""
    return kept.value if kept is not None else None
