"""Readiness: what is told of a bus that cannot be used."""

import asyncio
import socket
import struct

import pytest

from infra.problem import Problem
from infra.stack.readiness import bus_connection

_INFO = b'INFO {"server_id":"T","version":"2.10.0","proto":1,"headers":true,"max_payload":1048576}\r\n'


async def test_a_refusal_is_told_also_when_a_reset_came_after_it() -> None:
    """A server that refuses hangs up at once, and its reset may overtake its words."""
    met = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal met
        met += 1
        writer.write(_INFO)
        await reader.readline()
        if met == 1:
            await reader.readline()
            writer.write(b"-ERR 'Authorization Violation'\r\n")
            await writer.drain()
        else:
            plain: socket.socket = writer.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(Problem, match="Authorization Violation"):
            async with bus_connection(f"nats://127.0.0.1:{port}", "admin", "wrong"):
                pass
    assert met > 1
