"""A hub in memory, a clock you set, and the checks that any adapter must pass.

Handlers run against ``memory_hub()``: real adapters without a server.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel
from tinydb import TinyDB
from tinydb.storages import MemoryStorage

from functions.adapters.authority import LocalAuthority, make_root
from functions.adapters.hasher import HmacHasher
from functions.adapters.index import TinyIndex
from functions.adapters.layout import open_tables
from functions.adapters.roster import EmptyRoster
from functions.contract.messages import Message
from functions.domain.callers import parse_caller
from functions.domain.faults import Conflict, Fault, Malformed
from functions.domain.names import DeviceId
from functions.domain.order import Order
from functions.domain.twins import Half
from functions.ports import Authority, Call, Hub, Kept, Store, Streams

B = TypeVar("B", bound=BaseModel)
T = TypeVar("T")

Read = Callable[[str, DeviceId], Awaitable[list[tuple[bytes, Mapping[str, str]]]]]

# A constant, so that expectations can be written down. The CA of a hub in
# memory is valid for twenty years from the day of the run, so also then.
START = datetime(2035, 1, 1, 12, tzinfo=UTC)


class SettableClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now

    def now(self) -> datetime:
        """The time that was set."""
        return self._now

    def set(self, now: datetime) -> None:
        """Set the time."""
        self._now = now

    def advance(self, by: timedelta | float) -> None:
        """Move the time on, by a duration or by seconds."""
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)


class RecordingEvents:
    """Keeps what is published, as ``(subject, body)`` in the order of publishing."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    async def publish(self, subject: str, body: Any) -> None:
        """Keep one event."""
        self.sent.append((subject, body))

    def on(self, subject: str) -> list[Any]:
        """The bodies published on a subject."""
        return [body for name, body in self.sent if name == subject]


@dataclass(frozen=True, slots=True)
class Appended:
    """A message that was appended to a stream."""

    stream: str
    device: DeviceId
    payload: bytes
    headers: Mapping[str, str]


class MemoryStreams:
    """Keeps what is appended, in order."""

    def __init__(self) -> None:
        self.appended: list[Appended] = []

    async def append(self, stream: str, device: DeviceId, payload: bytes, headers: Mapping[str, str]) -> None:
        """Keep one message."""
        self.appended.append(Appended(stream, device, payload, dict(headers)))


@dataclass(frozen=True, slots=True)
class MemoryHub(Hub):
    """A hub whose clock can be set, and which keeps the events and messages it was told."""

    clock: SettableClock
    events: RecordingEvents
    streams: MemoryStreams


def memory_hub(
    *, clock: SettableClock | None = None, authority: Authority | None = None, **kept: Mapping[str, Any]
) -> MemoryHub:
    """A hub of memory adapters, with values in its stores.

    Args:
        clock: by default one that stands at ``START``.
        authority: by default a CA made once for the process, which works by the hub's clock.
        kept: for stores by their names, what they begin with: ``memory_hub(devices={"EDGB-0001": device})``.
    """
    clock = clock or SettableClock()
    stores = open_tables(TinyDB(storage=MemoryStorage), clock)
    for name, values in kept.items():
        for key, value in values.items():
            stores[name].seed(key, value)
    return MemoryHub(
        clock=clock,
        authority=authority or LocalAuthority(*_root(), clock),
        hasher=HmacHasher(b"the key of a hub in memory"),
        events=RecordingEvents(),
        streams=MemoryStreams(),
        index=TinyIndex(stores["devices"], stores["presence"]),
        roster=EmptyRoster(),
        **stores,
    )


@cache
def _root() -> tuple[str, str]:
    return make_root()


def call(
    body: B,
    *,
    caller: str = "system:test",
    names: tuple[str, ...] = (),
    order: Order | None = None,
    payload: bytes | None = None,
) -> Call[B]:
    """A call as the runtime would hand it over; the payload is the body's JSON unless given."""
    if payload is None:
        payload = body.encode() if isinstance(body, Message) else body.model_dump_json().encode()
    return Call(body, parse_caller(caller), "test-call", names, order, payload)


