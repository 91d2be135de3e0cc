"""The least MQTT 3.1.1 that a load needs: QoS 1 over TLS, without blocking, on the running loop.

A library's client takes several times the processor time of this for each
message, and on two cores what the load takes is missing to the hub.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 2, 3, 4, 9
_DISCONNECT = b"\xe0\x00"
_CHUNK_BYTES = 64 * 1024
_CLEAN, _PASSWORD, _USER = 0x02, 0x40, 0x80
_ANSWER_SECONDS = 15.0


class Refused(Exception):
    """The broker refused a connection or a subscription, or ended the session."""


@dataclass(frozen=True)
class Where:
    """A broker: host and port with TLS, or a unix socket."""

    host: str = "127.0.0.1"
    port: int = 0
    path: str = ""


class Session:
    """One clean session; made by ``open``, ended by ``close``.

    ``heard(topic, payload)`` is called with each message, which is then
    acknowledged. What it sends leaves in the same write as the
    acknowledgement.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._in = bytearray()
        self._out = bytearray()
        self._reading = False
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._mid = 0
        self.heard: Callable[[str, bytes], None] = lambda topic, payload: None
        self.acknowledged: Callable[[int], None] = lambda mid: None
        self.ended: asyncio.Future[None] = self._loop.create_future()

    @classmethod
    async def open(
        cls, where: Where, client_id: str, context: ssl.SSLContext | None = None, *, user: str = "", password: str = ""
    ) -> Self:
        """Connect, shake hands and have the broker accept the session.

        Raises:
            Refused: it does not.
            OSError: there is no connection, or no handshake.
        """
        async with asyncio.timeout(_ANSWER_SECONDS):
            session = cls(await _connect(where, context))
            try:
                session._loop.add_reader(session._socket.fileno(), session._read)
                answer = session._expect(_CONNACK)
                session._out += _connect_packet(client_id, user, password)
                session._flush()
                told = await answer
                if told[1] != 0:
                    raise Refused(f"the broker refuses {client_id}: {told[1]}")
            except BaseException:
                session._end(Refused("not opened"))
                raise
        return session

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe at QoS 1. Raises Refused."""
        self._mid = self._mid % 0xFFFF + 1
        body = struct.pack("!H", self._mid) + b"".join(_text(each) + b"\x01" for each in filters)
        answer = self._expect(_SUBACK)
        self._out += b"\x82" + _length(len(body)) + body
        self._flush()
        async with asyncio.timeout(_ANSWER_SECONDS):
            told = await answer
        if 0x80 in told[2:]:
            raise Refused(f"the broker refuses a subscription of {filters}")

    def publish(self, topic: str, payload: bytes) -> int:
        """Publish at QoS 1 without waiting; the message's number, which ``acknowledged`` is told."""
        self._mid = self._mid % 0xFFFF + 1
        name = topic.encode()
        size = 4 + len(name) + len(payload)
        self._out += b"\x32" + _length(size) + struct.pack("!H", len(name)) + name
        self._out += struct.pack("!H", self._mid) + payload
        if not self._reading:
            self._flush()
        return self._mid

    async def close(self) -> None:
        """Say goodbye and close."""
        if not self.ended.done():
            self._out += _DISCONNECT
            self._flush()
        self._end(None)

    # --- The socket

    def _read(self) -> None:
        self._reading = True
        try:
            while True:
                data = self._socket.recv(_CHUNK_BYTES)
                if not data:
                    self._end(Refused("the broker ended the session"))
                    return
                self._in += data
                self._take()
                if len(data) < _CHUNK_BYTES and not self._has_more():
                    break
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError as problem:
            self._end(problem)
            return
        finally:
            self._reading = False
        if self._out:
            self._flush()

    def _has_more(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _flush(self) -> None:
        try:
            while self._out:
                sent = self._socket.send(self._out)
                del self._out[:sent]
        except (BlockingIOError, ssl.SSLWantWriteError):
            self._loop.add_writer(self._socket.fileno(), self._write_again)
        except OSError as problem:
            self._end(problem)

    def _write_again(self) -> None:
        self._loop.remove_writer(self._socket.fileno())
        self._flush()

    def _end(self, problem: Exception | None) -> None:
        if self.ended.done():
            return
        self.ended.set_result(None)
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(problem or Refused("closed"))

    # --- Packets

    def _expect(self, kind: int) -> asyncio.Future[bytes]:
        future = self._waiting[kind] = self._loop.create_future()
        return future

    def _take(self) -> None:
        """Handle every packet that is whole."""
        at, data = 0, self._in
        while len(data) - at >= 2:
            size, head = data[at + 1], 2
            if size & 0x80:
                size, head = _long_length(data, at)
                if not head:
                    break
            end = at + head + size
            if end > len(data):
                break
            self._packet(data[at], bytes(data[at + head : end]))
            at = end
        del data[:at]

    def _packet(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == _PUBLISH:
            begin = 2 + (body[0] << 8 | body[1])
            topic = body[2:begin].decode()
            if first & 0x06:
                self._out += b"\x40\x02" + body[begin : begin + 2]
                begin += 2
            self.heard(topic, body[begin:])
        elif kind == _PUBACK:
            self.acknowledged(body[0] << 8 | body[1])
        elif (future := self._waiting.pop(kind, None)) is not None and not future.done():
            future.set_result(body)


async def _connect(where: Where, context: ssl.SSLContext | None) -> socket.socket:
    loop = asyncio.get_running_loop()
    plain = socket.socket(socket.AF_UNIX if where.path else socket.AF_INET, socket.SOCK_STREAM)
    plain.setblocking(False)
    try:
        await loop.sock_connect(plain, where.path or (where.host, where.port))
        if where.path:
            return plain
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return plain
        wrapped = context.wrap_socket(plain, server_hostname=where.host, do_handshake_on_connect=False)
        plain = wrapped
        await _shake_hands(wrapped)
    except BaseException:
        plain.close()
        raise
    return wrapped


async def _shake_hands(wrapped: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        ready = loop.create_future()
        try:
            wrapped.do_handshake()
            return
        except ssl.SSLWantReadError:
            loop.add_reader(wrapped.fileno(), _set, ready)
            try:
                await ready
            finally:
                loop.remove_reader(wrapped.fileno())
        except ssl.SSLWantWriteError:
            loop.add_writer(wrapped.fileno(), _set, ready)
            try:
                await ready
            finally:
                loop.remove_writer(wrapped.fileno())


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _connect_packet(client_id: str, user: str, password: str) -> bytes:
    flags = _CLEAN | (_USER | _PASSWORD if user else 0)
    # Keepalive 0: a run is short.
    body = _text("MQTT") + bytes([4, flags, 0, 0]) + _text(client_id)
    body += (_text(user) + _text(password)) if user else b""
    return b"\x10" + _length(len(body)) + body


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (0x80 if size else 0))
        if not size:
            return bytes(out)


def _long_length(data: bytearray, at: int) -> tuple[int, int]:
    """Remaining length and bytes of the fixed header; 0 bytes if the length is not whole yet."""
    size = shift = 0
    for step in range(1, 5):
        if at + step >= len(data):
            return 0, 0
        byte = data[at + step]
        size |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return size, step + 1
        shift += 7
    raise Refused("a packet length of five bytes")
