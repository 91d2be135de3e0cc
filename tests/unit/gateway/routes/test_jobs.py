"""Jobs over HTTP."""

from typing import Any

import pytest

from functions.contract.messages import JobItemQuery, JobQuery
from functions.domain.devices import Device
from functions.jobs import Jobs
from functions.routes import ROUTES
from functions.testing import START
from gateway.routes.jobs import _ITEM_TEXTS, _TEXTS
from tests.unit.gateway.rig import DEVICE, Rig, make_device, make_rig

OTHER = "pump-0002"
WISH = {"desired": {"led": "on"}}


def rig_of_two() -> Rig:
    return make_rig(devices={name: make_device(name) for name in (DEVICE, OTHER)})


async def work(rig: Rig) -> None:
    runner = Jobs(rig.hub, ROUTES)
    await runner.look(rig.hub)
    await runner.idle()


async def test_a_job_is_made_worked_on_shown_and_retried() -> None:
    rig = rig_of_two()
    async with rig.client(await rig.token("admin")) as client:
        made = await client.post("/api/batch/twins", json={**WISH, "devices": [DEVICE, "nobody", OTHER], "rate": 5000})
        await work(rig)
        shown = await client.get(made.headers["location"])
        failed = await client.get(made.headers["location"] + "?state=failed")
        await rig.hub.devices.create("nobody", Device("nobody", START, START))
        again = await client.post(made.headers["location"] + "/retry")
        await work(rig)
        last = await client.get(again.headers["location"])
        listed = await client.get("/api/jobs?limit=1&kind=twins")

    assert (made.status_code, made.json()["state"], made.json()["total"]) == (202, "running", 3)
    assert [(one["device"], one["state"], one["error"]) for one in shown.json()["items"]] == [
        (DEVICE, "done", None),
        ("nobody", "failed", "unknown_device"),
        (OTHER, "done", None),
    ]
    assert [one["device"] for one in failed.json()["items"]] == ["nobody"]
    assert (again.status_code, again.json()["retryOf"]) == (202, made.json()["id"])
    assert (last.json()["state"], last.json()["done"]) == ("done", 1)
    assert (len(listed.json()), listed.headers["x-total-count"]) == (1, "2")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/batch/methods", {"method": "reboot", "q": f"{DEVICE}"}),
        ("/api/batch/tags", {"tags": {"site": "A"}, "q": f"{DEVICE}"}),
    ],
)
async def test_devices_can_be_meant_by_a_query(path: str, body: dict[str, Any]) -> None:
    rig = rig_of_two()
    async with rig.client(await rig.token("admin")) as client:
        made = await client.post(path, json=body)
        await work(rig)
        shown = (await client.get(made.headers["location"])).json()

    assert [one["device"] for one in shown["items"]] == [DEVICE]


async def test_a_job_is_cancelled() -> None:
    rig = rig_of_two()
    async with rig.client(await rig.token("admin")) as client:
        made = await client.post("/api/batch/twins", json={**WISH, "q": ""})
        cancelled = await client.post(made.headers["location"] + "/cancel")
        await work(rig)
        shown = (await client.get(made.headers["location"])).json()

    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelling")
    assert (shown["state"], shown["cancelled"]) == ("cancelled", 2)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**WISH},
        {**WISH, "devices": []},
        {**WISH, "devices": ["a b"]},
        {**WISH, "devices": [DEVICE], "q": "x"},
        {**WISH, "devices": [DEVICE], "rate": 0},
        {**WISH, "devices": [DEVICE], "rate": 1e9},
        {**WISH, "q": "tag:("},
        {"desired": 5, "q": ""},
        {**WISH, "q": "", "more": 1},
    ],
)
async def test_what_is_no_job_is_refused_and_nothing_is_kept(body: dict[str, Any]) -> None:
    rig = rig_of_two()
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.post("/api/batch/twins", json=body)
        listed = await client.get("/api/jobs")

    assert (answer.status_code, listed.json()) == (400, [])


async def test_an_unknown_job_is_not_found() -> None:
    rig = rig_of_two()
    async with rig.client(await rig.token("admin")) as client:
        answers = [
            await client.get("/api/jobs/none"),
            await client.post("/api/jobs/none/cancel"),
            await client.post("/api/jobs/none/retry"),
        ]

    assert {answer.status_code for answer in answers} == {404}


def test_every_parameter_is_described() -> None:
    assert _TEXTS.keys() == JobQuery.model_fields.keys()
    assert _ITEM_TEXTS.keys() == JobItemQuery.model_fields.keys()
