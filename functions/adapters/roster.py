"""The devices there are, known without asking: every message of a device begins with whether it takes part."""

import asyncio
from bisect import bisect_right

from nats.aio.client import Client

from functions.adapters.codec import Codec, shard_of
from functions.adapters.feed import Change
from functions.adapters.following import Follower, end
from functions.adapters.layout import BUCKETS, Bucket
from functions.adapters.tinydb_store import TinyStore
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Unavailable


class BucketRoster:
    """The devices, followed from their buckets (``functions.ports.Roster``); 0.2 KiB a device.

    Until it has read a bucket, and while it cannot follow one, it knows
    nothing of the devices there.

    Args:
        client: the connection.
        devices: the bucket of the devices.
    """

    def __init__(self, client: Client, devices: Bucket = BUCKETS["devices"]) -> None:
        self._codec: Codec[Device] = devices.codec()
        self._active: set[str] = set()
        self._known: set[str] = set()
        # In order, but for those that came since they were asked for last.
        self._ordered: list[str] = []
        self._came: list[str] = []
        self._followers = [Follower(client, name, self._take) for name in devices.names]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to follow."""
        self._tasks = [asyncio.create_task(follower.run()) for follower in self._followers]

    async def filled(self) -> None:
        """Wait until everything has been read that was there at the start."""
        for follower in self._followers:
            await follower.filled.wait()

    async def stop(self) -> None:
        """Follow no longer."""
        await end(self._tasks)

    def is_active(self, device: str) -> bool:
        """Whether the device took part a moment ago, at most 1.5 s; False also where it is not known."""
        return device in self._active and self._followers[shard_of(device, len(self._followers))].is_live

    def ids_after(self, device: str, limit: int) -> list[str]:
        """The ids that come after one, in order. Raises Unavailable while it does not follow every bucket."""
        if not all(follower.is_live for follower in self._followers):
            raise Unavailable(detail="The devices cannot be listed now. Try again in a moment.")
        if self._came:
            # Two runs, which take 2 ms to merge at 100,000.
            self._ordered = sorted((*self._ordered, *sorted(self._came)))
            self._came = []
        first = bisect_right(self._ordered, device)
        return self._ordered[first : first + limit]

    def _take(self, change: Change) -> None:
        if change.key not in self._known:
            self._known.add(change.key)
            self._came.append(change.key)
        # First, so that a record that cannot be read stands for no permission.
        self._active.discard(change.key)
        if change.data is not None and self._codec.decode(change.data).lifecycle is Lifecycle.ACTIVE:
            self._active.add(change.key)


class TinyRoster:
    """The devices of a TinyDB store (``functions.ports.Roster``): for tests and for one call of one function.

    Of none does it know that it takes part, so that the store is asked each time.
    """

    def __init__(self, devices: TinyStore[Device]) -> None:
        self._devices = devices

    def is_active(self, device: str) -> bool:
        """False."""
        return False

    def ids_after(self, device: str, limit: int) -> list[str]:
        """The ids that come after one, in order."""
        return sorted(one for one in self._devices.snapshot() if one > device)[:limit]
