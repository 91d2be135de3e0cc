"""Presence where the broker's log cannot tell, and where heartbeats stop."""

import asyncio
from datetime import datetime, timedelta

import pytest

from functions.contract.messages import PresenceChanged, SessionClosed, SessionOpened
from functions.domain.devices import Device
from functions.domain.inventory import Status, status_of
from functions.domain.presence import BrokerWord, Evidence
from functions.domain.sessions import Presence
from functions.handlers import presence
from functions.handlers.evidence import watch_evidence
from functions.testing import START, MemoryHub, call, memory_hub

ID, OTHER = "EDGB-0001", "EDGB-0002"
ALIVE = BrokerWord(silent_seconds=2, steady_seconds=100, reads_log=True)
SILENT = BrokerWord(silent_seconds=61, steady_seconds=100, reads_log=True)
BLIND = BrokerWord(silent_seconds=2, steady_seconds=100, reads_log=False)


def second(number: float) -> datetime:
    return START + timedelta(seconds=number)


@pytest.fixture
def hub() -> MemoryHub:
    made = memory_hub(devices={name: Device(name, START, START) for name in (ID, OTHER)})
    made.heard.words["local"] = ALIVE
    return made


async def opened(hub: MemoryHub, at: float, name: str = ID, broker: str = "local") -> None:
    hub.clock.set(max(hub.clock.now(), second(at)))
    line = SessionOpened(broker=broker, client_id=name, common_name=name, address="127.0.0.1:1", at=second(at))
    await presence.opened(call(line), hub)


async def closed(hub: MemoryHub, at: float, name: str = ID) -> None:
    hub.clock.set(max(hub.clock.now(), second(at)))
    line = SessionClosed(broker="local", client_id=name, evidence="disconnected", at=second(at))
    await presence.closed(call(line), hub)


async def of(hub: MemoryHub, name: str = ID) -> Presence:
    kept = await hub.presence.get(name)
    assert kept is not None
    return kept.value


async def status(hub: MemoryHub, name: str = ID) -> Status:
    return status_of(await of(hub, name))


def told(hub: MemoryHub, name: str = ID) -> list[tuple[bool, str]]:
    events: list[PresenceChanged] = hub.events.on(f"devicehub.devices.{name}.presence")
    return [(event.online, event.evidence) for event in events]


def changes(hub: MemoryHub) -> list[tuple[str, int]]:
    return [(event.change, event.sessions) for event in hub.events.on("devicehub.broker.changed")]


async def watch(hub: MemoryHub, at: float) -> None:
    hub.clock.set(second(at))
    await watch_evidence(hub)


# --- Where nobody can tell -------------------------------------------------------


@pytest.mark.parametrize("word", [SILENT, BLIND])
async def test_while_nobody_can_tell_all_are_unknown_and_that_is_one_event(hub: MemoryHub, word: BrokerWord) -> None:
    await opened(hub, 1)
    await opened(hub, 1, OTHER)
    await closed(hub, 2, OTHER)
    before = (told(hub), told(hub, OTHER))
    hub.heard.words["local"] = word

    for at in (100, 105):
        await watch(hub, at)

    assert [await status(hub, name) for name in (ID, OTHER)] == [Status.UNKNOWN, Status.UNKNOWN]
    assert changes(hub) == [("unknown", 2)]
    assert (told(hub), told(hub, OTHER)) == before


async def test_who_is_connected_to_another_broker_stays_known(hub: MemoryHub) -> None:
    await opened(hub, 1, broker="remote")
    hub.heard.words["local"] = SILENT

    await watch(hub, 100)

    assert await status(hub) is Status.ONLINE


@pytest.mark.parametrize(
    ("evidence", "expected", "word"),
    [
        (Evidence(message_at=second(110)), Status.ONLINE, "message"),
        (Evidence(heartbeat_at=second(110), message_at=second(90)), Status.ONLINE, "heartbeat"),
        (Evidence(message_at=second(109), will_at=second(110)), Status.OFFLINE, "last-will"),
        (Evidence(message_at=second(99)), Status.UNKNOWN, "connected"),
    ],
)
async def test_unknown_lasts_until_something_new_is_heard(
    hub: MemoryHub, evidence: Evidence, expected: Status, word: str
) -> None:
    await opened(hub, 1)
    hub.heard.words["local"] = BLIND
    await watch(hub, 100)
    hub.heard.evidence[ID] = evidence

    await watch(hub, 115)

    assert await status(hub) is expected
    assert (await of(hub)).evidence == word


