"""Jobs as workers do them, on a hub in memory: every device has one result, whoever works and whatever is away."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.adapters.codec import Codec
from functions.adapters.tinydb_store import TinyStore
from functions.contract.messages import (
    JobDetail,
    JobItemQuery,
    JobPage,
    JobProgress,
    JobQuery,
    JobView,
    MethodJob,
    MethodRequest,
    MethodResponse,
    Nothing,
    TagJob,
    TwinJob,
)
from functions.domain.devices import Device
from functions.domain.faults import Conflict, Denied, Malformed, NotFound, Reason, Unavailable
from functions.domain.jobs import MADE_WITHIN, MOST_OVER, OVER_KEPT, PLACES, Place
from functions.domain.marks import Mark
from functions.domain.names import DeviceId
from functions.domain.sessions import Presence
from functions.handlers import batches, jobs
from functions.handlers.job_places import forget_jobs
from functions.jobs import Jobs
from functions.ports import Hub
from functions.routes import ROUTES
from functions.testing import START, MemoryHub, SettableClock, call, collect, memory_hub, refused

WISH = {"led": "on"}


def fleet(number: int, **kept: Any) -> MemoryHub:
    devices = {name: Device(name, START, START) for name in names(number)}
    return memory_hub(devices=devices, **kept)


def names(number: int) -> list[str]:
    return [f"pump-{each:04}" for each in range(number)]


async def wish(hub: Hub, devices: list[str], rate: float | None = None) -> JobView:
    return await batches.twins(call(TwinJob(devices=devices, desired=WISH, rate=rate), caller="user:anna"), hub)


async def shown(hub: Hub, job: JobView, **asked: Any) -> JobDetail:
    return await jobs.read(call(JobItemQuery(**{"limit": 1000, **asked}), names=(job.id,)), hub)


async def work(hub: Hub, runner: Jobs | None = None) -> None:
    """What a worker does until no job is left that it could take."""
    runner = runner or Jobs(hub, ROUTES)
    await runner.look(hub)
    await runner.idle()
    await runner.look(hub)


def states(detail: JobDetail) -> dict[str, int]:
    return dict(Counter(item.state for item in detail.items))


async def test_a_wish_reaches_every_device_that_was_named() -> None:
    hub = fleet(250)

    made = await wish(hub, names(250))
    await work(hub)

    assert (made.state, made.total, made.waiting) == ("running", 250, 250)
    told = await shown(hub, made)
    assert (told.state, told.done, told.waiting, told.body) == ("done", 250, 0, {"desired": WISH})
    assert [item.device for item in told.items] == names(250)
    assert {item.state for item in told.items} == {"done"}
    halves = await collect(hub.desired.entries())
    assert {key: kept.value.doc for key, kept in halves.items()} == dict.fromkeys(names(250), WISH)
    assert await collect(hub.job_places.entries()) == {}


async def test_what_is_done_is_done_in_the_name_of_who_asked() -> None:
    hub = fleet(1)

    made = await wish(hub, names(1))
    await work(hub)

    written = [(one.action, one.actor, one.call, one.target) for one in hub.audit.written]
    assert written == [
        ("job.created", "user:anna", "test-call", made.id),
        ("twin.desired", "user:anna", made.id, "pump-0000"),
    ]


async def test_devices_that_nobody_knows_have_failed_by_name() -> None:
    hub = fleet(1)

    made = await wish(hub, ["nobody", "pump-0000", "nobody"])
    await work(hub)

    told = await shown(hub, made)
    assert [(item.device, item.state, item.error) for item in told.items] == [
        ("nobody", "failed", "unknown_device"),
        ("pump-0000", "done", None),
    ]
    assert (told.state, told.done, told.failed) == ("done", 1, 1)


async def test_devices_can_be_meant_by_a_query() -> None:
    hub = memory_hub(
        devices={
            name: Device(name, START, START, tags={"site": "north"} if number % 2 else {})
            for number, name in enumerate(names(10))
        }
    )

    made = await batches.tags(call(TagJob(q="tag:site=north", tags={"floor": "2", "site": None})), hub)
    await work(hub)

    assert [item.device for item in (await shown(hub, made)).items] == names(10)[1::2]
    kept = await collect(hub.devices.entries())
    assert [name for name, one in kept.items() if one.value.tags == {"floor": "2"}] == names(10)[1::2]


async def test_an_empty_query_means_every_device_and_one_for_nobody_is_done() -> None:
    hub = fleet(3)

    everyone = await batches.twins(call(TwinJob(q="", desired=WISH)), hub)
    nobody = await batches.twins(call(TwinJob(q="tag:none", desired=WISH)), hub)

    assert everyone.total == 3
    assert (nobody.total, nobody.state, nobody.finished_at) == (0, "done", START)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"rate": 5.0},
        {"devices": ["pump-0000"], "q": "x"},
        {"devices": ["pump-0000"], "group": ["a"]},
        {"q": "tag:("},
    ],
)
async def test_it_must_be_clear_which_devices_are_meant(asked: dict[str, Any]) -> None:
    with refused(Malformed):
        await batches.twins(call(TwinJob(desired=WISH, **asked)), fleet(1))


async def test_what_no_device_takes_is_refused_at_once() -> None:
    hub = fleet(1)
    with refused(Malformed):
        await batches.twins(call(TwinJob(devices=names(1), desired={"x": "y" * 40_000})), hub)
    with refused(Malformed):
        await batches.methods(call(MethodJob(devices=names(1), method="m", payload="y" * 40_000)), hub)
    with refused(Malformed):
        await batches.tags(call(TagJob(devices=names(1), tags={"": "x"})), hub)

    assert await collect(hub.jobs.entries()) == {}


async def test_a_method_is_called_and_its_answer_kept() -> None:
    hub = fleet(4, presence={name: Presence(True, START, "connected") for name in names(3)})

    def respond(device: DeviceId, request: MethodRequest) -> MethodResponse:
        status = 500 if device == "pump-0001" else 200
        payload = "x" * 2000 if device == "pump-0002" else request.payload
        return MethodResponse(request_id=request.request_id, status=status, payload=payload, message="m" * 900)

    hub.downlink.respond = respond
    made = await batches.methods(call(MethodJob(devices=names(4), method="reboot", payload={"in": 5})), hub)
    await work(hub)

    one, failed, long, away = (await shown(hub, made)).items
    assert (one.state, one.status, one.payload, one.payload_cut) == ("done", 200, {"in": 5}, False)
    assert (failed.state, failed.status, failed.error) == ("failed", 500, None)
    assert (long.state, long.payload, long.payload_cut, len(long.message or "")) == ("done", None, True, 256)
    assert (away.state, away.error) == ("failed", "device_offline")


async def test_what_failed_can_be_tried_again() -> None:
    hub = fleet(3)
    made = await wish(hub, [*names(3), "late-0001", "late-0002"])
    with refused(Conflict):
        await jobs.retry(call(Nothing(), names=(made.id,)), hub)
    await work(hub)
    await hub.devices.create("late-0001", Device("late-0001", START, START))
    hub.clock.advance(1)

    again = await jobs.retry(call(Nothing(), names=(made.id,), caller="user:bert"), hub)
    await work(hub)

    told = await shown(hub, again)
    assert (told.retry_of, told.by, told.done, told.failed) == (made.id, "user:bert", 1, 1)
    assert [item.device for item in told.items] == ["late-0001", "late-0002"]
    assert [one.action for one in hub.audit.written if one.kind == "job"] == ["job.created", "job.retried"]


async def test_a_job_of_which_nothing_failed_cannot_be_retried() -> None:
    hub = fleet(1)
    made = await wish(hub, names(1))
    await work(hub)

    with refused(Conflict):
        await jobs.retry(call(Nothing(), names=(made.id,)), hub)


class Moved:
    """Seconds that pass where somebody sleeps, and at what times devices were begun."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        # What was begun begins at the time it was begun at.
        for _ in range(5):
            await asyncio.sleep(0)
        self.now += seconds


