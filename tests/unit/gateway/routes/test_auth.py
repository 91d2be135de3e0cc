"""Signing in over HTTP, on a hub in memory."""

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from functions.contract.messages import Nothing, SetupCodeGiven
from functions.testing import MemoryHub
from tests.unit.gateway.rig import DEVICE, OPERATOR, PASSWORD, Rig

OTHER = "another long password"
PUMP = f"/api/devices/{DEVICE}"


async def sign_in(client: httpx.AsyncClient, user: str = "a-admin", password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/auth/login", json={"user": user, "password": password})


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["error"]


async def sessions(hub: MemoryHub) -> set[str]:
    return {id_ async for id_, _ in hub.user_sessions.entries()}


async def test_who_signs_in_gets_a_cookie_that_no_script_and_no_other_site_can_use(rig: Rig) -> None:
    async with await rig.signed_in() as client:
        answer = await sign_in(client)

    told = answer.json()
    assert (told["user"], told["role"]) == ("a-admin", "admin")
    assert set(told) == {"user", "role", "session", "expiresAt", "endsAt", "serverTime", "version"}
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name.startswith("devicehub-session=dhs_")
    assert name.partition("=")[2] not in answer.text
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    assert "Secure" not in attributes
    assert answer.headers["cache-control"] == "no-store"


async def test_over_https_the_cookie_is_secure_and_bound_to_the_host(rig: Rig) -> None:
    async with await rig.signed_in() as client:
        client.base_url = httpx.URL("https://hub")
        client.cookies.clear()
        answer = await sign_in(client)

        assert answer.headers["set-cookie"].startswith("__Host-devicehub-session=dhs_")
        assert answer.headers["set-cookie"].endswith("; Secure")
        assert (await client.get("/api/auth/me")).status_code == 200


async def test_me_says_who_it_is_and_refuses_tokens(rig: Rig) -> None:
    async with await rig.signed_in("viewer", "bert") as client:
        told = (await client.get("/api/auth/me")).json()
    async with rig.client(await rig.token("admin")) as client:
        assert refusal(await client.get("/api/auth/me")) == (403, "denied")
    async with rig.client() as client:
        assert refusal(await client.get("/api/auth/me")) == (401, "unauthenticated")

    assert (told["user"], told["role"], told["version"]) == ("bert", "viewer", rig.app.state.gateway.version)
    assert {told["session"]} == await sessions(rig.hub)


async def test_signing_out_ends_the_session_at_once_and_clears_the_cookie(rig: Rig) -> None:
    async with await rig.signed_in() as client:
        text = client.cookies["devicehub-session"]
        answer = await client.post("/api/auth/logout")
        client.cookies.set("devicehub-session", text)

        again = await client.get(PUMP)

    assert answer.json() == {"done": True}
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert refusal(again) == (401, "unauthenticated")
    assert "Max-Age=0" in again.headers["set-cookie"]


async def test_a_session_that_another_gateway_ends_is_out_as_soon_as_it_is_told(rig: Rig) -> None:
    async with await rig.signed_in("viewer") as client:
        assert (await client.get(PUMP)).status_code == 200
        (id_,) = await sessions(rig.hub)
        await rig.bus.request(f"devicehub.sessions.{id_}.end", b"", caller=OPERATOR)
        assert (await client.get(PUMP)).status_code == 200, "it is believed for a moment"

        subject, body = rig.hub.events.sent[-1]
        # The audit trail tells its own.
        told = rig.hub.events.on("devicehub.sessions.changed")[-1]
        await rig.bus.say("devicehub.sessions.changed", told.encode())

        assert refusal(await client.get(PUMP)) == (401, "unauthenticated")
        assert subject
        assert body


async def test_without_word_of_it_an_ended_session_is_out_in_two_seconds(rig: Rig) -> None:
    async with await rig.signed_in("viewer") as client:
        await client.get(PUMP)
        (id_,) = await sessions(rig.hub)
        await rig.bus.request(f"devicehub.sessions.{id_}.end", b"", caller=OPERATOR)
        rig.clock.now += 2

        assert refusal(await client.get(PUMP)) == (401, "unauthenticated")


async def test_refresh_keeps_a_session_and_sets_the_cookie_again(rig: Rig) -> None:
    async with await rig.signed_in() as client:
        rig.hub.clock.advance(59 * 60)
        rig.clock.now += 10
        answer = await client.post("/api/auth/refresh")
        rig.hub.clock.advance(59 * 60)
        rig.clock.now += 10

        assert (await client.get("/api/auth/me")).status_code == 200
        assert answer.headers["set-cookie"].startswith("devicehub-session=dhs_")
        rig.hub.clock.advance(61 * 60)
        rig.clock.now += 10
        assert refusal(await client.post("/api/auth/refresh")) == (401, "unauthenticated")


async def test_a_session_that_somebody_put_there_is_never_taken_over(rig: Rig) -> None:
    planted = "dhs_" + "x" * 43
    async with await rig.signed_in() as client:
        client.cookies.clear()
        client.cookies.set("devicehub-session", planted)
        answer = await sign_in(client)

    assert planted not in answer.headers["set-cookie"]
    async with rig.client() as client:
        for cookie in (f"devicehub-session={planted}", "devicehub-session=", "devicehub-session=x", "other=1"):
            assert refusal(await client.get(PUMP, headers={"Cookie": cookie})) == (401, "unauthenticated")


async def test_of_two_sessions_in_one_request_none_is_believed(rig: Rig) -> None:
    async with await rig.signed_in() as client:
        text = client.cookies["devicehub-session"]
        client.cookies.clear()
        twice = {"Cookie": f"devicehub-session={text}; devicehub-session=dhs_{'x' * 43}"}

        assert refusal(await client.get(PUMP, headers=twice)) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Device-Hub": ""},
        {"X-Device-Hub": "yes"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://hub:8081"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://hub"},
    ],
)
async def test_a_change_that_another_site_asks_for_is_refused(rig: Rig, headers: dict[str, str]) -> None:
    async with await rig.signed_in() as client:
        rig.bus.asked.clear()
        for method, path, body in (
            ("PATCH", f"{PUMP}/twin", {"desired": {"a": 1}}),
            ("DELETE", PUMP, None),
            ("POST", "/api/auth/logout", None),
            ("POST", "/api/users", {"name": "eve", "role": "admin", "password": OTHER}),
        ):
            answer = await client.request(method, path, json=body, headers=headers)
            assert refusal(answer) == (403, "foreign_request")

    assert not [one for one in rig.bus.asked if one.caller.startswith("user:")]


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
async def test_another_site_signs_nobody_in(rig: Rig, headers: dict[str, str]) -> None:
    async with await rig.signed_in() as client:
        for path in ("/api/auth/login", "/api/setup"):
            answer = await client.post(path, json={"user": "a-admin", "password": PASSWORD}, headers=headers)
            assert refusal(answer) == (403, "foreign_request")
        form = await client.post("/api/auth/login", data={"user": "a-admin", "password": PASSWORD})
        assert form.status_code == 415


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://hub"}, {}])
async def test_its_own_pages_may_ask_for_changes(rig: Rig, headers: dict[str, str]) -> None:
    async with await rig.signed_in("operator") as client:
        answer = await client.patch(f"{PUMP}/twin", json={"desired": {"a": 1}}, headers=headers)

    assert answer.status_code == 200
    (asked,) = rig.bus.on("desire")
    assert (asked.caller, asked.headers["Hub-Scopes"]) == ("user:a-operator", "operator")
    assert asked.headers["Hub-Origin"] == "http:192.0.2.1"


