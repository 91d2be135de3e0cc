"""Messages of devices through a real broker, a lane and a real bus, and back."""

import asyncio
import json
import random
from collections.abc import Callable

from bridge.mqtt.bounds import Bounds
from bridge.mqtt.lanes import Lane
from bridge.mqtt.topics import Lane as Name
from functions.domain.faults import Conflict, Reason
from tests.integration.bridge.devices import Device
from tests.integration.bridge.mosquitto import Mosquitto
from tests.integration.bridge.mqtt.conftest import MakeLane
from tests.integration.bridge.mqtt.stand_in import Called, StandIn

MakeDevice = Callable[..., Device]


async def idle(lane: Lane) -> None:
    async with asyncio.timeout(20):
        await lane.queues.idle.wait()


async def test_an_update_is_answered_with_what_the_function_says(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    await make_lane()
    one = await device("EDGB-0001").connect()

    one.publish("twin/update", b'{"reported":{"led":"on"}}')

    assert await one.hear() == ("twin/update/accepted", b'{"reported":{"led":"on"}}')
    (call,) = functions_stand_in.calls
    assert (call.subject, call.caller, call.order) == (
        "devices.EDGB-0001.twin.update",
        "device:EDGB-0001",
        "local-control/1/1",
    )


async def test_a_refusal_is_said_on_rejected(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    async def refuse(called: Called) -> bytes:
        raise Conflict(Reason.VERSION_CONFLICT)

    functions_stand_in.respond = refuse
    await make_lane()
    one = await device("EDGB-0001", protocol=5).connect()

    one.publish("twin/update", b'{"reported":{},"expectedVersion":1,"clientToken":"t1"}')

    topic, body = await one.hear()
    assert topic == "twin/update/rejected"
    told = json.loads(body)
    assert (told["error"], told["code"], told["clientToken"]) == ("version_conflict", 409, "t1")


async def test_a_thousand_messages_are_called_and_answered_in_the_order_sent(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    async def out_of_turn(called: Called) -> bytes:
        for _ in range(random.randrange(5)):
            await asyncio.sleep(0)
        return called.payload

    functions_stand_in.respond = out_of_turn
    await make_lane()
    devices = [await device(f"EDGB-000{number}").connect() for number in range(3)]
    numbers = [str(number).encode() for number in range(1_000)]

    for number in numbers:
        for one in devices:
            one.publish("twin/update", number)

    for one in devices:
        assert [(await one.hear(30))[1] for _ in numbers] == numbers
        called = [call for call in functions_stand_in.calls if call.subject == f"devices.{one.id}.twin.update"]
        assert [call.payload for call in called] == numbers
        assert [call.number for call in called] == sorted(call.number for call in called)


async def test_ten_thousand_messages_of_one_device_are_each_answered_or_refused(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    lane = await make_lane()
    functions_stand_in.gate.clear()
    flood, other = await device("EDGB-0001").connect(), await device("EDGB-0002").connect()

    for number in range(10_000):
        flood.publish("twin/update", str(number).encode())
    await functions_stand_in.until(1)
    functions_stand_in.gate.set()
    other.publish("twin/update", b"other")
    heard = [await flood.hear(30) for _ in range(10_000)]

    assert (await other.hear())[1] == b"other"
    accepted = [int(payload) for topic, payload in heard if topic == "twin/update/accepted"]
    refused = [json.loads(payload)["error"] for topic, payload in heard if topic == "twin/update/rejected"]
    assert accepted == sorted(set(accepted))
    assert len(accepted) + len(refused) == 10_000
    assert len(accepted) >= 2_048
    assert set(refused) <= {"rate_limited"}
    await idle(lane)
    assert lane.counters.waiting_bytes == 0


async def test_what_the_broker_gathered_while_the_bus_was_away_is_all_answered(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    lane = await make_lane(bounds=Bounds(messages=100, per_queue=50))
    one = await device("EDGB-0001").connect()
    numbers = [str(number).encode() for number in range(1_000)]

    lane.queues.hold("bus")
    published = [one.publish("twin/update", number) for number in numbers]
    await asyncio.to_thread(published[-1].wait_for_publish, 5)
    lane.queues.release("bus")

    assert [await one.hear() for _ in numbers] == [("twin/update/accepted", number) for number in numbers]


async def test_no_more_is_read_than_the_bounds_allow(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    lane = await make_lane(bounds=Bounds(messages=50, per_queue=1_000))
    functions_stand_in.gate.clear()
    one = await device("EDGB-0001").connect()
    numbers = [str(number).encode() for number in range(500)]

    published = [one.publish("twin/update", number) for number in numbers]
    await functions_stand_in.until(1)
    await asyncio.to_thread(published[-1].wait_for_publish, 5)

    assert 0 < lane.counters.waiting <= 50
    functions_stand_in.gate.set()
    assert [(await one.hear())[1] for _ in numbers] == numbers
    await idle(lane)


async def test_a_message_of_qos_0_is_answered_too(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    await make_lane()
    one = await device("EDGB-0001").connect()

    one.publish("twin/get", b"", qos=0)

    assert await one.hear() == ("twin/update/accepted", b"")


async def test_a_message_of_qos_0_is_refused_when_nobody_answers(make_lane: MakeLane, device: MakeDevice) -> None:
    lane = await make_lane(bounds=Bounds(first_delay=0.01, unheld_seconds=0.2))
    one = await device("EDGB-0001").connect()

    one.publish("twin/get", b"{}", qos=0)

    topic, body = await one.hear()
    assert (topic, json.loads(body)["error"]) == ("twin/update/rejected", "unavailable")
    assert lane.counters.retried > 0


async def test_a_message_waits_for_functions_to_come(
    make_lane: MakeLane, device: MakeDevice, nats_server: object, functions_stand_in: StandIn
) -> None:
    lane = await make_lane(bounds=Bounds(first_delay=0.01, longest_delay=0.02))
    functions_stand_in.gate.clear()
    one = await device("EDGB-0001").connect()

    one.publish("twin/update", b"1")
    await functions_stand_in.until(1)
    assert lane.counters.waiting == 1
    functions_stand_in.gate.set()

    assert await one.hear() == ("twin/update/accepted", b"1")


async def test_tricks_in_topics_never_reach_the_bus(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    lane = await make_lane(Name.TELEMETRY)
    one = await device("EDGB-0001").connect()
    tricks = ("x" * 5_000, "a b", "*", ">", "a.b", "é", "x" * 65)

    for trick in tricks:
        one.publish(f"events/{trick}", b"{}")
    one.publish("events/door", b"{}")
    await functions_stand_in.until(1)

    assert [call.subject for call in functions_stand_in.calls] == ["devices.EDGB-0001.events.door"]
    assert lane.counters.refused == {"bad_topic": len(tricks)}
    await lane.settled()
    assert lane.counters.waiting == 0


async def test_a_client_id_with_a_slash_reaches_nothing(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    lane = await make_lane()
    one = await device("EDGB-0001", "EDGB-0002/events").connect()

    one.publish("$devicehub/devices/EDGB-0002/events/provision/request", b"{}").wait_for_publish(5)
    await lane.settled()

    assert functions_stand_in.calls == []
    assert lane.taken == 0


async def test_a_payload_over_the_limit_is_refused_by_the_bridge(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    await make_lane()
    one = await device("EDGB-0001").connect()

    one.publish("twin/update", b"x" * 300_000)

    topic, body = await one.hear()
    assert (topic, json.loads(body)["error"]) == ("twin/update/rejected", "too_large")
    assert functions_stand_in.calls == []


async def test_a_claim_of_a_session_nobody_knows_is_refused(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    await make_lane()
    one = await device("EDGB-0001", "some-uuid").connect()

    one.publish("provision/request", b"{}")

    topic, body = await one.hear()
    assert (topic, json.loads(body)["error"]) == ("provision/rejected", "denied")
    assert functions_stand_in.calls == []


async def test_telemetry_is_acknowledged_without_an_answer(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    lane = await make_lane(Name.TELEMETRY)
    one = await device("EDGB-0001").connect()

    for number in range(100):
        one.publish("telemetry", str(number).encode())
    await functions_stand_in.until(100)
    await idle(lane)

    assert [call.payload for call in functions_stand_in.calls] == [str(number).encode() for number in range(100)]
    assert one.heard.empty()


async def test_a_retained_status_is_not_news_to_a_lane_that_comes_later(
    make_lane: MakeLane, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    one = await device("EDGB-0001").connect("$devicehub/devices/EDGB-0001/status/rejected")
    (await asyncio.to_thread(one.publish, "status", b'{"online":true}', retain=True)).wait_for_publish(5)

    lane = await make_lane()
    await lane.settled()
    assert functions_stand_in.calls == []

    one.publish("status", b'{"online":false}', retain=True)
    await functions_stand_in.until(1)
    assert functions_stand_in.calls[0].payload == b'{"online":false}'


async def test_a_lane_over_tls_is_as_good(
    make_lane: MakeLane, mosquitto: Mosquitto, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    lane = await make_lane(tls=True)
    one = await device("EDGB-0001").connect()
    large = json.dumps({"reported": {"text": "x" * 30_000}}).encode()

    for _ in range(20):
        one.publish("twin/update", large)

    assert [await one.hear() for _ in range(20)] == [("twin/update/accepted", large)] * 20
    await lane.settled()