@pytest.mark.parametrize("rate", [0.5, 7.0, 200.0])
async def test_a_rate_is_held(rate: float) -> None:
    hub, clock, begun = fleet(40), Moved(), list[float]()

    async def handler(asked: Any, hub: Any) -> Any:
        begun.append(clock.now)
        return Nothing()

    routes = [replace(route, handler=handler) for route in ROUTES]
    await wish(hub, names(40), rate=rate)
    await work(hub, Jobs(hub, routes, now=clock, sleep=clock.sleep))

    assert len(begun) == 40
    gaps = [later - earlier for earlier, later in pairwise(begun)]
    assert min(gaps) >= 1 / rate - 0.06
    assert begun[-1] - begun[0] == pytest.approx(39 / rate, rel=0.02, abs=0.06)


async def test_a_cancelled_job_begins_nothing_more_and_leaves_none_waiting() -> None:
    hub = fleet(300)
    runner = Jobs(hub, ROUTES)
    made = await wish(hub, names(300), rate=20)
    await runner.look(hub)
    await asyncio.sleep(0.3)

    cancelled = await jobs.cancel_(call(Nothing(), names=(made.id,), caller="user:bert"), hub)
    async with asyncio.timeout(3):
        await runner.idle()

    told = await shown(hub, made)
    assert (cancelled.state, told.state, told.cancelled_by) == ("cancelling", "cancelled", "user:bert")
    assert told.done >= 1
    assert told.done + told.cancelled == 300
    assert told.waiting == 0
    assert states(told) == {"done": told.done, "cancelled": told.cancelled}
    again = await jobs.cancel_(call(Nothing(), names=(made.id,)), hub)
    assert again.state == "cancelled"
    assert [one.action for one in hub.audit.written if one.kind == "job"] == ["job.created", "job.cancelled"]


