"""Queues between a broker and functions in memory."""

from collections.abc import AsyncIterator, Callable

import pytest

from bridge.mqtt.backlog import Backlog
from bridge.mqtt.bounds import Bounds
from bridge.mqtt.queues import Queues
from bridge.mqtt.topics import Lane, Table
from tests.unit.bridge.mqtt.memory import QUICK, Claims, MemoryBroker, MemoryFunctions


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def marks() -> MemoryBroker:
    """The broker as far as marks go: ``take_all()`` acknowledges those sent so far."""
    return MemoryBroker()


@pytest.fixture
async def functions() -> MemoryFunctions:
    return MemoryFunctions()


@pytest.fixture
async def make(
    broker: MemoryBroker, marks: MemoryBroker, functions: MemoryFunctions
) -> AsyncIterator[Callable[..., Queues]]:
    """Makes queues in front of the broker and the functions, with no backlog; their tasks end with the test."""
    made: list[Queues] = []

    def queues(
        lane: Lane = Lane.CONTROL, bounds: Bounds = QUICK, prefixes: tuple[str, ...] = ("$devicehub",)
    ) -> Queues:
        table = Table(prefixes, lane)
        backlog = Backlog(marks, "$devicehub/bridge/marker")
        made.append(Queues(broker, functions, table, Claims(), backlog, order=f"local-{lane}/7/", bounds=bounds))
        backlog.come()
        marks.take_all()
        return made[-1]

    yield queues
    for one in made:
        await one.drain(0)
