"""Each client's news arrive in order, and until they do the broker is not told that it may forget them."""

import asyncio

import pytest

from bridge.broker.alarms import Alarms
from bridge.broker.follower import CLOSED, OPENED, RESTARTED
from bridge.broker.port import Pauses
from bridge.broker.reports import Report, Reports
from functions.contract.messages import BrokerRestarted, SessionClosed, SessionOpened
from functions.domain.faults import Denied, Fault, NotFound, Reason, Unavailable
from tests.unit.bridge.broker.memory import NOW, MemoryFunctions


class Rig:
    def __init__(self) -> None:
        self.functions = MemoryFunctions()
        self.alarms = Alarms(self.functions)
        self.reports = Reports(self.functions, self.alarms, Pauses(0.001, 0.004))
        self.done: list[str] = []
        self.refused: list[str] = []

    def opened(self, client_id: str, mark: str = "") -> None:
        name = mark or f"opened {client_id}"
        body = SessionOpened(broker="local", client_id=client_id, common_name=client_id, address="a:1", at=NOW)
        report = Report(OPENED, body, lambda: self.done.append(name), lambda: self.refused.append(name))
        self.reports.add(client_id, report)

    def closed(self, client_id: str, mark: str = "") -> None:
        name = mark or f"closed {client_id}"
        body = SessionClosed(broker="local", client_id=client_id, evidence="disconnected", at=NOW)
        self.reports.add(client_id, Report(CLOSED, body, lambda: self.done.append(name)))

    def restart(self) -> None:
        body = BrokerRestarted(broker="local", at=NOW)
        self.reports.restart(Report(RESTARTED, body, lambda: self.done.append("restarted")))

    async def settled(self) -> list[str]:
        async with asyncio.timeout(5):
            await self.reports.settled()
        return [line.removesuffix(" disconnected") for line in self.functions.lines]


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_the_news_of_a_client_come_in_order_whatever_fails(rig: Rig) -> None:
    rig.functions.faults["sessions.opened"] = [Unavailable(), Unavailable(Reason.TIMEOUT)]

    rig.opened("A")
    rig.closed("A")
    rig.opened("A")

    assert await rig.settled() == ["opened A A", "closed A", "opened A A"]
    assert rig.done == ["opened A", "closed A", "opened A"]


async def test_nothing_is_done_before_functions_have_taken_it(rig: Rig) -> None:
    rig.functions.gate.clear()
    rig.opened("A")
    await asyncio.sleep(0)
    assert not rig.done
    assert rig.reports.is_pending("A")

    rig.functions.gate.set()
    await rig.settled()

    assert rig.done == ["opened A"]
    assert not rig.reports.is_pending("A")


async def test_many_clients_are_told_at_once_but_not_without_bound(rig: Rig) -> None:
    rig.functions.gate.clear()
    for number in range(100):
        rig.opened(f"D{number}")
    await rig.functions.until(lambda: rig.functions.running == 32)
    rig.functions.gate.set()
    await rig.settled()

    assert len(rig.functions.told) == 100
    assert rig.functions.most_running == 32


async def test_a_denied_session_is_refused_and_not_asked_again(rig: Rig) -> None:
    rig.functions.faults["sessions.opened"] = [Denied()]

    rig.opened("A")
    rig.closed("A")

    assert await rig.settled() == ["closed A"]
    assert rig.refused == ["opened A"]
    assert rig.done == ["opened A", "closed A"]


@pytest.mark.parametrize("fault", [Denied(Reason.DEVICE_SUSPENDED), NotFound(Reason.UNKNOWN_DEVICE)])
async def test_what_concerns_only_the_device_s_record_is_no_wrong_session(rig: Rig, fault: Fault) -> None:
    rig.functions.faults["sessions.opened"] = [fault]

    rig.opened("A")
    await rig.settled()

    assert not rig.refused
    assert rig.done == ["opened A"]


async def test_a_report_that_nobody_can_take_is_an_alarm_and_makes_way(rig: Rig) -> None:
    rig.functions.faults["sessions.opened"] = [Fault()] * 5

    rig.opened("A")
    rig.closed("A")

    assert await rig.settled() == ["closed A"]
    assert rig.alarms.counts["report-failed"] == 1


async def test_a_restart_makes_void_what_waits_and_comes_before_all_that_follows(rig: Rig) -> None:
    rig.functions.gate.clear()
    rig.opened("A", "A runs")
    rig.opened("A", "A waits")
    await rig.functions.until(lambda: rig.functions.running == 1)

    rig.restart()
    rig.opened("A", "A anew")
    rig.opened("B", "B anew")
    assert rig.done == ["A waits"]
    rig.functions.gate.set()

    lines = await rig.settled()
    assert lines[:2] == ["opened A A", f"restarted {int(NOW.timestamp())}"]
    assert sorted(lines[2:]) == ["opened A A", "opened B B"]
    assert rig.done[:3] == ["A waits", "A runs", "restarted"]


async def test_a_restart_does_not_wait_for_what_cannot_be_told(rig: Rig) -> None:
    rig.functions.faults["sessions.opened"] = [Unavailable()] * 3
    rig.opened("A")
    await rig.functions.until(lambda: rig.functions.asked["sessions.opened"] == 1)

    rig.restart()

    assert (await rig.settled())[0].startswith("restarted")
    assert rig.functions.asked["sessions.opened"] == 1


async def test_two_restarts_are_told_one_after_the_other(rig: Rig) -> None:
    rig.functions.faults["restarted"] = [Unavailable()]

    rig.restart()
    rig.restart()
    rig.opened("A")

    lines = await rig.settled()
    assert lines[-1] == "opened A A"
    assert rig.done.count("restarted") == 2


async def test_a_client_that_comes_and_goes_for_long_is_told_by_its_last_news(rig: Rig) -> None:
    rig.functions.gate.clear()
    for _ in range(100):
        rig.opened("A")
        rig.closed("A")
    await rig.functions.until(lambda: rig.functions.running == 1)
    assert len(rig.done) == 200 - 16

    rig.functions.gate.set()
    lines = await rig.settled()

    assert len(lines) == 16
    assert lines[-2:] == ["opened A A", "closed A"]
    assert len(rig.done) == 200


async def test_stopping_leaves_the_lines_with_the_broker(rig: Rig) -> None:
    rig.functions.gate.clear()
    rig.opened("A")
    await asyncio.sleep(0)

    await rig.reports.stop()

    assert not rig.done
