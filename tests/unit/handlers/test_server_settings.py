"""The server's settings: what is set holds at once, and what is set back is what the hub was started with."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from functions.contract.messages import (
    ClaimIssue,
    ClaimNamed,
    DeviceCreate,
    DeviceRegister,
    EnrolmentOpen,
    Nothing,
    ProvisionRequest,
    ServerChange,
    ServerView,
)
from functions.domain.bundles import CONFIG
from functions.domain.faults import Conflict, Malformed
from functions.handlers import access, bundles, certificates, claims, enrolment, provisioning, server_settings
from functions.ports import Hub
from functions.testing import START, MemoryHub, call, memory_hub, refused
from tests.unit.handlers.onboarding import Shuffle, csr, meddled


async def read(hub: Hub) -> ServerView:
    return await server_settings.read(call(Nothing()), hub)


async def put(hub: Hub, **wish: Any) -> ServerView:
    return await server_settings.change(call(ServerChange.model_validate(wish)), hub)


def changes_told(hub: MemoryHub) -> int:
    return len(hub.events.on("devicehub.broker.access.changed"))


async def test_where_nothing_is_set_the_hub_is_as_it_was_started() -> None:
    view = await read(memory_hub())

    assert (view.mqtt_host, view.mqtt_port, view.hostnames) == ("hub.example", 8883, [])
    assert (view.device_days, view.claim_days, view.version) == (3650, 1825, 0)
    assert (view.defaults.mqtt_host, view.defaults.mqtt_port, view.defaults.hostnames) == ("hub.example", 8883, [])
    assert (view.defaults.device_days, view.defaults.claim_days) == (3650, 1825)
    assert (view.fixed.topic_prefix, view.fixed.renewal_grace_seconds) == ("$devicehub", 7 * 86_400)


async def test_what_is_not_given_stays_and_null_sets_back() -> None:
    hub = memory_hub()

    first = await put(hub, mqttHost="hub.lan", deviceDays=30)
    second = await put(hub, mqttPort=18883, hostnames=["a.lan", "10.0.0.1", "a.lan"])
    third = await put(hub, mqttHost=None, hostnames=None)

    assert (first.mqtt_host, first.device_days, first.defaults.mqtt_host) == ("hub.lan", 30, "hub.example")
    assert (second.mqtt_host, second.mqtt_port, second.hostnames) == ("hub.lan", 18883, ["a.lan", "10.0.0.1"])
    assert (third.mqtt_host, third.mqtt_port, third.hostnames, third.device_days) == ("hub.example", 18883, [], 30)
    assert third == await read(hub)
    assert 0 < first.version < second.version < third.version


async def test_an_address_is_kept_in_its_one_spelling() -> None:
    view = await put(memory_hub(), mqttHost="2001:0DB8::0:1", hostnames=["2001:db8:0::1"])

    assert (view.mqtt_host, view.hostnames) == ("2001:db8::1", ["2001:db8::1"])


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"mqttHost": ""}, "mqttHost"),
        ({"mqttHost": "hub example"}, "mqttHost"),
        ({"mqttHost": "10.0.0"}, "mqttHost"),
        ({"mqttHost": "0.0.0.0"}, "mqttHost"),
        ({"mqttHost": "fe80::1%eth0"}, "mqttHost"),
        ({"mqttHost": "hub.lan:8883"}, "mqttHost"),
        ({"hostnames": ["hub.lan", "*.lan"]}, "hostnames"),
        ({"hostnames": ["hub.lan\n"]}, "hostnames"),
        ({"hostnames": [f"hub-{number}.lan" for number in range(21)]}, "hostnames"),
    ],
)
async def test_a_name_that_no_device_can_connect_to_changes_nothing(wish: dict[str, Any], field: str) -> None:
    hub = memory_hub()

    with pytest.raises(Malformed) as told:
        await put(hub, deviceDays=30, **wish)

    assert list(told.value.fields) == [field]
    assert (await read(hub)).version == 0


async def test_a_change_that_changes_nothing_writes_and_tells_nothing() -> None:
    hub = memory_hub()
    assert (await put(hub, mqttHost=None, hostnames=[])).version == 0
    once = await put(hub, mqttHost="hub.lan")

    assert await put(hub, mqttHost="hub.lan") == once
    assert [entry.action for entry in hub.audit.written] == ["settings.changed"]
    assert changes_told(hub) == 1
    with refused(Malformed):
        await put(hub)


async def test_only_other_names_are_told_to_the_broker() -> None:
    hub = memory_hub()

    await put(hub, deviceDays=30, mqttPort=1883)
    assert changes_told(hub) == 0
    await put(hub, hostnames=["a.lan"])
    await put(hub, mqttHost="b.lan")

    assert changes_told(hub) == 2
    assert (await access.read(call(Nothing()), hub)).hostnames == ["b.lan", "a.lan"]


async def test_a_stale_version_is_refused() -> None:
    hub = memory_hub()
    first = await put(hub, deviceDays=30, expectedVersion=0)

    with refused(Conflict):
        await put(hub, deviceDays=31, expectedVersion=0)
    second = await put(hub, deviceDays=31, expectedVersion=first.version)
    with refused(Conflict):
        await put(hub, deviceDays=32, expectedVersion=first.version)

    assert await read(hub) == second


async def test_operators_who_change_at_once_lose_nothing_and_of_two_who_expect_a_version_one_wins() -> None:
    for seed in range(12):
        hub = memory_hub()
        busy = meddled(hub, Shuffle(seed))
        await asyncio.gather(put(busy, deviceDays=30), put(busy, claimDays=40), put(busy, mqttHost="hub.lan"))
        view = await read(hub)
        assert (view.device_days, view.claim_days, view.mqtt_host) == (30, 40, "hub.lan")

        both = await asyncio.gather(
            put(busy, deviceDays=31, expectedVersion=view.version),
            put(busy, deviceDays=32, expectedVersion=view.version),
            return_exceptions=True,
        )
        assert sorted(isinstance(one, Conflict) for one in both) == [False, True]


async def test_bundles_tell_devices_where_to_connect_now() -> None:
    hub = memory_hub()
    await claims.issue(call(ClaimIssue(name="fleet")), hub)
    await put(hub, mqttHost="hub.lan", mqttPort=18883)

    device = await bundles.register_device(call(DeviceRegister(device_id="pump-0001")), hub)
    claim = await bundles.claim(call(ClaimNamed(name="fleet")), hub)

    for bundle in (device, claim):
        (config,) = [json.loads(file.content) for file in bundle.files if file.name == CONFIG]
        assert (config["host"], config["port"], config["topicPrefix"]) == ("hub.lan", 18883, "$devicehub")


async def test_certificates_last_as_long_as_is_set_unless_their_maker_says() -> None:
    hub = memory_hub()
    await put(hub, deviceDays=30, claimDays=40)
    await enrolment.open_(call(EnrolmentOpen()), hub)

    claim = await claims.issue(call(ClaimIssue(name="fleet")), hub)
    own = await claims.issue(call(ClaimIssue(name="other", days=1)), hub)
    staff = await certificates.create_device(call(DeviceCreate(csr_pem=csr("pump-0001")), names=("pump-0001",)), hub)
    said = await certificates.create_device(
        call(DeviceCreate(csr_pem=csr("pump-0002"), days=2), names=("pump-0002",)), hub
    )
    joined = await provisioning.request(
        call(ProvisionRequest(csr_pem=csr("pump-0003")), caller="claim:fleet", names=("pump-0003",)), hub
    )

    ends = (claim.not_after, own.not_after, staff.expires_at, said.expires_at, joined.expires_at)
    assert ends == tuple(START + timedelta(days=days) for days in (40, 1, 30, 2, 30))
