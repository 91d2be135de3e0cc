"""The inventory's index: what the buckets hold of devices, in memory, where it can be asked."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from nats.aio.client import Client

from functions.adapters.codec import Codec, shard_of
from functions.adapters.feed import Change
from functions.adapters.following import Following, end
from functions.adapters.inventory import Inventory
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import BUCKETS
from functions.adapters.tinydb_store import TinyStore
from functions.adapters.twin_watch import TwinWatch
from functions.domain.devices import Device
from functions.domain.drift import drifted_at
from functions.domain.faults import Unavailable
from functions.domain.groups import Group, saved
from functions.domain.inventory import Counts, DeviceQuery, Written, facts_of
from functions.domain.query import Condition, Saved
from functions.domain.sessions import Presence
from functions.domain.twins import Half
from functions.ports import Clock
from functions.storage import Page

_LOST: Final = "The inventory cannot be read now."
# How long a question waits for what was written just now; mostly it is there within some milliseconds.
_REACH_SECONDS: Final = 2.0


class BucketIndex:
    """An inventory that follows the buckets on the server (``functions.ports.Index``).

    It holds what was written up to a moment ago; after a restart of the
    server it is behind for up to two seconds, and then has missed nothing.

    Args:
        client: the connection.
        clock: what ages are counted from.
        paths: of what devices report, those that can be asked for.
    """

    def __init__(self, client: Client, clock: Clock, paths: tuple[str, ...] = ()) -> None:
        self._clock = clock
        self._paths = paths
        self._inventory = Inventory(paths)
        self._devices: Codec[Device] = BUCKETS["devices"].codec()
        self._presence: Codec[Presence] = BUCKETS["presence"].codec()
        self._groups: Codec[Group] = BUCKETS["groups"].codec()
        reported = BUCKETS["reported"]
        store: JetStreamStore[Half] = JetStreamStore(client, reported.names, reported.codec())
        self._twins = TwinWatch(self._inventory, paths, store.get)
        # Each of these begins when those before it were read. Reports are judged by what is desired; and a record that
        # finds there what its device reports need not be written again.
        self._stages = [
            Following(client, [(name, take) for bucket, take in stage for name in BUCKETS[bucket].names], lost=_LOST)
            for stage in (
                (("desired", self._twins.take_desired), ("groups", self._take_group)),
                (("reported", self._twins.take_reported),),
                (("devices", self._take_device), ("presence", self._take_presence)),
            )
        ]
        self._learned = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of what devices report that can be asked for."""
        return self._paths

    async def start(self) -> None:
        """Begin to follow; ``ready`` goes on with it."""
        self._stages[0].start()

    async def ready(self) -> None:
        """Wait until it holds all that was in the buckets when it began.

        Raises:
            Unavailable: it can follow no longer.
        """
        for stage in self._stages:
            # The first has begun.
            if stage is not self._stages[0]:
                stage.start()
            await stage.ready()
        self._twins.settle()
        for _ in self._inventory.settle():
            # Each takes a tenth of a second among 100,000; meanwhile the server must be heard.
            await asyncio.sleep(0)
        self._tasks = [asyncio.create_task(self._twins.run()), asyncio.create_task(self._learn())]

    async def learned(self) -> None:
        """Wait until texts are found without looking through all of them; it answers the same before, more slowly."""
        await self._learned.wait()

    async def stop(self) -> None:
        """Follow no longer."""
        await end(self._tasks)
        for stage in reversed(self._stages):
            await stage.stop()

    async def query(self, wanted: DeviceQuery) -> Page[bytes]:
        """A page of the devices that are wanted, and how many there are in all.

        Raises:
            Malformed: it names a group whose own query cannot be answered.
            Unavailable: it can follow no longer, so what it holds grows old;
                or a revision that must be known has not come in time.
        """
        self._check()
        if wanted.at_least:
            await self._reach(wanted.at_least)
        return self._inventory.query(wanted, self._clock.now())

    async def ids(self, where: Condition, *, after: str, limit: int) -> list[str]:
        """The ids of the devices for which a condition holds, in order, that come after one.

        Raises:
            Malformed, Unavailable: as for ``query``.
        """
        self._check()
        return self._inventory.ids(where, self._clock.now(), after=after, limit=limit)

    async def count(self, where: Condition, *, drifted_for: timedelta, most: int | None = None) -> Counts:
        """How many devices for which a condition holds there are of what.

        Raises:
            Malformed, Unavailable: as for ``query``.
        """
        self._check()
        return self._inventory.count(where, self._clock.now(), drifted_for=drifted_for, most=most)

    async def group_sizes(self) -> dict[str, int]:
        """How many devices are in each group that a device names or that has a query, by name.

        Raises:
            Unavailable: as for ``query``.
        """
        self._check()
        return self._inventory.group_sizes(self._clock.now())

    async def group_size(self, group: str, question: Saved | None) -> int:
        """How many devices are in a group if this is its query, whether that was heard of yet or not.

        Raises:
            Unavailable: as for ``query``.
        """
        self._check()
        return self._inventory.group_size(group, question, self._clock.now())

    async def members(self, group: str) -> int:
        """How many devices name a group in their record.

        Raises:
            Unavailable: as for ``query``.
        """
        self._check()
        return self._inventory.members(group)

    async def _learn(self) -> None:
        """What makes texts quick to find takes a second among 100,000, and until then they are found without it."""
        for _ in self._inventory.learn():
            await asyncio.sleep(0)
        self._learned.set()

    async def _reach(self, written: tuple[Written, ...]) -> None:
        shards = len(BUCKETS["devices"].names)
        try:
            async with asyncio.timeout(_REACH_SECONDS):
                for one in written:
                    # The devices stand first in the last stage.
                    await self._stages[-1].reach(shard_of(one.device, shards), one.revision)
        except TimeoutError as problem:
            told = "The inventory has not heard of that revision in time. Ask again in a moment, or without it."
            raise Unavailable(detail=told) from problem

    def _check(self) -> None:
        for stage in self._stages:
            stage.check()

    def _take_device(self, change: Change) -> None:
        if change.data is None:
            self._inventory.drop_device(change.key)
        else:
            self._inventory.put_device(self._devices.decode(change.data))

    def _take_presence(self, change: Change) -> None:
        presence = None if change.data is None else self._presence.decode(change.data)
        self._inventory.put_presence(change.key, presence)

    def _take_group(self, change: Change) -> None:
        question = None if change.data is None else saved(self._groups.decode(change.data), self._paths)
        self._inventory.put_group(change.key, question)


