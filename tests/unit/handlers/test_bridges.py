"""The epoch of each start of a bridge."""

import asyncio
from dataclasses import replace

import pytest

from functions.contract.messages import BridgeName
from functions.domain.faults import Malformed
from functions.domain.marks import BridgeStart
from functions.handlers import bridges
from functions.ports import Hub
from functions.storage import Kept, Store
from functions.testing import MemoryHub, call, memory_hub


async def start(hub: Hub, bridge: str = "local-control") -> int:
    return (await bridges.start(call(BridgeName(bridge=bridge)), hub)).epoch


class Paused:
    """A store that lets others go first after each reading."""

    def __init__(self, store: Store[BridgeStart]) -> None:
        self._store = store
        self.create, self.replace, self.remove = store.create, store.replace, store.remove
        self.history, self.entries, self.recall = store.history, store.entries, store.recall
        self.create_all, self.get_all, self.pledged = store.create_all, store.get_all, store.pledged

    async def get(self, key: str) -> Kept[BridgeStart] | None:
        kept = await self._store.get(key)
        await asyncio.sleep(0)
        return kept


async def test_every_start_of_a_bridge_has_the_next_epoch() -> None:
    hub = memory_hub()

    assert [await start(hub), await start(hub), await start(hub, "local-telemetry"), await start(hub)] == [1, 2, 1, 3]


@pytest.mark.parametrize("starts", [2, 4])
async def test_starts_at_once_get_different_epochs(starts: int) -> None:
    memory: MemoryHub = memory_hub()
    hub = replace(memory, bridges=Paused(memory.bridges))

    epochs = await asyncio.gather(*(start(hub) for _ in range(starts)))

    assert sorted(epochs) == list(range(1, starts + 1))


async def test_an_epoch_is_kept_before_it_is_given() -> None:
    hub = memory_hub()

    epoch = await start(hub)

    kept = await hub.bridges.get("local-control")
    assert kept is not None
    assert kept.value == BridgeStart(epoch)


@pytest.mark.parametrize("name", ["", "a/b", "a.b", "a b", "x" * 65, "a\x00", "*"])
async def test_a_name_that_could_not_stand_in_an_order_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        await start(memory_hub(), name)
