"""A fleet of simulated devices: all of them join, then report at a rate in all."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from functions.domain.faults import Unavailable
from infra.simulator.asking import Refused
from infra.simulator.counts import Counts
from infra.simulator.device import Device
from infra.simulator.joining import Broker, join
from infra.simulator.keyring import Identity

_JOIN_AT_ONCE = 16
_RETRY_SECONDS = 1.0
_TICK_SECONDS = 0.02
# What could not be sent in time is not made up for later, or it would come as a flood.
_MOST_BEHIND_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Joined:
    """How the joining went: who has a certificate now, who already had one, and how long it took in all."""

    identities: tuple[Identity, ...]
    known: int
    seconds: float


async def join_all(
    broker: Broker,
    identities: Sequence[Identity],
    counts: Counts,
    stop: asyncio.Event,
    progress: Callable[[], None],
) -> Joined:
    """Have every device join that has no certificate.

    Those under way when ``stop`` is set finish; no other begins. ``progress``
    is called after each.
    """
    gate = asyncio.Semaphore(_JOIN_AT_ONCE)
    began = time.monotonic()

    async def one(identity: Identity) -> Identity | None:
        if identity.device_id is not None:
            return identity
        async with gate:
            if stop.is_set():
                return None
            found = await _try_to_join(broker, identity, counts)
        progress()
        return found

    done = await asyncio.gather(*map(one, identities))
    known = sum(identity.device_id is not None for identity in identities)
    return Joined(tuple(each for each in done if each is not None), known, time.monotonic() - began)


async def _try_to_join(broker: Broker, identity: Identity, counts: Counts) -> Identity | None:
    """Join, at the second or third try if the hub or the way to it is not well; every failure is counted."""
    for tries_left in (2, 1, 0):
        began = time.monotonic()
        try:
            joined = await join(broker, identity)
        except (Refused, Unavailable) as problem:
            counts.failed(str(problem))
            if isinstance(problem, Refused) and not problem.may_pass:
                return None
        else:
            counts.took("joined", time.monotonic() - began)
            return joined
        await asyncio.sleep(_RETRY_SECONDS if tries_left else 0)
    return None


class Fleet:
    """Devices that report until they are stopped."""

    def __init__(self, broker: Broker, identities: Sequence[Identity]) -> None:
        self.counts = Counts()
        self._broker = broker
        self._devices = [Device(broker, identity, number, self.counts) for number, identity in enumerate(identities)]
        self._next = 0

    @property
    def connected(self) -> int:
        """How many are connected now."""
        return sum(device.connected.is_set() for device in self._devices)

    async def run(self, rate: float) -> None:
        """Connect all and send so many messages a second, the devices in turn; until cancelled."""
        async with asyncio.TaskGroup() as group:
            for device in self._devices:
                group.create_task(device.live())
            group.create_task(self._watch())
            due, last = 0.0, time.monotonic()
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                now = time.monotonic()
                due = min(due + (now - last) * rate, rate * _MOST_BEHIND_SECONDS + 1)
                last = now
                due -= self._send(int(due))

    def _send(self, number: int) -> int:
        """Let the next devices send one message each; how many did. Who is away is passed over."""
        sent = passed = 0
        while sent < number and passed < len(self._devices):
            device = self._devices[self._next]
            self._next = (self._next + 1) % len(self._devices)
            if device.send():
                sent += 1
            else:
                passed += 1
        return sent

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1)
            for device in self._devices:
                device.give_up()
