"""The way to devices on a real nats-server, with a bridge that a test answers for."""

import asyncio

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from functions.adapters.downlink import NatsDownlink
from functions.contract.messages import Done, MethodRequest
from functions.domain.faults import Reason, Unavailable
from functions.domain.names import DeviceId
from tests.integration.conftest import Connect

D1 = DeviceId("EDGB-0001")
REQUEST = "devicehub.devices.*.methods.*.request"
RESPONSE = f"devicehub.devices.{D1}.methods.blink.response"


@pytest.fixture
async def downlink(connect: Connect) -> NatsDownlink:
    made = NatsDownlink(await connect("admin"))
    await made.start()
    return made


def request(downlink: NatsDownlink) -> MethodRequest:
    return MethodRequest(request_id=downlink.new_id(), method_name="blink", payload=None)


async def bridge(admin: Client, *answers: bytes, subject: str = RESPONSE) -> None:
    """A bridge whose broker takes everything, and a device that answers so; ``%b`` is the request's id."""

    async def heard(msg: Msg) -> None:
        told = MethodRequest.model_validate_json(msg.data).request_id.encode()
        for answer in answers:
            await admin.publish(subject, answer.replace(b"%b", told))
        await msg.respond(Done().encode())

    await admin.subscribe(REQUEST, cb=heard)
    await admin.flush()


async def refusal(downlink: NatsDownlink, within: float = 0.5) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await downlink.call(D1, request(downlink), within=within)
    return caught.value


async def test_without_a_bridge_nothing_is_waited_for(downlink: NatsDownlink) -> None:
    assert (await refusal(downlink, within=30)).reason is Reason.UNAVAILABLE


async def test_the_answer_may_come_before_the_brokers_word(downlink: NatsDownlink, admin: Client) -> None:
    await bridge(admin, b'{"requestId":"%b","status":201,"payload":[1]}')

    answer = await downlink.call(D1, request(downlink), within=10)

    assert (answer.status, answer.payload) == (201, [1])


async def test_what_is_no_answer_is_counted_and_waited_past(downlink: NatsDownlink, admin: Client) -> None:
    await bridge(admin, b'{"requestId":"%b"', b'{"requestId":"%b","status":"x"}', b'{"requestId":"%b","status":1}')

    assert (await downlink.call(D1, request(downlink), within=10)).status == 1
    assert downlink.counts["unreadable"] == 2


async def test_an_answer_on_another_subject_is_nobodys(downlink: NatsDownlink, admin: Client) -> None:
    await bridge(admin, b'{"requestId":"%b"}', subject="devicehub.devices.EDGB-0002.methods.blink.response")

    assert (await refusal(downlink)).reason is Reason.TIMEOUT
    assert downlink.counts["late"] == 1


async def test_at_the_end_of_the_process_those_who_wait_are_told(downlink: NatsDownlink, admin: Client) -> None:
    await bridge(admin)
    waiting = asyncio.create_task(refusal(downlink, within=60))
    while not downlink.counts["calls"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    downlink.end()

    assert "restarted" in (await waiting).detail
