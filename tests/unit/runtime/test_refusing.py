"""What the runtime refuses is written down: who, what, from where and why."""

from datetime import timedelta

import pytest

from functions.domain.credentials import Credentials
from functions.domain.devices import Device
from functions.domain.tokens import Scope
from functions.handlers.refusing import write_refusals, write_rest
from functions.routes import ROUTES
from functions.runtime.calls import answer
from functions.testing import START, MemoryHub, memory_hub

KEY = "UKEY"
CREDENTIALS = Credentials("reports", (Scope.DEVICES_READ,), (), START, START + timedelta(days=1))
INFO = f'{{"acc":"INTEGRATIONS","user":"{KEY}"}}'
BY_SUBJECT = {route.full_subject: route for route in ROUTES}


def a_hub() -> MemoryHub:
    return memory_hub(devices={"pump-0001": Device("pump-0001", START, START)}, credentials={KEY: CREDENTIALS})


async def tried(hub: MemoryHub, name: str, headers: dict[str, str], body: bytes = b"", target: str = "x") -> str | None:
    route = BY_SUBJECT[f"devicehub.{name}"]
    reply = await answer(route, hub, route.full_subject.replace("*", target), body, headers)
    return reply.reason


@pytest.mark.parametrize(
    ("headers", "name", "actor", "origin", "error"),
    [
        ({"Hub-Caller": "app:page", "Hub-Scopes": "twins:read", "Hub-Origin": "http:192.0.2.7"},
         "audit.query", "app:page", "http:192.0.2.7", "denied"),
        ({"Hub-Caller": "device:pump-0001"}, "registry.query", "device:pump-0001", "mqtt", "denied"),
        ({"Nats-Request-Info": INFO}, "audit.query", "app:reports", "nats", "denied"),
        ({"Nats-Request-Info": '{"user":"UOTHER"}'}, "registry.query", "UOTHER", "nats", "unauthenticated"),
        ({"Nats-Request-Info": "{"}, "registry.query", "-", "nats", "denied"),
        ({"Hub-Caller": "nobody in particular"}, "registry.query", "-", "hub", "denied"),
    ],
)  # fmt: skip
async def test_who_was_refused_what_from_where_and_why(
    headers: dict[str, str], name: str, actor: str, origin: str, error: str
) -> None:
    hub = a_hub()

    assert await tried(hub, name, headers) == error
    await write_refusals(hub)

    (entry,) = hub.audit.written
    assert (entry.action, entry.outcome, entry.trail) == ("access.refused", "refused", "refusals")
    assert (entry.actor, entry.origin, entry.kind, entry.target) == (
        actor,
        origin,
        "function",
        BY_SUBJECT[f"devicehub.{name}"].name,
    )
    assert (entry.after["error"], entry.after["count"]) == (error, 1)
    assert entry.after["what"] == f"devicehub.{name}"


async def test_a_flood_is_an_entry_and_a_sum() -> None:
    hub = a_hub()
    headers = {"Hub-Caller": "device:pump-0001"}
    await tried(hub, "registry.query", headers)
    await write_refusals(hub)
    for _ in range(500):
        await tried(hub, "registry.query", headers)
        await write_refusals(hub)
    hub.clock.advance(60)
    await write_refusals(hub)
    await write_refusals(hub)

    assert [one.after["count"] for one in hub.audit.written] == [1, 500]


async def test_what_is_no_refusal_is_not_noted() -> None:
    hub = a_hub()

    assert await tried(hub, "registry.query", {"Hub-Caller": "system:cli"}, b"{") == "bad_request"
    assert await tried(hub, "registry.query", {"Hub-Caller": "system:cli"}, b"{}") is None
    assert hub.refusals.is_empty


async def test_a_process_that_ends_leaves_nothing_untold() -> None:
    hub = a_hub()
    for _ in range(3):
        await tried(hub, "registry.query", {"Hub-Caller": "device:pump-0001"})
    await write_rest(hub)

    assert [one.after["count"] for one in hub.audit.written] == [3]
    assert hub.refusals.is_empty


async def test_more_kinds_than_one_record_holds_are_all_written() -> None:
    hub = a_hub()
    for number in range(200):
        await tried(hub, "registry.query", {"Hub-Caller": f"device:pump-{number:04}"})
    await write_refusals(hub)

    assert len({one.actor for one in hub.audit.written}) == 200