class TinyIndex:
    """An index over TinyDB stores, which it reads whole for each question (``functions.ports.Index``).

    For tests, and for small local files.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        devices: TinyStore[Device],
        presence: TinyStore[Presence],
        desired: TinyStore[Half],
        reported: TinyStore[Half],
        groups: TinyStore[Group],
        paths: tuple[str, ...] = (),
    ) -> None:
        self._clock = clock
        self._devices = devices
        self._presence = presence
        self._desired = desired
        self._reported = reported
        self._groups = groups
        self._paths = paths

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of what devices report that can be asked for."""
        return self._paths

    async def query(self, wanted: DeviceQuery) -> Page[bytes]:
        """A page of the devices that are wanted, and how many there are in all."""
        return self._read().query(wanted, self._clock.now())

    async def ids(self, where: Condition, *, after: str, limit: int) -> list[str]:
        """The ids of the devices for which a condition holds, in order, that come after one."""
        return self._read().ids(where, self._clock.now(), after=after, limit=limit)

    async def count(self, where: Condition, *, drifted_for: timedelta, most: int | None = None) -> Counts:
        """How many devices for which a condition holds there are of what."""
        return self._read().count(where, self._clock.now(), drifted_for=drifted_for, most=most)

    async def group_sizes(self) -> dict[str, int]:
        """How many devices are in each group that a device names or that has a query, by name."""
        return self._read().group_sizes(self._clock.now())

    async def group_size(self, group: str, question: Saved | None) -> int:
        """How many devices are in a group if this is its query."""
        return self._read().group_size(group, question, self._clock.now())

    async def members(self, group: str) -> int:
        """How many devices name a group in their record."""
        return self._read().members(group)

    def _read(self) -> Inventory:
        inventory = Inventory(self._paths)
        for kept in self._devices.snapshot().values():
            inventory.put_device(kept.value)
        for key, presence in self._presence.snapshot().items():
            inventory.put_presence(key, presence.value)
        desired, reported = self._desired.snapshot(), self._reported.snapshot()
        for key in desired | reported:
            wish, report = (kept[key].value if key in kept else Half() for kept in (desired, reported))
            drifted = drifted_at(wish.doc, wish.times, report.doc, report.times)
            inventory.put_twin(key, facts_of(report.doc, drifted, self._paths))
        for group in self._groups.snapshot().values():
            inventory.put_group(group.value.name, saved(group.value, self._paths))
        return inventory


def open_index(stores: Mapping[str, TinyStore[Any]], clock: Clock, paths: tuple[str, ...] = ()) -> TinyIndex:
    """The index over a hub's stores, by the names of its fields."""
    names = ("devices", "presence", "desired", "reported", "groups")
    return TinyIndex(clock, **{name: stores[name] for name in names}, paths=paths)
