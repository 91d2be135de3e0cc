"""Claim roles and suspension on a real broker: live, and still there after it was killed."""

import asyncio
import json

from tests.integration.bridge.broker.client import ADMINISTRATIVE_ACTION, NOT_AUTHORISED
from tests.integration.bridge.broker.conftest import Join, Keeping

ONBOARDING = "$devicehub/certificates/create-from-csr"


async def test_a_claim_role_comes_and_goes_live_and_outlives_a_killed_broker(keeping: Keeping, join: Join) -> None:
    identity = keeping.broker.authority.issue("claim-fleet")
    await keeping.start()
    await keeping.saved()

    stranger = await join(identity, "8f14e45f")
    assert await stranger.publish(ONBOARDING) == NOT_AUTHORISED
    await keeping.apply(claims=["fleet"])
    assert await stranger.publish(ONBOARDING) == 0
    await keeping.functions.until(lambda: keeping.functions.asked_by)
    assert keeping.functions.asked_by[0][:2] == ("devicehub.certificates.create-from-csr", "claim:-")

    keeping.broker.kill()
    keeping.broker.start()
    after = await join(identity, "8f14e45f")
    assert await after.publish(ONBOARDING) == 0

    async with asyncio.timeout(10):
        await keeping.lane.subscribed.wait()
    await keeping.apply(claims=[])
    assert await after.wait_ended() == ADMINISTRATIVE_ACTION
    again = await join(identity, "8f14e45f")
    assert await again.publish(ONBOARDING) == NOT_AUTHORISED


async def test_a_claim_certificate_hears_the_answers_and_writes_no_subtree_of_its_own(
    keeping: Keeping, join: Join
) -> None:
    keeping.functions.access = keeping.functions.access.model_copy(update={"claims": ["fleet"]})
    await keeping.start()

    client = await join(keeping.broker.authority.issue("claim-fleet"), "8f14e45f")
    await client.subscribe(f"{ONBOARDING}/+")
    await client.subscribe("$devicehub/devices/8f14e45f/provision/accepted")

    for leaf in ("twin/update", "telemetry", "status", "heartbeat", "events/x", "provision/request"):
        assert await client.publish(f"$devicehub/devices/claim-fleet/{leaf}") == NOT_AUTHORISED
    assert await client.publish("$devicehub/devices/EDGB-0001/twin/update") == NOT_AUTHORISED
    assert await client.publish(ONBOARDING) == 0
    assert (await asyncio.wait_for(client.heard.get(), 5))[0] == f"{ONBOARDING}/accepted"
    assert await client.publish("$devicehub/devices/8f14e45f/provision/request") == 0
    assert (await asyncio.wait_for(client.heard.get(), 5))[0] == "$devicehub/devices/8f14e45f/provision/accepted"
    assert keeping.functions.asked_by[-1][:2] == ("devicehub.devices.8f14e45f.provision.request", "claim:fleet")


async def test_a_suspended_device_is_denied_everything_until_it_is_no_more(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    device = await join(keeping.broker.authority.issue("EDGB-0001"), "EDGB-0001")
    other = await join(keeping.broker.authority.issue("EDGB-0002"), "EDGB-0002")
    await device.subscribe("$devicehub/devices/EDGB-0001/twin/update/+")
    assert await device.publish("$devicehub/devices/EDGB-0001/twin/get") == 0
    assert (await asyncio.wait_for(device.heard.get(), 5))[0].endswith("twin/update/accepted")

    await keeping.apply(suspended=["EDGB-0001"])

    assert await device.publish("$devicehub/devices/EDGB-0001/twin/get") == NOT_AUTHORISED
    assert await device.publish("$devicehub/devices/EDGB-0001/provision/request") == NOT_AUTHORISED
    await keeping.lane.session.publish("$devicehub/devices/EDGB-0001/twin/update/delta", b"{}")
    assert await other.publish("$devicehub/devices/EDGB-0002/twin/get") == 0
    again = await join(keeping.broker.authority.issue("EDGB-0001"), "EDGB-0001")
    assert await again.publish("$devicehub/devices/EDGB-0001/twin/get") == NOT_AUTHORISED
    assert device.heard.empty()

    await keeping.apply(suspended=[])
    # It comes back by itself, and so is told what it missed.
    assert await again.wait_ended() == ADMINISTRATIVE_ACTION
    back = await join(keeping.broker.authority.issue("EDGB-0001"), "EDGB-0001")
    assert await back.publish("$devicehub/devices/EDGB-0001/twin/get") == 0


async def test_what_was_left_half_done_is_put_right_at_the_start(keeping: Keeping) -> None:
    keeping.functions.access = keeping.functions.access.model_copy(update={"claims": ["fleet"]})
    await keeping.start()
    run = keeping.admin._control.run
    await run(
        [
            {"command": "createRole", "rolename": "claim-gone", "textname": "device-hub", "acls": []},
            {"command": "createClient", "username": "EDGB-0001", "textname": "device-hub"},
            {"command": "createClient", "username": "grafana", "password": "secret"},
            {"command": "deleteClient", "username": "claim-fleet"},
            {"command": "modifyRole", "rolename": "claim-fleet", "acls": []},
        ]
    )

    await keeping.kill()
    await keeping.start()

    kept = json.loads((keeping.broker.folder / "dynsec.json").read_text())
    assert sorted(client["username"] for client in kept["clients"]) == ["claim-fleet", "grafana"]
    assert sorted(role["rolename"] for role in kept["roles"]) == ["claim-fleet", "hub-denied"]
    fleet = next(client for client in kept["clients"] if client["username"] == "claim-fleet")
    assert [role["rolename"] for role in fleet["roles"]] == ["claim-fleet"]
    role = next(role for role in kept["roles"] if role["rolename"] == "claim-fleet")
    assert len(role["acls"]) == 3


async def test_more_suspended_devices_than_one_page_lists_are_applied(keeping: Keeping) -> None:
    await keeping.start()
    names = [f"EDGB-{number:04}" for number in range(600)]

    await keeping.apply(suspended=names)
    await keeping.apply(suspended=names[:3])

    kept = json.loads((keeping.broker.folder / "dynsec.json").read_text())
    assert sorted(client["username"] for client in kept["clients"]) == names[:3]
