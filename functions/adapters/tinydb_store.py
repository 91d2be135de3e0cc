"""The storage port on TinyDB: for tests in memory, and for one process that works on a small local file.

It keeps its promises within **one process and one event loop**: nothing
guards the file against a second writer, and every change rewrites it whole
(1 ms at 100 records, 84 ms at 10,000). ``functions.adapters.jetstream`` holds
the fleet.
"""

import json
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic_core import from_json, to_json
from tinydb import where
from tinydb.storages import Storage
from tinydb.table import Table

from functions.adapters.codec import Codec, Undecodable, check_key
from functions.adapters.pledges import CODEC as PLEDGES
from functions.domain.audit import AuditEntry
from functions.domain.faults import Conflict
from functions.ports import Clock
from functions.storage import Kept, Spoiled

T = TypeVar("T")


class FileStorage(Storage):
    """A JSON file that is always whole, readable by its owner only.

    TinyDB's own storage writes over the file in place, so a crash leaves half
    of it; this one writes a new file beside it, syncs it and renames it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, dict[str, Any]] | None:
        """The tables, or None where there is no file yet."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        tables: dict[str, dict[str, Any]] = json.loads(text)
        return tables

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Put the tables in the place of what was there; durable when it returns."""
        beside = self._path.with_name(f".{self._path.name}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(data, ensure_ascii=False))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class TinyStore(Generic[T]):
    """Values under keys in one TinyDB table (``functions.storage.Store``), a document a key.

    A document holds the key's last revisions, each with its time and either
    the value or the mark of its removal. The mark stays, so that revisions
    go on growing when the key is created again.

    Args:
        table: the table that this store alone writes.
        codec: how its values are kept.
        clock: the time that is written beside them.
        history: how many revisions of a key stay.
    """

    def __init__(self, table: Table, codec: Codec[T], clock: Clock, *, history: int = 1) -> None:
        self._table = table
        self._codec = codec
        self._clock = clock
        self._history = history

    async def get(self, key: str) -> Kept[T] | None:
        """The value now kept, or None."""
        revisions = self._revisions(key)
        return self._kept(key, revisions[-1]) if revisions else None

    def recall(self, key: str) -> tuple[T, int] | None:
        """What is kept, as no other process writes it."""
        revisions = self._revisions(key)
        kept = self._kept(key, revisions[-1]) if revisions else None
        return None if kept is None else (kept.value, kept.revision)

    async def create(self, key: str, value: T, *, pledge: AuditEntry | None = None) -> int:
        """Keep a first value and give its revision. Raises Conflict if the key has one."""
        return self.seed(key, value, pledge)

    async def create_all(self, values: Mapping[str, T]) -> dict[str, Kept[T]]:
        """Keep a first value under each key that has none; give what the others have."""
        for value in values.values():
            # All or none of them is fit to be kept.
            self._codec.encode(value)
        found = await self.get_all(values)
        wanted = {key: value for key, value in values.items() if key not in found}
        known = {document["key"] for document in self._table.search(where("key").one_of(list(wanted)))}
        for key in known:
            # It was removed before, and its revisions go on.
            self.seed(key, wanted[key])
        at = self._clock.now().isoformat()
        # The file is written once, however many these are.
        self._table.insert_multiple(
            {
                "key": check_key(key),
                "revisions": [{"revision": 1, "at": at, "value": from_json(self._codec.encode(value))}],
            }
            for key, value in wanted.items()
            if key not in known
        )
        return found

    async def get_all(self, keys: Iterable[str]) -> dict[str, Kept[T]]:
        """The values now kept under those of the keys that have one."""
        found = {key: await self.get(key) for key in keys}
        return {key: kept for key, kept in found.items() if kept is not None}

    def seed(self, key: str, value: T, pledge: AuditEntry | None = None) -> int:
        """As ``create``, for where there is no event loop yet."""
        data = self._codec.encode(value)
        revisions = self._revisions(key)
        if revisions and "value" in revisions[-1]:
            raise Conflict
        return self._append(key, revisions, {"value": from_json(data)}, pledge)

    async def replace(self, key: str, value: T, *, expect: int, pledge: AuditEntry | None = None) -> int:
        """Write over revision ``expect`` and give the new one. Raises Conflict if another came first."""
        data = self._codec.encode(value)
        return self._append(key, self._expected(key, expect), {"value": from_json(data)}, pledge)

    async def remove(self, key: str, *, expect: int, pledge: AuditEntry | None = None) -> None:
        """Remove what revision ``expect`` is. Raises Conflict if another came first."""
        self._append(key, self._expected(key, expect), {}, pledge)

    async def history(self, key: str) -> list[Kept[T]]:
        """What was kept under the key, oldest first, removals left out."""
        read = (self._kept(key, record) for record in self._revisions(key))
        return [kept for kept in read if kept is not None]

    async def pledged(self, seen: dict[str, int]) -> list[AuditEntry]:
        """What writes pledged since ``seen``, the last revision of each key that was looked at."""
        found: list[AuditEntry] = []
        for document in self._table.all():
            key, revisions = document["key"], document["revisions"]
            new = [one for one in revisions if one["revision"] > seen.get(key, 0)]
            found += [PLEDGES.decode(to_json(one["pledge"])) for one in new if "pledge" in one]
            seen[key] = revisions[-1]["revision"]
        return found

    async def entries(self, spoiled: list[Spoiled] | None = None) -> AsyncIterator[tuple[str, Kept[T]]]:
        """Every key with its value, as they are when the first is asked for."""
        for key, kept in self.snapshot(spoiled).items():
            yield key, kept

    def snapshot(self, spoiled: list[Spoiled] | None = None) -> dict[str, Kept[T]]:
        """Every key with its value, at once."""
        found = {}
        for document in self._table.all():
            try:
                kept = self._kept(document["key"], document["revisions"][-1])
            except Spoiled as one:
                if spoiled is None:
                    raise
                spoiled.append(one)
                continue
            if kept is not None:
                found[document["key"]] = kept
        return found

    def _revisions(self, key: str) -> list[dict[str, Any]]:
        document = self._table.get(where("key") == check_key(key))
        # TinyDB types the answer for every way of asking; one condition gives one document.
        return document["revisions"] if isinstance(document, dict) else []

    def _expected(self, key: str, expect: int) -> list[dict[str, Any]]:
        revisions = self._revisions(key)
        if not revisions or revisions[-1]["revision"] != expect or "value" not in revisions[-1]:
            raise Conflict
        return revisions

    def _append(
        self, key: str, before: list[dict[str, Any]], content: dict[str, Any], pledge: AuditEntry | None
    ) -> int:
        revision: int = before[-1]["revision"] + 1 if before else 1
        if pledge is not None:
            content = {**content, "pledge": from_json(PLEDGES.encode(pledge))}
        record = {"revision": revision, "at": self._clock.now().isoformat(), **content}
        kept = [*before, record][-self._history :]
        self._table.upsert({"key": key, "revisions": kept}, where("key") == key)
        return revision

    def _kept(self, key: str, record: dict[str, Any]) -> Kept[T] | None:
        if "value" not in record:
            return None
        at = datetime.fromisoformat(record["at"])
        try:
            return Kept(self._codec.decode(to_json(record["value"])), record["revision"], at)
        except Undecodable as problem:
            raise Spoiled(key, record["revision"], at, str(problem)) from problem
