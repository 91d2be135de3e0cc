"""Requests to the storage when very many come at once, against something slow on a real nats-server."""

import asyncio

from nats.aio.client import Client
from nats.aio.msg import Msg

from functions.adapters.downlink import NatsDownlink
from functions.adapters.durable import REQUEST_SECONDS, ask
from functions.contract.messages import Done, MethodRequest
from functions.domain.names import DeviceId
from tests.integration.conftest import Connect

# Each takes its time, one after the other: all of them take longer than any one may.
_EACH_SECONDS = 0.01
_NUMBER = int(1.3 * REQUEST_SECONDS / _EACH_SECONDS)


async def slow(admin: Client, subject: str, answer: bytes) -> None:
    """Somebody who answers one request at a time."""

    async def heard(msg: Msg) -> None:
        await asyncio.sleep(_EACH_SECONDS)
        await msg.respond(answer)

    await admin.subscribe(subject, cb=heard)
    await admin.flush()


async def test_what_comes_at_once_is_answered_though_all_of_it_takes_longer_than_one_may(
    admin: Client, connect: Connect
) -> None:
    client = await connect("admin")
    await slow(admin, "slow.storage", b"{}")

    replies = await asyncio.gather(*(ask(client, "slow.storage") for _ in range(_NUMBER)))

    assert [each.data for each in replies] == [b"{}"] * _NUMBER


async def test_requests_to_devices_wait_their_turn_too(admin: Client, connect: Connect) -> None:
    downlink = NatsDownlink(await connect("admin"))
    await slow(admin, "devicehub.devices.*.methods.*.request", Done().encode())
    number = 2 * _NUMBER

    await asyncio.gather(
        *(
            downlink.send(
                DeviceId("EDGB-0001"),
                ("methods", "blink", "request"),
                MethodRequest(request_id=downlink.new_id(), method_name="blink", payload=None),
                within=30,
            )
            for _ in range(number)
        )
    )
