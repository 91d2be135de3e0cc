from typing import Any

import httpx
import pytest

from functions.domain.twins import Half
from functions.testing import START
from tests.unit.gateway.rig import DEVICE, Rig, make_rig

HISTORY = f"/api/devices/{DEVICE}/twin/history"
AT = f"/api/devices/{DEVICE}/twin/at"
COMPARE = f"/api/devices/{DEVICE}/twin/compare"
TWIN = f"/api/devices/{DEVICE}/twin"


@pytest.fixture
async def rig() -> Rig:
    """A device of which was wished ``{"n": 1}``, then 2, then 3, a minute apart from 12:01 on."""
    rig = make_rig()
    async with rig.client(await rig.token("twins:write", name="writer")) as client:
        for number in (1, 2, 3):
            rig.hub.clock.advance(60)
            assert (await client.patch(TWIN, json={"desired": {"n": number}})).status_code == 200
    return rig


async def get(rig: Rig, path: str, query: str = "", **headers: str) -> httpx.Response:
    async with rig.client(await rig.token("twins:read")) as client:
        return await client.get(f"{path}?{query}" if query else path, headers=headers)


async def test_changes_are_an_array_newest_first_with_their_total(rig: Rig) -> None:
    answer = await get(rig, HISTORY)

    assert answer.status_code == 200
    assert answer.headers["x-total-count"] == "3"
    assert [(each["version"], each["change"]) for each in answer.json()] == [
        (3, {"n": 3}),
        (2, {"n": 2}),
        (1, {"n": 1}),
    ]
    assert answer.json()[0] == {
        "half": "desired",
        "version": 3,
        "change": {"n": 3},
        "by": "app:writer",
        "timestamp": "2035-01-01T12:03:00Z",
    }


async def test_a_page_of_changes_links_to_the_others(rig: Rig) -> None:
    answer = await get(rig, HISTORY, "half=desired&limit=1&offset=1")

    assert [each["version"] for each in answer.json()] == [2]
    assert {name: link["url"] for name, link in answer.links.items()} == {
        "first": f"{HISTORY}?half=desired&limit=1&offset=0",
        "prev": f"{HISTORY}?half=desired&limit=1&offset=0",
        "next": f"{HISTORY}?half=desired&limit=1&offset=2",
        "last": f"{HISTORY}?half=desired&limit=1&offset=2",
    }


async def test_nothing_has_changed_a_twin_that_was_never_written() -> None:
    answer = await get(make_rig(), HISTORY)

    assert (answer.json(), answer.headers["x-total-count"]) == ([], "0")


@pytest.mark.parametrize(
    "query", ["time=2035-01-01T12:02:00Z", "time=2035-01-01T13:02:30%2B01:00", "desired=2&reported=0"]
)
async def test_a_twin_as_it_was_has_the_tag_it_had(rig: Rig, query: str) -> None:
    answer = await get(rig, AT, query)

    assert answer.status_code == 200
    assert (answer.json()["desired"], answer.json()["desiredVersion"]) == ({"n": 2}, 2)
    assert answer.headers["etag"] == '"d2.r0"'
    known = await get(rig, AT, query, **{"If-None-Match": '"d2.r0"'})
    assert (known.status_code, known.content) == (304, b"")


async def test_two_twins_are_compared_by_place(rig: Rig) -> None:
    by_version = await get(rig, COMPARE, "fromDesired=1&fromReported=0")
    by_time = await get(rig, COMPARE, "fromTime=2035-01-01T12:01:00Z&toTime=2035-01-01T12:03:00Z")

    assert by_version.status_code == 200
    assert by_version.content == by_time.content
    assert by_version.json() == {
        "deviceId": DEVICE,
        "from": {"desired": 1, "reported": 0},
        "to": {"desired": 3, "reported": 0},
        "total": 1,
        "differences": [
            {
                "half": "desired",
                "path": "/n",
                "before": 1,
                "after": 3,
                "version": 3,
                "by": "app:writer",
                "timestamp": "2035-01-01T12:03:00Z",
            }
        ],
    }


async def test_what_is_not_kept_any_more_is_410_and_what_never_was_404() -> None:
    # What was wished before there was an audit trail.
    half = Half(version=19, doc={"n": 0}, times={"n": 1}, at=START)
    rig = make_rig(desired={DEVICE: half})
    async with rig.client(await rig.token("twins:write")) as client:
        await client.patch(TWIN, json={"desired": {"n": 1}})

    for path, query in (
        (AT, "desired=2&reported=0"),
        (AT, "time=2035-01-01T11:59:00Z"),
        (COMPARE, "fromDesired=2&fromReported=0"),
    ):
        answer = await get(rig, path, query)
        assert (answer.status_code, answer.json()["error"]) == (410, "not_kept")
        assert "it is known from version 19 on" in answer.json()["detail"]
    answer = await get(rig, AT, "desired=100&reported=0")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    answer = await get(rig, HISTORY.replace(DEVICE, "pump-9999"))
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_device")


@pytest.mark.parametrize(
    ("path", "query", "fields"),
    [
        (HISTORY, "half=both", ["half"]),
        (HISTORY, "limit=0", ["limit"]),
        (HISTORY, "limit=1001", ["limit"]),
        (HISTORY, "offset=-1", ["offset"]),
        (HISTORY, "colour=red", ["colour"]),
        (HISTORY, "half=desired&half=desired", ["half"]),
        (AT, "", []),
        (AT, "desired=1", ["desired"]),
        (AT, "time=2035-01-01T12:01:00Z&desired=1&reported=1", ["desired", "reported", "time"]),
        (AT, "time=yesterday", ["time"]),
        (AT, "time=2036-01-01T00:00:00Z", ["time"]),
        (AT, "desired=-1&reported=0", ["desired"]),
        (AT, "desired=1.5&reported=0", ["desired"]),
        (AT, "desired=99999999999999999999&reported=0", ["desired"]),
        (COMPARE, "", []),
        (COMPARE, "fromDesired=1", ["fromDesired"]),
        (COMPARE, "fromTime=2035-01-01T12:01:00Z&toReported=1", ["toReported"]),
        (COMPARE, "fromDesired=3&fromReported=0&toDesired=1&toReported=0", []),
    ],
)
async def test_a_question_that_is_not_one_is_400(rig: Rig, path: str, query: str, fields: list[Any]) -> None:
    answer = await get(rig, path, query)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "bad_request"
    assert sorted(answer.json().get("fields", {})) == fields


@pytest.mark.parametrize("path", [HISTORY, AT, COMPARE])
async def test_history_is_only_read(rig: Rig, path: str) -> None:
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.request("PATCH", path, json={})

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