async def test_a_job_cancelled_before_anybody_took_it_does_nothing() -> None:
    hub = fleet(3)
    made = await wish(hub, names(3))
    await jobs.cancel_(call(Nothing(), names=(made.id,)), hub)

    await work(hub)

    told = await shown(hub, made)
    assert (told.state, states(told)) == ("cancelled", {"cancelled": 3})
    assert await collect(hub.desired.entries()) == {}


async def test_a_worker_that_ends_hands_its_job_over_at_once() -> None:
    hub = fleet(300)
    first = Jobs(hub, ROUTES)
    made = await wish(hub, names(300), rate=50)
    await first.look(hub)
    await asyncio.sleep(0.2)
    await first.stop()
    between = await shown(hub, made)

    other = Moved()
    await work(hub, Jobs(hub, ROUTES, now=other, sleep=other.sleep))

    assert 1 <= between.done < 300
    assert between.state == "running"
    told = await shown(hub, made)
    assert (told.state, states(told)) == ("done", {"done": 300})
    # Nobody was asked twice, as the first one wrote what it had done.
    assert sum(one.action == "twin.desired" for one in hub.audit.written) == 300


async def test_the_job_of_a_worker_that_died_is_taken_when_its_time_is_over() -> None:
    hub = fleet(300)
    died = Jobs(hub, ROUTES)
    made = await wish(hub, names(300), rate=50)
    await died.look(hub)
    await asyncio.sleep(0.1)
    for _, task in died._working.values():
        task.cancel()
    await died.idle()

    runner, clock = Jobs(hub, ROUTES), Moved()
    await runner.look(hub)
    await runner.idle()
    early = await shown(hub, made)
    hub.clock.advance(timedelta(seconds=10))
    await work(hub, Jobs(hub, ROUTES, now=clock, sleep=clock.sleep))

    assert (early.state, early.done) == ("running", 0)
    assert states(await shown(hub, made)) == {"done": 300}


