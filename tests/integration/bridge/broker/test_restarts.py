"""The broker is killed, stopped and started again, with and without the bridge: what holds afterwards."""

import asyncio
import time

import pytest

from functions.contract.messages import BrokerRestarted
from tests.integration.bridge.broker.client import Refused
from tests.integration.bridge.broker.conftest import Join, Keeping


async def end(keeping: Keeping, *, in_order: bool = False) -> None:
    """End the broker, and wait until the lane has noticed."""
    keeping.broker.stop() if in_order else keeping.broker.kill()
    async with asyncio.timeout(10):
        await keeping.lane.session.disconnected.wait()
        # The lane's task is told in the same turn of the loop.
        while keeping.lane.subscribed.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def begin(keeping: Keeping) -> None:
    """Start the broker, and wait until the lane has its session again."""
    keeping.broker.start()
    async with asyncio.timeout(10):
        await keeping.lane.subscribed.wait()


async def test_a_killed_broker_keeps_the_subscription_and_tells_who_came_before_the_bridge(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    await keeping.saved()
    issue = keeping.broker.authority.issue
    first, second = issue("EDGB-0001"), issue("EDGB-0002")
    await join(first, "EDGB-0001")
    await join(second, "EDGB-0002")
    await keeping.functions.until(lambda: len(keeping.functions.told) == 2)

    keeping.remember()
    await keeping.kill()
    keeping.broker.kill()
    keeping.broker.start()
    begun = int(time.time())
    # Before the bridge is back: it connects, and sends.
    device = await join(first, "EDGB-0001")
    assert await device.publish("$devicehub/devices/EDGB-0001/twin/get") == 0
    await keeping.start()

    await keeping.functions.until(lambda: keeping.functions.asked_by)
    await keeping.functions.until(lambda: keeping.functions.lines.count("opened EDGB-0001 EDGB-0001") >= 2)
    restarts = [told for told in keeping.functions.told if isinstance(told, BrokerRestarted)]
    assert len(restarts) == 1
    assert abs(restarts[0].at.timestamp() - begun) <= 2
    # The restart comes before what followed it.
    lines = keeping.functions.lines
    assert lines.index("opened EDGB-0001 EDGB-0001", 2) > next(at for at, line in enumerate(lines) if "restart" in line)
    assert list(keeping.sessions.all()) == ["EDGB-0001"]


async def test_a_restart_in_the_same_second_ends_who_connected_in_it(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    await keeping.saved()
    # Close to the beginning of a second, so that all of this is in one.
    await asyncio.sleep(1 - time.time() % 1)
    await join(keeping.broker.authority.issue("EDGB-0001"), "EDGB-0001")
    await keeping.until_told("opened EDGB-0001 EDGB-0001")

    await end(keeping)
    await begin(keeping)

    await keeping.functions.until(lambda: any(line.startswith("restarted") for line in keeping.functions.lines))
    opened, restarted = keeping.functions.told[0], keeping.functions.told[1]
    if opened.at == restarted.at:  # type: ignore[attr-defined]
        await keeping.until_told("closed EDGB-0001 broker-restart")
    assert not keeping.sessions.all()


async def test_a_broker_stopped_in_order_keeps_all_and_is_saved_again_when_all_is_answered(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    await keeping.saved()
    identity = keeping.broker.authority.issue("EDGB-0001")
    device = await join(identity, "EDGB-0001")
    keeping.functions.slow.clear()
    assert await device.publish("$devicehub/devices/EDGB-0001/heartbeat", b'{"timestamp": 1}') == 0
    await keeping.functions.until(lambda: len(keeping.functions.asked_by) == 1)

    # The message is unanswered, so it is in what the broker keeps.
    await end(keeping, in_order=True)
    await begin(keeping)
    keeping.functions.slow.set()
    await keeping.saved(2)
    device = await join(identity, "EDGB-0001")
    assert await device.publish("$devicehub/devices/EDGB-0001/heartbeat", b'{"timestamp": 2}') == 0
    await keeping.functions.until(lambda: keeping.functions.asked_by[-1][2] == b'{"timestamp": 2}')
    asked = len(keeping.functions.asked_by)

    await end(keeping)
    await begin(keeping)
    await keeping.saved(3)

    # The old message does not come over the new one.
    assert len(keeping.functions.asked_by) == asked


async def test_nothing_is_saved_while_a_message_is_unanswered(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    await keeping.saved()
    device = await join(keeping.broker.authority.issue("EDGB-0001"), "EDGB-0001")
    keeping.functions.slow.clear()
    await device.publish("$devicehub/devices/EDGB-0001/heartbeat", b"{}")
    await keeping.functions.until(lambda: keeping.functions.asked_by)
    database = keeping.broker.folder / "mosquitto.db"
    before = database.stat().st_mtime_ns

    keeping.keeper._unsaved.set()
    await keeping.admin.answers()
    await asyncio.sleep(0.2)
    assert database.stat().st_mtime_ns == before

    keeping.functions.slow.set()
    await keeping.saved(2)
    assert database.stat().st_mtime_ns > before


async def test_a_broker_killed_before_it_was_saved_hides_nobody_who_connects_before_the_bridge(
    keeping: Keeping, join: Join
) -> None:
    keeping.functions.access = keeping.functions.access.model_copy(update={"claims": ["fleet"]})
    await keeping.start()
    await keeping.saved()
    issue = keeping.broker.authority.issue
    identity, claim = issue("EDGB-0001"), issue("claim-fleet")
    await join(identity, "EDGB-0001")
    await keeping.until_told("opened EDGB-0001 EDGB-0001")
    keeping.remember()
    await keeping.kill()

    keeping.broker.kill()
    (keeping.broker.folder / "mosquitto.db").unlink()
    keeping.broker.start()
    device = await join(identity, "EDGB-0001")
    claimer = await join(claim, "8f14")
    await keeping.start()

    await keeping.until_told("opened 8f14 claim-fleet")
    await keeping.functions.until(lambda: keeping.functions.lines.count("opened EDGB-0001 EDGB-0001") >= 2)
    assert sorted(keeping.sessions.all()) == ["8f14", "EDGB-0001"]
    assert not device.ended.is_set()
    assert not claimer.ended.is_set()


async def test_a_revocation_while_the_broker_is_down_is_enforced_from_its_start(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    await keeping.saved()
    identity = keeping.broker.authority.issue("EDGB-0001")
    await end(keeping)
    keeping.revoke(identity[0])
    await keeping.functions.tell("EDGB-0001")
    await begin(keeping)

    await keeping.apply()
    with pytest.raises(Refused):
        await join(identity, "EDGB-0001")
    assert (keeping.broker.folder / "crl.pem").read_text() == keeping.functions.access.crl_pem


async def test_a_full_queue_is_an_alarm(keeping: Keeping, join: Join) -> None:
    conf = keeping.broker.folder / "mosquitto.conf"
    conf.write_text(conf.read_text().replace("max_queued_messages 20000", "max_queued_messages 5"))
    keeping.broker.stop()
    keeping.broker.start()
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")
    away = await join(identity, "EDGB-0001", clean=False)
    await away.subscribe("$devicehub/devices/EDGB-0001/twin/update/delta", qos=1)
    await away.drop()
    await keeping.until_told("closed EDGB-0001 disconnected")

    for _ in range(10):
        await keeping.lane.session.publish("$devicehub/devices/EDGB-0001/twin/update/delta", b"{}")
    await keeping.admin.answers()
    keeping.read_log()

    assert keeping.alarms.counts["messages-dropped"] == 1
