"""Groups over HTTP."""

import httpx
import pytest

from functions.domain.groups import Group
from functions.testing import START
from tests.unit.gateway.rig import Rig, make_device, make_rig


@pytest.fixture
def rig() -> Rig:
    return make_rig(
        devices={
            "dev-0001": make_device("dev-0001", model="P-200"),
            "dev-0002": make_device("dev-0002", groups=("cellar",)),
        },
        groups={"pumps": Group("pumps", START, START, "model:P-200")},
    )


async def client_of(rig: Rig, *scopes: str) -> httpx.AsyncClient:
    return rig.client(await rig.token(*(scopes or ("devices:read", "devices:write"))))


async def test_groups_are_listed_as_published_clients_read_them(rig: Rig) -> None:
    async with await client_of(rig, "devices:read") as client:
        answer = await client.get("/api/groups")

    assert answer.status_code == 200
    assert answer.json() == [
        {"group": "cellar", "device_count": 1},
        {"group": "pumps", "device_count": 1, "query": "model:P-200"},
    ]


async def test_groups_are_listed_a_page_at_a_time(rig: Rig) -> None:
    async with await client_of(rig, "devices:read") as client:
        page = await client.get("/api/groups", params={"sort": "-group", "limit": 1})
        wrong = await client.get("/api/groups", params={"sort": "-size"})
        beyond = await client.get("/api/groups", params={"limit": 1001})

    assert [one["group"] for one in page.json()] == ["pumps"]
    assert page.headers["X-Total-Count"] == "2"
    assert '</api/groups?sort=-group&limit=1&offset=1>; rel="next"' in page.headers["Link"]
    assert (wrong.status_code, wrong.json()["position"]) == (400, 0)
    assert (beyond.status_code, list(beyond.json()["fields"])) == (400, ["limit"])


async def test_a_group_is_made_changed_and_deleted(rig: Rig) -> None:
    async with await client_of(rig) as client:
        made = await client.post("/api/groups", json={"group": "all", "query": "id:*"})
        changed = await client.patch("/api/groups/all", json={"query": "id:dev-0001"})
        listed = await client.get("/api/devices", params={"group": "all"})
        deleted = await client.delete("/api/groups/all")
        again = await client.delete("/api/groups/all")

    assert (made.status_code, made.json()) == (201, {"group": "all", "device_count": 2, "query": "id:*"})
    assert changed.json() == {"group": "all", "device_count": 1, "query": "id:dev-0001"}
    assert [device["deviceName"] for device in listed.json()] == ["dev-0001"]
    assert (deleted.status_code, again.status_code) == (200, 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "group"),
        ({"group": "a b"}, "group"),
        ({"group": "a", "query": "colour:red"}, "query"),
        ({"group": "a", "query": 5}, "query"),
        ({"group": "a", "colour": "red"}, "colour"),
    ],
)
async def test_what_is_no_group_is_refused_by_field(rig: Rig, body: dict[str, object], field: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.post("/api/groups", json=body)

    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == {field}


async def test_names_that_are_taken_and_groups_in_use_are_refused(rig: Rig) -> None:
    async with await client_of(rig) as client:
        taken = await client.post("/api/groups", json={"group": "pumps"})
        in_use = await client.delete("/api/groups/cellar")
        unknown = await client.patch("/api/groups/other", json={"query": None})

    assert (taken.status_code, taken.json()["error"]) == (409, "name_taken")
    assert (in_use.status_code, in_use.json()["error"]) == (409, "group_in_use")
    assert unknown.status_code == 404
