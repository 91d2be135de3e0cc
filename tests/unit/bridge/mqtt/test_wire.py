"""Addresses of brokers, and a socket with a buffer each way."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.mqtt.wire import BrokerAddress, Tls, Wire

FILES = Tls(Path("ca"), Path("crt"), Path("key"))


@pytest.fixture
def pair() -> Iterator[tuple[Wire, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    wire = Wire(ours)
    yield wire, theirs
    theirs.close()
    wire.close()


def test_a_unix_socket_needs_no_keepalive() -> None:
    address = BrokerAddress.parse("unix:/run/hub/bridge.sock")

    assert (address.path, address.keepalive_seconds) == ("/run/hub/bridge.sock", 0)


def test_a_host_needs_files_for_tls() -> None:
    address = BrokerAddress.parse("mqtts://broker.example:18883", FILES)

    assert (address.host, address.port, address.keepalive_seconds) == ("broker.example", 18883, 60)
    assert BrokerAddress.parse("mqtts://broker.example", FILES).port == 8883
    with pytest.raises(ValueError, match="client certificate"):
        BrokerAddress.parse("mqtts://broker.example")


@pytest.mark.parametrize("url", ["", "unix:", "mqtt://broker", "mqtts://", "/run/hub/bridge.sock"])
def test_another_form_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        BrokerAddress.parse(url, FILES)


def test_bytes_are_taken_from_memory_one_by_one(pair: tuple[Wire, socket.socket]) -> None:
    wire, theirs = pair
    theirs.sendall(b"abc")

    assert wire.recv(1) == b"a"
    assert wire.has_more
    assert wire.recv(10) == b"bc"
    assert not wire.has_more
    with pytest.raises(BlockingIOError):
        wire.recv(1)


def test_nothing_is_sent_before_the_flush(pair: tuple[Wire, socket.socket]) -> None:
    wire, theirs = pair
    theirs.setblocking(False)

    assert (wire.send(b"one"), wire.send(b"two")) == (3, 3)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    assert wire.flush()
    assert theirs.recv(10) == b"onetwo"


def test_what_the_kernel_does_not_take_stays_for_later(pair: tuple[Wire, socket.socket]) -> None:
    wire, theirs = pair
    wire.send(b"x" * 4_000_000)

    assert not wire.flush()
    left = 4_000_000
    while left:
        left -= len(theirs.recv(1_000_000))
        wire.flush()
    assert wire.flush()


def test_a_failed_wire_reads_as_closed(pair: tuple[Wire, socket.socket]) -> None:
    wire, theirs = pair
    theirs.sendall(b"abc")
    wire.recv(1)

    wire.fail()

    assert not wire.has_more
    assert wire.recv(1) == b""


def test_closing_sends_the_rest(pair: tuple[Wire, socket.socket]) -> None:
    wire, theirs = pair
    wire.send(b"goodbye")
    theirs.sendall(b"unread")
    theirs.shutdown(socket.SHUT_WR)

    wire.close()

    assert theirs.recv(10) == b"goodbye"
    assert theirs.recv(10) == b""


class _Gone(socket.socket):
    """Fails as a TLS socket does whose other end is gone: in a frame that holds a view of what was to be sent."""

    def sendall(self, data: Any, flags: int = 0) -> None:
        with memoryview(data) as view:
            self._fail(view[0:])

    def _fail(self, view: memoryview) -> None:
        raise ssl.SSLEOFError(f"{len(view)} bytes cannot be sent")


def test_a_connection_that_is_gone_is_closed_with_what_was_to_be_sent() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ours:
        wire = Wire(_Gone(fileno=ours.detach()))
        wire.send(b"the last words")

        wire.close()

        assert wire.flush()
