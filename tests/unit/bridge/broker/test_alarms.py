"""Alarms reach the bus and are counted, and one client cannot flood the log with them."""

import json
from collections.abc import Mapping

from structlog.testing import capture_logs

from bridge.broker.alarms import SUBJECT, Alarms
from functions.domain.faults import Unavailable
from tests.unit.bridge.broker.memory import NOW, MemoryFunctions


async def test_an_alarm_is_told_in_the_log_and_on_the_bus() -> None:
    functions = MemoryFunctions()
    alarms = Alarms(functions)

    with capture_logs() as logged:
        alarms.tell("foreign-client-id", client_id="EDGB-0002", common_name="EDGB-0001", address="10.0.0.1:5", at=NOW)
        await alarms.told()

    ((subject, payload),) = functions.published
    assert subject == SUBJECT
    assert json.loads(payload) == {
        "kind": "foreign-client-id",
        "clientId": "EDGB-0002",
        "commonName": "EDGB-0001",
        "address": "10.0.0.1:5",
        "at": "2026-11-22T12:00:00.000Z",
    }
    assert logged[0]["log_level"] == "error"
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
    assert len(functions.published) == 3


async def test_a_long_client_id_is_cut() -> None:
    functions = MemoryFunctions()
    alarms = Alarms(functions)

    alarms.tell("messages-dropped", client_id="x" * 5000)
    await alarms.told()

    assert len(functions.published[0][1]) < 500


async def test_an_alarm_that_cannot_be_published_is_still_counted() -> None:
    class Away(MemoryFunctions):
        async def publish(self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None) -> None:
            raise Unavailable()

    alarms = Alarms(Away())

    alarms.tell("crl-lapsed")
    await alarms.told()

    assert alarms.counts["crl-lapsed"] == 1
