"""Direct methods over HTTP."""

from typing import Any

import httpx
import pytest

from functions.contract.messages import MethodResponse
from functions.domain.faults import NotFound, Reason, Unavailable
from functions.domain.sessions import Presence
from functions.testing import START
from tests.unit.gateway.rig import DEVICE, Rig, make_rig

CALL = f"/api/devices/{DEVICE}/methods/reboot"


@pytest.fixture
def rig() -> Rig:
    return make_rig(presence={DEVICE: Presence(True, START, "connected")})


async def post(rig: Rig, path: str = CALL, **options: Any) -> httpx.Response:
    async with rig.client(await rig.token("methods:call")) as client:
        return await client.post(path, **options)


async def test_the_devices_answer_is_the_answer_whatever_its_status(rig: Rig) -> None:
    rig.hub.downlink.respond = lambda _, request: MethodResponse(request_id=request.request_id, status=500, payload=7)

    answer = await post(rig, json={"payload": {"delay": 5}, "timeout": 10})

    assert answer.status_code == 200
    assert answer.json() == {"requestId": "memory-1", "status": 500, "payload": 7, "message": None}
    (sent,) = rig.hub.downlink.sent
    assert sent.within == 10


async def test_a_call_needs_no_body(rig: Rig) -> None:
    assert (await post(rig)).json()["status"] == 200
    assert rig.hub.downlink.sent[0].within == 30


async def test_an_offline_device_is_not_found() -> None:
    answer = await post(make_rig(presence={DEVICE: Presence(False, START, "timeout")}))

    assert (answer.status_code, answer.json()["error"]) == (404, "device_offline")


@pytest.mark.parametrize(
    ("fault", "status"), [(Unavailable(Reason.TIMEOUT), 504), (NotFound(Reason.NOT_SUBSCRIBED), 404)]
)
async def test_what_came_of_it_is_told(rig: Rig, fault: Any, status: int) -> None:
    rig.hub.downlink.fault = fault

    answer = await post(rig, json={"payload": 1})

    assert (answer.status_code, answer.json()["error"]) == (status, str(fault.reason))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": 30_000}, "timeout"),
        ({"timeout": "10"}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"colour": 1}, "colour"),
        ([], "payload"),
    ],
)
async def test_a_call_that_is_wrong_says_where(rig: Rig, body: Any, field: str) -> None:
    answer = await post(rig, json=body)

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert list(answer.json()["fields"]) == [field]
    assert rig.hub.downlink.sent == []


@pytest.mark.parametrize("path", [f"/api/devices/{DEVICE}/methods/a.b", f"/api/devices/{DEVICE}/methods/%2A"])
async def test_a_method_has_the_form_of_a_name(rig: Rig, path: str) -> None:
    assert (await post(rig, path)).status_code == 400


async def test_a_token_must_be_for_methods(rig: Rig) -> None:
    async with rig.client(await rig.token("devices:write", "twins:write")) as client:
        assert (await client.post(CALL)).status_code == 403


async def test_a_call_that_waits_for_its_device_is_accepted() -> None:
    answer = await post(make_rig(), json={"queue": True, "expiresIn": 60})

    assert answer.status_code == 202
    assert answer.json()["queuedUntil"] == "2035-01-01T12:01:00Z"
    assert answer.json()["status"] == 202


MESSAGES = f"/api/devices/{DEVICE}/messages"


async def test_a_message_is_sent_or_held(rig: Rig) -> None:
    sent = await post(rig, MESSAGES, json={"payload": {"text": "hello"}})
    held = await post(make_rig(), MESSAGES, json={"payload": None})

    assert (sent.status_code, sent.json()["state"]) == (200, "sent")
    assert (held.status_code, held.json()["state"]) == (200, "held")


@pytest.mark.parametrize("body", [{}, {"payload": 1, "expiresIn": 0}, {"payload": 1, "colour": 2}, []])
async def test_a_message_that_is_wrong_is_refused(rig: Rig, body: Any) -> None:
    assert (await post(rig, MESSAGES, json=body)).status_code == 400
    assert rig.hub.downlink.sent == []


async def test_a_message_that_nobody_takes_is_not_found(rig: Rig) -> None:
    rig.hub.downlink.fault = NotFound(Reason.NOT_SUBSCRIBED)

    answer = await post(rig, MESSAGES, json={"payload": 1})

    assert (answer.status_code, answer.json()["error"]) == (404, "not_subscribed")
