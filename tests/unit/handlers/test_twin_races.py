"""Twin functions when calls meet: lost races, late attempts, repeats."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.messages import Encoded, TwinAccepted, TwinDesire, TwinHistoryQuery, TwinReport
from functions.domain.audit import AuditEntry
from functions.domain.devices import Device
from functions.domain.faults import Conflict, Reason, Unavailable
from functions.domain.order import Order
from functions.domain.twins import Half, delta, merge
from functions.handlers import history, twins
from functions.ports import Call, Hub
from functions.storage import Kept, Spoiled, Store
from functions.testing import START, MemoryHub, call, memory_hub

ID = "EDGB-0001"
DELTA = f"devicehub.devices.{ID}.twin.update.delta"
REACHED = f"devicehub.devices.{ID}.twin.update.reached"


def a_hub() -> MemoryHub:
    return memory_hub(devices={ID: Device(ID, START, START)})


def report(order: Order | None = None, **body: Any) -> Call[TwinReport]:
    return call(TwinReport(**body), caller=f"device:{ID}", names=(ID,), order=order)


def wish(**body: Any) -> Call[TwinDesire]:
    return call(TwinDesire(**body), caller="user:anna", names=(ID,))


def version_of(answer: Encoded[TwinAccepted]) -> int:
    return TwinAccepted.model_validate_json(answer.encode()).reported.version


async def kept_doc(store: Store[Half]) -> dict[str, Any]:
    kept = await store.get(ID)
    return kept.value.doc if kept else {}


class Meddled:
    """A store in front of which something may happen before each operation."""

    def __init__(self, store: Store[Half], before: Callable[[str], Awaitable[None]]) -> None:
        self._store = store
        self._before = before

    async def get(self, key: str) -> Kept[Half] | None:
        await self._before("get")
        return await self._store.get(key)

    def recall(self, key: str) -> tuple[Half, int] | None:
        return self._store.recall(key)

    async def create(self, key: str, value: Half, *, pledge: AuditEntry | None = None) -> int:
        await self._before("write")
        return await self._store.create(key, value, pledge=pledge)

    async def create_all(self, values: Mapping[str, Half]) -> dict[str, Kept[Half]]:
        await self._before("write")
        return await self._store.create_all(values)

    async def get_all(self, keys: Iterable[str]) -> dict[str, Kept[Half]]:
        return await self._store.get_all(keys)

    async def replace(self, key: str, value: Half, *, expect: int, pledge: AuditEntry | None = None) -> int:
        await self._before("write")
        return await self._store.replace(key, value, expect=expect, pledge=pledge)

    async def remove(self, key: str, *, expect: int, pledge: AuditEntry | None = None) -> None:
        await self._store.remove(key, expect=expect, pledge=pledge)

    async def history(self, key: str) -> list[Kept[Half]]:
        return await self._store.history(key)

    async def pledged(self, seen: dict[str, int]) -> list[AuditEntry]:
        return await self._store.pledged(seen)

    def entries(self, spoiled: list[Spoiled] | None = None) -> AsyncIterator[tuple[str, Kept[Half]]]:
        return self._store.entries(spoiled)


class Forgetful:
    """A store of a process that remembers what a key held when it last looked, and missed all since."""

    def __init__(self, store: Store[Half]) -> None:
        self._store = store
        self._remembered = store.recall(ID)
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def recall(self, key: str) -> tuple[Half, int] | None:
        return self._remembered

    async def get(self, key: str) -> Kept[Half] | None:
        self.reads += 1
        return await self._store.get(key)


async def forgetful_hub() -> tuple[MemoryHub, Hub, Forgetful]:
    """A hub, and the same as a process sees it that missed its last report: x was 1, and is 2."""
    hub = a_hub()
    await twins.update(report(reported={"x": 1}), hub)
    forgetful = Forgetful(hub.reported)
    await twins.update(report(reported={"x": 2}), hub)
    seen: Hub = replace(hub, reported=forgetful)
    return hub, seen, forgetful


async def test_a_change_over_a_stale_memory_is_merged_over_what_is_kept() -> None:
    hub, seen, _ = await forgetful_hub()

    answer = await twins.update(report(reported={"y": 1}), seen)

    assert version_of(answer) == 3
    assert await kept_doc(hub.reported) == {"x": 2, "y": 1}


async def test_what_only_a_stale_memory_shows_already_is_written() -> None:
    hub, seen, _ = await forgetful_hub()

    answer = await twins.update(report(reported={"x": 1}), seen)

    assert version_of(answer) == 3
    assert await kept_doc(hub.reported) == {"x": 1}


async def test_a_version_is_not_judged_by_a_stale_memory() -> None:
    _, seen, _ = await forgetful_hub()

    assert version_of(await twins.update(report(reported={"x": 3}, expected_version=2), seen)) == 3
    with pytest.raises(Conflict):
        await twins.update(report(reported={"x": 4}, expected_version=1), seen)


async def test_a_memory_that_is_right_saves_the_read() -> None:
    hub = a_hub()
    await twins.update(report(reported={"x": 1}), hub)
    forgetful = Forgetful(hub.reported)
    seen: Hub = replace(hub, reported=forgetful)

    await twins.update(report(reported={"x": 2}), seen)

    assert forgetful.reads == 0
    assert await kept_doc(hub.reported) == {"x": 2}


class Held:
    """Holds the first write of a call until it is let go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    async def __call__(self, operation: str) -> None:
        if operation == "write" and not self.reached.is_set():
            self.reached.set()
            await self.released.wait()


