"""TLS sessions that clients resume: a ticket from before a revocation opens no connection after it.

A resumed handshake shows no certificate, so nothing is looked up in the
revocation list then. It is the broker's reload that makes old tickets void.
"""

import asyncio
import socket
import ssl
import struct
from pathlib import Path

import pytest

from tests.integration.bridge.broker.conftest import Keeping
from tests.integration.bridge.mosquitto import Mosquitto

NAME = "EDGB-0001"


def context_of(broker: Mosquitto, identity: tuple[Path, Path], version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(broker.folder / "ca.crt"))
    context.load_cert_chain(*identity)
    context.minimum_version = context.maximum_version = version
    return context


def connect(broker: Mosquitto, context: ssl.SSLContext, ticket: ssl.SSLSession | None) -> tuple[ssl.SSLSession, bool]:
    """Be accepted by the broker; gives a ticket to come back with, and whether the one given was taken."""
    with (
        socket.create_connection(("127.0.0.1", broker.port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="localhost", session=ticket) as line,
    ):
        body = b"\0\4MQTT\4\2\0\x3c" + struct.pack(">H", len(NAME)) + NAME.encode()
        line.sendall(bytes([0x10, len(body)]) + body)
        if line.recv(4) != b"\x20\2\0\0":
            raise ConnectionError("the broker hung up")
        # With TLS 1.3 the ticket comes after the handshake, and with the first data at the latest.
        session, is_resumed = line.session, line.session_reused
    assert session is not None
    return session, bool(is_resumed)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_ticket_from_before_a_revocation_is_refused_after_it(keeping: Keeping, version: ssl.TLSVersion) -> None:
    await keeping.start()
    broker = keeping.broker
    identity = broker.authority.issue(NAME)
    context = context_of(broker, identity, version)
    ticket, _ = await asyncio.to_thread(connect, broker, context, None)
    ticket, is_resumed = await asyncio.to_thread(connect, broker, context, ticket)
    assert is_resumed, "the broker gives no tickets, and there is nothing to be tried"
    keeping.revoke(identity[0], name=NAME)

    await keeping.functions.tell(NAME)
    await keeping.apply()

    for shown in (ticket, None):
        with pytest.raises(OSError, match=r"revoked|EOF|reset|hung up"):
            await asyncio.to_thread(connect, broker, context, shown)