async def test_two_workers_leave_one_result_for_each_device() -> None:
    hub = fleet(150)
    slow = Jobs(hub, ROUTES)
    made = await wish(hub, names(150), rate=100)
    await slow.look(hub)
    await asyncio.sleep(0.1)
    # As of a worker that was held up for so long that another took its job.
    hub.clock.advance(timedelta(seconds=10))
    await work(hub, Jobs(hub, ROUTES, now=(other := Moved()), sleep=other.sleep))
    first = await shown(hub, made)
    async with asyncio.timeout(5):
        await slow.idle()

    assert (first.state, states(first)) == ("done", {"done": 150})
    assert await shown(hub, made) == first


async def test_devices_wait_while_the_storage_is_away() -> None:
    hub, clock = fleet(5), Moved()
    made = await wish(hub, names(5))
    fails = iter([True, True, False, True])

    async def handler(asked: Any, hub: Any) -> Any:
        if next(fails, False):
            raise Unavailable
        return Nothing()

    routes = [replace(route, handler=handler) for route in ROUTES]
    await work(hub, Jobs(hub, routes, now=clock, sleep=clock.sleep))

    assert states(await shown(hub, made)) == {"done": 5}


@pytest.mark.parametrize("reason", [Reason.UNAVAILABLE, Reason.TIMEOUT])
async def test_a_device_that_stays_away_fails_in_the_end(reason: Reason) -> None:
    hub, clock = fleet(1), Moved()
    made = await wish(hub, names(1))

    async def handler(asked: Any, hub: Any) -> Any:
        raise Unavailable(reason, "Nobody is there.")

    routes = [replace(route, handler=handler) for route in ROUTES]
    await work(hub, Jobs(hub, routes, now=clock, sleep=clock.sleep))

    (one,) = (await shown(hub, made)).items
    assert (one.state, one.error, one.message) == ("failed", str(reason), "Nobody is there.")
    assert 20 < clock.now < 60


async def test_a_method_that_timed_out_is_not_called_again() -> None:
    hub, calls = fleet(1), list[str]()
    made = await batches.methods(call(MethodJob(devices=names(1), method="reboot")), hub)

    async def handler(asked: Any, hub: Any) -> Any:
        calls.append(asked.device)
        raise Unavailable(Reason.TIMEOUT)

    await work(hub, Jobs(hub, [replace(route, handler=handler) for route in ROUTES]))

    assert calls == names(1)
    assert (await shown(hub, made)).items[0].error == "timeout"


async def test_what_nobody_foresaw_fails_a_device_and_no_other() -> None:
    hub = fleet(3)
    made = await wish(hub, names(3))

    async def handler(asked: Any, hub: Any) -> Any:
        if asked.device == "pump-0001":
            raise ZeroDivisionError
        return Nothing()

    await work(hub, Jobs(hub, [replace(route, handler=handler) for route in ROUTES]))

    assert [item.error for item in (await shown(hub, made)).items] == [None, "internal", None]


async def test_progress_is_told_at_the_beginning_and_the_end() -> None:
    hub = fleet(120)
    made = await wish(hub, [*names(120), "nobody"])
    await work(hub)

    told = hub.events.on(f"devicehub.jobs.{made.id}.progress")
    first = JobProgress(job_id=made.id, state="running", total=121, done=0, failed=0, cancelled=0)
    last = JobProgress(job_id=made.id, state="done", total=121, done=120, failed=1, cancelled=0)
    assert (told[0], told[-1]) == (first, last)
    assert len(told) <= 3


