import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from gateway.settings import Bounds
from tests.unit.gateway.rig import DEVICE, Rig, make_rig

TWIN = f"/api/devices/{DEVICE}/twin"
SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/api/devices"])
async def test_every_answer_has_the_headers_that_keep_browsers_careful(rig: Rig, path: str) -> None:
    async with rig.client() as client:
        answer = await client.get(path)

    assert SECURITY.items() <= dict(answer.headers).items()


@pytest.mark.parametrize("given", ["a", "A-Z_09", "x" * 64])
async def test_a_request_id_that_is_a_name_is_kept_all_the_way(rig: Rig, given: str) -> None:
    async with rig.client(await rig.token("twins:read")) as client:
        answer = await client.get(TWIN, headers={"X-Request-Id": given})

    assert answer.headers["x-request-id"] == given
    assert rig.bus.on("twins.")[0].headers["Hub-Call"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a.b", "ä", "a\tb"])
async def test_a_request_without_such_an_id_gets_one(rig: Rig, given: str | None) -> None:
    headers = [] if given is None else [(b"X-Request-Id", given.encode())]
    async with rig.client() as client:
        answers = [await client.get("/nowhere", headers=headers) for _ in range(2)]

    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 2
    assert all(len(one) == 16 for one in ids)
    assert [answer.json()["requestId"] for answer in answers] == ids


async def test_one_line_a_request_is_logged_without_what_was_asked_for(rig: Rig) -> None:
    token = await rig.token("devices:read")
    with capture_logs() as lines:
        async with rig.client(token) as client:
            await client.get("/api/devices", params={"q": "needle"}, headers={"X-Request-Id": "r1"})

    (line,) = [line for line in lines if line["event"] == "request"]
    assert {name: line[name] for name in line if name != "ms"} == {
        "event": "request",
        "log_level": "info",
        "call": "r1",
        "method": "GET",
        "path": "/api/devices",
        "status": 200,
        "client": "192.0.2.1",
        "caller": "app:app",
    }
    assert "needle" not in str(lines)


async def test_a_long_path_is_logged_in_part(rig: Rig) -> None:
    with capture_logs() as lines:
        async with rig.client() as client:
            assert (await client.get("/" + "x" * 5000)).status_code == 404

    assert len(lines[0]["path"]) == 200


async def test_head_is_answered_as_get_without_the_body(rig: Rig) -> None:
    async with rig.client(await rig.token("twins:read")) as client:
        for path in ("/health", "/", TWIN, "/nowhere", "/openapi.json"):
            head, full = await client.head(path), await client.get(path)
            assert head.status_code == full.status_code
            assert head.content == b""
            assert head.headers["content-type"] == full.headers["content-type"]
            assert head.headers["content-length"] == str(len(full.content))
        assert (await client.head(TWIN)).headers["etag"] == '"d0.r0"'


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
async def test_a_body_that_says_it_is_too_large_is_not_read(rig: Rig, method: str) -> None:
    async with rig.client(await rig.token("twins:write")) as client:
        answer = await client.request(method, TWIN, content=b"x" * (1024 * 1024 + 1))

    assert answer.status_code == 413
    assert answer.json()["error"] == "too_large"
    assert not rig.bus.on("twins.")


async def test_a_body_that_turns_out_too_large_is_refused(rig: Rig) -> None:
    async with rig.client(await rig.token("twins:write")) as client:
        answer = await client.patch(
            TWIN,
            content=chunks(b'{"desired":{"a":"', *[b"x" * 65_536] * 17, b'"}}'),
            headers={"Content-Type": "application/json"},
        )

    assert answer.status_code == 413
    assert answer.json()["detail"] == "The body is over 1048576 bytes."
    assert not rig.bus.on("twins.")


async def test_a_body_within_the_gateways_bound_meets_the_functions(rig: Rig) -> None:
    async with rig.client(await rig.token("twins:write")) as client:
        answer = await client.patch(TWIN, json={"desired": {"a": "x" * 300_000}})

    assert answer.status_code == 413
    assert "262144 are accepted" in answer.json()["detail"]


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    rig = make_rig(bounds=Bounds(body_seconds=0.05))
    never = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"desi'
        await never.wait()

    async with rig.client(await rig.token("twins:write")) as client:
        answer = await client.patch(TWIN, content=slow(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 408
    assert answer.json()["detail"] == "The body did not come within 0.05 s."
    assert answer.headers["connection"] == "close"


async def test_more_requests_at_once_than_can_be_answered_are_refused() -> None:
    rig = make_rig(bounds=Bounds(requests=5))
    async with rig.client(await rig.token("devices:read")) as client:
        answers = await asyncio.gather(*(client.get("/api/devices") for _ in range(20)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] * 5 + [503] * 15
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.headers["retry-after"] == "1"
        assert (await client.get("/api/devices")).status_code == 200


async def test_what_is_unforeseen_tells_the_id_and_nothing_else(rig: Rig) -> None:
    token = await rig.token("twins:read")
    with capture_logs() as lines:
        async with rig.client(token) as client:
            assert (await client.get(TWIN)).status_code == 200
            rig.bus.breaks = ZeroDivisionError("the secret of the house")
            answer = await client.get(TWIN, headers={"X-Request-Id": "broken-1"})

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:devicehub:problem:internal",
        "title": "Something unforeseen went wrong in the hub; its log has the call id.",
        "status": 500,
        "detail": "Something unforeseen went wrong; request broken-1 in the gateway's log.",
        "error": "internal",
        "requestId": "broken-1",
    }
    assert SECURITY.items() <= dict(answer.headers).items()
    (told,) = [line for line in lines if line["event"] == "request failed"]
    assert told["call"] == "broken-1"
    assert isinstance(told["exc_info"], ZeroDivisionError)


async def test_a_client_that_leaves_is_only_noted(rig: Rig) -> None:
    token = await rig.token("twins:write")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "PATCH",
        "scheme": "http",
        "path": TWIN,
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/json")],
        "client": ("192.0.2.1", 1),
        "server": ("hub", 80),
    }
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    with capture_logs() as lines:
        await rig.app(scope, receive, send)

    assert sent == []
    assert [line["status"] for line in lines if line["event"] == "request"] == [499]
    assert not [line for line in lines if line["log_level"] == "error"]
