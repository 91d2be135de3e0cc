"""API tokens in their bucket on a real nats-server."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from nats.aio.client import Client

from functions.adapters import preparing
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import BUCKETS
from functions.contract.messages import Nothing, TokenCreate, TokenProof, TokenProven, TokenRevoke
from functions.domain.faults import Conflict, Denied, NotFound
from functions.domain.tokens import digest
from functions.handlers import tokens
from functions.testing import START, MemoryHub, call, collect, memory_hub

BUCKET = BUCKETS["tokens"]


@pytest.fixture
async def hub(admin: Client, functions: Client) -> MemoryHub:
    await preparing.prepare(admin, buckets=(BUCKET,), streams=())
    return replace(memory_hub(), tokens=JetStreamStore(functions, BUCKET.names, BUCKET.codec()))


async def create(hub: MemoryHub, name: str) -> str:
    return (await tokens.create(call(TokenCreate(name=name, scopes=["devices:read"], days=1)), hub)).token


async def prove(hub: MemoryHub, text: str) -> TokenProven:
    return await tokens.prove(call(TokenProof(digest=digest(text))), hub)


async def test_a_token_is_made_proved_used_and_revoked(hub: MemoryHub) -> None:
    text = await create(hub, "dashboard")
    assert (await prove(hub, text)).expires_at == START + timedelta(days=1)
    with pytest.raises(Conflict):
        await create(hub, "dashboard")

    await tokens.revoke(call(TokenRevoke(name="dashboard")), hub)

    with pytest.raises(Denied):
        await prove(hub, text)
    (fact,) = (await tokens.list_(call(Nothing()), hub)).tokens
    assert (fact.last_used_at, fact.revoked_at) == (START, START)
    with pytest.raises(NotFound):
        await tokens.revoke(call(TokenRevoke(name="dashboard")), hub)


async def test_the_text_of_a_token_never_reaches_the_server(hub: MemoryHub, admin: Client) -> None:
    text = await create(hub, "dashboard")
    await prove(hub, text)

    message = await admin.jetstream().get_msg(f"KV_{BUCKET.name}", subject=f"$KV.{BUCKET.name}.{digest(text)}")

    assert message.data is not None
    assert text[3:].encode() not in message.data


async def test_uses_at_once_are_all_answered_and_one_is_noted(hub: MemoryHub) -> None:
    text = await create(hub, "dashboard")

    proven = await asyncio.gather(*(prove(hub, text) for _ in range(20)))

    assert Counter(one.name for one in proven) == {"dashboard": 20}
    (kept,) = (await collect(hub.tokens.entries())).values()
    assert kept.revision == 2


async def test_a_use_does_not_undo_a_revocation(hub: MemoryHub) -> None:
    for number in range(10):
        text = await create(hub, f"t{number}")

        await asyncio.gather(
            *(prove(hub, text) for _ in range(5)),
            tokens.revoke(call(TokenRevoke(name=f"t{number}")), hub),
            return_exceptions=True,
        )

        with pytest.raises(Denied):
            await prove(hub, text)
