from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest

from functions.contract.messages import DeviceRecord, DeviceView, RegistryQuery
from functions.domain.devices import Lifecycle
from functions.domain.sessions import Presence
from functions.testing import START
from gateway.routes.devices import _TEXTS
from tests.unit.gateway.rig import DEVICE, Rig, make_device, make_rig


def fleet(number: int) -> Rig:
    return make_rig(devices={f"dev-{n:04d}": make_device(f"dev-{n:04d}") for n in range(number)})


async def client_of(rig: Rig) -> httpx.AsyncClient:
    return rig.client(await rig.token("devices:read"))


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [device["deviceName"] for device in answer.json()]


def links(answer: httpx.Response) -> dict[str, str]:
    return {one["rel"]: one["url"] for one in answer.links.values()}


async def test_a_list_is_an_array_of_devices_and_their_number() -> None:
    rig = fleet(3)
    async with await client_of(rig) as client:
        answer = await client.get("/api/devices")

    assert names(answer) == ["dev-0000", "dev-0001", "dev-0002"]
    assert answer.headers["x-total-count"] == "3"
    assert answer.headers["content-type"] == "application/json"
    for device in answer.json():
        DeviceView.model_validate_json(orjson.dumps(device))
        assert set(device) == {field.alias for field in DeviceView.model_fields.values()}


async def test_an_empty_list_is_one() -> None:
    rig = fleet(0)
    async with await client_of(rig) as client:
        answer = await client.get("/api/devices")

    assert answer.json() == []
    assert answer.headers["x-total-count"] == "0"
    assert links(answer) == dict.fromkeys(("first", "last"), "/api/devices?limit=100&offset=0")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=10", {"first": 0, "next": 10, "last": 20}),
        ("limit=10&offset=10", {"first": 0, "prev": 0, "next": 20, "last": 20}),
        ("limit=10&offset=20", {"first": 0, "prev": 10, "last": 20}),
        ("limit=10&offset=5", {"first": 0, "prev": 0, "next": 15, "last": 20}),
        ("limit=10&offset=500", {"first": 0, "prev": 20, "last": 20}),
        ("limit=5", {"first": 0, "next": 5, "last": 20}),
        ("limit=25", {"first": 0, "last": 0}),
        ("", {"first": 0, "last": 0}),
    ],
)
async def test_links_lead_to_the_other_pages(query: str, expected: dict[str, int]) -> None:
    rig = fleet(25)
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/devices?{query}")

    offsets = {rel: int(parse_qs(urlsplit(url).query)["offset"][0]) for rel, url in links(answer).items()}
    assert offsets == expected


async def test_following_next_shows_every_device_once() -> None:
    rig = fleet(23)
    seen: list[str] = []
    async with await client_of(rig) as client:
        url: str | None = "/api/devices?q=dev&limit=5"
        while url:
            answer = await client.get(url)
            seen += names(answer)
            url = links(answer).get("next")

    assert seen == [f"dev-{n:04d}" for n in range(23)]


async def test_links_keep_the_question() -> None:
    rig = fleet(25)
    async with await client_of(rig) as client:
        answer = await client.get(
            "/api/devices", params=[("q", "dev-0&ä=>"), ("tag", "a=b"), ("tag", "c"), ("limit", 1)]
        )

    for url in links(answer).values():
        asked = parse_qs(urlsplit(url).query)
        assert (asked["q"], asked["tag"], asked["limit"]) == (["dev-0&ä=>"], ["a=b", "c"], ["1"])
        assert urlsplit(url).path == "/api/devices"


async def test_the_function_gets_what_was_asked() -> None:
    rig = fleet(1)
    async with await client_of(rig) as client:
        await client.get(
            "/api/devices",
            params=[
                ("q", "pump"),
                ("status", "online"),
                ("model", "P-200"),
                ("group", "cellar"),
                ("group", "north"),
                ("tag", "floor=-1"),
                ("lastSeenAfter", "2035-01-01T00:00:00Z"),
                ("lastSeenBefore", "2035-01-02T00:00:00+01:00"),
                ("sort", "-lastSeen,model"),
                ("limit", "7"),
                ("offset", "3"),
            ],
        )

    (asked,) = rig.bus.on("registry.query")
    assert orjson.loads(asked.payload) == {
        "q": "pump",
        "status": "online",
        "model": "P-200",
        "group": ["cellar", "north"],
        "tag": ["floor=-1"],
        "lastSeenAfter": "2035-01-01T00:00:00Z",
        "lastSeenBefore": "2035-01-02T00:00:00+01:00",
        "sort": "-lastSeen,model",
        "limit": 7,
        "offset": 3,
    }


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("offset=-1", "offset"),
        ("status=asleep", "status"),
        ("lastSeenAfter=yesterday", "lastSeenAfter"),
        ("lastSeenBefore=", "lastSeenBefore"),
        ("colour=red", "colour"),
        ("Limit=1", "Limit"),
        ("q=" + "x" * 1025, "q"),
        ("&".join(["group=a"] * 21), "group"),
    ],
)
async def test_a_wrong_parameter_is_named(rig: Rig, query: str, field: str) -> None:
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/devices?{query}")

    assert answer.status_code == 400
    problem = answer.json()
    assert problem["error"] == "bad_request"
    assert list(problem["fields"]) == [field]
    assert field in problem["detail"]


async def test_one_device_is_its_record() -> None:
    record = make_device(DEVICE, name="Pump", model="P-200", groups=("cellar",), tags={"floor": "-1"})
    seen = Presence(online=True, at=START, evidence="session", address="192.0.2.7")
    rig = make_rig(devices={DEVICE: record}, presence={DEVICE: seen})
    async with await client_of(rig) as client:
        answer = await client.get(f"/api/devices/{DEVICE}")

    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    assert told["displayName"] == "Pump"
    assert told["status"] == "online"
    assert told["presence"]["address"] == "192.0.2.7"
    assert told["lastSeen"] == (START + timedelta()).isoformat().replace("+00:00", "Z")


async def test_a_device_there_is_not_is_404(rig: Rig) -> None:
    async with await client_of(rig) as client:
        answer = await client.get("/api/devices/pump-9999")

    assert answer.status_code == 404
    assert answer.json()["error"] == "unknown_device"


async def test_where_no_parameters_are_taken_none_may_be_given(rig: Rig) -> None:
    async with await client_of(rig) as client:
        for path in (f"/api/devices/{DEVICE}", "/api/stats/devices", "/metrics"):
            answer = await client.get(f"{path}?verbose=1")
            assert answer.status_code == 400
            assert answer.json()["fields"] == {"verbose": "is no parameter of this address"}


async def test_counts_are_the_functions_own() -> None:
    rig = fleet(4)
    async with await client_of(rig) as client:
        answer = await client.get("/api/stats/devices")

    assert answer.status_code == 200
    assert answer.json() == {
        "total": 4,
        "online": 0,
        "offline": 0,
        "neverSeen": 4,
        "byGroup": {},
        "byModel": {},
        "outOfSync": 0,
        "retired": 0,
    }


def test_every_parameter_is_explained() -> None:
    assert set(_TEXTS) == {field.alias for field in RegistryQuery.model_fields.values()}


async def test_a_device_is_suspended_and_resumed(rig: Rig) -> None:
    async with rig.client(await rig.token("devices:write")) as client:
        suspended = await client.post(f"/api/devices/{DEVICE}/suspend")
        again = await client.post(f"/api/devices/{DEVICE}/suspend", json={})
        resumed = await client.post(f"/api/devices/{DEVICE}/resume")

    assert [one.status_code for one in (suspended, again, resumed)] == [200, 200, 200]
    assert [one.json()["lifecycle"] for one in (suspended, again, resumed)] == ["suspended", "suspended", "active"]
    assert set(resumed.json()) == {field.alias for field in DeviceRecord.model_fields.values()}
    (event, *_) = rig.hub.events.on("devicehub.broker.access.changed")
    assert event.end == [DEVICE]


@pytest.mark.parametrize("verb", ["suspend", "resume"])
async def test_what_cannot_be_suspended_or_resumed_is_refused(verb: str) -> None:
    rig = make_rig(devices={DEVICE: make_device(DEVICE, lifecycle=Lifecycle.RETIRED)})
    async with rig.client(await rig.token("devices:write")) as client:
        unknown = await client.post(f"/api/devices/pump-9999/{verb}")
        retired = await client.post(f"/api/devices/{DEVICE}/{verb}")
        field = await client.post(f"/api/devices/{DEVICE}/{verb}", json={"reason": "stolen"})
        text = await client.post(f"/api/devices/{DEVICE}/{verb}", content="stolen")
        query = await client.post(f"/api/devices/{DEVICE}/{verb}?days=3")

    assert [one.status_code for one in (unknown, retired, field, text, query)] == [404, 403, 400, 415, 400]
    errors = [one.json()["error"] for one in (unknown, retired, field, text, query)]
    assert errors == ["unknown_device", "device_retired", "bad_request", "bad_request", "bad_request"]
    assert rig.hub.events.on("devicehub.broker.access.changed") == []


async def test_a_query_that_cannot_be_read_says_where_it_is_wrong() -> None:
    rig = fleet(1)
    async with await client_of(rig) as client:
        for path in ("/api/devices", "/api/devices/facets"):
            answer = await client.get(path, params={"q": "pump colour:red"})

            assert answer.status_code == 400
            page = answer.json()
            assert page["position"] == 5
            assert page["fields"]["q"].startswith("at character 6: there is no field 'colour'")


async def test_facets_are_of_the_same_devices_as_the_list() -> None:
    rig = make_rig(
        devices={
            "dev-0001": make_device("dev-0001", model="P-200", groups=("cellar",), tags={"floor": "-1"}),
            "dev-0002": make_device("dev-0002", model="P-200"),
            "dev-0003": make_device("dev-0003", lifecycle=Lifecycle.RETIRED),
        }
    )
    async with await client_of(rig) as client:
        every = await client.get("/api/devices/facets")
        some = await client.get("/api/devices/facets", params={"q": "group:cellar", "tag": "floor"})

    assert every.json() == {
        "total": 2,
        "status": {"unknown": 2},
        "group": {"cellar": 1},
        "model": {"P-200": 2},
        "tag": {"floor=-1": 1},
    }
    assert some.json()["total"] == 1


async def test_a_list_may_wait_for_a_write() -> None:
    rig = fleet(2)
    async with await client_of(rig) as client:
        await client.get("/api/devices", params=[("atLeast", "dev-0000:1"), ("atLeast", "dev-0001:1")])

    (asked,) = rig.bus.on("registry.query")
    assert orjson.loads(asked.payload) == {"atLeast": ["dev-0000:1", "dev-0001:1"]}


async def test_the_fleet_is_counted_with_twins_out_of_sync() -> None:
    rig = fleet(2)
    async with await client_of(rig) as client:
        answer = await client.get("/api/stats/devices", params={"outOfSyncSeconds": 60})
        wrong = await client.get("/api/stats/devices", params={"outOfSyncSeconds": -1})

    assert answer.json()["outOfSync"] == 0
    assert (wrong.status_code, set(wrong.json()["fields"])) == (400, {"outOfSyncSeconds"})
