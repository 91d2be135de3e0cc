"""Logs that are followed for as long as somebody asks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.host.journal.files import LogFiles
from bridge.host.journal.leases import Leases, token_of
from functions.contract.messages import LogLines
from functions.domain.faults import NotFound, Unavailable


class MemoryBus:
    """What was told, in order; it takes no more while it is held."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[str, LogLines]] = asyncio.Queue()
        self.is_away = False

    async def publish(self, subject: str, payload: bytes, **_: Any) -> None:
        if self.is_away:
            raise Unavailable
        assert len(payload) < 1024 * 1024
        self.told.put_nowait((subject, LogLines.model_validate_json(payload)))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.log"
    path.write_text("before\n")
    return path


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def leases(path: Path, bus: MemoryBus, clock: Clock) -> AsyncIterator[Leases]:
    leases = Leases(LogFiles({"gateway": path}.get), bus, "node-1", seconds=30, now=clock, pause=0)  # type: ignore[arg-type]
    yield leases
    await leases.close()


def _write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


async def _texts(bus: MemoryBus, count: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            _, lines = await bus.told.get()
            found += [entry.text for entry in lines.entries]
    return found


async def _until(holds: Callable[[], bool], again: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await again()


async def test_what_is_written_after_the_answer_is_told(leases: Leases, bus: MemoryBus, path: Path) -> None:
    lease = await leases.take("gateway")
    _write(path, "one", "two")

    assert await _texts(bus, 2) == ["one", "two"]
    assert (lease.node, lease.unit, lease.token, lease.seconds) == ("node-1", "gateway", "gateway", 30)


async def test_two_who_follow_are_told_once(leases: Leases, bus: MemoryBus, path: Path) -> None:
    await asyncio.gather(leases.take("gateway"), leases.take("gateway"))
    _write(path, "one")

    assert await _texts(bus, 1) == ["one"]
    assert leases.followed == 1
    assert bus.told.empty()


async def test_it_ends_by_itself_when_nobody_asks_again(
    leases: Leases, bus: MemoryBus, path: Path, clock: Clock
) -> None:
    await leases.take("gateway")
    clock.now = 29
    await leases.take("gateway")
    clock.now = 58
    _write(path, "still followed")
    assert await _texts(bus, 1) == ["still followed"]

    clock.now = 60
    await _until(lambda: leases.followed == 0, lambda: asyncio.sleep(0.01))

    again = await leases.take("gateway")
    _write(path, "anew")
    assert await _texts(bus, 1) == ["anew"]
    assert again.token == "gateway"


async def test_messages_are_numbered_and_a_long_burst_is_told_in_portions(
    leases: Leases, bus: MemoryBus, path: Path
) -> None:
    await leases.take("gateway")
    _write(path, *("x" * 8000 for _ in range(100)))

    numbers, count = [], 0
    async with asyncio.timeout(10):
        while count < 100:
            subject, lines = await bus.told.get()
            numbers.append(lines.number)
            count += len(lines.entries)

    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 5
    assert subject == "devicehub.host.node-1.logs.of.gateway"


async def test_lines_wait_in_the_log_while_the_bus_is_away(leases: Leases, bus: MemoryBus, path: Path) -> None:
    await leases.take("gateway")
    bus.is_away = True
    _write(path, *map(str, range(1000)))
    await asyncio.sleep(0)
    bus.is_away = False

    assert await _texts(bus, 1000) == list(map(str, range(1000)))


async def test_a_log_that_is_not_there_is_not_followed(leases: Leases) -> None:
    with pytest.raises(NotFound):
        await leases.take("nats")

    assert leases.followed == 0


@pytest.mark.parametrize(
    ("unit", "token"),
    [
        ("gateway", "gateway"),
        ("getty@tty1.service", "getty_40tty1_2eservice"),
        ("a_2eb", "a_5f2eb"),
        ("dev-disk\\x2d.mount", "dev-disk_5cx2d_2emount"),
    ],
)
def test_a_unit_is_one_token_of_a_subject(unit: str, token: str) -> None:
    assert token_of(unit) == token