async def test_a_report_that_lost_a_race_is_merged_over_what_won() -> None:
    hub, held = a_hub(), Held()
    slow: Hub = replace(hub, reported=Meddled(hub.reported, held))
    attempt = asyncio.create_task(twins.update(report(reported={"a": 1}), slow))
    await held.reached.wait()

    await twins.update(report(reported={"b": 2}), hub)
    held.released.set()

    assert version_of(await attempt) == 2
    assert await kept_doc(hub.reported) == {"a": 1, "b": 2}


async def test_a_race_lost_every_time_ends_in_a_conflict() -> None:
    hub = a_hub()
    rivals = iter(range(100))

    async def rival(operation: str) -> None:
        if operation == "write":
            await twins.update(report(reported={"rival": next(rivals)}), hub)

    with pytest.raises(Conflict):
        await twins.update(report(reported={"a": 1}), replace(hub, reported=Meddled(hub.reported, rival)))

    assert "a" not in await kept_doc(hub.reported)


async def test_a_report_taken_before_the_last_applied_one_is_refused() -> None:
    hub = a_hub()
    await twins.update(report(Order("b", 1, 6), reported={"n": 6}), hub)

    with pytest.raises(Conflict) as refused:
        await twins.update(report(Order("b", 1, 5), reported={"n": 5}), hub)

    assert refused.value.reason is Reason.SUPERSEDED
    assert await kept_doc(hub.reported) == {"n": 6}


async def test_a_slow_attempt_cannot_land_over_a_later_report() -> None:
    hub, held = a_hub(), Held()
    slow: Hub = replace(hub, reported=Meddled(hub.reported, held))
    attempt = asyncio.create_task(twins.update(report(Order("b", 1, 5), reported={"n": 5}), slow))
    await held.reached.wait()

    # The bridge was killed; its successor sends the message again, then the next.
    await twins.update(report(Order("b", 2, 1), reported={"n": 5}), hub)
    await twins.update(report(Order("b", 2, 2), reported={"n": 6}), hub)
    held.released.set()

    with pytest.raises(Conflict) as refused:
        await attempt
    assert refused.value.reason is Reason.SUPERSEDED
    assert await kept_doc(hub.reported) == {"n": 6}


