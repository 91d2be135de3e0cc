"""Alarms reach the functions and are counted, and one client cannot flood the log with them."""

import asyncio

from structlog.testing import capture_logs

from bridge.broker.alarms import RAISE, Alarms
from bridge.broker.port import Pauses
from functions.contract.messages import AlarmRaise
from functions.domain.faults import Malformed, Unavailable
from tests.unit.bridge.broker.memory import NOW, MemoryFunctions

SHORT = Pauses(0.001, 0.001)


async def test_an_alarm_is_told_in_the_log_and_raised_with_the_functions() -> None:
    functions = MemoryFunctions()
    alarms = Alarms(functions)

    with capture_logs() as logged:
        alarms.tell("foreign-client-id", client_id="EDGB-0002", common_name="EDGB-0001", address="10.0.0.1:5", at=NOW)
        await alarms.told()

    assert RAISE == "devicehub.alarms.raise"
    assert functions.raised == [
        AlarmRaise(
            kind="foreign-client-id",
            subject="EDGB-0001",
            detail="The client id is 'EDGB-0002'. The certificate is of 'EDGB-0001'. It came from 10.0.0.1:5.",
        )
    ]
    assert (logged[0]["log_level"], logged[0]["at"]) == ("error", "2026-11-22T12:00:00.000Z")
    assert alarms.counts == {"foreign-client-id": 1}


async def test_a_repeated_alarm_is_counted_and_told_again_only_after_a_while() -> None:
    functions = MemoryFunctions()
    now = [0.0]
    alarms = Alarms(functions, lambda: now[0])

    for at in (0.0, 1.0, 9.0, 10.0, 11.0):
        now[0] = at
        alarms.tell("foreign-client-id", client_id="EDGB-0002", common_name="EDGB-0001")
    alarms.tell("foreign-client-id", client_id="EDGB-0003", common_name="EDGB-0001")
    await alarms.told()

    assert alarms.counts["foreign-client-id"] == 6
    assert len(functions.raised) == 3


async def test_what_a_client_or_a_log_line_says_is_cut() -> None:
    functions = MemoryFunctions()
    alarms = Alarms(functions)

    alarms.tell("messages-dropped", client_id="x" * 5000, detail="y" * 5000)
    await alarms.told()

    assert len(functions.raised[0].encode()) < 1000


async def test_an_alarm_waits_for_functions_that_are_away() -> None:
    functions = MemoryFunctions()
    functions.faults["alarms.raise"] = [Unavailable()] * 5
    alarms = Alarms(functions, pauses=SHORT)

    alarms.tell("crl-lapsed")
    await alarms.told()

    assert [one.kind for one in functions.raised] == ["crl-lapsed"]
    assert alarms.counts["crl-lapsed"] == 1


async def test_a_refused_alarm_is_not_tried_again() -> None:
    functions = MemoryFunctions()
    functions.faults["alarms.raise"] = [Malformed()]
    alarms = Alarms(functions, pauses=SHORT)

    with capture_logs() as logged:
        alarms.tell("crl-lapsed")
        await alarms.told()

    assert functions.raised == []
    assert logged[-1]["event"] == "alarm not raised"


async def test_very_many_that_wait_are_told_in_the_log_only() -> None:
    functions = MemoryFunctions()
    functions.faults["alarms.raise"] = [Unavailable()] * 128
    alarms = Alarms(functions, pauses=SHORT)

    with capture_logs() as logged:
        for number in range(200):
            alarms.tell("foreign-client-id", client_id=f"client-{number}")
        await asyncio.wait_for(alarms.told(), 10)

    assert len([line for line in logged if line["event"] == "alarm"]) == 200
    assert len(functions.raised) == 128
    assert alarms.counts["foreign-client-id"] == 200
