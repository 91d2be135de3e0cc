"""Order, answers, retries and bounds of the queues, against a broker and functions in memory."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from bridge.mqtt.queues import Queues
from bridge.mqtt.topics import Lane
from functions.contract import subjects
from functions.domain.callers import CLAIM, DEVICE, Caller
from functions.domain.faults import Conflict, Fault, Reason, Unavailable
from tests.unit.bridge.mqtt.memory import QUICK, MakeQueues, MemoryBroker, MemoryFunctions


async def settled(queues: Queues) -> None:
    async with asyncio.timeout(5):
        await queues.idle.wait()


async def test_an_answer_is_said_and_the_message_acknowledged(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, message = make(), broker.message("devices/D1/twin/update", b'{"reported":{}}')

    queues.take(message)
    await settled(queues)

    assert broker.sent == [("$devicehub/devices/D1/twin/update/accepted", b'{"done":true}', 60)]
    assert broker.acknowledged == [message]
    (call,) = functions.calls
    assert (call.subject, call.payload) == ("devicehub.devices.D1.twin.update", b'{"reported":{}}')
    assert call.caller == Caller(DEVICE, "D1")
    assert call.headers[subjects.ORDER] == "local-control/7/1"
    assert call.headers[subjects.CALL]


async def test_a_message_is_acknowledged_only_when_it_is_answered(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None

    queues.take(broker.message("devices/D1/twin/get"))
    await functions.until(1)

    assert broker.acknowledged == []
    functions.calls[0].answer.set_result(b"{}")
    await settled(queues)
    assert len(broker.acknowledged) == 1


async def test_a_devices_next_message_is_called_when_its_last_is_answered(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None

    for number in range(3):
        queues.take(broker.message("devices/D1/twin/update", str(number).encode()))
    for number in range(3):
        await functions.until(number + 1)
        assert [call.payload for call in functions.calls] == [str(n).encode() for n in range(number + 1)]
        functions.calls[number].answer.set_result(b"{}")
    await settled(queues)


async def test_devices_do_not_wait_for_each_other(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None

    for device in ("D1", "D2", "D3"):
        queues.take(broker.message(f"devices/{device}/twin/get"))
    await functions.until(3)
    for call in reversed(functions.calls):
        call.answer.set_result(call.subject.encode())
    await settled(queues)

    assert broker.topics == [f"devices/{device}/twin/update/accepted" for device in ("D3", "D2", "D1")]


async def test_many_claimers_are_served_at_once_on_their_one_topic(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None

    for _ in range(70):
        queues.take(broker.message("certificates/create-from-csr"))
    await functions.until(64)

    assert len(functions.calls) == 64
    assert {call.caller for call in functions.calls} == {Caller(CLAIM, "-")}
    functions.respond = lambda subject, payload: b"{}"
    for call in functions.calls[:64]:
        call.answer.set_result(b"{}")
    await settled(queues)
    assert len(functions.calls) == 70


async def test_a_claim_is_stamped_with_the_session_that_asks(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()

    queues.take(broker.message("devices/uuid-1/provision/request"))
    await settled(queues)

    assert functions.calls[0].caller == Caller(CLAIM, "fleet")
    assert broker.topics == ["devices/uuid-1/provision/accepted"]


async def test_a_claim_from_a_session_that_may_not_is_refused(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()

    queues.take(broker.message("devices/other/provision/request"))

    assert functions.calls == []
    ((topic, body, _),) = broker.sent
    assert topic == "$devicehub/devices/other/provision/rejected"
    assert json.loads(body)["error"] == "denied"
    assert len(broker.acknowledged) == 1
    assert queues.counters.refused == {"denied": 1}


@pytest.mark.parametrize("reason", [Reason.VERSION_CONFLICT, Reason.INTERNAL, Reason.RATE_LIMITED, Reason.SUPERSEDED])
async def test_a_refusal_of_the_function_is_an_answer(
    reason: Reason, make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()
    functions.respond = _raising(lambda: Conflict(reason, "Because."))

    queues.take(broker.message("devices/D1/twin/update", b'{"clientToken":"abc"}'))
    await settled(queues)

    ((topic, body, expiry),) = broker.sent
    assert topic == "$devicehub/devices/D1/twin/update/rejected"
    told = json.loads(body)
    assert (told["error"], told["message"], told["clientToken"]) == (str(reason), "Because.", "abc")
    assert expiry == 60
    assert len(broker.acknowledged) == len(functions.calls) == 1


async def test_what_devices_tell_is_not_answered_but_acknowledged(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make(Lane.TELEMETRY)

    queues.take(broker.message("devices/D1/telemetry"))
    await settled(queues)

    assert broker.sent == []
    assert len(broker.acknowledged) == 1


async def test_the_answer_to_a_method_is_published_with_its_sender(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()

    queues.take(broker.message("devices/D1/methods/blink/response", b'{"requestId":"1"}'))
    await settled(queues)

    ((subject, payload, headers),) = functions.published
    assert (subject, payload) == ("devicehub.devices.D1.methods.blink.response", b'{"requestId":"1"}')
    assert headers[subjects.CALLER] == "device:D1"
    assert len(broker.acknowledged) == 1


@pytest.mark.parametrize("reason", [Reason.UNAVAILABLE, Reason.TIMEOUT])
async def test_a_message_keeps_its_place_and_number_while_nobody_can_answer(
    reason: Reason, make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make(bounds=replace(QUICK, timeouts=100))
    functions.respond = _raising(lambda: Unavailable(reason))

    queues.take(broker.message("devices/D1/twin/update", b"1"))
    queues.take(broker.message("devices/D1/twin/update", b"2"))
    await functions.until(5)
    assert broker.acknowledged == []
    functions.respond = lambda subject, payload: payload
    await settled(queues)

    assert [payload for _, payload, _ in broker.sent] == [b"1", b"2"]
    assert {call.number for call in functions.calls if call.payload == b"1"} == {1}
    assert len({call.headers[subjects.CALL] for call in functions.calls}) == 2
    assert queues.counters.retried >= 5


async def test_a_message_that_nobody_holds_for_us_is_refused_after_a_while(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()
    functions.respond = _raising(Unavailable)

    queues.take(broker.message("devices/D1/twin/get", qos=0))
    await settled(queues)

    assert broker.topics == ["devices/D1/twin/update/rejected"]
    assert json.loads(broker.sent[0][1])["error"] == "unavailable"


async def test_the_same_holds_while_the_bus_is_away(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()
    queues.hold("bus")

    queues.take(broker.message("devices/D1/twin/get", qos=0))
    await settled(queues)

    assert broker.is_paused
    assert functions.calls == []
    assert broker.topics == ["devices/D1/twin/update/rejected"]


async def test_a_held_message_is_called_when_the_bus_is_back(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()
    queues.hold("bus")
    queues.take(broker.message("devices/D1/twin/get"))
    assert broker.is_paused

    queues.release("bus")
    await settled(queues)

    assert not broker.is_paused
    assert len(functions.calls) == len(broker.acknowledged) == 1


async def test_a_message_that_no_function_survives_does_not_hold_up_its_device(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()

    def respond(subject: str, payload: bytes) -> bytes:
        if payload == b"poison":
            raise Unavailable(Reason.TIMEOUT)
        return payload

    functions.respond = respond
    queues.take(broker.message("devices/D1/twin/update", b"poison"))
    queues.take(broker.message("devices/D1/twin/update", b"next"))
    await functions.until(2)
    queues.take(broker.message("devices/D2/twin/update", b"other"))
    await settled(queues)

    told = {topic: payload for topic, payload, _ in broker.sent}
    assert json.loads(told["$devicehub/devices/D1/twin/update/rejected"])["error"] == "timeout"
    assert told["$devicehub/devices/D1/twin/update/accepted"] == b"next"


async def test_while_everything_times_out_no_message_is_to_blame(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()
    functions.respond = _raising(lambda: Unavailable(Reason.TIMEOUT))

    queues.take(broker.message("devices/D1/twin/update"))
    await functions.until(QUICK.timeouts * 3)

    assert broker.acknowledged == []


async def test_a_retained_copy_is_no_news(make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions) -> None:
    queues = make()

    queues.take(broker.message("devices/D1/status", retain=True))

    assert not functions.calls
    assert not broker.sent
    assert len(broker.acknowledged) == queues.counters.dropped == 1


@pytest.mark.parametrize("path", ["devices/D 1/twin/get", f"devices/{'x' * 5000}/twin/get", "devices/D1/unknown"])
async def test_a_bad_topic_is_counted_and_acknowledged_and_nothing_else(
    path: str, make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()

    queues.take(broker.message(path))

    assert not functions.calls
    assert not broker.sent
    assert len(broker.acknowledged) == 1
    assert queues.counters.refused == {"bad_topic": 1}


async def test_a_payload_over_the_limit_never_leaves_the_bridge(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()

    queues.take(broker.message("devices/D1/twin/update", b"x" * (256 * 1024 + 1)))

    assert functions.calls == []
    assert json.loads(broker.sent[0][1])["error"] == "too_large"
    assert len(broker.acknowledged) == 1


async def test_beyond_its_room_a_devices_newest_message_is_refused(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(bounds=replace(QUICK, per_queue=2)), None

    queues.take(broker.message("devices/D1/twin/update", b"running"))
    await functions.until(1)
    for number in range(3):
        queues.take(broker.message("devices/D1/twin/update", f'{{"clientToken":"{number}"}}'.encode()))
    queues.take(broker.message("devices/D2/twin/update"))

    ((topic, body, _),) = broker.sent
    assert topic == "$devicehub/devices/D1/twin/update/rejected"
    assert json.loads(body) | {"timestamp": 0} == {
        "error": "rate_limited",
        "message": "Too many messages at once. Slow down, then send it again.",
        "code": 429,
        "clientToken": "2",
        "timestamp": 0,
    }
    assert queues.counters.refused == {"rate_limited": 1}
    assert queues.counters.waiting == 4


async def test_what_the_broker_gathered_is_refused_by_no_devices_room(
    make: MakeQueues, broker: MemoryBroker, marks: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(lane=Lane.TELEMETRY, bounds=replace(QUICK, per_queue=2)), None

    queues.hold("bus")
    queues.release("bus")
    for number in range(5):
        queues.take(broker.message("devices/D1/telemetry", str(number).encode()))

    assert (queues.counters.waiting, broker.sent) == (5, [])
    # A mark of before is no mark behind what is gathered from now on.
    queues.hold("bus")
    marks.take_all()
    queues.release("bus")
    queues.take(broker.message("devices/D1/telemetry", b"5"))
    assert (queues.counters.waiting, broker.sent) == (6, [])
    marks.take_all()
    # What still waits of it takes none of the room of what is sent from now on.
    for number in (6, 7):
        queues.take(broker.message("devices/D1/telemetry", str(number).encode()))
    assert (queues.counters.waiting, queues.counters.refused) == (8, {})
    queues.take(broker.message("devices/D1/telemetry", b"8"))
    assert queues.counters.refused == {"rate_limited": 1}


@pytest.mark.parametrize("bounds", [replace(QUICK, messages=4), replace(QUICK, bytes=40)])
async def test_it_reads_no_more_while_too_much_is_unanswered(
    bounds: object, make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(bounds=bounds), None

    for number in range(3):
        queues.take(broker.message(f"devices/D{number}/twin/get", b"x" * 10))
    assert not broker.is_paused
    queues.take(broker.message("devices/D3/twin/get", b"x" * 10))
    assert broker.is_paused

    await functions.until(4)
    functions.calls[0].answer.set_result(b"{}")
    functions.respond = lambda subject, payload: b"{}"
    for call in functions.calls[1:]:
        call.answer.set_result(b"{}")
    await settled(queues)
    assert not broker.is_paused
    assert (queues.counters.waiting, queues.counters.waiting_bytes) == (0, 0)


async def test_a_pause_with_two_reasons_ends_with_the_last(make: MakeQueues, broker: MemoryBroker) -> None:
    queues = make()

    queues.hold("bus")
    queues.hold("other")
    queues.release("bus")

    assert broker.is_paused
    queues.release("other")
    assert not broker.is_paused


async def test_only_so_many_calls_run_at_once(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(bounds=replace(QUICK, calls=2)), None

    for number in range(4):
        queues.take(broker.message(f"devices/D{number}/twin/get"))
    await functions.until(2)
    functions.calls[0].answer.set_result(b"{}")
    await functions.until(3)

    assert len(functions.calls) == 3


async def test_answers_go_out_under_every_prefix(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make(prefixes=("$devicehub", "$fleethub"))

    queues.take(broker.message("devices/D1/twin/get"))
    await settled(queues)

    assert [topic for topic, _, _ in broker.sent] == [
        "$devicehub/devices/D1/twin/update/accepted",
        "$fleethub/devices/D1/twin/update/accepted",
    ]


async def test_draining_finishes_what_runs_and_leaves_what_waits(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None
    queues.take(broker.message("devices/D1/twin/update", b"runs"))
    queues.take(broker.message("devices/D1/twin/update", b"waits"))
    await functions.until(1)

    draining = asyncio.create_task(queues.drain(5))
    await asyncio.sleep(0)
    functions.calls[0].answer.set_result(b"{}")
    await draining

    assert [incoming.payload for incoming in broker.acknowledged] == [b"runs"]
    assert len(functions.calls) == 1
    assert broker.is_paused


async def test_draining_gives_up_what_does_not_end(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None
    queues.take(broker.message("devices/D1/twin/update"))
    await functions.until(1)

    await queues.drain(0.001)

    assert broker.acknowledged == []
    assert functions.calls[0].answer.cancelled()


def _raising(fault: Callable[[], Fault]) -> Callable[[str, bytes], bytes]:
    def respond(subject: str, payload: bytes) -> bytes:
        raise fault()

    return respond


@pytest.mark.parametrize("path", ["certificates/renew", "certificates/renew/confirm"])
async def test_a_renewal_is_passed_on_with_the_session_it_came_in(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions, path: str
) -> None:
    queues = make()
    queues.take(broker.message(f"devices/EDGB-0001/{path}"))
    queues.take(broker.message("devices/EDGB-0001/twin/get"))
    await settled(queues)

    renewal, other = functions.calls
    assert renewal.headers[subjects.SESSION] == "2051222400/127.0.0.1:7"
    assert subjects.SESSION not in other.headers
    assert broker.topics[0] == f"devices/EDGB-0001/{path}/accepted"


async def test_a_renewal_in_an_unknown_session_is_refused_at_once(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    """To try until the session is known could find another one."""
    queues = make()
    queues.take(broker.message("devices/D1/certificates/renew", b'{"requestId":"r1"}'))

    assert functions.calls == []
    ((topic, payload, _),) = broker.sent
    assert topic == "$devicehub/devices/D1/certificates/renew/rejected"
    told = json.loads(payload)
    assert (told["error"], told["code"], told["requestId"]) == ("unavailable", 503, "r1")