async def test_an_application_needs_the_scope_of_what_a_job_does() -> None:
    hub = fleet(1)
    made = await wish(hub, names(1))

    def app(body: Any, *scopes: str) -> Any:
        return call(body, names=(made.id,), caller="app:dashboard", scopes=scopes)

    for handler, body, scope in (
        (jobs.read, JobItemQuery(), "twins:read"),
        (jobs.cancel_, Nothing(), "twins:write"),
        (jobs.retry, Nothing(), "twins:write"),
    ):
        with refused(Denied):
            await handler(app(body, "devices:read", "devices:write"), hub)
        # A job that is not over cannot be retried by anybody.
        with suppress(Conflict):
            await handler(app(body, "devices:read", scope), hub)


async def test_an_unknown_job_is_not_found() -> None:
    hub = fleet(1)
    with refused(NotFound):
        await jobs.read(call(JobItemQuery(), names=("none",)), hub)
    with refused(NotFound):
        await jobs.cancel_(call(Nothing(), names=("none",)), hub)
    with refused(NotFound):
        await jobs.retry(call(Nothing(), names=("none",)), hub)


async def listed(hub: Hub, **asked: Any) -> JobPage:
    return await jobs.list_(call(JobQuery(**asked)), hub)


async def test_jobs_are_listed_the_newest_first() -> None:
    hub, made = fleet(1), list[str]()
    for _ in range(5):
        made.append((await wish(hub, names(1))).id)
        hub.clock.advance(1)
    await batches.methods(call(MethodJob(devices=names(1), method="reboot")), hub)

    page = await listed(hub, kind="twins", limit=2, offset=1)
    assert ([job.id for job in page.jobs], page.total) == ([made[3], made[2]], 5)
    assert (await listed(hub, state="done")).total == 0


async def test_items_can_be_paged_and_told_apart() -> None:
    hub = fleet(250)
    made = await wish(hub, [*names(250), "nobody"])
    await work(hub)

    middle = await shown(hub, made, offset=95, limit=10)
    failed = await shown(hub, made, state="failed")
    beyond = await shown(hub, made, offset=1000)

    assert ([item.device for item in middle.items], middle.matches) == (names(250)[95:105], 251)
    assert ([item.device for item in failed.items], failed.matches) == (["nobody"], 1)
    assert (beyond.items, beyond.matches) == ([], 251)


async def test_there_are_only_so_many_jobs_at_once() -> None:
    hub = fleet(1)
    for _ in range(PLACES):
        await wish(hub, names(1))

    with pytest.raises(Unavailable) as fault:
        await wish(hub, names(1))

    assert fault.value.reason is Reason.RATE_LIMITED
    assert (await listed(hub)).total == PLACES


async def test_what_is_left_of_a_job_that_was_never_made_goes() -> None:
    hub = fleet(1)
    made = await wish(hub, names(1))
    head = await hub.jobs.get(made.id)
    assert head is not None
    await hub.jobs.remove(made.id, expect=head.revision)

    await Jobs(hub, ROUTES).look(hub)
    assert len(await collect(hub.job_places.entries())) == 1
    hub.clock.advance(MADE_WITHIN)
    await Jobs(hub, ROUTES).look(hub)

    assert (await collect(hub.job_places.entries()), await collect(hub.job_parts.entries())) == ({}, {})


async def test_old_jobs_are_forgotten_with_all_their_parts() -> None:
    hub = fleet(1)
    await wish(hub, names(1))
    await work(hub)
    hub.clock.advance(OVER_KEPT - timedelta(hours=1))
    young = await wish(hub, names(1))
    await work(hub)
    running = await wish(hub, names(1))

    await forget_jobs(hub)
    assert (await listed(hub)).total == 3
    hub.clock.advance(timedelta(hours=1))
    await forget_jobs(hub)

    assert {job.id for job in (await listed(hub)).jobs} == {young.id, running.id}
    assert len(await collect(hub.job_parts.entries())) == 2
    assert MOST_OVER == 1000


