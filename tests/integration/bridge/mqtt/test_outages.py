"""Broker, bus or bridge end in the middle: nothing is lost, doubled or out of order."""

import asyncio
import signal
from collections.abc import Callable

from bridge.mqtt.lanes import Lane
from bridge.mqtt.topics import Lane as Name
from functions.contract import bus
from tests.integration.bridge.devices import Device
from tests.integration.bridge.mosquitto import Mosquitto
from tests.integration.bridge.mqtt.conftest import MakeLane
from tests.integration.bridge.mqtt.stand_in import StandIn
from tests.integration.nats_server import NatsServer

MakeDevice = Callable[..., Device]
NUMBERS = [str(number).encode() for number in range(300)]


async def idle(lane: Lane) -> None:
    async with asyncio.timeout(20):
        await lane.queues.idle.wait()


async def lost(lane: Lane) -> None:
    """Wait until the lane has seen that its broker is gone."""
    async with asyncio.timeout(10):
        await lane.session.disconnected.wait()


async def back(lane: Lane) -> None:
    async with asyncio.timeout(10):
        await lane.subscribed.wait()


def firsts(calls: list[bytes]) -> list[bytes]:
    """Each payload where it was called first."""
    return list(dict.fromkeys(calls))


async def test_messages_that_a_restarted_broker_sends_again_are_called_once(
    make_lane: MakeLane, device: MakeDevice, mosquitto: Mosquitto, functions_stand_in: StandIn
) -> None:
    lane = await make_lane()
    functions_stand_in.gate.clear()
    one = await device("EDGB-0001").connect()
    for published in [one.publish("twin/update", number) for number in NUMBERS]:
        await asyncio.to_thread(published.wait_for_publish, 5)
    await functions_stand_in.until(1)

    await asyncio.to_thread(mosquitto.stop)
    await lost(lane)
    mosquitto.start()
    await back(lane)
    await lane.session.publish("$devicehub/bridge/test", b"")
    assert lane.counters.repeated == lane.counters.waiting == len(NUMBERS)
    functions_stand_in.gate.set()

    assert [(await one.hear())[1] for _ in NUMBERS] == NUMBERS
    assert [call.payload for call in functions_stand_in.calls] == NUMBERS
    await lane.settled()


async def test_messages_that_died_with_the_broker_are_still_called(
    make_lane: MakeLane, device: MakeDevice, mosquitto: Mosquitto, functions_stand_in: StandIn
) -> None:
    lane = await make_lane()
    mosquitto.signal(signal.SIGUSR1)
    functions_stand_in.gate.clear()
    one = await device("EDGB-0001").connect()
    for published in [one.publish("twin/update", number) for number in NUMBERS]:
        await asyncio.to_thread(published.wait_for_publish, 5)
    await lane.session.publish("$devicehub/bridge/test", b"")
    assert lane.counters.waiting == len(NUMBERS)

    mosquitto.kill()
    await lost(lane)
    mosquitto.start()
    await back(lane)
    functions_stand_in.gate.set()
    await idle(lane)

    assert [call.payload for call in functions_stand_in.calls] == NUMBERS


async def test_a_broker_killed_under_load_brings_nothing_out_of_order(
    make_lane: MakeLane, device: MakeDevice, mosquitto: Mosquitto, functions_stand_in: StandIn
) -> None:
    lane = await make_lane()
    mosquitto.signal(signal.SIGUSR1)
    one = await device("EDGB-0001").connect()

    for at in (100, 200):
        for number in NUMBERS[at - 100 : at]:
            one.publish("twin/update", number)
        await functions_stand_in.until(at - 50)
        mosquitto.kill()
        await lost(lane)
        mosquitto.start()
        await back(lane)
    one.publish("twin/update", b"last")
    while (await one.hear(10))[1] != b"last":
        pass

    await lane.settled()
    called = [call.payload for call in functions_stand_in.calls]
    assert firsts(called) == [*sorted(firsts(called[:-1]), key=int), b"last"]
    numbers = [call.number for call in functions_stand_in.calls]
    assert numbers == sorted(numbers)


async def test_a_broker_that_has_forgotten_the_session_is_subscribed_again(
    make_lane: MakeLane, device: MakeDevice, mosquitto: Mosquitto, functions_stand_in: StandIn
) -> None:
    lane = await make_lane()

    mosquitto.kill()
    await lost(lane)
    mosquitto.start()
    await back(lane)
    one = await device("EDGB-0001").connect()
    one.publish("twin/get", b"{}")

    assert (await one.hear())[0] == "twin/update/accepted"
    assert lane.counters.reconnects == 1


