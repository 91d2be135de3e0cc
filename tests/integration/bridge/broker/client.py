"""A bare MQTT 5 client: one connection, nothing behind one's back, and packets that no library would send."""

import asyncio
import ssl
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.integration.bridge.mosquitto import Mosquitto

NOT_AUTHORISED = 0x87
ADMINISTRATIVE_ACTION = 0x98

_CONNACK, _PUBLISH, _PUBACK, _SUBACK, _DISCONNECT = 2, 3, 4, 9, 14


class Refused(Exception):
    """The broker did not let the client in."""


class Client:
    """Connected from ``connect`` on; ``ended`` is set when the broker ends it, ``reason`` says why."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._mid = 0
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._reading: asyncio.Task[None] | None = None
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.reason: int | None = None
        host, port = writer.get_extra_info("sockname")[:2]
        self.address = f"{host}:{port}"

    @classmethod
    async def connect(
        cls,
        broker: Mosquitto,
        identity: tuple[Path, Path],
        client_id: str,
        *,
        clean: bool = True,
        says_bridge: bool = False,
        will: str = "",
    ) -> Self:
        """Shake hands and be accepted.

        Raises:
            Refused: by TLS or by the broker.
        """
        context = ssl.create_default_context(cafile=str(broker.folder / "ca.crt"))
        context.load_cert_chain(*identity)
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", broker.port, ssl=context, server_hostname="localhost"
            )
        except (OSError, ssl.SSLError) as problem:
            raise Refused(repr(problem)) from problem
        client = cls(reader, writer)
        flags = (2 if clean else 0) | (0x0C if will else 0)
        # Session expiry of an hour where it is not clean.
        properties = b"" if clean else b"\x11" + struct.pack(">I", 3600)
        # The bit that says bridge is taken with MQTT 3.1.1 only, which has no properties.
        body = _text("MQTT") + bytes([0x84 if says_bridge else 5, flags]) + struct.pack(">H", 60)
        body += (b"" if says_bridge else _sized(properties)) + _text(client_id)
        if will:
            body += b"\0" + _text(will) + _text("gone")
        try:
            writer.write(_packet(0x10, body))
            kind, answer = await asyncio.wait_for(client._packet(), 5)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError) as problem:
            writer.close()
            raise Refused(repr(problem)) from problem
        if kind != _CONNACK or answer[1]:
            writer.close()
            raise Refused(f"packet {kind}, reason {answer[1]:#x}")
        client._reading = asyncio.create_task(client._read())
        return client

    async def publish(self, topic: str, payload: bytes = b"{}") -> int:
        """Publish at QoS 1; gives the broker's reason code. Raises Refused when the connection is over."""
        if self.ended.is_set():
            raise Refused("ended")
        self._mid += 1
        done = self._answers[self._mid] = asyncio.get_running_loop().create_future()
        self._writer.write(_packet(0x32, _text(topic) + struct.pack(">HB", self._mid, 0) + payload))
        return await asyncio.wait_for(done, 5)

    async def subscribe(self, topic: str, *, qos: int = 0) -> int:
        """Subscribe; gives the broker's reason code."""
        self._mid += 1
        done = self._answers[self._mid] = asyncio.get_running_loop().create_future()
        self._writer.write(_packet(0x82, struct.pack(">HB", self._mid, 0) + _text(topic) + bytes([qos])))
        return await asyncio.wait_for(done, 5)

    async def wait_ended(self, within: float = 5.0) -> int | None:
        """Wait until the broker has ended the connection; gives its reason, if it said one."""
        await asyncio.wait_for(self.ended.wait(), within)
        return self.reason

    async def leave(self) -> None:
        """Disconnect in order."""
        self._writer.write(b"\xe0\x00")
        await self.drop()

    async def drop(self) -> None:
        """Close the connection without a word."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except (OSError, ssl.SSLError):
            # The broker was first.
            self.ended.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drop()

    async def _read(self) -> None:
        try:
            while True:
                kind, body = await self._packet()
                if kind == _PUBLISH:
                    size = struct.unpack_from(">H", body)[0]
                    self.heard.put_nowait((body[2 : 2 + size].decode(), body[3 + size :]))
                elif kind in (_PUBACK, _SUBACK):
                    (mid,) = struct.unpack_from(">H", body)
                    reason = body[-1] if kind == _SUBACK else body[2] if len(body) > 2 else 0
                    self._answers.pop(mid).set_result(reason)
                elif kind == _DISCONNECT:
                    self.reason = body[0] if body else 0
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            self.ended.set()
            for waiting in self._answers.values():
                waiting.set_exception(Refused("ended"))
                waiting.exception()

    async def _packet(self) -> tuple[int, bytes]:
        first = (await self._reader.readexactly(1))[0]
        size, shift = 0, 0
        while True:
            digit = (await self._reader.readexactly(1))[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                return first >> 4, await self._reader.readexactly(size)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _sized(data: bytes) -> bytes:
    size, out = len(data), bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out) + data


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _sized(body)
