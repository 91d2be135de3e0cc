"""Units in memory: they do as they are asked, or as a test says."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bridge.host.ports import Source, Unit, Verb
from functions.domain.faults import Fault, NotFound, Reason

START = datetime(2035, 1, 1, 12, tzinfo=UTC)


def make_unit(name: str) -> Unit:
    return Unit(name, "", "active", "running", START, 100, 1024, 0)


class MemoryServices:
    """Keeps what is asked of it; ``fault`` is raised instead, ``held`` holds a verb until it is set."""

    def __init__(self, *names: str) -> None:
        self.units = {name: make_unit(name) for name in names}
        self.acts: list[tuple[str, Verb]] = []
        self.fault: Fault | None = None
        self.held: asyncio.Event | None = None
        self.news = asyncio.Event()
        self.asked = asyncio.Semaphore(0)

    @property
    def source(self) -> Source:
        return "supervisor"

    async def list(self, names: Sequence[str]) -> list[Unit]:
        self._check()
        return [self.units[name] for name in names if name in self.units]

    async def get(self, name: str) -> Unit:
        self._check()
        if name not in self.units:
            raise NotFound(Reason.UNKNOWN_UNIT)
        return self.units[name]

    async def act(self, name: str, verb: Verb) -> Unit:
        self._check()
        self.acts.append((name, verb))
        self.asked.release()
        if self.held is not None:
            await self.held.wait()
        unit = await self.get(name)
        self.units[name] = replace(unit, state="inactive" if verb is Verb.STOP else "active")
        return self.units[name]

    async def changes(self) -> AsyncGenerator[None, None]:
        while True:
            await self.news.wait()
            self.news.clear()
            yield None

    async def close(self) -> None:
        """Nothing is held."""

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault
