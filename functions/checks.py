"""The checks that any adapter of the storage ports must pass; its tests subclass them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from functions.domain.audit import Agent, AuditEntry, entry
from functions.domain.callers import SYSTEM, Caller
from functions.domain.faults import Conflict, Malformed
from functions.domain.names import DeviceId
from functions.domain.order import Order
from functions.domain.twins import Half
from functions.ports import Streams
from functions.storage import Spoiled, Store
from functions.testing import START, collect, refused

Read = Callable[[str, DeviceId], Awaitable[list[tuple[bytes, Mapping[str, str]]]]]


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


def _pledge(number: int) -> AuditEntry:
    """An entry as large as may be, with what a header of a message could trip over."""
    text = "\r\n: é\u2028\U0001f600" * 100
    after = {" note ": text, "long": "x" * 3000}
    doer = Agent(Caller(SYSTEM, "test"), "call")
    return entry(doer, "group.changed", "north", at=START, random=f"{number:02}", before={"note": text}, after=after)


class StoreChecks:
    """What every ``Store`` must do. Subclass it in a test module, with two fixtures.

    ``store`` is an empty ``Store[Half]`` that keeps 64 revisions of a key,
    ``plain`` an empty one that keeps 1, and ``foreign`` one of texts in the
    very place of ``store``.
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

    async def test_history_has_the_last_values_oldest_first(self, store: Store[Half]) -> None:
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

    async def test_what_writes_pledged_is_found_once_also_of_what_was_written_over(self, store: Store[Half]) -> None:
        """First values, replacements and removals; what was seen before is not found again."""
        seen: dict[str, int] = {}
        assert await store.pledged(seen) == []
        made, changed, gone, again = (_pledge(number) for number in range(4))
        first = await store.create("D1", half(1), pledge=made)
        await store.create("D2", half(1))
        second = await store.replace("D1", half(2), expect=first, pledge=changed)
        assert [one.id for one in await store.pledged(seen)] == [made.id, changed.id]
        await store.remove("D1", expect=second, pledge=gone)
        await store.create("D1", half(3), pledge=again)

        assert await store.pledged(seen) == [gone, again]
        assert await store.pledged(seen) == []
        assert sorted(one.id for one in await store.pledged({})) == sorted(
            one.id for one in (made, changed, gone, again)
        )

    async def test_what_lost_its_race_pledged_nothing(self, store: Store[Half]) -> None:
        """As it changed nothing."""
        first = await store.create("D1", half(1))
        for expect in (first + 1, 0):
            with refused(Conflict):
                await store.replace("D1", half(2), expect=expect, pledge=_pledge(1))
            with refused(Conflict):
                await store.remove("D1", expect=expect, pledge=_pledge(2))
        with refused(Conflict):
            await store.create("D1", half(2), pledge=_pledge(3))

        assert await store.pledged({}) == []

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

    async def test_what_is_no_value_of_the_type_can_be_left_out_and_written_over(
        self, store: Store[Half], foreign: Store[str]
    ) -> None:
        """It is told with its key and revision, and keeps nobody from the others."""
        for number in range(9):
            await store.create(f"D{number}", half(number))
        revision = await foreign.create("bad", "text")

        spoiled: list[Spoiled] = []
        found = await collect(store.entries(spoiled))
        assert found.keys() == {f"D{number}" for number in range(9)}
        for reading in (store.get("bad"), collect(store.entries()), store.history("bad")):
            try:
                await reading
            except Spoiled as told:
                spoiled.append(told)

        for one in spoiled:
            assert (one.key, one.revision, one.at.utcoffset()) == ("bad", revision, timedelta(0))
            assert "text" not in str(one), "it shows nothing of what is kept"
        assert len(spoiled) == 4
        await store.replace("bad", half(1), expect=revision)
        assert (await _value(store, "bad")).version == 1

    async def test_of_many_that_are_created_those_that_are_there_stay_and_are_told(self, store: Store[Half]) -> None:
        """However many of either there are, and those that were removed before are created again."""
        gone = await store.create("gone", half(0))
        await store.remove("gone", expect=gone)
        wanted = {f"D{number}": half(number) for number in range(1_200)} | {"gone": half(1)}
        await store.create("D7", half(70))
        assert await store.get_all(["D6", "D7", "gone"]) == {"D7": await store.get("D7")}

        found = await store.create_all(wanted)
        again = await store.create_all(wanted)

        assert {key: kept.value.version for key, kept in found.items()} == {"D7": 70}
        expected = {key: value.version for key, value in wanted.items()} | {"D7": 70}
        assert {key: kept.value.version for key, kept in again.items()} == expected
        assert {key: kept.value.version for key, kept in (await collect(store.entries())).items()} == expected
        assert await store.get_all(wanted) == again
        assert await store.create_all({}) == await store.get_all([]) == {}

    async def test_many_that_are_created_twice_at_once_are_created_once(self, store: Store[Half]) -> None:
        """Each by one of them, and the other is told so."""
        wanted = {f"D{number}": half(number) for number in range(40)}

        both = await asyncio.gather(*(store.create_all(wanted) for _ in range(2)))

        assert sum(len(found) for found in both) == len(wanted)

    async def test_of_many_a_value_that_is_too_large_keeps_out_all(self, store: Store[Half]) -> None:
        """Nothing is written."""
        with refused(Malformed):
            await store.create_all({"D1": half(1), "D2": half(2, {"text": "x" * 300_000})})

        assert await collect(store.entries()) == {}

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
