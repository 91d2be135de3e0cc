"""Every kind of event gets the same answer as a request over HTTP."""

import json
from base64 import b64encode
from typing import Any

import httpx
import pytest
from cryptography import x509
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Route

from functions.domain.faults import Malformed
from gateway.serverless import Events, Handler
from tests.unit.gateway.events import ADDRESS, KINDS, REPEATING, REQUESTS, WHOLE, Answer, Request, answer_of, read
from tests.unit.gateway.rig import Rig, make_rig

SCOPES = ("devices:read", "twins:read", "twins:write")


async def over_http(app: Any, request: Request) -> Answer:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(ADDRESS, 1))
    async with httpx.AsyncClient(transport=transport) as client:
        client.headers.clear()
        target = request.path.encode() + (b"?" + request.query.encode() if request.query else b"")
        url = httpx.URL("http://hub").copy_with(raw_path=target or b"/")
        content = request.body or None
        answer = await client.request(request.method, url, headers=list(request.headers), content=content)
    return answer_of(answer.status_code, answer.headers.multi_items(), answer.content)


async def signed(rig: Rig, request: Request) -> Request:
    token = await rig.token(*SCOPES)
    known = {name for name, _ in request.headers}
    own = (("Authorization", f"Bearer {token}"), ("X-Request-Id", "both-ways"), ("Host", "hub"))
    return request.having(*(header for header in own if header[0] not in known))


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
async def test_a_request_is_answered_the_same_both_ways(request_: Request) -> None:
    await compare(request_, *KINDS)


@pytest.mark.parametrize("request_", REPEATING, ids=str)
async def test_what_is_repeated_is_answered_the_same_both_ways(request_: Request) -> None:
    await compare(request_, *WHOLE)


async def compare(request: Request, *kinds: str) -> None:
    one = make_rig()
    expected = await over_http(one.app, await signed(one, request))
    for kind in kinds:
        # Each way has a hub of its own: a wish changes it.
        other = make_rig()
        event = KINDS[kind](await signed(other, request))
        response = await Events(other.app).answer(json.loads(json.dumps(event)))

        assert read(json.loads(json.dumps(response))) == expected, kind
        assert called(other) == called(one), kind


def called(rig: Rig) -> list[tuple[str, bytes]]:
    return [
        (asked.subject, asked.payload)
        for asked in rig.bus.asked
        if ".tokens." not in asked.subject and "audit.refused" not in asked.subject
    ]


# --- What the hub's own answers do not have: an app that has it


async def echo(request: StarletteRequest) -> Response:
    """Tells what came, and sends back what an adapter may lose."""
    told = {
        "method": request.method,
        "path": request.url.path,
        "query": request.query_params.multi_items(),
        "cookies": request.cookies,
        "accept": request.headers.getlist("accept"),
        "body": b64encode(await request.body()).decode(),
        "client": request.client.host if request.client else None,
    }
    return Response(json.dumps(told), media_type="application/json")


async def binary(request: StarletteRequest) -> Response:
    return Response(bytes(range(256)) + await request.body(), media_type="application/octet-stream")


async def cookies(request: StarletteRequest) -> Response:
    answer = Response("ok", media_type="text/plain")
    answer.set_cookie("one", "1", httponly=True)
    answer.set_cookie("two", "2, 3", path="/x")
    answer.set_cookie("three", "3")
    return answer


async def nothing(request: StarletteRequest) -> Response:
    return Response(status_code=204)


APP = Starlette(
    routes=[
        Route("/echo/{rest:path}", echo, methods=["GET", "POST", "DELETE"]),
        Route("/binary", binary, methods=["GET", "POST"]),
        Route("/cookies", cookies),
        Route("/nothing", nothing),
    ]
)
HOST = (("Host", "hub"),)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "/echo/a", "x=1&y=%26%3D%25&y=2&z=", HOST, bytes(range(256))),
        Request("POST", "/echo/a", "", HOST, "é€".encode()),
        Request("DELETE", "/echo/a%20b/c%25", "q=a%2Bb+c", HOST),
        Request("GET", "/echo/", "", (*HOST, ("Cookie", "a=b; c=d"), ("Accept", "text/html, */*;q=0.1"))),
        Request("POST", "/binary", "", HOST, b"\x00\xff"),
        Request("GET", "/cookies", "", HOST),
        Request("GET", "/nothing", "", HOST),
    ],
    ids=str,
)
async def test_bodies_cookies_and_encodings_survive(kind: str, request_: Request) -> None:
    if kind == "plain-balancer":
        # It has passed on only the last of what is repeated.
        request_ = Request(request_.method, request_.path, request_.query.replace("y=2&", ""), HOST, request_.body)
    expected = await over_http(APP, request_)

    answer = read(await Events(APP).answer(KINDS[kind](request_)))

    if kind == "plain-balancer":
        # One header of a name is all its format has: Mangum varies the name's case.
        assert (answer.status, answer.body) == (expected.status, expected.body)
    assert answer == expected


