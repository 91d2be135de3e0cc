"""Checks over HTTP."""

from functions.domain.checks import CHECKS
from tests.unit.gateway.rig import Rig


async def test_the_checks_are_an_array_with_what_each_found(rig: Rig) -> None:
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.get("/api/checks")

    assert answer.status_code == 200
    found = {one["check"]: one for one in answer.json()}
    assert list(found) == list(CHECKS)
    # A hub in memory has made no list.
    (finding,) = found["revocation list"]["findings"]
    assert (found["revocation list"]["isWell"], finding["kind"], finding["severity"]) == (False, "crl-age", "critical")
    assert finding["remedy"]
    assert found["keys"] == {"check": "keys", "isWell": True, "total": 0, "findings": []}


async def test_checks_take_no_parameters(rig: Rig) -> None:
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.get("/api/checks?kind=weak-key")

    assert answer.status_code == 400
