from typing import Any

import httpx
import orjson
import pytest

from functions.contract.messages import TwinView
from functions.domain.twins import Half
from functions.testing import START
from tests.unit.gateway.rig import DEVICE, Rig, make_rig

TWIN = f"/api/devices/{DEVICE}/twin"


@pytest.fixture
def rig() -> Rig:
    """A device whose desired half is at version 3 and whose reported half is at version 7."""
    desired = Half(version=3, doc={"rate": 12}, times={"rate": 1}, at=START)
    reported = Half(version=7, doc={"rate": 3}, times={"rate": 2}, at=START)
    return make_rig(desired={DEVICE: desired}, reported={DEVICE: reported})


async def client_of(rig: Rig) -> httpx.AsyncClient:
    return rig.client(await rig.token("twins:read", "twins:write"))


async def wish(rig: Rig, body: Any, **headers: str) -> httpx.Response:
    async with await client_of(rig) as client:
        return await client.patch(TWIN, json=body, headers=headers)


async def test_a_twin_is_its_documents_and_their_versions(rig: Rig) -> None:
    async with await client_of(rig) as client:
        answer = await client.get(TWIN)

    assert answer.status_code == 200
    told = answer.json()
    assert set(told) == {field.alias for field in TwinView.model_fields.values()}
    assert (told["desired"], told["reported"], told["delta"]) == ({"rate": 12}, {"rate": 3}, {"rate": 12})
    assert (told["desiredVersion"], told["reportedVersion"]) == (3, 7)
    assert answer.headers["etag"] == '"d3.r7"'
    assert answer.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("known", ['"d3.r7"', 'W/"d3.r7"', '"d1.r1", "d3.r7"', "*"])
async def test_a_twin_that_is_known_is_not_sent_again(rig: Rig, known: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.get(TWIN, headers={"If-None-Match": known})

    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == '"d3.r7"'
    assert "content-type" not in answer.headers


@pytest.mark.parametrize("known", ['"d3.r6"', '"d33.r7"', "d3.r7", "nonsense"])
async def test_a_twin_that_is_another_by_now_is_sent(rig: Rig, known: str) -> None:
    async with await client_of(rig) as client:
        assert (await client.get(TWIN, headers={"If-None-Match": known})).status_code == 200


async def test_a_wish_is_merged_and_the_device_told(rig: Rig) -> None:
    answer = await wish(rig, {"desired": {"led": "on", "rate": None}})

    assert answer.status_code == 200
    assert answer.json()["desired"] == {"led": "on"}
    assert answer.headers["etag"] == '"d4.r7"'
    (told,) = rig.hub.events.on(f"devicehub.devices.{DEVICE}.twin.update.delta")
    assert told.delta == {"led": "on"}


async def test_a_wish_goes_to_the_function_byte_for_byte(rig: Rig) -> None:
    body = b' {"desired" : {"n": 1.50, "text": "\xc3\xa9\\u00e9"}}\n'
    async with await client_of(rig) as client:
        answer = await client.patch(TWIN, content=body, headers={"Content-Type": "application/json; charset=UTF-8"})

    assert answer.status_code == 200
    assert rig.bus.on("desire")[0].payload == body


async def test_an_expected_version_that_is_stale_is_409(rig: Rig) -> None:
    assert (await wish(rig, {"desired": {"a": 1}, "expectedVersion": 3})).status_code == 200
    answer = await wish(rig, {"desired": {"a": 2}, "expectedVersion": 3})

    assert answer.status_code == 409
    assert answer.json()["error"] == "version_conflict"


@pytest.mark.parametrize(
    "etag", ['"d3.r7"', '"d3.r1"', 'W/"d3.r7"', '"d3.r7", "d3.r8"', ' "d3.r7" ', '"x", "d3.r7"', "*"]
)
async def test_if_match_compares_the_desired_part(rig: Rig, etag: str) -> None:
    answer = await wish(rig, {"desired": {"a": 1}}, **{"If-Match": etag})

    assert answer.status_code == 200
    assert answer.json()["desiredVersion"] == 4


@pytest.mark.parametrize("etag", ['"d2.r7"', '"d4.r7"', '"d0.r0"', '"5f3a"', '""', '"d3"'])
async def test_if_match_of_another_twin_is_412_and_changes_nothing(rig: Rig, etag: str) -> None:
    answer = await wish(rig, {"desired": {"a": 1}}, **{"If-Match": etag})

    assert answer.status_code == 412
    assert answer.json()["error"] == "version_conflict"
    assert answer.json()["status"] == 412
    async with await client_of(rig) as client:
        assert (await client.get(TWIN)).json()["desired"] == {"rate": 12}


@pytest.mark.parametrize("etag", ["", "d3.r7", '"d3.r7', "3", '"d3.r7" "d3.r7"', '"d3.r7", "d4.r7"'])
async def test_if_match_that_cannot_be_compared_is_refused(rig: Rig, etag: str) -> None:
    answer = await wish(rig, {"desired": {"a": 1}}, **{"If-Match": etag})

    assert answer.status_code == 400
    assert "If-Match" in answer.json()["detail"]
    assert not rig.bus.on("desire")


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"desired":{"a":1}}', b'{"expectedVersion":3,"desired":{"a":1}}'),
        (b' \n{ "desired" : {"a":1.50} }', b'{"expectedVersion":3, "desired" : {"a":1.50} }'),
        (b'{"expectedVersion":3,"desired":{}}', b'{"expectedVersion":3,"desired":{}}'),
        (b'{"desired":{},"expected\\u0056ersion":3}', b'{"desired":{},"expected\\u0056ersion":3}'),
    ],
)
async def test_if_match_adds_the_expected_version_and_leaves_the_rest(rig: Rig, body: bytes, sent: bytes) -> None:
    async with await client_of(rig) as client:
        answer = await client.patch(
            TWIN, content=body, headers={"If-Match": '"d3.r7"', "Content-Type": "application/json"}
        )

    assert answer.status_code == 200
    assert rig.bus.on("desire")[0].payload == sent