@pytest.mark.parametrize("kind", WHOLE)
async def test_repeated_headers_come_together(kind: str) -> None:
    request = Request("GET", "/echo/", "", (*HOST, ("Accept", "text/html"), ("Accept", "text/plain")))

    told = json.loads(read(await Events(APP).answer(KINDS[kind](request))).body)

    assert ", ".join(told["accept"]).replace(",", ", ").replace("  ", " ") == "text/html, text/plain"


@pytest.mark.parametrize("kind", KINDS)
async def test_the_client_is_whom_the_nearest_proxy_saw(kind: str) -> None:
    told = json.loads(read(await Events(APP).answer(KINDS[kind](Request("GET", "/echo/", "", HOST)))).body)

    assert told["client"] == ADDRESS


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "event",
        7,
        {},
        {"Records": []},
        {"version": "2.0"},
        {"version": "2.0", "requestContext": {}},
        {"version": "2.0", "requestContext": {"http": {"method": "GET"}}},
        {"resource": "/", "requestContext": {}},
        {"requestContext": {"elb": {}}},
        {
            "requestContext": {"elb": {}},
            "headers": {},
            "path": "/",
            "httpMethod": "GET",
            "body": "abcde",
            "isBase64Encoded": True,
        },
        {"version": "2.0", "requestContext": {"http": {"method": "GET", "path": "/", "sourceIp": "x"}}, "headers": 1},
        {
            "version": "2.0",
            "requestContext": {"http": {"method": "GET", "path": "/", "sourceIp": "x"}},
            "headers": {"host": "[::1]:80"},
        },
        {"version": "2.0", "requestContext": {"http": {"method": 7, "path": "/", "sourceIp": "x"}}, "headers": {}},
        {"version": "2.0", "requestContext": {"http": {"method": "GET", "path": 7, "sourceIp": "x"}}, "headers": {}},
        {
            "version": "2.0",
            "requestContext": {"http": {"method": "GET", "path": "/", "sourceIp": ["x"]}},
            "headers": {"x": None},
        },
    ],
)
async def test_what_is_no_event_is_refused_by_name(event: Any) -> None:
    with pytest.raises(Malformed, match="none that API Gateway"):
        await Events(APP).answer(event)


def test_a_handler_makes_its_app_once_and_keeps_it() -> None:
    rig = make_rig()
    made: list[Rig] = []

    async def make() -> Any:
        made.append(rig)
        return rig.app

    handler = Handler(make)
    try:
        event = KINDS["http-v2"](Request("GET", "/healthz", "", HOST))
        responses = [handler(event, object()) for _ in range(3)]
    finally:
        handler.close()

    assert [response["statusCode"] for response in responses] == [200] * 3
    assert len(made) == 1


def test_a_handler_that_could_not_start_tries_again() -> None:
    rig = make_rig()
    outcomes = iter([OSError("not yet"), rig.app])

    async def make() -> Any:
        outcome = next(outcomes)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    handler = Handler(make)
    try:
        event = KINDS["rest"](Request("GET", "/healthz", "", HOST))
        with pytest.raises(OSError, match="not yet"):
            handler(event)
        assert handler(event)["statusCode"] == 200
    finally:
        handler.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_revocation_list_in_its_binary_form_comes_whole(kind: str) -> None:
    event = KINDS[kind](Request("GET", "/api/crl", headers=(("Accept", "application/pkix-crl"), ("Host", "hub"))))

    answer = read(json.loads(json.dumps(await Events(make_rig().app).answer(event))))

    assert answer.status == 200
    assert len(x509.load_der_x509_crl(answer.body)) == 0