async def test_a_bus_killed_under_load_loses_nothing_and_keeps_the_order(
    make_lane: MakeLane, device: MakeDevice, nats_server: NatsServer, functions_stand_in: StandIn
) -> None:
    lane = await make_lane()
    devices = [await device(f"EDGB-000{number}").connect() for number in range(3)]

    for number in NUMBERS:
        for one in devices:
            one.publish("twin/update", number)
    await functions_stand_in.until(100)
    nats_server.restart()

    for one in devices:
        assert [(await one.hear(20))[1] for _ in NUMBERS] == NUMBERS
        subject = f"devices.{one.id}.twin.update"
        assert firsts([call.payload for call in functions_stand_in.calls if call.subject == subject]) == NUMBERS
    await idle(lane)


async def test_while_the_bus_is_away_nothing_is_taken_in(
    make_lane: MakeLane,
    device: MakeDevice,
    nats_server: NatsServer,
    functions_stand_in: StandIn,
    bus_away: asyncio.Event,
) -> None:
    lane = await make_lane()
    one = await device("EDGB-0001").connect()
    nats_server.kill()
    async with asyncio.timeout(5):
        await bus_away.wait()

    for published in [one.publish("twin/update", number) for number in NUMBERS]:
        await asyncio.to_thread(published.wait_for_publish, 5)
    assert lane.taken == 0
    nats_server.start()

    assert [(await one.hear(10))[1] for _ in NUMBERS] == NUMBERS
    assert [call.payload for call in functions_stand_in.calls] == NUMBERS


async def test_a_successor_takes_up_what_its_predecessor_had_not_acknowledged(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    first = await make_lane()
    functions_stand_in.gate.clear()
    one = await device("EDGB-0001").connect()
    for published in [one.publish("twin/update", number) for number in NUMBERS]:
        await asyncio.to_thread(published.wait_for_publish, 5)
    await functions_stand_in.until(1)
    assert one.heard.empty()

    # The second opens the session of the first, as a new process does after the old one was killed.
    functions_stand_in.gate.set()
    await make_lane.kill(first)
    second = await make_lane(epoch=2)

    heard: list[bytes] = []
    while not heard or heard[-1] != NUMBERS[-1]:
        heard.append((await one.hear())[1])
    assert heard == sorted(heard, key=int)
    assert set(heard) == set(NUMBERS)
    orders = [call.order for call in functions_stand_in.calls]
    assert orders[-1] == f"local-control/2/{second.taken}"
    await second.settled()


async def test_stopping_finishes_what_runs_and_leaves_the_rest_to_the_broker(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    first = await make_lane()
    functions_stand_in.gate.clear()
    one = await device("EDGB-0001").connect()
    for number in NUMBERS:
        one.publish("twin/update", number)
    await functions_stand_in.until(1)

    stopping = asyncio.create_task(first.stop())
    functions_stand_in.gate.set()
    await stopping
    assert await one.hear() == ("twin/update/accepted", NUMBERS[0])
    second = await make_lane(epoch=2)

    assert [(await one.hear())[1] for _ in NUMBERS[1:]] == NUMBERS[1:]
    assert [call.payload for call in functions_stand_in.calls] == NUMBERS
    await second.settled()


async def test_telemetry_is_neither_lost_nor_doubled_by_a_restart_of_the_broker(
    make_lane: MakeLane, device: MakeDevice, mosquitto: Mosquitto, functions_stand_in: StandIn
) -> None:
    lane = await make_lane(Name.TELEMETRY)
    one = await device("EDGB-0001").connect()

    for number in NUMBERS[:150]:
        one.publish("telemetry", number)
    await functions_stand_in.until(75)
    await asyncio.to_thread(mosquitto.stop)
    await lost(lane)
    mosquitto.start()
    await back(lane)
    for number in NUMBERS[150:]:
        one.publish("telemetry", number)
    await functions_stand_in.until(300)
    await lane.settled()

    called = [call.payload for call in functions_stand_in.calls]
    assert firsts(called) == NUMBERS


async def test_a_delta_on_the_bus_reaches_the_device_in_order(
    make_lane: MakeLane, device: MakeDevice, nats_server: NatsServer
) -> None:
    lane = await make_lane()
    client = await bus.connect(nats_server.url, user="admin", password="admin")
    one = await device("EDGB-0001").connect()

    for number in NUMBERS:
        await client.publish("devicehub.devices.EDGB-0001.twin.update.delta", number)

    assert [await one.hear() for _ in NUMBERS] == [("twin/update/delta", number) for number in NUMBERS]
    assert lane.counters.published == len(NUMBERS)
    await client.close()
