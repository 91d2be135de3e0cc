"""A device's record changed, retired and handed on over HTTP."""

from typing import Any

import httpx
import pytest

from functions.domain.devices import Lifecycle
from functions.testing import START
from tests.unit.gateway.rig import DEVICE, Rig, make_device, make_rig

SPARE = "pump-0002"
ADDRESS = f"/api/devices/{DEVICE}"


def house(**facts: Any) -> Rig:
    return make_rig(devices={DEVICE: make_device(DEVICE, **facts), SPARE: make_device(SPARE)})


async def client_of(rig: Rig) -> httpx.AsyncClient:
    return rig.client(await rig.token("devices:read", "devices:write", "twins:read", "twins:write"))


async def test_a_record_is_changed_and_told_with_its_etag() -> None:
    rig = house(tags={"floor": "1", "spare": "yes"})
    async with await client_of(rig) as client:
        body = {"displayName": "Cellar", "role": "cellar", "groups": ["a"], "tags": {"spare": None}, "notes": "x\ny"}
        changed = await client.patch(ADDRESS, json=body)
        read = await client.get("/api/devices/cellar")

    assert changed.status_code == 200
    assert changed.json() == read.json()
    assert changed.headers["etag"] == read.headers["etag"] == f'"r{read.json()["version"]}"'
    shown = read.json()
    assert (shown["deviceId"], shown["deviceName"], shown["displayName"]) == ("cellar", DEVICE, "Cellar")
    assert (shown["tags"], shown["groups"], shown["notes"]) == ({"floor": "1"}, ["a"], "x\ny")


async def test_name_says_the_same_as_display_name_but_not_both() -> None:
    rig = house()
    async with await client_of(rig) as client:
        assert (await client.patch(ADDRESS, json={"name": "A"})).json()["displayName"] == "A"
        both = await client.patch(ADDRESS, json={"name": "B", "displayName": "C"})

    assert (both.status_code, list(both.json()["fields"])) == (400, ["name"])


async def test_a_stale_etag_is_412_and_a_stale_version_409() -> None:
    rig = house()
    async with await client_of(rig) as client:
        old = (await client.get(ADDRESS)).headers["etag"]
        new = (await client.patch(ADDRESS, json={"notes": "a"}, headers={"If-Match": old})).headers["etag"]
        stale = await client.patch(ADDRESS, json={"notes": "b"}, headers={"If-Match": old})
        weak = await client.patch(ADDRESS, json={"notes": "c"}, headers={"If-Match": f"W/{new}"})
        version = await client.patch(ADDRESS, json={"notes": "d", "expectedVersion": 1})
        never = await client.patch(ADDRESS, json={"notes": "e"}, headers={"If-Match": '"other"'})
        malformed = await client.patch(ADDRESS, json={"notes": "f"}, headers={"If-Match": "r1"})
        any_ = await client.patch(ADDRESS, json={"notes": "g"}, headers={"If-Match": "*"})

    assert new != old
    assert (stale.status_code, stale.json()["error"]) == (412, "version_conflict")
    assert (weak.status_code, weak.json()["notes"]) == (200, "c")
    assert (version.status_code, version.json()["error"]) == (409, "version_conflict")
    assert (never.status_code, malformed.status_code) == (412, 400)
    assert (any_.status_code, any_.json()["notes"]) == (200, "g")


