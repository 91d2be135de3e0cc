"""Whatever is asked of any address that the description has, the answer is one that it tells of, and no 5xx."""

import asyncio
import json
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.domain.tokens import Scope
from tests.unit.gateway.rig import DEVICE, SERIAL, Rig, make_rig

# Calls that wait for a device, what signs with a new CA key, and what hosts answer (there is none: 503) have their own.
_ELSEWHERE = ("/methods/", "/root", "/api/services", "/api/logs", "/api/metrics")
_TEXTS = st.one_of(st.sampled_from([DEVICE, SERIAL, "factory", "*", "..", "a b", "%00", ""]), st.text(max_size=40))
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), _TEXTS
)
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
)


@cache
def description() -> dict[str, Any]:
    """The description, as it is served."""

    async def ask() -> dict[str, Any]:
        async with make_rig().client() as client:
            told: dict[str, Any] = (await client.get("/openapi.json")).json()
            return told

    return asyncio.run(ask())


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, told)
        for path, methods in description()["paths"].items()
        for method, told in methods.items()
        if not any(word in path for word in _ELSEWHERE)
    ]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return description()["components"]["schemas"][name] if name else schema


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, dict[str, Any], dict[str, str], bytes | None, str]:
    """An operation with a path, a query and a body: of the names that it knows, with values of any kind."""
    method, path, told = draw(st.sampled_from(operations()))
    query: dict[str, str] = {}
    target = path
    for one in told.get("parameters", ()):
        value = draw(
            _TEXTS | st.integers(-5, 2000).map(str) | st.sampled_from(one.get("schema", {}).get("enum", ["x"]))
        )
        if one["in"] == "path":
            target = target.replace(f"{{{one['name']}}}", draw(st.sampled_from([DEVICE, SERIAL, "unknown-1", "a.b"])))
        elif one["in"] == "query" and draw(st.booleans()):
            query[one["name"]] = value
    body, media_type = None, "application/json"
    if "requestBody" in told:
        media_type, content = draw(st.sampled_from(sorted(told["requestBody"]["content"].items(), key=str)))
        known = resolved(content.get("schema", {})).get("properties", {})
        example = content.get("example")
        values: Any = _JSON
        if known:
            values |= st.fixed_dictionaries({}, optional=dict.fromkeys([*known, "unknownField"], _JSON))
        if isinstance(example, dict):
            values |= st.fixed_dictionaries(
                {}, optional={name: st.just(value) | _JSON for name, value in example.items()}
            )
        body = draw(values.map(_text) | st.binary(max_size=60))
    return method, target, told, query, body, media_type


def _text(value: Any) -> bytes:
    # Numbers that are too large for some, and lone surrogates, are among it.
    return json.dumps(value).encode("utf-8", "surrogatepass")


async def ask(
    rig: Rig, method: str, target: str, query: dict[str, str], body: bytes | None, media_type: str
) -> tuple[int, str, bytes]:
    async with rig.client(await rig.token(Scope.ADMIN)) as client:
        answer = await client.request(
            method, target, params=query, content=body, headers={"Content-Type": media_type} if body else {}
        )
        return answer.status_code, answer.headers.get("content-type", ""), answer.content


_Asked = tuple[str, str, dict[str, Any], dict[str, str], bytes | None, str]
_bounded = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def check(asked: _Asked) -> None:
    method, target, told, query, body, media_type = asked

    status, kind, content = asyncio.run(ask(make_rig(), method, target, query, body, media_type))

    assert status < 500, content
    assert str(status) in told["responses"], (status, content)
    if status >= 400:
        assert kind == "application/problem+json"
        assert {"type", "title", "status", "detail", "error", "requestId"} <= set(orjson.loads(content))
        assert b"Traceback" not in content


@_bounded
@given(requests())
def test_every_answer_is_one_that_the_description_tells_of(asked: _Asked) -> None:
    check(asked)


@pytest.mark.soak
@settings(_bounded, max_examples=5000, derandomize=False, database=None)
@given(requests())
def test_every_answer_to_many_more_questions_is_one_that_the_description_tells_of(asked: _Asked) -> None:
    check(asked)