async def test_other_origins_are_allowed_nothing(rig: Rig) -> None:
    async with await rig.signed_in() as client:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answers = [
            await client.options("/api/users", headers=asked),
            await client.get("/api/users", headers={"Origin": "https://evil.example"}),
        ]

    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_token_comes_before_a_session_and_needs_no_mark(rig: Rig) -> None:
    token = await rig.token("devices:read")
    async with await rig.signed_in() as client:
        del client.headers["X-Device-Hub"]
        answer = await client.delete(PUMP, headers={"Authorization": f"Bearer {token}"})

    assert refusal(answer) == (403, "denied")
    assert rig.bus.on("retire")[-1].caller == "app:app"


async def test_thousands_of_wrong_passwords_are_refused_and_logged_without_names(rig: Rig) -> None:
    async with await rig.signed_in() as client:
        with capture_logs() as lines:
            answers = [await sign_in(client, "mallory-was-here", f"guess-{number}") for number in range(2000)]

        assert refusal(answers[0]) == (401, "wrong_credentials")
        assert [answer.status_code for answer in answers[:12]] == [401] * 10 + [429] * 2
        assert {answer.status_code for answer in answers[10:]} == {429}
        assert refusal(answers[-1]) == (429, "rate_limited")
        assert answers[-1].headers["retry-after"] == "30"
        assert (await client.get(PUMP)).status_code == 200, "who is signed in goes on"
    assert "mallory" not in repr(lines)
    assert "guess-" not in repr(lines)
    assert len(lines) == 4000


