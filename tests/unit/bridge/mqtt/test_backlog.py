"""When what the broker gathered has come."""

from bridge.mqtt.backlog import Backlog
from functions.domain.faults import NotFound, Reason
from tests.unit.bridge.mqtt.memory import MemoryBroker


async def test_it_is_over_when_the_mark_behind_it_is_acknowledged() -> None:
    broker = MemoryBroker()
    backlog = Backlog(broker, "marker")

    assert not backlog.is_over
    backlog.come()
    assert not backlog.is_over
    # What the broker says of a topic that nobody subscribes to.
    broker.receipts[0](NotFound(Reason.NOT_SUBSCRIBED))

    assert backlog.is_over
    backlog.gather()
    assert not backlog.is_over


async def test_a_mark_that_is_lost_with_its_connection_ends_nothing() -> None:
    broker = MemoryBroker()
    backlog = Backlog(broker, "marker")

    backlog.come()
    broker.lose()
    backlog.come()
    assert not backlog.is_over

    broker.reopen()
    backlog.come()
    broker.take_all()
    assert backlog.is_over