@settings(max_examples=25, deadline=None)
@given(
    devices=st.integers(1, 260),
    unknown=st.sets(st.integers(0, 259)),
    steps=st.lists(st.sampled_from(["stop", "kill", "cancel"]), max_size=4),
    turns=st.lists(st.integers(0, 400), min_size=4, max_size=4),
)
def test_every_device_has_exactly_one_result(
    devices: int, unknown: set[int], steps: list[str], turns: list[int]
) -> None:
    async def run() -> None:
        everyone = names(devices)
        hub = memory_hub(
            devices={name: Device(name, START, START) for n, name in enumerate(everyone) if n not in unknown}
        )
        made = await wish(hub, everyone)
        for step, wait in zip(steps, turns, strict=False):
            runner = Jobs(hub, ROUTES)
            await runner.look(hub)
            for _ in range(wait):
                await asyncio.sleep(0)
            if step == "stop":
                await runner.stop()
            elif step == "cancel":
                await jobs.cancel_(call(Nothing(), names=(made.id,)), hub)
                await runner.stop()
            else:
                for _, task in runner._working.values():
                    task.cancel()
                await runner.idle()
            hub.clock.advance(timedelta(seconds=10))
        await work(hub)

        told = await shown(hub, made)
        assert [item.device for item in told.items] == everyone
        tally = Counter(item.state for item in told.items)
        assert (told.done, told.failed, told.cancelled) == (tally["done"], tally["failed"], tally["cancelled"])
        assert tally["waiting"] == told.waiting == 0
        assert tally["failed"] <= len(unknown)
        assert told.state == ("cancelled" if tally["cancelled"] else "done")
        if "cancel" not in steps:
            assert tally["done"] == sum(n not in unknown for n in range(devices))
        assert await collect(hub.job_places.entries()) == {}

    asyncio.run(run())


async def spoil(store: Any, key: str) -> None:
    """Have a record be none that the store can read."""
    kept = await store.get(key)
    await TinyStore(store._table, Codec(Mark), SettableClock()).replace(key, Mark(START), expect=kept.revision)


async def test_a_part_that_cannot_be_read_counts_as_failed_and_the_job_ends() -> None:
    hub = fleet(250)
    made = await wish(hub, names(250))
    await spoil(hub.job_parts, f"{made.id}-1")
    before = await shown(hub, made)

    await work(hub)

    told = await shown(hub, made)
    assert (told.state, told.done, told.failed, told.waiting) == ("done", 150, 100, 0)
    lost = [item for item in told.items if item.state == "failed"]
    assert lost == told.items[100:200]
    assert {(item.device, item.error) for item in lost} == {("-", "internal")}
    assert "cannot be read" in (lost[0].message or "")
    assert [item.device for item in before.items[100:200]] == ["-"] * 100
    with refused(Conflict):
        await jobs.retry(call(Nothing(), names=(made.id,)), hub)


async def test_what_is_known_of_a_part_that_cannot_be_read_is_tried_again() -> None:
    hub = fleet(101)
    made = await wish(hub, [*names(100), "nobody"])
    await spoil(hub.job_parts, f"{made.id}-0")
    await work(hub)

    again = await jobs.retry(call(Nothing(), names=(made.id,)), hub)

    assert (again.total, [item.device for item in (await shown(hub, again)).items]) == (1, ["nobody"])


async def test_a_job_that_cannot_be_read_keeps_no_other_and_is_told() -> None:
    hub = fleet(1)
    bad = await wish(hub, names(1))
    await spoil(hub.jobs, bad.id)
    hub.clock.advance(1)
    good = await wish(hub, names(1))

    await work(hub)
    await forget_jobs(hub)

    assert [(job.id, job.state) for job in (await listed(hub)).jobs] == [(good.id, "done")]
    open_alarms = [kept.value.kind for kept in (await collect(hub.alarms.entries())).values()]
    assert open_alarms == ["record-unreadable"]


async def test_a_place_that_is_being_made_is_left_alone() -> None:
    hub = fleet(1)
    await hub.job_places.create("07", Place("soon", 1))

    await Jobs(hub, ROUTES).look(hub)

    assert len(await collect(hub.job_places.entries())) == 1