async def test_a_slow_attempt_cannot_land_over_a_later_report_that_changed_nothing() -> None:
    """Bridge and broker died, and the message under way with them; the device reports what it reported before it."""
    hub, held = a_hub(), Held()
    await twins.update(report(Order("b", 1, 4), reported={"n": 1}), hub)
    slow: Hub = replace(hub, reported=Meddled(hub.reported, held))
    attempt = asyncio.create_task(twins.update(report(Order("b", 1, 5), reported={"n": 2}), slow))
    await held.reached.wait()

    accepted = await twins.update(report(Order("b", 2, 1), reported={"n": 1}), hub)
    held.released.set()

    with pytest.raises(Conflict) as refused:
        await attempt
    assert refused.value.reason is Reason.SUPERSEDED
    assert (version_of(accepted), await kept_doc(hub.reported)) == (1, {"n": 1})


async def test_within_a_run_an_attempt_left_behind_was_sent_again_before_anything_later() -> None:
    """So reports that change nothing need not be kept: the repeat has moved the revision from under it."""
    hub, held = a_hub(), Held()
    await twins.update(report(Order("b", 1, 4), reported={"n": 1}), hub)
    slow: Hub = replace(hub, reported=Meddled(hub.reported, held))
    attempt = asyncio.create_task(twins.update(report(Order("b", 1, 5), reported={"n": 2}), slow))
    await held.reached.wait()

    for order, value in ((Order("b", 1, 5), 2), (Order("b", 1, 6), 1), (Order("b", 1, 7), 1)):
        await twins.update(report(order, reported={"n": value}), hub)
    held.released.set()

    with pytest.raises(Conflict) as refused:
        await attempt
    assert refused.value.reason is Reason.SUPERSEDED
    assert await kept_doc(hub.reported) == {"n": 1}


async def test_the_first_report_of_a_bridges_run_is_kept_without_a_new_version_or_event() -> None:
    hub = a_hub()
    await twins.update(report(Order("b", 1, 1), reported={"n": 1}), hub)
    told = len(hub.events.sent)

    accepted = await twins.update(report(Order("b", 2, 1), reported={"n": 1.0}), hub)

    assert version_of(accepted) == 1
    assert len(hub.events.sent) == told


async def test_a_repeat_after_a_write_that_was_never_answered_is_answered() -> None:
    """The first attempt wrote, and died on reading the other half."""
    hub = a_hub()

    async def away(_: str) -> None:
        raise Unavailable

    order, body = Order("b", 1, 1), {"reported": {"n": 1}, "expected_version": 0}
    with pytest.raises(Unavailable):
        await twins.update(report(order, **body), replace(hub, desired=Meddled(hub.desired, away)))

    accepted = json.loads((await twins.update(report(order, **body), hub)).encode())

    assert accepted["updated"]["reported"] == {"version": 1, "doc": {"n": 1}}


@given(st.lists(st.integers(0, 4), min_size=40, max_size=40), st.booleans())
def test_of_a_report_and_a_wish_at_once_at_least_one_tells_the_difference_of_both(
    turns: list[int], agree: bool
) -> None:
    """Whatever the order in which their reads and writes come."""

    async def meet() -> None:
        hub, pace = a_hub(), iter(turns)

        async def wait(_: str) -> None:
            for _turn in range(next(pace, 0)):
                await asyncio.sleep(0)

        met: Hub = replace(hub, desired=Meddled(hub.desired, wait), reported=Meddled(hub.reported, wait))
        await asyncio.gather(
            twins.update(report(reported={"led": "on" if agree else "off", "own": 1}), met),
            twins.desire(wish(desired={"led": "on"}), met),
        )

        desired, reported = await hub.desired.get(ID), await hub.reported.get(ID)
        assert desired is not None
        assert reported is not None
        difference = delta(desired.value.doc, reported.value.doc)
        both = [told for told in hub.events.on(DELTA) if (told.desired_version, told.reported_version) == (1, 1)]
        assert [told.delta for told in both] == ([difference] * len(both))
        assert bool(both) == bool(difference)

    asyncio.run(meet())


