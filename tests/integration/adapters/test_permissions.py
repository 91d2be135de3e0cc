"""The functions' user can do its work, and nothing that would change or end what is stored as a whole."""

import asyncio

import nats.errors
import pytest
from nats.aio.client import Client

from functions.adapters import preparing
from functions.contract import bus
from tests.integration.nats_server import NatsServer

FORBIDDEN = (
    "$JS.API.STREAM.CREATE.KV_mine",
    "$JS.API.STREAM.UPDATE.KV_hub-names",
    "$JS.API.STREAM.DELETE.KV_hub-names",
    "$JS.API.STREAM.PURGE.KV_hub-names",
    "$JS.API.STREAM.MSG.DELETE.KV_hub-names",
    "$JS.API.STREAM.SNAPSHOT.KV_hub-names",
    "$JS.API.STREAM.RESTORE.KV_hub-names",
    "$JS.API.STREAM.LIST",
    "$JS.API.CONSUMER.DELETE.KV_hub-names.other",
    "$SYS.REQ.SERVER.PING",
)


@pytest.mark.parametrize("subject", FORBIDDEN)
async def test_the_functions_may_not(nats_server: NatsServer, admin: Client, subject: str) -> None:
    await preparing.prepare(admin)
    refused: asyncio.Queue[Exception] = asyncio.Queue()
    client = await bus.connect(nats_server.url, user="functions", password="functions", failed=refused.put)
    try:
        await client.publish(subject, b"{}", reply=client.new_inbox())
        async with asyncio.timeout(2):
            problem = await refused.get()
    finally:
        await client.close()

    assert isinstance(problem, nats.errors.Error)
    assert "permissions violation" in str(problem).lower()
    assert subject.lower() in str(problem).lower()
