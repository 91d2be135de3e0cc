from typing import Any

import httpx
import pytest

from tests.unit.gateway.rig import Rig

PATH = "/api/settings/server"


@pytest.fixture
async def client(rig: Rig) -> httpx.AsyncClient:
    return rig.client(await rig.token("admin"))


async def put(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    answer = await client.put(PATH, json=body)
    assert answer.status_code == 200, answer.text
    read = await client.get(PATH)
    assert (read.json(), read.headers["etag"]) == (answer.json(), answer.headers["etag"])
    return answer


async def test_settings_are_read_changed_and_set_back(client: httpx.AsyncClient) -> None:
    told = (await client.get(PATH)).json()
    assert (told["mqttHost"], told["mqttPort"], told["deviceDays"], told["version"]) == ("hub.example", 8883, 3650, 0)

    changed = (await put(client, mqttHost="hub.lan", deviceDays=30)).json()
    assert (changed["mqttHost"], changed["deviceDays"], changed["defaults"]) == ("hub.lan", 30, told["defaults"])
    assert (await put(client, mqttHost=None, deviceDays=None)).json() == {**told, "version": changed["version"] + 1}


async def test_a_change_can_be_made_to_depend_on_what_was_read(client: httpx.AsyncClient) -> None:
    tag = (await client.get(PATH)).headers["etag"]
    assert tag == '"r0"'

    first = await client.put(PATH, json={"deviceDays": 30}, headers={"If-Match": tag})
    stale = await client.put(PATH, json={"deviceDays": 31}, headers={"If-Match": tag})
    spoken = await client.put(PATH, json={"deviceDays": 31, "expectedVersion": 0})
    again = await client.put(PATH, json={"deviceDays": 31}, headers={"If-Match": first.headers["etag"]})

    assert [one.status_code for one in (first, stale, spoken, again)] == [200, 412, 409, 200]
    assert {one.json()["error"] for one in (stale, spoken)} == {"version_conflict"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"mqttHost": "no host"}, "mqttHost"),
        ({"mqttHost": 7}, "mqttHost"),
        ({"mqttPort": 0}, "mqttPort"),
        ({"mqttPort": 65_536}, "mqttPort"),
        ({"mqttPort": "8883"}, "mqttPort"),
        ({"hostnames": "hub.lan"}, "hostnames"),
        ({"hostnames": ["x" * 254]}, "hostnames.0"),
        ({"deviceDays": 0}, "deviceDays"),
        ({"deviceDays": 1.5}, "deviceDays"),
        ({"claimDays": 36_501}, "claimDays"),
        ({"version": 3}, "version"),
        ({"fixed": {}}, "fixed"),
        ({"defaults": {}}, "defaults"),
        ({"deviceDays": 30, "name": "hub"}, "name"),
    ],
)
async def test_a_wish_that_is_none_changes_nothing(
    client: httpx.AsyncClient, body: dict[str, Any], field: str | None
) -> None:
    answer = await client.put(PATH, json=body)

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert list(answer.json().get("fields", {})) == ([] if field is None else [field])
    assert (await client.get(PATH)).json()["version"] == 0