@pytest.mark.parametrize(
    ("body", "status", "error", "field"),
    [
        ({"colour": "red"}, 400, "bad_request", "colour"),
        ({"groups": "a"}, 400, "bad_request", "groups"),
        ({"groups": [f"g{number}" for number in range(33)]}, 400, "bad_request", "groups"),
        ({"tags": {"a": 1}}, 400, "bad_request", "tags.a"),
        ({"tags": {"a b": "c"}}, 400, "bad_request", "tags"),
        ({"displayName": "x" * 129}, 400, "bad_request", "displayName"),
        ({"notes": "x" * 4097}, 400, "bad_request", "notes"),
        ({"role": "no role"}, 400, "bad_request", "role"),
        ({"role": SPARE}, 409, "name_taken", "role"),
        ({"lifecycle": "retired"}, 400, "bad_request", "lifecycle"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_changed(
    body: dict[str, Any], status: int, error: str, field: str
) -> None:
    rig = house()
    async with await client_of(rig) as client:
        answer = await client.patch(ADDRESS, json=body)
        after = await client.get(ADDRESS)

    assert (answer.status_code, answer.json()["error"], list(answer.json()["fields"])) == (status, error, [field])
    assert (after.json()["updatedAt"], after.json()["version"]) == (START.isoformat().replace("+00:00", "Z"), 1)


async def test_a_retired_device_stays_readable_and_gives_its_role_free() -> None:
    rig = house()
    async with await client_of(rig) as client:
        await client.patch(ADDRESS, json={"role": "cellar"})
        retired = await client.delete("/api/devices/cellar")
        again = await client.delete(ADDRESS)
        gone = await client.get("/api/devices/cellar")
        role = await client.patch(ADDRESS, json={"role": "attic"})
        other = await client.patch(f"/api/devices/{SPARE}", json={"role": "cellar"})

    assert (retired.status_code, retired.json()["lifecycle"], retired.json()["role"]) == (200, "retired", None)
    assert again.json() == retired.json()
    assert (gone.status_code, gone.json()["error"]) == (404, "unknown_device")
    assert (role.status_code, role.json()["error"]) == (403, "device_retired")
    assert other.json()["deviceId"] == "cellar"


async def test_a_swap_answers_with_the_replacement() -> None:
    rig = house(groups=("yard",))
    async with await client_of(rig) as client:
        await client.patch(ADDRESS, json={"role": "cellar"})
        await client.patch("/api/devices/cellar/twin", json={"desired": {"rate": 3}})
        swapped = await client.post("/api/devices/cellar/swap", json={"replacement": SPARE})
        again = await client.post(f"{ADDRESS}/swap", json={"replacement": SPARE})
        twin = await client.get("/api/devices/cellar/twin")
        old = await client.get(ADDRESS)

    shown = swapped.json()
    assert (shown["deviceId"], shown["deviceName"], shown["groups"]) == ("cellar", SPARE, ["yard"])
    assert again.json() == shown
    assert twin.json()["desired"] == {"rate": 3}
    assert (old.json()["lifecycle"], old.json()["replacedBy"]) == ("retired", SPARE)
    assert rig.hub.events.on(f"devicehub.devices.{DEVICE}.swapped")


@pytest.mark.parametrize(
    ("replacement", "status", "error"),
    [
        ("nobody-1", 404, "unknown_device"),
        (DEVICE, 409, "swap_refused"),
        ("pump-0003", 403, "device_retired"),
        ("pump-0004", 403, "device_suspended"),
        ("pump-0005", 409, "swap_refused"),
        ("a.b", 400, "bad_request"),
        ("", 400, "bad_request"),
        (7, 400, "bad_request"),
    ],
)
async def test_a_swap_that_cannot_be_is_refused(replacement: Any, status: int, error: str) -> None:
    rig = make_rig(
        devices={
            DEVICE: make_device(DEVICE, role="cellar"),
            "pump-0003": make_device("pump-0003", lifecycle=Lifecycle.RETIRED),
            "pump-0004": make_device("pump-0004", lifecycle=Lifecycle.SUSPENDED),
            "pump-0005": make_device("pump-0005", role="attic"),
        }
    )
    async with await client_of(rig) as client:
        answer = await client.post(f"{ADDRESS}/swap", json={"replacement": replacement})

    assert (answer.status_code, answer.json()["error"]) == (status, error)


@pytest.mark.parametrize(("method", "path"), [("PATCH", ""), ("DELETE", ""), ("POST", "/swap")])
async def test_what_is_sent_otherwise_is_refused(method: str, path: str) -> None:
    rig = house()
    async with await client_of(rig) as client:
        text = await client.request(method, ADDRESS + path, content="{}", headers={"Content-Type": "text/plain"})
        query = await client.request(method, f"{ADDRESS}{path}?force=true", json={"replacement": SPARE})
        name = await client.request(method, f"/api/devices/a.b{path}", json={"replacement": SPARE})

    assert [one.status_code for one in (text, query, name)] == [415, 400, 400]
