import asyncio

from gateway.readiness import Readiness, _has_broker
from tests.unit.gateway.rig import Clock, Rig


async def test_however_many_ask_the_hub_is_asked_once_a_second(rig: Rig) -> None:
    clock = Clock()
    readiness = Readiness(rig.bus, clock)

    states = await asyncio.gather(*(readiness.state() for _ in range(100)))
    await readiness.state()
    assert len(rig.bus.asked) == 3
    assert all(state.is_ready for state in states)

    clock.now += 1
    await readiness.state()
    assert len(rig.bus.asked) == 6


async def test_one_who_leaves_takes_the_answer_from_nobody(rig: Rig) -> None:
    readiness = Readiness(rig.bus)
    first = asyncio.create_task(readiness.state())
    second = asyncio.create_task(readiness.state())
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).is_ready


def test_a_broker_is_there_when_every_lane_has_it() -> None:
    def bridge(*connected: bool) -> object:
        lanes = {str(number): {"connected": one} for number, one in enumerate(connected)}
        return {"endpoints": [{"data": {"lanes": lanes}}]}

    assert _has_broker(bridge(True, True))
    assert not _has_broker(bridge(True, False))
    assert not _has_broker(bridge())
    others: list[object] = [None, [], {}, {"endpoints": []}, {"endpoints": [{"data": None}]}]
    for strange in others:
        assert not _has_broker(strange)
