"""Queues between a broker and functions in memory."""

from collections.abc import AsyncIterator, Callable

import pytest

from bridge.mqtt.queues import Bounds, Queues
from bridge.mqtt.topics import Lane, Table
from tests.unit.bridge.mqtt.memory import QUICK, Claims, MemoryBroker, MemoryFunctions


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def functions() -> MemoryFunctions:
    return MemoryFunctions()


@pytest.fixture
async def make(broker: MemoryBroker, functions: MemoryFunctions) -> AsyncIterator[Callable[..., Queues]]:
    """Makes queues in front of the broker and the functions; their tasks end with the test."""
    made: list[Queues] = []

    def queues(
        lane: Lane = Lane.CONTROL, bounds: Bounds = QUICK, prefixes: tuple[str, ...] = ("$devicehub",)
    ) -> Queues:
        table = Table(prefixes, lane)
        made.append(Queues(broker, functions, table, Claims(), order=f"local-{lane}/7/", bounds=bounds))
        return made[-1]

    yield queues
    for one in made:
        await one.drain(0)
