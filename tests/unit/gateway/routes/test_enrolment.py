from typing import Any

import httpx
import pytest

from tests.unit.gateway.rig import OPERATOR, Rig

PATH = "/api/settings/enrolment"
CLOSED = {"isOpen": False, "openUntil": None, "whitelistEnforced": False, "serveFiles": None}


@pytest.fixture
async def client(rig: Rig) -> httpx.AsyncClient:
    await rig.bus.request("devicehub.claims.issue", b'{"name":"fleet","days":1}', caller=OPERATOR)
    return rig.client(await rig.token("admin"))


async def put(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.put(PATH, json=body)
    assert answer.status_code == 200, answer.text
    assert (await client.get(PATH)).json() == answer.json()
    return dict(answer.json())


async def test_enrolment_is_closed_unless_opened(client: httpx.AsyncClient) -> None:
    assert (await client.get(PATH)).json() == CLOSED


async def test_a_window_ends_by_itself(client: httpx.AsyncClient, rig: Rig) -> None:
    told = await put(client, minutes=30, serveFiles="fleet")

    assert told == {**CLOSED, "isOpen": True, "openUntil": "2035-01-01T12:30:00Z", "serveFiles": "fleet"}
    rig.hub.clock.advance(30 * 60 - 1)
    assert (await client.get(PATH)).json()["isOpen"] is True
    rig.hub.clock.advance(1)
    assert (await client.get(PATH)).json() == CLOSED


async def test_what_is_not_given_stays(client: httpx.AsyncClient) -> None:
    opened = await put(client, isOpen=True, serveFiles="fleet")

    assert opened["openUntil"] is None
    assert await put(client, whitelistEnforced=True) == {**opened, "whitelistEnforced": True}
    assert await put(client, isOpen=False) == {**CLOSED, "whitelistEnforced": True}
    assert await put(client, isOpen=False, whitelistEnforced=False) == CLOSED


async def test_a_window_opened_anew_forgets_the_last_one(client: httpx.AsyncClient) -> None:
    await put(client, minutes=30, serveFiles="fleet")

    told = await put(client, isOpen=True)

    assert told == {**CLOSED, "isOpen": True}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"minutes": 0},
        {"minutes": 525_601},
        {"minutes": 1.5},
        {"minutes": "5"},
        {"isOpen": "true"},
        {"isOpen": False, "minutes": 5},
        {"isOpen": False, "serveFiles": "fleet"},
        {"isOpen": True, "serveFiles": "no name"},
        {"isOpen": True, "until": "tomorrow"},
    ],
)
async def test_a_wish_that_is_none_changes_nothing(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await client.put(PATH, json=body)

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert (await client.get(PATH)).json() == CLOSED


async def test_files_that_cannot_be_served_keep_the_window_shut(client: httpx.AsyncClient, rig: Rig) -> None:
    answer = await client.put(PATH, json={"minutes": 5, "serveFiles": "nobody"})
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    rig.hub.clock.advance(86_400)
    answer = await client.put(PATH, json={"minutes": 5, "serveFiles": "fleet"})
    assert (answer.status_code, answer.json()["error"]) == (409, "no_bundle")
    assert (await client.get(PATH)).json() == CLOSED
