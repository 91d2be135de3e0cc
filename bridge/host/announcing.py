"""Tells the bus that this host is there, and what became of its units."""

import asyncio
from collections.abc import Iterable

import structlog
from nats.aio.msg import Msg

from bridge.host.ports import Services
from bridge.host.units import Units
from functions.contract.bus import Bus
from functions.contract.messages import HostHere, ServiceView
from functions.contract.subjects import subject
from functions.domain.faults import Unavailable

_EVERY_SECONDS = 5.0
_AGAIN_SECONDS = 1.0
# Ten times a second is as fast as anyone can look; systemd tells some twenty changes a restart.
_LEAST_SECONDS = 0.1
# What changes all the time is no change.
_RESTLESS = {"seen_at", "memory_bytes"}

log = structlog.get_logger("host")


class Announcer:
    """Announces every few seconds and at each change, until it is cancelled.

    Args:
        bus: where it is told.
        units: of this host.
        services: who tells that something changed.
        node: this host's name.
        every: seconds between two announcements where nothing changes.
    """

    def __init__(self, bus: Bus, units: Units, services: Services, node: str, *, every: float = _EVERY_SECONDS) -> None:
        self._bus = bus
        self._units = units
        self._services = services
        self._node = node
        self._every = every
        self._told: dict[str, ServiceView] = {}
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Announce for as long as it is not cancelled."""
        await self._bus.subscribe(subject("hosts", "wanted"), self._wanted)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._tell())

    async def leave(self) -> None:
        """Say that this host's shim ends."""
        await self._publish("here", (await self._units.here(leaving=True)).encode())

    async def _wanted(self, _: Msg) -> None:
        self._news.set()

    async def _listen(self) -> None:
        while True:
            try:
                async for _ in self._services.changes():
                    self._news.set()
            except Unavailable as fault:
                self._news.set()
                log.warning("units cannot be watched", problem=fault.detail or str(fault))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _tell(self) -> None:
        while True:
            self._news.clear()
            here = await self._units.here()
            for service in self._changed(here):
                await self._publish("units.changed", service.encode())
            await self._publish("here", here.encode())
            await asyncio.sleep(_LEAST_SECONDS)
            try:
                async with asyncio.timeout(self._every):
                    await self._news.wait()
            except TimeoutError:
                # Nothing changed; that it is there is told all the same.
                continue

    def _changed(self, here: HostHere) -> Iterable[ServiceView]:
        before, self._told = self._told, {one.unit: one for one in here.services}
        for unit, service in self._told.items():
            known = before.get(unit)
            if known is None or _lasting(known) != _lasting(service):
                yield service

    async def _publish(self, what: str, payload: bytes) -> None:
        try:
            await self._bus.publish(subject("host", self._node, *what.split(".")), payload)
        except Unavailable as fault:
            # It is told again in a few seconds.
            log.warning("not told", what=what, problem=fault.detail)


def _lasting(service: ServiceView) -> dict[str, object]:
    return service.model_dump(exclude=_RESTLESS)