@pytest.mark.parametrize(
    "body",
    [
        b'{"desired":{},"expectedVersion":4}',
        b'{"desired":{},"expectedVersion":null}',
        b'{"desired":{},"expectedVersion":true}',
        b'{"desired":{},"expectedVersion":"3"}',
        b'{"desired":{},"expectedVersion":3.0}',
        b"[]",
        b"null",
        b"{",
        b'{"desired":{"a":NaN}}',
        b"\xff",
        b"{}",
    ],
)
async def test_with_if_match_nothing_is_written_without_its_condition(rig: Rig, body: bytes) -> None:
    async with await client_of(rig) as client:
        answer = await client.patch(
            TWIN, content=body, headers={"If-Match": '"d3.r7"', "Content-Type": "application/json"}
        )
        assert answer.status_code == 400
        assert (await client.get(TWIN)).json()["desiredVersion"] == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "desired"),
        ({"desired": 1}, "desired"),
        ({"desired": None}, "desired"),
        ({"desired": {}, "colour": "red"}, "colour"),
        ({"desired": {}, "expectedVersion": "3"}, "expectedVersion"),
        ({"desired": {}, "expectedVersion": -1}, "expectedVersion"),
        ([1], "payload"),
    ],
)
async def test_a_wrong_field_is_named(rig: Rig, body: Any, field: str) -> None:
    answer = await wish(rig, body)

    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "bad_request"),
        (b"{", 400, "bad_request"),
        (b"\xff\xfe", 400, "bad_request"),
        (b'{"desired":{"a":"\xc3\x28"}}', 400, "bad_request"),
        (b'{"desired":{"a":"\\ud800"}}', 400, "bad_request"),
        (b'{"desired":{"a":NaN}}', 400, "bad_request"),
        (b'{"desired":{"a":1,"a":2}}', 400, "bad_request"),
        (b'{"desired":{"a":1},"desired":{"a":2}}', 400, "bad_request"),
        (b"{" + b",".join(b'"%06x":1' % number for number in range(1_000_000)) + b"}", 413, "too_large"),
        (b'{"desired":{"a":1e999}}', 400, "bad_request"),
        (b'{"desired":{"a":9007199254740993}}', 400, "bad_request"),
        (b'{"desired":{"\\u0000":1}}', 400, "bad_request"),
        (b'{"desired":' + b'{"a":' * 300 + b"1" + b"}" * 301, 400, "too_deep"),
        (b'{"desired":' + b'{"a":' * 11 + b"1" + b"}" * 12, 400, "too_deep"),
        (orjson.dumps({"desired": {"a": "x" * 40_000}}), 413, "too_large"),
    ],
)
async def test_a_bad_body_is_refused_by_name(rig: Rig, body: bytes, status: int, error: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.patch(TWIN, content=body, headers={"Content-Type": "application/json"})
        assert (await client.get(TWIN)).json()["desired"] == {"rate": 12}

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_another_content_type_is_415(rig: Rig, headers: dict[str, str]) -> None:
    async with await client_of(rig) as client:
        answer = await client.patch(TWIN, content=b'{"desired":{"a":1}}', headers=headers)

    assert answer.status_code == 415
    assert answer.json()["error"] == "bad_request"
    assert answer.headers["accept-patch"] == "application/json"
    assert not rig.bus.on("desire")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS"])
async def test_another_method_is_405_with_those_there_are(rig: Rig, method: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.request(method, TWIN)

    assert answer.status_code == 405
    assert answer.json()["error"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET, HEAD, PATCH"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("pump-9999", 404),
        ("%2e%2e", 400),
        ("*", 400),
        (">", 400),
        ("%00", 400),
        ("a.b", 400),
        ("a%20b", 400),
        ("a%0ab", 400),
        ("%ff", 400),
        ("%C3%A4", 400),
        ("x" * 65, 400),
        ("x" * 10_000, 400),
        ("pump-0001%2f", 404),
        ("..%2f..%2fetc%2fpasswd", 404),
        ("%2e%2e/x", 404),
        ("", 404),
    ],
)
async def test_a_path_that_is_no_devices_reaches_no_function(rig: Rig, name: str, status: int) -> None:
    async with await client_of(rig) as client:
        for method in ("GET", "PATCH"):
            body: dict[str, Any] = {"json": {"desired": {}}} if method == "PATCH" else {}
            url = httpx.URL("http://hub").copy_with(raw_path=f"/api/devices/{name}/twin".encode())
            answer = await client.request(method, url, **body)
            assert answer.status_code == status, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
    called = rig.bus.on("twins.")
    assert not called or name == "pump-9999"
