"""Users and their sessions over HTTP, on a hub in memory."""

from typing import Any

import pytest

from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from tests.unit.gateway.rig import PASSWORD, Rig

BERT = {"name": "bert", "role": "operator", "password": PASSWORD}
ADMINS: list[tuple[str, str, Any, int]] = [
    ("GET", "/api/users", None, 200),
    ("POST", "/api/users", {**BERT, "name": "carl"}, 201),
    ("PATCH", "/api/users/bert", {"role": "viewer"}, 200),
    ("DELETE", "/api/users/bert", None, 200),
]


async def test_an_admin_makes_changes_and_deletes_users(rig: Rig) -> None:
    async with await rig.signed_in() as client:
        made = await client.post("/api/users", json=BERT)
        listed = await client.get("/api/users")
        changed = await client.patch("/api/users/BERT", json={"role": "viewer", "disabled": True})
        deleted = await client.delete("/api/users/bert")
        gone = await client.delete("/api/users/bert")

    assert (made.status_code, made.headers["location"]) == (201, "/api/users/bert")
    assert [user["name"] for user in listed.json()] == ["a-admin", "bert"]
    assert listed.headers["x-total-count"] == "2"
    assert (changed.json()["role"], changed.json()["disabled"]) == ("viewer", True)
    assert deleted.json() == {"done": True}
    assert (gone.status_code, gone.json()["error"]) == (404, "not_found")
    assert "argon2" not in made.text + listed.text + changed.text


@pytest.mark.parametrize(("method", "path", "body", "status"), ADMINS)
async def test_users_are_for_admins_alone(rig: Rig, method: str, path: str, body: Any, status: int) -> None:
    async with await rig.signed_in(name="root") as client:
        await client.post("/api/users", json=BERT)
    for role in (UserRole.VIEWER, UserRole.OPERATOR, UserRole.ADMIN):
        async with await rig.signed_in(role) as client:
            answer = await client.request(method, path, json=body)
        assert answer.status_code == (status if role is UserRole.ADMIN else 403), answer.text
    async with rig.client(await rig.token(*Scope)) as client:
        assert (await client.request(method, path, json=body)).status_code == 403
    async with rig.client() as client:
        assert (await client.request(method, path, json=body)).status_code == 401
        described = (await client.get("/openapi.json")).json()["paths"][path.replace("bert", "{name}")][method.lower()]
    assert described["x-required-role"] == UserRole.ADMIN


@pytest.mark.parametrize(
    "body",
    [{}, {"name": "eve"}, {**BERT, "role": "owner"}, {**BERT, "admin": True}, {**BERT, "name": "a b"},
     {**BERT, "name": "b" * 65}, {**BERT, "password": "short"}, {**BERT, "password": 1}, [BERT]],
)  # fmt: skip
async def test_what_is_no_user_is_refused_with_a_code(rig: Rig, body: Any) -> None:
    async with await rig.signed_in() as client:
        answer = await client.post("/api/users", json=body)

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert PASSWORD not in answer.text


async def test_everybody_sees_and_ends_their_own_sessions(rig: Rig) -> None:
    async with await rig.signed_in(name="anna") as anna, await rig.signed_in("viewer", "bert") as bert:
        (own,) = (await bert.get("/api/sessions")).json()
        everybody = (await anna.get("/api/sessions")).json()
        (annas,) = [one["id"] for one in everybody if one["user"] == "anna"]

        assert own["user"] == "bert"
        assert own["origin"] == "http:192.0.2.1"
        assert len(everybody) == 2
        assert (await bert.delete(f"/api/sessions/{annas}")).status_code == 404
        assert (await anna.delete(f"/api/sessions/{own['id']}")).json() == {"done": True}
        rig.clock.now += 2
        assert (await bert.get("/api/sessions")).status_code == 401


async def test_the_last_admin_stays_over_http(rig: Rig) -> None:
    async with await rig.signed_in(name="anna") as client:
        answers = [
            await client.delete("/api/users/anna"),
            await client.patch("/api/users/anna", json={"role": "viewer"}),
        ]

    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [(409, "last_admin")] * 2