async def test_thousands_of_unknown_sessions_are_refused_and_cost_the_hub_little(rig: Rig) -> None:
    rig.bus.asked.clear()
    async with rig.client() as client:
        answers = [
            await client.get(PUMP, headers={"Cookie": f"devicehub-session=dhs_{number:043}"}) for number in range(1000)
        ]

    assert {answer.status_code for answer in answers} == {401, 429}
    # Besides, what was refused is told for the audit trail, in sums.
    assert len(rig.bus.on("sessions.prove")) <= 20
    assert len(rig.bus.on("audit.refused")) <= 5


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"user":"a"}', b'{"user":1,"password":"x"}',
        b'{"user":"a","password":"x","role":"admin"}', b'{"user":"a","password":"x","password":"y"}',
        b'{"user":"' + b"a" * 200 + b'","password":"x"}', b'{"user":"a","password":"' + b"x" * 2000 + b'"}',
        b'{"user":"\\ud800","password":"x"}', b"\xff\xfe", b"[" * 5000,
    ],
)  # fmt: skip
async def test_what_is_no_login_is_refused_with_a_code(rig: Rig, body: bytes) -> None:
    async with rig.client() as client:
        answer = await client.post("/api/auth/login", content=body, headers={"Content-Type": "application/json"})

    status, code = refusal(answer)
    assert status in (400, 401)
    assert code in ("bad_request", "too_deep", "wrong_credentials")
    assert "Traceback" not in answer.text


async def test_a_password_changes_with_the_session_and_nothing_else_stays_in(rig: Rig) -> None:
    async with await rig.signed_in("viewer", "bert") as client, rig.client() as elsewhere:
        await sign_in(elsewhere, "bert")
        wish: dict[str, Any] = {"currentPassword": PASSWORD, "newPassword": "short"}
        short = await client.post("/api/auth/change-password", json=wish)
        wrong = await client.post("/api/auth/change-password", json={"currentPassword": "x", "newPassword": OTHER})
        before = client.cookies["devicehub-session"]
        done = await client.post("/api/auth/change-password", json={**wish, "newPassword": OTHER})

        assert short.json()["fields"] == {"newPassword": "must have 12 to 256 characters"}
        assert refusal(wrong) == (401, "wrong_credentials")
        assert done.status_code == 200
        assert client.cookies["devicehub-session"] != before
        assert (await client.get(PUMP)).status_code == 200
        assert refusal(await elsewhere.get(PUMP)) == (401, "unauthenticated")
        assert refusal(await sign_in(elsewhere, "bert")) == (401, "wrong_credentials")
        assert (await sign_in(elsewhere, "bert", OTHER)).status_code == 200


async def test_the_first_run_makes_an_admin_with_the_code_and_once(rig: Rig) -> None:
    async with rig.client() as client:
        assert (await client.get("/api/setup")).json() == {"needed": True}
        wish = {"code": "0000-0000-0000-0000", "name": "anna", "password": PASSWORD, "hostnames": ["hub.example"]}
        assert refusal(await client.post("/api/setup", json=wish)) == (401, "wrong_credentials")
        made = await rig.bus.call("devicehub.setup.open", Nothing(), SetupCodeGiven, caller=OPERATOR)
        wish["code"] = made.code

        answer = await client.post("/api/setup", json=wish)

        assert (answer.status_code, answer.json()["role"]) == (200, "admin")
        assert (await client.get("/api/auth/me")).json()["user"] == "anna"
        assert (await client.get("/api/settings/server")).json()["hostnames"] == ["hub.example"]
        assert refusal(await client.post("/api/setup", json=wish)) == (409, "already_set_up")
        assert (await client.get("/api/setup")).json() == {"needed": False}


async def test_two_gateways_share_sessions_and_limits(rig: Rig) -> None:
    from gateway.app import create_app
    from gateway.settings import Settings
    from tests.unit.gateway.rig import Clock

    settings = Settings(host="127.0.0.1", port=0, nats_url="", nats_password="")
    clock = Clock()
    other = Rig(create_app(settings, rig.bus, now=clock), rig.bus, clock)
    async with await rig.signed_in() as client, other.client() as elsewhere:
        elsewhere.cookies = client.cookies
        assert (await elsewhere.get("/api/auth/me")).json()["user"] == "a-admin"
        for number in range(10):
            await sign_in(client if number % 2 else elsewhere, password="wrong")

        assert refusal(await sign_in(client)) == refusal(await sign_in(elsewhere)) == (429, "rate_limited")
