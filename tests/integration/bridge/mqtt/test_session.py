"""A session with a real broker: kept, paused, refused, lost."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable

import pytest

from bridge.mqtt.session import Incoming, Session
from functions.domain.faults import Denied, Unavailable
from tests.integration.bridge.mosquitto import PASSWORD, USER, Mosquitto

TOPIC = "$devicehub/test/numbers"


class Ears:
    """A session that keeps what it hears."""

    def __init__(self, mosquitto: Mosquitto, client_id: str, password: str = PASSWORD) -> None:
        self.heard: list[Incoming] = []
        self._news = asyncio.Event()
        self.session = Session(
            mosquitto.address, client_id=client_id, user=USER, password=password, on_message=self._hear
        )

    async def until(self, count: int) -> list[bytes]:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return [incoming.payload for incoming in self.heard]

    def _hear(self, incoming: Incoming) -> None:
        self.heard.append(incoming)
        self._news.set()


MakeEars = Callable[..., Ears]


@pytest.fixture
async def make(mosquitto: Mosquitto) -> AsyncIterator[MakeEars]:
    made: list[Ears] = []

    def ears(client_id: str = "one", password: str = PASSWORD) -> Ears:
        made.append(Ears(mosquitto, client_id, password))
        return made[-1]

    yield ears
    for one in made:
        await one.session.close()


async def test_the_broker_keeps_the_session_and_its_queue(make: MakeEars) -> None:
    one, other = make("one"), make("other")
    assert not await one.session.open()
    await one.session.subscribe([TOPIC])
    await other.session.open()

    await one.session.close()
    await other.session.publish(TOPIC, b"1")

    assert await one.session.open()
    assert await one.until(1) == [b"1"]
    assert one.heard[0].generation == 2


async def test_what_is_not_acknowledged_comes_again_marked_as_a_copy(make: MakeEars) -> None:
    one, other = make("one"), make("other")
    await one.session.open()
    await one.session.subscribe([TOPIC])
    await other.session.open()
    for number in range(3):
        await other.session.publish(TOPIC, str(number).encode())
    await one.until(3)

    one.session.acknowledge(one.heard[1])
    await one.session.publish(TOPIC, b"the broker has read the acknowledgement")
    await one.session.close()
    await one.session.open()

    await one.until(5)
    assert [(copy.payload, copy.dup, copy.mid) for copy in one.heard[3:]] == [
        (original.payload, True, original.mid) for original in (one.heard[0], one.heard[2])
    ]


async def test_an_acknowledgement_for_an_ended_connection_is_not_sent(make: MakeEars) -> None:
    one, other = make("one"), make("other")
    await one.session.open()
    await one.session.subscribe([TOPIC])
    await other.session.open()
    await other.session.publish(TOPIC, b"1")
    await one.until(1)
    await one.session.close()
    await one.session.open()
    await one.until(2)

    one.session.acknowledge(one.heard[0])
    await one.session.publish(TOPIC, b"round trip")
    await one.session.close()
    await one.session.open()

    assert await one.until(3) == [b"1"] * 3


async def test_paused_it_hears_nothing_until_resumed(make: MakeEars) -> None:
    one, other = make("one"), make("other")
    await one.session.open()
    await one.session.subscribe([TOPIC])
    await other.session.open()
    one.session.pause()

    for number in range(500):
        await other.session.publish(TOPIC, str(number).encode())
    assert one.heard == []
    one.session.resume()

    assert await one.until(500) == [str(number).encode() for number in range(500)]


async def test_a_paused_session_can_be_opened_and_subscribed(make: MakeEars) -> None:
    one = make("one")
    one.session.pause()

    await one.session.open()
    await one.session.subscribe([TOPIC])

    assert one.session.is_connected


async def test_a_window_of_the_broker_is_kept_though_the_session_is_paused(
    make: MakeEars, mosquitto: Mosquitto
) -> None:
    mosquitto.stop()
    mosquitto.configure("max_inflight_messages 0", "max_inflight_messages 3")
    mosquitto.start()
    one, other = make("one"), make("other")
    await other.session.open()
    await other.session.subscribe([TOPIC])
    await one.session.open()
    one.session.pause()

    for number in range(200):
        one.session.send(TOPIC, str(number).encode())

    for number in range(200):
        assert (await other.until(number + 1))[number] == str(number).encode()
        other.session.acknowledge(other.heard[number])
    assert one.session.is_connected


async def test_a_wrong_password_is_refused(make: MakeEars) -> None:
    with pytest.raises(Unavailable, match="Not authorized"):
        await make("one", "wrong").session.open()


async def test_what_the_broker_refuses_is_denied(make: MakeEars) -> None:
    one = make("one")
    await one.session.open()

    with pytest.raises(Denied, match="Not authorized"):
        await one.session.publish("$elsewhere/topic", b"")
    assert one.session.refused == 1


async def test_a_broker_that_is_away_cannot_be_reached(make: MakeEars, mosquitto: Mosquitto) -> None:
    mosquitto.kill()

    with pytest.raises(Unavailable, match="cannot be reached"):
        await make("one").session.open()
    with pytest.raises(Unavailable, match="away"):
        make("two").session.send(TOPIC, b"")


async def test_a_lost_connection_is_told_to_all_that_wait_for_it(make: MakeEars, mosquitto: Mosquitto) -> None:
    one = make("one")
    await one.session.open()
    mosquitto.signal(signal.SIGSTOP)
    publishing = asyncio.create_task(one.session.publish(TOPIC, b"1"))
    await asyncio.sleep(0)

    mosquitto.kill()

    with pytest.raises(Unavailable, match="gone"):
        await publishing
    assert not one.session.is_connected


async def test_another_with_the_same_client_id_takes_the_session_over(make: MakeEars) -> None:
    one, thief = make("one"), make("one")
    await one.session.open()

    await thief.session.open()

    async with asyncio.timeout(5):
        await one.session.disconnected.wait()
    assert thief.session.is_connected


async def test_closing_lets_the_broker_have_all_that_was_sent(make: MakeEars) -> None:
    one, other = make("one"), make("other")
    await other.session.open()
    await other.session.subscribe([TOPIC])
    await one.session.open()

    for number in range(1_000):
        one.session.send(TOPIC, str(number).encode() + b" " * 1_000)
    await one.session.close()

    assert len(await other.until(1_000)) == 1_000
