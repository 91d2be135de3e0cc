"""The whitelist in memory, where it can be asked without reading the store whole."""

import asyncio
from collections.abc import Collection

from nats.aio.client import Client
from pydantic_core import to_json

from functions.adapters.batches import sequence_of
from functions.adapters.codec import Codec
from functions.adapters.durable import find
from functions.adapters.feed import Change
from functions.adapters.following import Following
from functions.adapters.layout import BUCKETS, Bucket
from functions.adapters.tinydb_store import TinyStore
from functions.domain.enrolment import Whitelisted
from functions.domain.faults import Unavailable
from functions.domain.whitelist import Wanted, select
from functions.storage import Page

# After a restart of the server the feed is silent for 1.5 s before it is opened anew.
_CATCH_UP_SECONDS = 3.0
# More entries than this are looked through beside the loop, on which others wait.
_FEW = 2_000


class BucketWhitelist:
    """Follows the whitelist's bucket, 0.6 KiB an entry (``functions.ports.WhitelistIndex``).

    It asks the server what was written last before it answers, and waits for
    that: who was told that an entry is there finds it.

    Args:
        client: the connection.
        bucket: of the whitelist.
    """

    def __init__(self, client: Client, bucket: Bucket = BUCKETS["whitelist"]) -> None:
        (name,) = bucket.names
        self._client = client
        self._last = f"$JS.API.DIRECT.GET.KV_{name}"
        self._any = to_json({"last_by_subj": f"$KV.{name}.>"})
        self._codec: Codec[Whitelisted] = bucket.codec()
        self._entries: dict[str, Whitelisted] = {}
        self._seen = 0
        self._moved = asyncio.Event()
        self._following = Following(client, [(name, self._take)], lost="The whitelist cannot be read now.")

    async def start(self) -> None:
        """Begin to follow; ``ready`` tells when everything has been read."""
        self._following.start()

    async def ready(self) -> None:
        """Wait until it holds all that was in the bucket when it began.

        Raises:
            Unavailable: it can follow no longer.
        """
        await self._following.ready()

    async def stop(self) -> None:
        """Follow no longer."""
        await self._following.stop()

    async def find(self, wanted: Wanted, limit: int, offset: int) -> Page[Whitelisted]:
        """A page of the wanted entries, and how many there are in all.

        Raises:
            Unavailable: what was written last has not come here in time.
        """
        await self._catch_up()
        entries = list(self._entries.values())
        if len(entries) <= _FEW:
            return _page(entries, wanted, limit, offset)
        return await asyncio.to_thread(_page, entries, wanted, limit, offset)

    async def _catch_up(self) -> None:
        self._following.check()
        message = await find(self._client, self._last, self._any)
        if message is None:
            return
        last = sequence_of(message)
        try:
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                while self._seen < last:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError as problem:
            raise Unavailable(detail="The whitelist cannot be read now. Try again in a moment.") from problem

    def _take(self, change: Change) -> None:
        # First, so that a record that cannot be read is not waited for.
        self._entries.pop(change.key, None)
        self._seen = change.revision
        self._moved.set()
        if change.data is not None:
            self._entries[change.key] = self._codec.decode(change.data)


class TinyWhitelist:
    """A whitelist over a TinyDB store, which it reads whole for each question (``functions.ports.WhitelistIndex``).

    For tests, and for small local files.
    """

    def __init__(self, entries: TinyStore[Whitelisted]) -> None:
        self._entries = entries

    async def find(self, wanted: Wanted, limit: int, offset: int) -> Page[Whitelisted]:
        """A page of the wanted entries, and how many there are in all."""
        return _page([kept.value for kept in self._entries.snapshot().values()], wanted, limit, offset)


def _page(entries: Collection[Whitelisted], wanted: Wanted, limit: int, offset: int) -> Page[Whitelisted]:
    found = select(entries, wanted)
    return Page(found[offset : offset + limit], len(found))
