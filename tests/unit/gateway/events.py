"""One table of requests, each kind of event that carries one, and what came back in a form to be compared."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

ADDRESS = "192.0.2.1"
# Of the connection or the moment, not of the answer.
PASSING = {"date", "connection", "x-request-id", "transfer-encoding"}

# Told by all of them; without it Mangum takes https for granted.
_SCHEME = ("X-Forwarded-Proto", "http")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """A request as a client writes it; ``path`` and ``query`` are percent-encoded."""

    method: str
    path: str
    query: str = ""
    headers: Pairs = ()
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path[:40]}?{self.query[:40]} {self.body[:20]!r}"

    def having(self, *headers: tuple[str, str]) -> "Request":
        return Request(self.method, self.path, self.query, (*self.headers, *headers), self.body)


@dataclass(frozen=True)
class Answer:
    """What came back; of headers, sorted pairs."""

    status: int
    headers: Pairs
    body: bytes


def answer_of(status: int, headers: list[tuple[str, str]], body: bytes) -> Answer:
    kept = sorted((name.lower(), value) for name, value in headers if name.lower() not in PASSING)
    return Answer(status, tuple(kept), body)


# --- Each kind of event, as its sender makes it


def rest(request: Request) -> dict[str, Any]:
    """API Gateway, REST API (payload version 1.0)."""
    return {
        "resource": "/{proxy+}",
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict((*request.headers, _SCHEME)),
        "multiValueHeaders": _multi((*request.headers, _SCHEME)),
        "queryStringParameters": dict(_query(request)) or None,
        "multiValueQueryStringParameters": _multi(_query(request)) or None,
        "requestContext": {"identity": {"sourceIp": ADDRESS}, "stage": "prod"},
        **_body(request),
    }


def http_v1(request: Request) -> dict[str, Any]:
    """API Gateway, HTTP API with payload version 1.0."""
    event = rest(request)
    del event["resource"]
    return {"version": "1.0", **event}


def http_v2(request: Request) -> dict[str, Any]:
    """API Gateway, HTTP API with payload version 2.0."""
    cookies = [value for name, value in request.headers if name.lower() == "cookie"]
    others = [(name, value) for name, value in request.headers if name.lower() != "cookie"]
    headers = {name: ",".join(values) for name, values in _multi((*others, _SCHEME)).items()}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        **({"cookies": cookies} if cookies else {}),
        "headers": headers,
        "requestContext": {
            "http": {"method": request.method, "path": request.path, "protocol": "HTTP/1.1", "sourceIp": ADDRESS},
            "stage": "$default",
        },
        **_body(request),
    }


def function_url(request: Request) -> dict[str, Any]:
    """A function URL: payload version 2.0 with a domain of its own."""
    event = http_v2(request)
    event["requestContext"] |= {"domainName": "abc.lambda-url.eu-central-1.on.aws", "accountId": "anonymous"}
    return event


def balancer(request: Request) -> dict[str, Any]:
    """An application load balancer, with multi-value headers switched on; it appends to X-Forwarded-For."""
    headers = [*request.headers, _SCHEME, ("X-Forwarded-For", f"203.0.113.9, {ADDRESS}")]
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": request.method,
        "path": request.path,
        "multiValueHeaders": {name.lower(): values for name, values in _multi(headers).items()},
        "multiValueQueryStringParameters": _multi(_raw_query(request)),
        **_body(request),
    }


def plain_balancer(request: Request) -> dict[str, Any]:
    """An application load balancer as it comes: of what is repeated, only the last is passed on."""
    headers = [*request.headers, _SCHEME, ("X-Forwarded-For", ADDRESS)]
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": request.method,
        "path": request.path,
        "headers": {name.lower(): value for name, value in headers},
        "queryStringParameters": dict(_raw_query(request)),
        **_body(request),
    }


KINDS: Mapping[str, Callable[[Request], dict[str, Any]]] = {
    "rest": rest,
    "http-v1": http_v1,
    "http-v2": http_v2,
    "function-url": function_url,
    "balancer": balancer,
    "plain-balancer": plain_balancer,
}
# Those that keep what is repeated apart, or at least keep it.
WHOLE = tuple(kind for kind in KINDS if kind != "plain-balancer")


def read(response: Mapping[str, Any]) -> Answer:
    """A response to any kind of event."""
    headers: list[tuple[str, str]] = []
    for name, values in (response.get("multiValueHeaders") or {}).items():
        headers += [(name, value) for value in values]
    told = {name for name, _ in headers}
    headers += [(name, value) for name, value in (response.get("headers") or {}).items() if name not in told]
    headers += [("set-cookie", value) for value in response.get("cookies") or ()]
    body = response.get("body") or ""
    content = b64decode(body) if response["isBase64Encoded"] else body.encode()
    return answer_of(response["statusCode"], headers, content)


def _query(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.query, keep_blank_values=True)


def _raw_query(request: Request) -> list[tuple[str, str]]:
    pairs = (pair.partition("=") for pair in request.query.split("&") if pair)
    return [(name, value) for name, _, value in pairs]


def _multi(pairs: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _body(request: Request) -> dict[str, Any]:
    if not request.body:
        return {"body": None, "isBase64Encoded": False}
    try:
        return {"body": request.body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": b64encode(request.body).decode(), "isBase64Encoded": True}


# --- The table

DEVICE = "pump-0001"
_TWIN = f"/api/devices/{DEVICE}/twin"
_JSON = (("Content-Type", "application/json"),)


def _patch(body: bytes, *headers: tuple[str, str], path: str = _TWIN) -> Request:
    return Request("PATCH", path, "", (*_JSON, *headers), body)


# With a token that may read devices, and read and write twins; each answer is the same whenever it is asked for.
REQUESTS = (
    Request("GET", "/healthz"),
    Request("HEAD", "/healthz"),
    Request("GET", "/"),
    Request("HEAD", "/"),
    Request("GET", "/openapi.json"),
    Request("GET", "/nowhere"),
    Request("GET", ""),
    Request("POST", "/healthz"),
    Request("OPTIONS", _TWIN),
    Request("GET", "/api/devices"),
    Request("GET", "/api/devices", "limit=1"),
    Request("GET", "/api/devices", "q=pump%2D&tag=a%3Db&limit=1"),
    Request("GET", "/api/devices", "q=a+b%20c%C3%A4"),
    Request("GET", "/api/devices", "q="),
    Request("GET", "/api/devices", "colour=red&size=1"),
    Request("GET", "/api/devices", "limit=abc"),
    Request("GET", "/api/devices/"),
    Request("GET", f"/api/devices/{DEVICE}"),
    Request("GET", "/api/devices/pump%2D0001"),
    Request("GET", "/api/devices/pump-9999"),
    Request("GET", "/api/devices/%2e%2e/twin"),
    Request("GET", "/api/devices/a%2Fb/twin"),
    Request("GET", "/api/devices/a%00b/twin"),
    Request("GET", "/api/devices/%FF/twin"),
    Request("GET", "/api/devices/*/twin"),
    Request("GET", "/api/devices/" + "x" * 2000),
    Request("GET", "/api/stats/devices"),
    Request("GET", "/api/stats/devices", headers=(("Authorization", "Bearer nonsense"),)),
    Request("GET", "/api/devices", headers=(("Authorization", ""),)),
    Request("GET", _TWIN),
    Request("HEAD", _TWIN),
    Request("GET", _TWIN, headers=(("If-None-Match", '"d0.r0"'),)),
    Request("GET", _TWIN, headers=(("If-None-Match", "*"), ("Cookie", "a=b; c=d"))),
    _patch(b'{"desired":{"a":1,"text":"\xc3\xa9\xe2\x82\xac"}}'),
    _patch(b'{"desired":{"a":1}}', ("If-Match", '"d0.r9"')),
    _patch(b'{"desired":{"a":1}}', ("If-Match", '"d7.r9"')),
    _patch(b'{"desired":{"a":1},"expectedVersion":7}'),
    _patch(b'{"desired":{"a":1},"colour":"red"}'),
    _patch(b'{"desired":'),
    _patch(b'{"desired":{"a":"\xff\xfe"}}'),
    _patch(bytes(range(256))),
    _patch(b""),
    _patch(b'{"desired":{"a":"' + b"x" * 40_000 + b'"}}'),
    _patch(b'{"desired":{"a":"' + b"x" * 300_000 + b'"}}'),
    _patch(b" " * (1024 * 1024 + 1)),
    _patch(b'{"desired":{}}', path="/api/devices/pump-9999/twin"),
    Request("PATCH", _TWIN, "", (("Content-Type", "text/plain"),), b'{"desired":{}}'),
    Request("PATCH", _TWIN, "dryRun", _JSON, b'{"desired":{}}'),
)
REPEATING = (
    Request("GET", "/api/devices", "q=pump%2D&tag=a%3Db&tag=c%26d&limit=1"),
    Request("GET", "/api/devices", "limit=1&limit=2"),
    Request("GET", "/api/devices", "group=a&group=b%2Cc&group=a"),
    _patch(b'{"desired":{"a":1}}', ("If-Match", '"x"'), ("If-Match", '"d0.r0"')),
)
