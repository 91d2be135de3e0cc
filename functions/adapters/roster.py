"""The devices that take part, known without asking: every message of a device begins with that question."""

import asyncio

from nats.aio.client import Client

from functions.adapters.codec import Codec, shard_of
from functions.adapters.feed import Change
from functions.adapters.following import Follower, end
from functions.adapters.layout import BUCKETS, Bucket
from functions.domain.devices import Device, Lifecycle


class BucketRoster:
    """The active devices, followed from their buckets (``functions.ports.Roster``); 0.1 KiB a device.

    Until it has read a bucket, and while it cannot follow one, it knows
    nothing of the devices there.

    Args:
        client: the connection.
        devices: the bucket of the devices.
    """

    def __init__(self, client: Client, devices: Bucket = BUCKETS["devices"]) -> None:
        self._codec: Codec[Device] = devices.codec()
        self._active: set[str] = set()
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

    def _take(self, change: Change) -> None:
        # First, so that a record that cannot be read stands for no permission.
        self._active.discard(change.key)
        if change.data is not None and self._codec.decode(change.data).lifecycle is Lifecycle.ACTIVE:
            self._active.add(change.key)


class EmptyRoster:
    """Knows no device, so that the store is asked each time: for tests and for one call of one function."""

    def is_active(self, device: str) -> bool:
        """False."""
        return False
