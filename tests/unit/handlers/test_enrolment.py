"""The enrolment window and the whitelist's switch."""

import asyncio
from datetime import timedelta

from functions.contract.messages import EnrolmentOpen, EnrolmentView, Nothing, WhitelistEnforce
from functions.handlers import enrolment
from functions.ports import Hub
from functions.testing import START, call, memory_hub
from tests.unit.handlers.onboarding import Shuffle, meddled


async def read(hub: Hub) -> EnrolmentView:
    return await enrolment.read(call(Nothing()), hub)


async def open_(hub: Hub, minutes: int | None = None) -> EnrolmentView:
    return await enrolment.open_(call(EnrolmentOpen(minutes=minutes)), hub)


async def close(hub: Hub) -> EnrolmentView:
    return await enrolment.close(call(Nothing()), hub)


async def enforce(hub: Hub, enforced: bool) -> EnrolmentView:
    return await enrolment.enforce(call(WhitelistEnforce(enforced=enforced)), hub)


def view(is_open: bool, minutes: int | None = None, enforced: bool = False) -> EnrolmentView:
    until = START + timedelta(minutes=minutes) if minutes is not None else None
    return EnrolmentView(is_open=is_open, open_until=until, whitelist_enforced=enforced, serve_files=None)


async def test_a_new_hub_is_closed_and_enforces_no_whitelist() -> None:
    assert await read(memory_hub()) == view(False)


async def test_a_window_with_a_limit_closes_by_itself() -> None:
    hub = memory_hub()

    assert await open_(hub, 30) == view(True, 30)
    hub.clock.advance(timedelta(minutes=29, seconds=59))
    assert await read(hub) == view(True, 30)
    hub.clock.advance(1)
    assert await read(hub) == view(False)


async def test_a_window_without_a_limit_stays_open_until_it_is_closed() -> None:
    hub = memory_hub()

    assert await open_(hub) == view(True)
    hub.clock.advance(timedelta(days=1_000))
    assert await read(hub) == view(True)
    assert await close(hub) == view(False)
    assert await close(hub) == view(False)


async def test_opening_again_replaces_the_limit() -> None:
    hub = memory_hub()
    await open_(hub, 30)

    assert await open_(hub, 10) == view(True, 10)
    assert await open_(hub) == view(True)


async def test_window_and_whitelist_are_switched_apart() -> None:
    hub = memory_hub()

    assert await enforce(hub, True) == view(False, enforced=True)
    assert await open_(hub, 5) == view(True, 5, enforced=True)
    assert await close(hub) == view(False, enforced=True)
    assert await enforce(hub, False) == view(False)


async def test_operators_who_switch_at_once_lose_nothing() -> None:
    for seed in range(12):
        hub = memory_hub()
        busy = meddled(hub, Shuffle(seed))

        await asyncio.gather(open_(busy, 5), enforce(busy, True))

        assert await read(hub) == view(True, 5, enforced=True)