@contextmanager
def refused(kind: type[Fault]) -> Iterator[None]:
    """Demand that what is inside ends in this fault."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


async def collect(entries: AsyncIterator[tuple[str, Kept[T]]]) -> dict[str, Kept[T]]:
    """The entries of a store as a mapping; no key may come twice."""
    found: dict[str, Kept[T]] = {}
    async for key, kept in entries:
        assert key not in found, f"{key} came twice"
        found[key] = kept
    return found


def half(version: int, doc: dict[str, Any] | None = None) -> Half:
    """A value with everything that a stored value may hold."""
    return Half(
        version=version,
        doc=doc or {"led": "on", "n": version, "deep": {"list": [1, 2.5, None, {"é\u2028": True}], "none": {}}},
        times={"led": 1795322774123, "n": 0, "deep": {"list": 2**53, "none": 1}},
        at=START + timedelta(microseconds=version),
        by="device:EDGB-0001",
        order=Order("local-control", 3, version),
        digest="ab" * 32,
    )


class StoreChecks:
    """What every ``Store`` must do. Subclass it in a test module, with two fixtures.

    ``store`` is an empty ``Store[Half]`` that keeps 64 revisions of a key,
    ``plain`` an empty one that keeps 1.
    """

    async def test_a_key_without_value_reads_as_none(self, store: Store[Half]) -> None:
        """Neither a value nor a history is there before the first write."""
        assert await store.get("nothing") is None
        assert await store.history("nothing") == []
        assert await collect(store.entries()) == {}

    async def test_a_value_is_read_back_exactly(self, store: Store[Half]) -> None:
        """Every field comes back equal and of the same types."""
        revision = await store.create("D1", half(7))

        kept = await store.get("D1")

        assert kept is not None
        assert (kept.value, kept.revision) == (half(7), revision)
        assert repr(kept.value.doc) == repr(half(7).doc)
        assert revision >= 1
        assert kept.at.utcoffset() == timedelta(0)

    async def test_a_value_changed_after_its_write_leaves_the_store_alone(self, store: Store[Half]) -> None:
        """What is kept is a copy."""
        value = half(1)
        await store.create("D1", value)
        value.doc["led"] = "changed"

        kept = await store.get("D1")
        assert kept is not None
        kept.value.doc["led"] = "changed too"

        again = await store.get("D1")
        assert again is not None
        assert again.value == half(1)

    async def test_a_value_is_written_only_over_the_revision_that_was_read(self, store: Store[Half]) -> None:
        """A stale revision, one of the future and none at all are refused, and so is a second first value."""
        first = await store.create("D1", half(1))
        with refused(Conflict):
            await store.create("D1", half(2))
        second = await store.replace("D1", half(2), expect=first)
        assert second > first

        for expect in (first, second + 1, 0):
            with refused(Conflict):
                await store.replace("D1", half(3), expect=expect)
            with refused(Conflict):
                await store.remove("D1", expect=expect)

        assert (await _value(store, "D1")).version == 2

    async def test_what_is_not_there_cannot_be_replaced_or_removed(self, store: Store[Half]) -> None:
        """Whatever revision is named."""
        for expect in (0, 1):
            with refused(Conflict):
                await store.replace("nothing", half(1), expect=expect)
            with refused(Conflict):
                await store.remove("nothing", expect=expect)

        assert await store.get("nothing") is None

    async def test_a_removed_key_can_be_created_again(self, store: Store[Half]) -> None:
        """Its revisions go on growing, so that nobody takes the new value for the old."""
        first = await store.create("D1", half(1))
        await store.remove("D1", expect=first)
        assert await store.get("D1") is None
        with refused(Conflict):
            await store.replace("D1", half(2), expect=first)

        second = await store.create("D1", half(3))

        assert second > first
        assert (await _value(store, "D1")).version == 3
        assert [kept.value.version for kept in await store.history("D1")] == [1, 3]

    async def test_history_has_the_last_64_values_oldest_first(self, store: Store[Half]) -> None:
        """Each with the revision and a time that it was written at."""
        revisions = [await store.create("D1", half(1))]
        for version in range(2, 71):
            revisions.append(await store.replace("D1", half(version), expect=revisions[-1]))
        await store.create("D2", half(1))

        history = await store.history("D1")

        assert [kept.value for kept in history] == [half(version) for version in range(7, 71)]
        assert [kept.revision for kept in history] == revisions[6:]
        assert [kept.at for kept in history] == sorted(kept.at for kept in history)

    async def test_a_store_without_history_has_the_last_value_only(self, plain: Store[Half]) -> None:
        """And nothing once it is removed."""
        first = await plain.create("D1", half(1))
        second = await plain.replace("D1", half(2), expect=first)
        assert [kept.value.version for kept in await plain.history("D1")] == [2]

        await plain.remove("D1", expect=second)
        assert await plain.history("D1") == []

    async def test_keys_are_letters_digits_underscores_and_hyphens(self, store: Store[Half]) -> None:
        """1 to 128 of them; capitals count. Anything else never reaches the storage."""
        good = ("a", "A", "-", "_", "0", "EDGB-0001", "k" * 128)
        for version, key in enumerate(good):
            await store.create(key, half(version))
        assert [(await _value(store, key)).version for key in good] == list(range(len(good)))

        for key in ("", "k" * 129, "a.b", "*", ">", "a b", "a/b", "é", "a\n", "\0", "$KV"):
            with refused(Malformed):
                await store.get(key)
            with refused(Malformed):
                await store.create(key, half(1))
            with refused(Malformed):
                await store.replace(key, half(1), expect=1)
            with refused(Malformed):
                await store.remove(key, expect=1)
            with refused(Malformed):
                await store.history(key)
        assert set(await collect(store.entries())) == set(good)

    async def test_a_value_that_is_too_large_is_refused(self, store: Store[Half]) -> None:
        """And leaves what was there."""
        revision = await store.create("D1", half(1))

        with refused(Malformed):
            await store.replace("D1", half(2, {"text": "x" * 300_000}), expect=revision)

        assert (await _value(store, "D1")).version == 1

    async def test_entries_are_every_key_with_its_last_value(self, store: Store[Half]) -> None:
        """What was removed is not among them."""
        for number in range(60):
            revision = await store.create(f"D{number}", half(1))
            if number % 3 == 1:
                await store.replace(f"D{number}", half(2), expect=revision)
            if number % 3 == 2:
                await store.remove(f"D{number}", expect=revision)

        found = await collect(store.entries())

        assert {key: kept.value.version for key, kept in found.items()} == {
            f"D{number}": number % 3 + 1 for number in range(60) if number % 3 < 2
        }

    async def test_of_many_that_create_or_remove_a_key_one_succeeds(self, store: Store[Half]) -> None:
        """The others learn that they lost, also when the key was there before."""
        for _ in range(3):
            created = await _winners(store.create("D1", half(number)) for number in range(20))
            kept = await store.get("D1")
            assert kept is not None
            assert created == [kept.value.version]
            assert len(await _winners(store.remove("D1", expect=kept.revision) for _ in range(20))) == 1

    async def test_no_accepted_change_is_lost_and_none_is_made_twice(self, store: Store[Half]) -> None:
        """Twenty writers count one number up, each until it has done so five times."""
        await store.create("D1", half(0))
        accepted: list[int] = []

        async def count() -> None:
            for _ in range(5):
                while True:
                    kept = await store.get("D1")
                    assert kept is not None
                    with suppress(Conflict):
                        await store.replace("D1", half(kept.value.version + 1), expect=kept.revision)
                        accepted.append(kept.value.version + 1)
                        break

        await asyncio.gather(*(count() for _ in range(20)))

        assert sorted(accepted) == list(range(1, 101))
        assert (await _value(store, "D1")).version == 100
        assert [kept.value.version for kept in await store.history("D1")] == list(range(37, 101))


class StreamsChecks:
    """What every ``Streams`` must do. Subclass it in a test module, with two fixtures.

    ``streams`` is an empty ``Streams``; ``read`` gives what a device has in
    one of its streams, as pairs of payload and headers.
    """

    async def test_the_messages_of_a_device_keep_their_order(self, streams: Streams, read: Read) -> None:
        """Whatever other devices send between them."""
        devices = [DeviceId(f"EDGB-{number:04d}") for number in range(10)]

        async def send(device: DeviceId) -> None:
            for number in range(20):
                await streams.append("telemetry", device, b"%d" % number, {})

        await asyncio.gather(*map(send, devices))

        for device in devices:
            assert [payload for payload, _ in await read("telemetry", device)] == [b"%d" % n for n in range(20)]

    async def test_a_message_is_kept_as_it_came(self, streams: Streams, read: Read) -> None:
        """In the stream that was named, byte for byte, with its headers."""
        payload = bytes(range(256))

        await streams.append("events", DeviceId("EDGB-0001"), payload, {"Hub-Type": "door", "Hub-Time": "1"})

        assert await read("events", DeviceId("EDGB-0001")) == [(payload, {"Hub-Type": "door", "Hub-Time": "1"})]
        assert await read("telemetry", DeviceId("EDGB-0001")) == []


async def _value(store: Store[Half], key: str) -> Half:
    kept = await store.get(key)
    assert kept is not None, f"{key} is not there"
    return kept.value


async def _winners(attempts: Iterable[Awaitable[object]]) -> list[int]:
    """The places of the attempts that did not end in Conflict, all made at once."""
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    strange = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(outcome, Conflict) for outcome in strange), strange
    return [place for place, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
