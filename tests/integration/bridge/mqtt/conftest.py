"""A lane between a real broker and a real bus, with a responder where the functions would be."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from bridge.mqtt.bounds import Bounds
from bridge.mqtt.delivery import Deliveries
from bridge.mqtt.lanes import Lane, Login
from bridge.mqtt.topics import Lane as Name
from functions.contract import bus
from tests.integration.bridge.mosquitto import PASSWORD, USER, Mosquitto
from tests.integration.bridge.mqtt.stand_in import StandIn, echo
from tests.integration.nats_server import NatsServer


@pytest.fixture
async def functions_stand_in(nats_server: NatsServer) -> AsyncIterator[StandIn]:
    """Answers every call at once with its own payload, until the test says otherwise."""
    client = await bus.connect(nats_server.url, user="admin", password="admin")
    stand_in = StandIn(echo)
    stand_in.gate.set()
    await stand_in.serve(client)
    yield stand_in
    await client.close()


@pytest.fixture
def bus_away() -> asyncio.Event:
    """Set while the lanes know that the bus is away."""
    return asyncio.Event()


class MakeLane:
    """Runs lanes as the bridge's process does, each on a bus connection of its own."""

    def __init__(self, mosquitto: Mosquitto, nats_server: NatsServer, bus_away: asyncio.Event) -> None:
        self._mosquitto = mosquitto
        self._url = nats_server.url
        self._bus_away = bus_away
        self._running: dict[Lane, tuple[asyncio.Task[None], Client]] = {}

    async def __call__(
        self, name: Name = Name.CONTROL, *, epoch: int = 1, bounds: Bounds | None = None, tls: bool = False
    ) -> Lane:
        """A lane that has subscribed."""
        client = await bus.connect(
            self._url, user="admin", password="admin", disconnected=self._away, reconnected=self._back
        )
        address = self._mosquitto.remote_address if tls else self._mosquitto.address
        login = Login(address, f"{name}-0123456789abcdef", USER, PASSWORD)
        lane = Lane(name, login, ("$devicehub",), bus.Bus(client), order=f"local-{name}/{epoch}/", bounds=bounds)
        if name is Name.CONTROL:
            await Deliveries(lane.session, ("$devicehub",), lane.counters).start(bus.Bus(client))
        self._running[lane] = asyncio.create_task(lane.run()), client
        async with asyncio.timeout(10):
            await lane.subscribed.wait()
        return lane

    async def kill(self, lane: Lane) -> None:
        """Let a lane do nothing any more, not even say goodbye: as far as anyone can see, its process is dead."""
        task, client = self._running.pop(lane)
        lane.session.pause()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await lane.queues.drain(0)
        await client.close()

    async def end(self) -> None:
        """End all."""
        for lane in tuple(self._running):
            await self.kill(lane)
            await lane.session.close()

    async def _away(self) -> None:
        for lane in self._running:
            lane.queues.hold("bus")
        self._bus_away.set()

    async def _back(self) -> None:
        for lane in self._running:
            lane.queues.release("bus")
        self._bus_away.clear()


@pytest.fixture
async def make_lane(mosquitto: Mosquitto, nats_server: NatsServer, bus_away: asyncio.Event) -> AsyncIterator[MakeLane]:
    """Makes lanes, which end with the test."""
    made = MakeLane(mosquitto, nats_server, bus_away)
    yield made
    await made.end()
