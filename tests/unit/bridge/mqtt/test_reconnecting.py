"""What becomes of unanswered messages when the connection to the broker ends and they are sent again."""

import asyncio

from bridge.mqtt.queues import Queues
from bridge.mqtt.topics import Lane
from tests.unit.bridge.mqtt.memory import MakeQueues, MemoryBroker, MemoryFunctions


def reconnect(queues: Queues, broker: MemoryBroker) -> None:
    broker.lose()
    queues.ledger.disconnected(broker.generation)
    broker.reopen()


async def settled(queues: Queues) -> None:
    async with asyncio.timeout(5):
        await queues.idle.wait()


async def test_a_message_that_runs_is_called_once_and_acknowledged_over_the_new_connection(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None
    message = broker.message("devices/D1/twin/update", b"1")
    queues.take(message)
    await functions.until(1)

    reconnect(queues, broker)
    copy = broker.again(message)
    queues.take(copy)
    functions.calls[0].answer.set_result(b"{}")
    await settled(queues)

    assert len(functions.calls) == len(broker.sent) == 1
    assert broker.acknowledged == [copy]


async def test_messages_that_wait_keep_their_order_when_they_come_again(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None
    messages = [broker.message("devices/D1/twin/update", str(number).encode()) for number in range(4)]
    for message in messages[:3]:
        queues.take(message)
    await functions.until(1)

    reconnect(queues, broker)
    copies = [broker.again(message) for message in messages]
    for copy in copies:
        queues.take(copy)
    functions.respond = lambda subject, payload: b"{}"
    functions.calls[0].answer.set_result(b"{}")
    await settled(queues)

    assert [call.payload for call in functions.calls] == [b"0", b"1", b"2", b"3"]
    assert [call.number for call in functions.calls] == [1, 2, 3, 4]
    assert broker.acknowledged == copies
    assert (queues.counters.received, queues.counters.repeated) == (4, 3)


async def test_an_answer_that_was_ready_while_the_broker_was_away_is_said_when_it_is_back(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None
    message = broker.message("devices/D1/twin/update")
    queues.take(message)
    await functions.until(1)

    broker.lose()
    queues.ledger.disconnected(1)
    functions.calls[0].answer.set_result(b"ready")
    await asyncio.sleep(0)
    assert broker.sent == []
    broker.reopen()
    await settled(queues)
    queues.take(broker.again(message))

    assert len(functions.calls) == 1
    # Said when the connection came, and again for the copy: the broker had not told that it had the first.
    assert [payload for _, payload, _ in broker.sent] == [b"ready", b"ready"]
    assert len(broker.acknowledged) == 1


async def test_an_answer_that_may_be_lost_is_said_again(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()
    message = broker.message("devices/D1/twin/update")
    queues.take(message)
    await settled(queues)

    reconnect(queues, broker)
    queues.take(broker.again(message))

    assert len(functions.calls) == 1
    assert [payload for _, payload, _ in broker.sent] == [b'{"done":true}'] * 2
    assert [incoming.generation for incoming in broker.acknowledged] == [1, 2]


async def test_a_message_whose_answer_the_broker_has_is_only_acknowledged_again(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()
    message = broker.message("devices/D1/twin/update")
    queues.take(message)
    await settled(queues)
    broker.take_all()

    reconnect(queues, broker)
    queues.take(broker.again(message))

    assert len(functions.calls) == len(broker.sent) == 1
    assert len(broker.acknowledged) == 2


async def test_telemetry_that_was_stored_is_not_stored_again(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make(Lane.TELEMETRY)
    message = broker.message("devices/D1/telemetry")
    queues.take(message)
    await settled(queues)

    reconnect(queues, broker)
    queues.take(broker.again(message))

    assert len(functions.calls) == 1
    assert len(broker.acknowledged) == 2


async def test_what_the_broker_lost_is_still_called_before_anything_newer(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None
    for number in range(3):
        queues.take(broker.message("devices/D1/twin/update", str(number).encode()))
    await functions.until(1)

    broker.lose()
    queues.ledger.disconnected(1)
    broker.reopen()
    queues.ledger.session_lost()
    queues.take(broker.message("devices/D1/twin/update", b"newer"))
    functions.respond = lambda subject, payload: b"{}"
    functions.calls[0].answer.set_result(b"{}")
    await settled(queues)

    assert [call.payload for call in functions.calls] == [b"0", b"1", b"2", b"newer"]


async def test_a_copy_of_an_unknown_message_is_a_message_with_a_number_of_its_own(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()

    queues.take(broker.again(broker.message("devices/D1/twin/update", b"old")))
    queues.take(broker.message("devices/D1/twin/update", b"new"))
    await settled(queues)

    assert [(call.payload, call.number) for call in functions.calls] == [(b"old", 1), (b"new", 2)]


async def test_another_message_under_the_same_identifier_is_not_taken_for_a_copy(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues = make()
    message = broker.message("devices/D1/twin/update", b"one")
    queues.take(message)
    await settled(queues)

    reconnect(queues, broker)
    other = broker.message("devices/D1/twin/update", b"other")
    queues.take(broker.again(type(other)(other.topic, b"other", 1, message.mid, False, True, broker.generation)))
    await settled(queues)

    assert [call.payload for call in functions.calls] == [b"one", b"other"]


async def test_an_acknowledgement_is_never_sent_over_a_connection_that_did_not_bring_the_message(
    make: MakeQueues, broker: MemoryBroker, functions: MemoryFunctions
) -> None:
    queues, functions.respond = make(), None
    queues.take(broker.message("devices/D1/twin/update"))
    await functions.until(1)

    reconnect(queues, broker)
    functions.calls[0].answer.set_result(b"{}")
    await settled(queues)

    assert broker.acknowledged == []
