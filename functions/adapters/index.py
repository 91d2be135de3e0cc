"""The inventory's index: what the devices and presence buckets hold, in memory, where it can be asked."""

from nats.aio.client import Client

from functions.adapters.codec import Codec
from functions.adapters.feed import Change
from functions.adapters.following import Following
from functions.adapters.inventory import Inventory
from functions.adapters.layout import BUCKETS, Bucket
from functions.adapters.tinydb_store import TinyStore
from functions.domain.devices import Device
from functions.domain.inventory import Counts, DeviceQuery
from functions.domain.sessions import Presence
from functions.ports import Page


class SqliteIndex:
    """An inventory that follows the buckets on the server (``functions.ports.Index``).

    It holds what was written up to a moment ago; after a restart of the
    server it is behind for up to two seconds, and then has missed nothing.

    Args:
        client: the connection.
        devices: the bucket of the devices.
        presence: the bucket of their presence.
    """

    def __init__(
        self, client: Client, *, devices: Bucket = BUCKETS["devices"], presence: Bucket = BUCKETS["presence"]
    ) -> None:
        self._inventory = Inventory()
        self._devices: Codec[Device] = devices.codec()
        self._presence: Codec[Presence] = presence.codec()
        self._following = Following(
            client,
            [(name, self._take_device) for name in devices.names]
            + [(name, self._take_presence) for name in presence.names],
            lost="The inventory cannot be read now.",
        )

    async def start(self) -> None:
        """Begin to follow; ``ready`` tells when everything has been read."""
        self._following.start()

    async def ready(self) -> None:
        """Wait until it holds all that was in the buckets when it began.

        Raises:
            Unavailable: it can follow no longer.
        """
        await self._following.ready()

    async def stop(self) -> None:
        """Follow no longer and give the memory back."""
        await self._following.stop()
        self._inventory.close()

    async def query(self, wanted: DeviceQuery) -> Page:
        """A page of the devices that are wanted, and how many there are in all.

        Raises:
            Unavailable: it can follow no longer, so what it holds grows old.
        """
        self._following.check()
        return self._inventory.query(wanted)

    async def count(self) -> Counts:
        """How many devices there are of what.

        Raises:
            Unavailable: as for ``query``.
        """
        self._following.check()
        return self._inventory.count()

    def _take_device(self, change: Change) -> None:
        if change.data is None:
            self._inventory.drop_device(change.key)
        else:
            self._inventory.put_device(self._devices.decode(change.data))

    def _take_presence(self, change: Change) -> None:
        if change.data is None:
            self._inventory.drop_presence(change.key)
        else:
            self._inventory.put_presence(change.key, self._presence.decode(change.data))


class TinyIndex:
    """An index over TinyDB stores, which it reads whole for each question (``functions.ports.Index``).

    For tests, and for small local files.
    """

    def __init__(self, devices: TinyStore[Device], presence: TinyStore[Presence]) -> None:
        self._devices = devices
        self._presence = presence

    async def query(self, wanted: DeviceQuery) -> Page:
        """A page of the devices that are wanted, and how many there are in all."""
        return self._read().query(wanted)

    async def count(self) -> Counts:
        """How many devices there are of what."""
        return self._read().count()

    def _read(self) -> Inventory:
        inventory = Inventory()
        for kept in self._devices.snapshot().values():
            inventory.put_device(kept.value)
        for key, presence in self._presence.snapshot().items():
            inventory.put_presence(key, presence.value)
        return inventory
