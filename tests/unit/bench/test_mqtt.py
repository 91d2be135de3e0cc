"""The load's MQTT: packets as MQTT 3.1.1 has them, whole or in pieces."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from tests.bench.mqtt import Session


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


class Line:
    """A session with the broker's end of its socket."""

    def __init__(self, ends: tuple[socket.socket, socket.socket]) -> None:
        self.session = Session(ends[0])
        self.heard: list[tuple[str, bytes]] = []
        self.session.heard = lambda topic, payload: self.heard.append((topic, payload))
        self.broker = ends[1]

    def told(self, data: bytes) -> None:
        """The broker sends this."""
        self.broker.send(data)
        self.session._read()


@pytest.fixture
async def line(ends: tuple[socket.socket, socket.socket]) -> Line:
    return Line(ends)


def _publish(topic: bytes, mid: int, payload: bytes) -> bytes:
    body = len(topic).to_bytes(2) + topic + mid.to_bytes(2) + payload
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([size % 128 | 0x80, size // 128])
    return b"\x32" + length + body


async def test_a_publish_has_the_form_of_the_standard(line: Line) -> None:
    line.session.publish("a/b", b"hello")

    assert line.broker.recv(100) == b"\x32\x0c\x00\x03a/b\x00\x01hello"


async def test_a_message_over_127_bytes_has_a_length_of_two_bytes(line: Line) -> None:
    line.session.publish("a/b", b"x" * 200)

    assert line.broker.recv(300)[:3] == b"\x32\xcf\x01"


async def test_a_message_is_heard_and_acknowledged(line: Line) -> None:
    line.told(_publish(b"a/b", 7, b"hello"))

    assert line.heard == [("a/b", b"hello")]
    assert line.broker.recv(100) == b"\x40\x02\x00\x07"


async def test_messages_in_pieces_and_together_are_heard_in_order(line: Line) -> None:
    data = b"".join(_publish(b"a", number, b"x" * number) for number in range(1, 300))
    for at in range(0, len(data), 97):
        line.told(data[at : at + 97])

    assert [len(payload) for _, payload in line.heard] == list(range(1, 300))


async def test_an_answer_leaves_with_the_acknowledgement(line: Line) -> None:
    def answer(_topic: str, payload: bytes) -> None:
        line.session.publish("b", payload)

    line.session.heard = answer
    line.told(_publish(b"a", 1, b"!"))

    assert line.broker.recv(100) == b"\x40\x02\x00\x01\x32\x06\x00\x01b\x00\x01!"


async def test_the_end_of_the_connection_ends_the_session(line: Line) -> None:
    line.broker.close()
    line.session._read()

    assert line.session.ended.done()
    await asyncio.sleep(0)
