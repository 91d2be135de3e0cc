"""API tokens on a hub in memory."""

import asyncio
import json
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from structlog.testing import capture_logs

from functions.contract.messages import (
    Nothing,
    TokenCreate,
    TokenCreated,
    TokenFact,
    TokenProof,
    TokenProven,
    TokenRevoke,
)
from functions.domain.faults import Conflict, Denied, Malformed, NotFound, Reason
from functions.domain.tokens import digest, is_text
from functions.handlers import tokens
from functions.ports import Hub
from functions.routes import ROUTES
from functions.runtime.calls import answer
from functions.testing import START, MemoryHub, call, collect, memory_hub
from tests.unit.handlers.onboarding import Once, meddled


async def create(hub: Hub, name: str = "dashboard", *scopes: str, days: int | None = None) -> TokenCreated:
    asked = TokenCreate(name=name, scopes=list(scopes or ("devices:read",)), days=days)
    return await tokens.create(call(asked, caller="user:anna"), hub)


async def prove(hub: Hub, text: str) -> TokenProven:
    return await tokens.prove(call(TokenProof(digest=digest(text)), caller="system:gateway"), hub)


async def revoke(hub: Hub, name: str = "dashboard") -> None:
    await tokens.revoke(call(TokenRevoke(name=name), caller="user:anna"), hub)


async def listed(hub: Hub) -> list[TokenFact]:
    return (await tokens.list_(call(Nothing(), caller="user:anna"), hub)).tokens


async def is_refused(hub: Hub, text: str) -> bool:
    with pytest.raises(Denied) as refused:
        await prove(hub, text)
    return refused.value.reason is Reason.UNAUTHENTICATED


async def test_a_new_token_is_proved_by_the_digest_of_its_text() -> None:
    hub = memory_hub()

    made = await create(hub, "dashboard", "twins:read", "devices:read", days=90)

    assert is_text(made.token)
    assert (made.name, made.scopes) == ("dashboard", ["devices:read", "twins:read"])
    assert made.expires_at == START + timedelta(days=90)
    assert await prove(hub, made.token) == TokenProven(
        name="dashboard", scopes=["devices:read", "twins:read"], expires_at=made.expires_at
    )


async def test_only_the_digest_is_kept() -> None:
    hub = memory_hub()

    made = await create(hub)

    kept = await collect(hub.tokens.entries())
    assert list(kept) == [sha256(made.token.encode()).hexdigest()]
    assert made.token[3:] not in repr(kept)
    assert made.token[3:] not in repr(await listed(hub)) + repr(made)


async def test_the_text_of_a_token_is_in_no_log_and_in_no_fault() -> None:
    hub = memory_hub()
    routes = {route.subject: route for route in ROUTES}

    async def ask(subject: str, body: Any, caller: str) -> dict[str, Any]:
        headers = {"Hub-Caller": caller}
        reply = await answer(routes[subject], hub, f"devicehub.{subject}", json.dumps(body).encode(), headers)
        told: dict[str, Any] = json.loads(reply.body)
        return told

    with capture_logs() as logs:
        made = await ask("tokens.create", {"name": "n", "scopes": ["admin"]}, "system:cli")
        # What is sent by mistake: the text in the place of the digest, of a name and of a scope.
        faults = [
            await ask("tokens.prove", {"digest": made["token"]}, "system:gateway"),
            await ask("tokens.create", {"name": made["token"], "scopes": ["admin"]}, "system:cli"),
            await ask("tokens.create", {"name": made["token"] + "!", "scopes": ["admin"]}, "system:cli"),
            await ask("tokens.create", {"name": "m", "scopes": [made["token"]]}, "system:cli"),
            await ask("tokens.revoke", {"name": made["token"]}, "system:cli"),
        ]

    assert [fault["error"] for fault in faults] == [*["bad_request"] * 4, "not_found"]
    assert made["token"][3:] not in repr(logs) + repr(faults) + repr(await collect(hub.tokens.entries()))


