import asyncio

import pytest
from structlog.testing import capture_logs

from functions.contract.messages import Done, TokenRevoke
from functions.domain.faults import Unavailable
from gateway.callers import Callers
from gateway.failures import Failures
from tests.unit.gateway.rig import DEVICE, OPERATOR, Rig

TWIN = f"/api/devices/{DEVICE}/twin"
WRONG = "dh_" + "x" * 43


async def revoke(rig: Rig, name: str = "app") -> None:
    await rig.bus.call("devicehub.tokens.revoke", TokenRevoke(name=name), Done, caller=OPERATOR)


async def test_a_good_token_is_asked_about_once_and_believed_for_two_seconds(rig: Rig) -> None:
    async with rig.client(await rig.token("twins:read")) as client:
        for _ in range(5):
            assert (await client.get(TWIN)).status_code == 200
        assert len(rig.bus.on("tokens.prove")) == 1

        await revoke(rig)
        rig.clock.now += 1.9
        assert (await client.get(TWIN)).status_code == 200
        rig.clock.now += 0.1
        assert (await client.get(TWIN)).status_code == 401


async def test_requests_that_come_together_share_one_proof(rig: Rig) -> None:
    async with rig.client(await rig.token("twins:read")) as client:
        answers = await asyncio.gather(*(client.get(TWIN) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(rig.bus.on("tokens.prove")) == 1


async def test_the_call_carries_the_tokens_name_and_scopes(rig: Rig) -> None:
    async with rig.client(await rig.token("devices:read", "twins:read", name="dashboard")) as client:
        await client.get(TWIN)

    (asked,) = rig.bus.on("twins.")
    assert asked.caller == "app:dashboard"
    assert asked.headers["Hub-Scopes"] == "devices:read twins:read"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YWxhZGRpbjpvcGVuc2VzYW1l",
        "dh_" + "x" * 43,
    ],
)
async def test_no_token_is_401_and_asks_nobody(rig: Rig, header: str | None) -> None:
    async with rig.client() as client:
        answer = await client.get(TWIN, headers={} if header is None else {"Authorization": header})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="devicehub"'
    assert answer.json()["error"] == "unauthenticated"
    assert not rig.bus.asked


@pytest.mark.parametrize(
    "token", [WRONG, "dh_short", "x" * 5000, "dh_" + "ü" * 43, WRONG + "=", "dh_" + "x" * 42 + "\0", "a b"]
)
async def test_a_token_that_the_hub_does_not_know_is_401_and_stands_nowhere(rig: Rig, token: str) -> None:
    async with rig.client() as client:
        with capture_logs() as lines:
            answer = await client.get(TWIN, headers=[(b"Authorization", f"Bearer {token}".encode())])

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="devicehub", error="invalid_token"'
    assert token not in answer.text
    assert token not in str(lines)


async def test_a_token_is_one_header(rig: Rig) -> None:
    token = await rig.token("twins:read")
    async with rig.client() as client:
        both = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
        assert (await client.get(TWIN, headers=both)).status_code == 401
        assert (await client.get(TWIN, headers={"Authorization": f"bearer   {token} "})).status_code == 200
        assert (await client.get(TWIN, params={"token": token})).status_code == 401


async def test_the_text_of_a_good_token_stands_in_no_line_of_the_log(rig: Rig) -> None:
    token = await rig.token("twins:read", name="dashboard")
    with capture_logs() as lines:
        async with rig.client(token) as client:
            await client.get(TWIN, params={"token": token})
            await client.get(TWIN)

    assert token not in str(lines)
    assert [line["caller"] for line in lines if line["event"] == "request"] == ["app:dashboard", "app:dashboard"]


async def test_a_token_that_expires_is_believed_no_longer(rig: Rig) -> None:
    async with rig.client(await rig.token("twins:read", days=1)) as client:
        assert (await client.get(TWIN)).status_code == 200
        rig.hub.clock.advance(86_400)
        rig.clock.now += 2
        answer = await client.get(TWIN)

    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


async def test_who_shows_wrong_tokens_again_and_again_has_to_wait(rig: Rig) -> None:
    good = await rig.token("twins:read")
    async with rig.client(WRONG) as client:
        statuses = [(await client.get(TWIN)).status_code for _ in range(30)]
        assert statuses == [401] * 20 + [429] * 10
        refused = await client.get(TWIN)
    assert refused.json()["error"] == "rate_limited"
    assert int(refused.headers["retry-after"]) == 3
    assert len(rig.bus.on("tokens.prove")) == 20

    async with rig.client(good) as client:
        assert (await client.get(TWIN)).status_code == 429, "a new token from there cannot be told from a guess"
    async with rig.client(good, address="192.0.2.2") as client:
        assert (await client.get(TWIN)).status_code == 200
    async with rig.client(good) as client:
        assert (await client.get(TWIN)).status_code == 200, "it is known to be good"
        rig.clock.now += 2
        assert (await client.get(TWIN)).status_code == 200, "it was good lately"

    rig.clock.now += 3
    async with rig.client(WRONG) as client:
        assert (await client.get(TWIN)).status_code == 401


async def test_many_good_tokens_from_one_address_are_no_failures(rig: Rig) -> None:
    for number in range(30):
        async with rig.client(await rig.token("twins:read", name=f"app-{number}")) as client:
            assert (await client.get(TWIN)).status_code == 200


async def test_many_requests_at_once_with_a_new_token_are_no_failures(rig: Rig) -> None:
    async with rig.client(await rig.token("twins:read")) as client:
        answers = await asyncio.gather(*(client.get(TWIN) for _ in range(200)))

    assert {answer.status_code for answer in answers} == {200}


async def test_an_outage_is_nobodys_failure(rig: Rig) -> None:
    token = await rig.token("twins:read")
    rig.bus.fault = Unavailable(detail="No function answers this call now.")
    async with rig.client(token) as client:
        for _ in range(30):
            answer = await client.get(TWIN)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
        rig.bus.fault = None
        assert (await client.get(TWIN)).status_code == 200
        rig.clock.now += 2
        rig.bus.fault = Unavailable()
        assert (await client.get(TWIN)).status_code == 503
        rig.bus.fault = None
        assert (await client.get(TWIN)).status_code == 200


async def test_no_more_tokens_are_remembered_than_stated(rig: Rig) -> None:
    callers = Callers(rig.bus, Failures(), remembered=3)
    tokens = [await rig.token("twins:read", name=f"app-{number}") for number in range(6)]
    scopes = [{"headers": [(b"authorization", f"Bearer {token}".encode())]} for token in tokens]
    for scope in (*scopes, *reversed(scopes)):
        await callers.prove(scope)

    assert len(rig.bus.on("tokens.prove")) == 9