async def test_when_the_log_is_read_again_who_has_a_session_is_online_and_nobody_else(hub: MemoryHub) -> None:
    await opened(hub, 1)
    await opened(hub, 1, OTHER)
    hub.heard.words["local"] = SILENT
    await watch(hub, 100)
    # The keeper is back and tells what the log has.
    await closed(hub, 50)
    hub.heard.words["local"] = BrokerWord(1, 5, reads_log=True)
    await watch(hub, 120)
    assert await status(hub, OTHER) is Status.UNKNOWN

    hub.heard.words["local"] = ALIVE
    for at in (140, 145):
        await watch(hub, at)

    assert await status(hub) is Status.OFFLINE
    assert await status(hub, OTHER) is Status.ONLINE
    assert changes(hub) == [("unknown", 2), ("known", 1)]
    assert told(hub, OTHER) == [(True, "connected")]
    assert [key async for key, _ in hub.doubts.entries()] == []


async def test_who_comes_while_nobody_could_tell_is_online_by_the_log(hub: MemoryHub) -> None:
    await opened(hub, 1)
    await closed(hub, 2)
    hub.heard.words["local"] = SILENT
    await watch(hub, 100)

    await opened(hub, 130)

    assert await of(hub) == Presence(True, second(130), "connected", "127.0.0.1:1")


async def test_a_session_that_was_known_all_along_makes_its_device_known_again(hub: MemoryHub) -> None:
    await opened(hub, 1)
    hub.heard.words["local"] = SILENT
    await watch(hub, 100)

    await opened(hub, 1)

    assert await status(hub) is Status.ONLINE
    assert told(hub) == [(True, "connected")]


async def test_several_workers_darken_once(hub: MemoryHub) -> None:
    await opened(hub, 1)
    hub.heard.words["local"] = SILENT
    hub.clock.set(second(100))

    await asyncio.gather(*(watch_evidence(hub) for _ in range(3)))

    assert changes(hub) == [("unknown", 1)]


# --- Heartbeats ------------------------------------------------------------------


async def test_a_device_whose_heartbeats_stop_is_offline_and_online_at_the_next(hub: MemoryHub) -> None:
    await opened(hub, 1)
    hub.heard.silent = [ID]
    for at in (60, 65):
        await watch(hub, at)
    gone = await of(hub)
    hub.heard.silent = []
    hub.heard.evidence[ID] = Evidence(heartbeat_at=second(70))

    for at in (72, 77):
        await watch(hub, at)

    assert (gone.online, gone.at, gone.evidence) == (False, second(60), "heartbeat")
    assert ((await of(hub)).online, (await of(hub)).at) == (True, second(70))
    assert told(hub) == [(True, "connected"), (False, "heartbeat"), (True, "heartbeat")]
    assert [key async for key, _ in hub.doubts.entries()] == []


async def test_the_end_of_its_session_ends_a_device_that_is_online_by_a_heartbeat(hub: MemoryHub) -> None:
    await opened(hub, 1)
    hub.heard.silent = [ID]
    await watch(hub, 60)
    hub.heard.silent = []
    hub.heard.evidence[ID] = Evidence(heartbeat_at=second(70))
    await watch(hub, 72)

    await closed(hub, 80)

    assert await status(hub) is Status.OFFLINE
    assert told(hub)[-1] == (False, "disconnected")


async def test_a_device_that_left_is_not_brought_back_by_what_it_sent_before(hub: MemoryHub) -> None:
    await opened(hub, 1)
    await closed(hub, 50)
    hub.heard.silent = [ID]
    hub.heard.evidence[ID] = Evidence(heartbeat_at=second(49))

    await watch(hub, 60)

    assert told(hub) == [(True, "connected"), (False, "disconnected")]


async def test_heartbeats_cost_no_stored_row(hub: MemoryHub) -> None:
    await opened(hub, 1)
    kept = await hub.presence.get(ID)
    for number in range(10):
        hub.heard.evidence[ID] = Evidence(heartbeat_at=second(10 + number), message_at=second(10 + number))
        await watch(hub, 10 + number)

    assert await hub.presence.get(ID) == kept