async def test_two_tokens_have_nothing_in_common() -> None:
    hub = memory_hub()

    first, second = await create(hub, "first", "twins:read"), await create(hub, "second")

    assert first.token != second.token
    await revoke(hub, "first")
    assert await is_refused(hub, first.token)
    assert (await prove(hub, second.token)).name == "second"


async def test_a_text_that_is_no_token_proves_nothing() -> None:
    hub = memory_hub()
    made = await create(hub)

    for text in ("", "dh_", made.token[:-1], made.token.swapcase(), digest(made.token)):
        assert await is_refused(hub, text)


async def test_a_token_ends_when_it_was_said_to() -> None:
    hub = memory_hub()
    made = await create(hub, days=1)

    hub.clock.advance(timedelta(days=1) - timedelta(seconds=1))
    await prove(hub, made.token)
    hub.clock.advance(1)

    assert await is_refused(hub, made.token)


async def test_a_revoked_token_proves_nothing_and_is_still_listed() -> None:
    hub = memory_hub()
    made = await create(hub)

    await revoke(hub)

    assert await is_refused(hub, made.token)
    assert [(fact.name, fact.revoked_at) for fact in await listed(hub)] == [("dashboard", START)]
    with pytest.raises(NotFound):
        await revoke(hub)


async def test_a_name_is_free_again_once_its_token_has_ended() -> None:
    hub = memory_hub()
    first = await create(hub, days=1)
    with pytest.raises(Conflict) as refused:
        await create(hub)
    assert refused.value.reason is Reason.NAME_TAKEN

    hub.clock.advance(timedelta(days=1))
    second = await create(hub)
    await revoke(hub)
    third = await create(hub)

    assert await is_refused(hub, first.token)
    assert await is_refused(hub, second.token)
    assert (await prove(hub, third.token)).name == "dashboard"


async def test_a_name_that_two_calls_took_at_once_is_revoked_for_both() -> None:
    hub = memory_hub()
    others: list[TokenCreated] = []

    async def take() -> None:
        others.append(await create(hub))

    made = await create(meddled(hub, Once(take)))

    await revoke(hub)

    for one in (made, *others):
        assert await is_refused(hub, one.token)


@pytest.mark.parametrize("scopes", [["devices"], ["devices:read", "*"]])
async def test_a_scope_that_does_not_exist_makes_no_token(scopes: list[str]) -> None:
    hub = memory_hub()

    with pytest.raises(Malformed) as refused:
        await create(hub, "dashboard", *scopes)

    assert set(refused.value.fields) == {"scopes"}
    assert await listed(hub) == []


async def last_use(hub: MemoryHub) -> tuple[Any, int]:
    (kept,) = (await collect(hub.tokens.entries())).values()
    return kept.value.last_used_at, kept.revision


async def test_its_last_use_is_noted_at_most_once_a_minute() -> None:
    hub = memory_hub()
    made = await create(hub)
    assert await last_use(hub) == (None, 1)

    for _ in range(3):
        await prove(hub, made.token)
    assert await last_use(hub) == (START, 2)
    hub.clock.advance(59)
    await prove(hub, made.token)
    assert await last_use(hub) == (START, 2)
    hub.clock.advance(1)
    await prove(hub, made.token)
    assert await last_use(hub) == (START + timedelta(seconds=60), 3)


async def test_many_uses_at_once_are_all_answered() -> None:
    hub = memory_hub()
    made = await create(hub)

    proven = await asyncio.gather(*(prove(hub, made.token) for _ in range(20)))

    assert {one.name for one in proven} == {"dashboard"}


async def test_a_token_revoked_while_it_is_proved_is_refused() -> None:
    hub = memory_hub()
    made = await create(hub)

    # Between reading the token and noting its use.
    assert await is_refused(meddled(hub, Once(lambda: revoke(hub))), made.token)
    assert (await listed(hub))[0].revoked_at == START
