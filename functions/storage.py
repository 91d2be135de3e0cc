"""The storage port: values of the domain under keys, written only over what was read."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from functions.domain.audit import AuditEntry

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Kept(Generic[T_co]):
    """A stored value with its revision (1 or more, growing) and the time it was written."""

    value: T_co
    revision: int
    at: datetime


class Spoiled(Exception):
    """What is kept under ``key`` since ``at`` is no value of its store's type; it can be replaced over ``revision``."""

    def __init__(self, key: str, revision: int, at: datetime, problem: str) -> None:
        super().__init__(problem)
        self.key, self.revision, self.at = key, revision, at


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of what is wanted, in the order asked for, and how many there are of it in all."""

    entries: list[T]
    total: int


class Store(Protocol[T]):
    """Values of one type under keys, each with a revision, written only over the revision that was read.

    A key is 1 to 128 of ``[A-Za-z0-9_-]``. A write is durable before it returns.
    A ``pledge`` is the entry for the audit trail that is to follow a write: it
    is kept in the same write, so that a write without its entry can be found.

    Every method raises ``Unavailable`` when the storage cannot be reached in
    time; a write that raised it may have been done. Reading raises ``Spoiled``
    where what is kept cannot be read.
    """

    async def get(self, key: str) -> Kept[T] | None:
        """The value now kept, or None."""
        ...

    def recall(self, key: str) -> tuple[T, int] | None:
        """A value that this process read or wrote not long ago, with its revision; None if it remembers none.

        It may have been written over since, by another process. So it is good
        for one thing: to be replaced over that revision. Whatever else is to
        be decided by it must be read.
        """
        ...

    async def create(self, key: str, value: T, *, pledge: AuditEntry | None = None) -> int:
        """Keep a first value and give its revision. Raises Conflict if the key has one."""
        ...

    async def create_all(self, values: Mapping[str, T]) -> dict[str, Kept[T]]:
        """Keep a first value under each key that has none; give what the others have, which is left as it is.

        In no order, and faster than one by one. When it raises, some may be kept.
        """
        ...

    async def get_all(self, keys: Iterable[str]) -> dict[str, Kept[T]]:
        """The values now kept under those of the keys that have one."""
        ...

    async def replace(self, key: str, value: T, *, expect: int, pledge: AuditEntry | None = None) -> int:
        """Write over revision ``expect`` and give the new one. Raises Conflict if another came first."""
        ...

    async def remove(self, key: str, *, expect: int, pledge: AuditEntry | None = None) -> None:
        """Remove what revision ``expect`` is. Raises Conflict if another came first. The key can be created again."""
        ...

    async def history(self, key: str) -> list[Kept[T]]:
        """What was kept under the key, oldest first: as many of the last values as the store keeps."""
        ...

    async def pledged(self, seen: dict[str, int]) -> list[AuditEntry]:
        """What writes pledged since ``seen``, which is moved on; as far back as the store keeps revisions.

        An empty ``seen`` reads the whole store: for start-up.
        """
        ...

    def entries(self, spoiled: list[Spoiled] | None = None) -> AsyncIterator[tuple[str, Kept[T]]]:
        """Every key with its value, in no order.

        It reads the whole store: for timers and start-up, never for a query.
        ``spoiled`` takes what cannot be read, which ends it otherwise.
        """
        ...