@given(
    st.lists(st.integers(0, 3), min_size=30, max_size=30),
    st.lists(st.tuples(st.sampled_from(["same", "own"]), st.sampled_from([None, 0, 1, 2])), min_size=2, max_size=6),
)
def test_of_writers_in_any_order_none_loses_its_write_unless_it_is_told_of_a_conflict(
    turns: list[int], writers: list[tuple[str, int | None]]
) -> None:
    """Also where they write the same key, and where some expect a version."""

    async def write(hub: Hub, number: int, key: str, expected: int | None) -> int:
        wished = TwinDesire(desired={key if key == "same" else f"own{number}": number}, expected_version=expected)
        try:
            view = await twins.desire(call(wished, caller=f"user:u{number}", names=(ID,)), hub)
        except Conflict:
            return 0
        return view.desired_version

    async def meet() -> None:
        hub, pace = a_hub(), iter(turns)

        async def wait(_: str) -> None:
            for _turn in range(next(pace, 0)):
                await asyncio.sleep(0)

        met: Hub = replace(hub, desired=Meddled(hub.desired, wait))
        versions = await asyncio.gather(*(write(met, number, *each) for number, each in enumerate(writers)))

        changes = (await history.list_(call(TwinHistoryQuery(), caller="user:anna", names=(ID,)), hub)).changes
        accepted = sorted(version for version in versions if version)
        assert [each.version for each in reversed(changes)] == accepted == list(range(1, len(accepted) + 1))
        made = {each.version: (each.by, each.change) for each in changes}
        for number, ((key, _), version) in enumerate(zip(writers, versions, strict=True)):
            if version:
                assert made[version] == (f"user:u{number}", {key if key == "same" else f"own{number}": number})
        replayed: dict[str, Any] = {}
        for each in reversed(changes):
            replayed = merge(replayed, each.change)
        assert replayed == await kept_doc(hub.desired)

    asyncio.run(meet())


@given(st.lists(st.integers(0, 4), min_size=40, max_size=40))
def test_of_a_report_and_a_wish_at_once_at_least_one_tells_that_what_is_desired_is_reached(turns: list[int]) -> None:
    """Whatever the order in which their reads and writes come; each that does names the same versions."""

    async def meet() -> None:
        hub, pace = a_hub(), iter(turns)
        await twins.desire(wish(desired={"led": "on"}), hub)

        async def wait(_: str) -> None:
            for _turn in range(next(pace, 0)):
                await asyncio.sleep(0)

        met: Hub = replace(hub, desired=Meddled(hub.desired, wait), reported=Meddled(hub.reported, wait))
        await asyncio.gather(
            twins.update(report(reported={"led": "off"}), met), twins.desire(wish(desired={"led": "off"}), met)
        )

        told = hub.events.on(REACHED)
        assert 1 <= len(told) <= 2
        assert {(each.desired_version, each.reported_version) for each in told} == {(2, 1)}

    asyncio.run(meet())


@given(st.lists(st.sampled_from(range(6)), min_size=1, max_size=12))
def test_a_report_delivered_again_and_again_ends_where_the_last_of_them_does(attempts: list[int]) -> None:
    """Every message is there once in order, with copies of earlier ones strewn in between."""

    async def deliver() -> None:
        hub = a_hub()
        for number in range(6):
            await twins.update(report(Order("b", 1, number), reported={"n": number}), hub)
            for copy in (one for one in attempts if one <= number):
                late = report(Order("b", 1, copy), reported={"n": copy})
                if copy == number:
                    assert version_of(await twins.update(late, hub)) == number + 1
                else:
                    with pytest.raises(Conflict, match="superseded"):
                        await twins.update(late, hub)
                assert await kept_doc(hub.reported) == {"n": number}

    asyncio.run(deliver())
