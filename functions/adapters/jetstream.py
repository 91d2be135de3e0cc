"""The storage port on NATS JetStream key-value buckets.

One bucket is one stream, and a server syncs a stream's writes one after the
other; so a store spreads its keys over several buckets (``layout`` says how
many). Each put is a compare-and-swap on the key's last revision. A revision
is the number of a write within its bucket, so two revisions can be compared
only if they are of the same key.

With replicas, a read may come from a replica that is a moment behind. That
costs a writer a lost race, never a lost write.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg

from functions.adapters.batches import read_all, sequence_of
from functions.adapters.bulk import can_batch, chunks, create_batch, each
from functions.adapters.codec import Codec, Undecodable, check_key, shard_of
from functions.adapters.durable import (
    EXPECTED_REVISION,
    find,
    write,
)
from functions.adapters.feed import Change, Feed, LogFeed, is_removal
from functions.adapters.pledges import pledge_headers, pledge_in
from functions.adapters.recent import Recent
from functions.domain.audit import AuditEntry
from functions.domain.faults import Conflict, Unavailable
from functions.storage import Kept, Spoiled

T = TypeVar("T")

_DECODED_AT_ONCE = 8
_BATCH_ATTEMPTS = 2
_DELETE = {"KV-Operation": "DEL"}


class JetStreamStore(Generic[T]):
    """Values under keys in one or more buckets (``functions.storage.Store``).

    The buckets must exist; ``preparing.prepare`` makes them.

    Args:
        client: the connection.
        shards: names of the buckets that share the keys, in their order.
        codec: how the values are kept.
        recent: where values are remembered for ``recall``; None where nobody recalls.
        is_batched: whether the buckets take atomic batches.
    """

    def __init__(
        self,
        client: Client,
        shards: Sequence[str],
        codec: Codec[T],
        recent: Recent[T] | None = None,
        *,
        is_batched: bool = False,
    ) -> None:
        self._client = client
        self._shards = tuple(shards)
        self._codec = codec
        self._recent = recent
        self._is_batched = is_batched

    async def get(self, key: str) -> Kept[T] | None:
        """The value now kept, or None."""
        last = await self._last(key)
        if last is None or is_removal(last):
            return None
        kept = self._kept(last)
        if self._recent is not None:
            self._recent.put(key, kept.value, kept.revision, last.data)
        return kept

    def recall(self, key: str) -> tuple[T, int] | None:
        """A value read or written here not long ago, with its revision, to be replaced over it."""
        return None if self._recent is None else self._recent.get(key)

    async def create(self, key: str, value: T, *, pledge: AuditEntry | None = None) -> int:
        """Keep a first value and give its revision. Raises Conflict if the key has one."""
        data = self._codec.encode(value)
        headers = pledge_headers(pledge)
        try:
            return await self._keep(key, value, data, 0, headers)
        except Conflict:
            last = await self._last(key)
            if last is None or not is_removal(last):
                raise
        return await self._keep(key, value, data, sequence_of(last), headers)

    async def create_all(self, values: Mapping[str, T]) -> dict[str, Kept[T]]:
        """Keep a first value under each key that has none; give what the others have."""
        data = {key: self._codec.encode(value) for key, value in values.items()}
        shards: dict[str, list[str]] = {}
        for key in values:
            shards.setdefault(self._bucket(key), []).append(key)
        found: dict[str, Kept[T]] = {}
        for bucket, keys in shards.items():
            for some in chunks(keys):
                missing = await self._create_batch(bucket, {key: data[key] for key in some}, found)
                await each(missing, lambda key: self._create_one(key, values[key], found))
        return found

    async def get_all(self, keys: Iterable[str]) -> dict[str, Kept[T]]:
        """The values now kept under those of the keys that have one, many asked for at once."""
        wanted = list(keys)
        found = await each(wanted, self._named)
        return {key: kept for key, kept in found if kept is not None}

    async def _named(self, key: str) -> tuple[str, Kept[T] | None]:
        return key, await self.get(key)

    async def _create_batch(self, bucket: str, data: Mapping[str, bytes], found: dict[str, Kept[T]]) -> list[str]:
        """Create what has no value in one step, and note what has; the keys of which that could not be done."""
        missing = list(data)
        if not self._is_batched or not can_batch(self._client):
            return missing
        for _ in range(_BATCH_ATTEMPTS):
            if await create_batch(self._client, [(f"$KV.{bucket}.{key}", data[key]) for key in missing]):
                return []
            found |= await self.get_all(missing)
            missing = [key for key in missing if key not in found]
            if not missing:
                return []
        # Others write at the same time, or a key was removed and has the mark of that.
        return missing

    async def _create_one(self, key: str, value: T, found: dict[str, Kept[T]]) -> None:
        try:
            await self.create(key, value)
        except Conflict:
            kept = await self.get(key)
            if kept is None:
                # It was removed since: then somebody else is at it, who must not be taken for us.
                raise
            found[key] = kept

    async def replace(self, key: str, value: T, *, expect: int, pledge: AuditEntry | None = None) -> int:
        """Write over revision ``expect`` and give the new one. Raises Conflict if another came first."""
        if expect < 1:
            raise Conflict
        return await self._keep(key, value, self._codec.encode(value), expect, pledge_headers(pledge))

    async def remove(self, key: str, *, expect: int, pledge: AuditEntry | None = None) -> None:
        """Remove what revision ``expect`` is. Raises Conflict if another came first.

        The mark of the removal stays as the key's last revision, so that they
        go on growing when the key is created again.
        """
        if expect < 1:
            raise Conflict
        if self._recent is not None:
            self._recent.drop(key)
        await self._write(key, b"", expect, _DELETE | pledge_headers(pledge))

    async def history(self, key: str) -> list[Kept[T]]:
        """What was kept under the key, oldest first, removals left out: one request for all revisions."""
        bucket = self._bucket(key)
        messages = await read_all(self._client, f"KV_{bucket}", f"$KV.{bucket}.{key}")
        found: list[Kept[T]] = []
        for number, message in enumerate(messages):
            if not is_removal(message):
                found.append(self._kept(message))
            if number % _DECODED_AT_ONCE == 0:
                # Eighty of the largest values take a quarter of a second.
                await asyncio.sleep(0)
        return found

    async def entries(self, spoiled: list[Spoiled] | None = None) -> AsyncIterator[tuple[str, Kept[T]]]:
        """Every key with its value, one shard after the other, each as it is when it is reached."""
        for bucket in self._shards:
            last: dict[str, Kept[T] | Spoiled] = {}
            async with Feed(self._client, bucket) as feed:
                while not feed.caught_up:
                    for change in await feed.batch():
                        last.pop(change.key, None)
                        if change.data is not None:
                            last[change.key] = self._read(change, change.data)
            for key, kept in last.items():
                if isinstance(kept, Kept):
                    yield key, kept
                elif spoiled is None:
                    raise kept
                else:
                    spoiled.append(kept)

    async def pledged(self, seen: dict[str, int]) -> list[AuditEntry]:
        """What writes pledged since ``seen``, the last revision of each bucket that was looked at."""
        found: list[AuditEntry] = []
        for bucket in self._shards:
            async with LogFeed(self._client, f"KV_{bucket}", after=seen.get(bucket, 0)) as feed:
                while not feed.caught_up:
                    for change in await feed.batch():
                        entry = pledge_in(change.headers)
                        found += [] if entry is None else [entry]
                        seen[bucket] = change.revision
        return found

    def _bucket(self, key: str) -> str:
        return self._shards[shard_of(check_key(key), len(self._shards))]

    async def _keep(self, key: str, value: T, data: bytes, expect: int, headers: Mapping[str, str]) -> int:
        """Write a value and remember it; where that fails, what is remembered may be wrong."""
        if self._recent is None:
            return await self._write(key, data, expect, headers)
        try:
            revision = await self._write(key, data, expect, headers)
        except (Conflict, Unavailable):
            self._recent.drop(key)
            raise
        self._recent.put(key, value, revision, data)
        return revision

    async def _write(self, key: str, data: bytes, expect: int, headers: Mapping[str, str]) -> int:
        subject = f"$KV.{self._bucket(key)}.{key}"
        return await write(self._client, subject, data, {EXPECTED_REVISION: str(expect), **headers})

    async def _last(self, key: str) -> Msg | None:
        bucket = self._bucket(key)
        return await find(self._client, f"$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{key}")

    def _read(self, change: Change, data: bytes) -> Kept[T] | Spoiled:
        try:
            return Kept(self._codec.decode(data), change.revision, change.at)
        except Undecodable as problem:
            return Spoiled(change.key, change.revision, change.at, str(problem))

    def _kept(self, message: Msg) -> Kept[T]:
        headers = message.headers or {}
        at = datetime.fromisoformat(headers["Nats-Time-Stamp"])
        try:
            return Kept(self._codec.decode(message.data), sequence_of(message), at)
        except Undecodable as problem:
            key = headers["Nats-Subject"].rpartition(".")[2]
            raise Spoiled(key, sequence_of(message), at, str(problem)) from problem
