"""Metrics over HTTP."""

import pytest

from tests.unit.gateway.rig import make_rig
from tests.unit.handlers.test_metrics import hub_of


async def test_each_host_is_in_the_list_and_its_history_is_to_be_had() -> None:
    rig = make_rig()
    known = hub_of("a", "silent").hosts
    rig.hub.hosts.here, rig.hub.hosts.respond = known.here, known.respond
    async with rig.client(await rig.token("admin")) as client:
        found = (await client.get("/api/metrics")).json()
        one = (await client.get("/api/metrics?node=a")).json()
        history = await client.get("/api/metrics/history?node=a&since=2035-01-01T00:00:00Z&step=60")
        unclear = await client.get("/api/metrics/history")

    assert [(host["node"], host["sample"] is None) for host in found] == [("a", False), ("silent", True)]
    assert [host["sample"]["cpu"]["cores"] for host in one] == [[10.0, 15.0]]
    assert history.status_code == 200
    assert history.json()["stepSeconds"] == 60
    assert (unclear.status_code, unclear.json()["error"]) == (409, "which_node")


@pytest.mark.parametrize(
    "query", ["step=7", "step=10.5", "since=yesterday", "node=a.b", "node=", "minutes=3", "step=10&step=60"]
)
async def test_what_no_question_says_is_refused(query: str) -> None:
    rig = make_rig()
    async with rig.client(await rig.token("admin")) as client:
        told = await client.get(f"/api/metrics/history?{query}")

    assert told.status_code == 400
    assert told.json()["error"] == "bad_request"
