"""Presence from the lines of a broker's connect log, on a hub in memory."""

import asyncio
import itertools
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.messages import (
    BrokerName,
    BrokerRestarted,
    Nothing,
    PresenceChanged,
    SessionClosed,
    SessionOpened,
    TwinDesire,
)
from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import CLAIM_LIFETIME
from functions.domain.faults import Denied, NotFound, Reason
from functions.domain.sessions import Presence
from functions.handlers import presence, twins
from functions.testing import START, MemoryHub, call, memory_hub

ID = "EDGB-0001"
OTHER = "EDGB-0002"
PRESENCE = f"devicehub.devices.{ID}.presence"
DELTA = f"devicehub.devices.{ID}.twin.update.delta"
ADDRESS = "127.0.0.1:40001"


def second(number: float) -> datetime:
    return START + timedelta(seconds=number)


def a_hub(lifecycle: Lifecycle = Lifecycle.ACTIVE) -> MemoryHub:
    return memory_hub(devices={ID: Device(ID, START, START, lifecycle), OTHER: Device(OTHER, START, START)})


def pass_to(hub: MemoryHub, at: float) -> None:
    """No line is told before it was written."""
    hub.clock.set(max(hub.clock.now(), second(at)))


async def opened(
    hub: MemoryHub, at: float, *, name: str = ID, client: str | None = None, address: str = "", broker: str = "local"
) -> None:
    pass_to(hub, at)
    line = SessionOpened(
        broker=broker, client_id=client or name, common_name=name, address=address or f"127.0.0.1:{at}", at=second(at)
    )
    await presence.opened(call(line), hub)


async def closed(
    hub: MemoryHub, at: float, *, client: str = ID, evidence: str = "disconnected", broker: str = "local"
) -> None:
    pass_to(hub, at)
    line = SessionClosed(broker=broker, client_id=client, evidence=evidence, at=second(at))
    await presence.closed(call(line), hub)


async def restarted(hub: MemoryHub, at: float, broker: str = "local") -> None:
    pass_to(hub, at)
    await presence.broker_restarted(call(BrokerRestarted(broker=broker, at=second(at))), hub)


async def of(hub: MemoryHub, device: str = ID) -> Presence | None:
    kept = await hub.presence.get(device)
    return kept.value if kept else None


async def online(hub: MemoryHub, device: str = ID) -> bool | None:
    found = await of(hub, device)
    return found.online if found else None


async def clients(hub: MemoryHub, broker: str = "local") -> set[str]:
    found = await presence.sessions(call(BrokerName(broker=broker)), hub)
    return {session.client_id for session in found.sessions}


def told(hub: MemoryHub) -> list[tuple[bool, str]]:
    events: list[PresenceChanged] = hub.events.on(PRESENCE)
    return [(event.online, event.evidence) for event in events]


# --- Coming and going -----------------------------------------------------------


async def test_a_device_that_connects_is_online_and_the_rest_is_told() -> None:
    hub = a_hub()

    await opened(hub, 1, address=ADDRESS)

    assert await of(hub) == Presence(True, second(1), "connected", ADDRESS)
    (event,) = hub.events.on(PRESENCE)
    assert json.loads(event.encode()) == {
        "deviceId": ID,
        "online": True,
        "status": "online",
        "evidence": "connected",
        "timestamp": "2035-01-01T12:00:01Z",
    }


@pytest.mark.parametrize("evidence", ["disconnected", "timeout", "ended"])
async def test_a_device_whose_session_ends_is_offline_on_that_evidence(evidence: str) -> None:
    hub = a_hub()
    await opened(hub, 1, address=ADDRESS)

    await closed(hub, 5, evidence=evidence)

    assert await of(hub) == Presence(False, second(5), evidence, ADDRESS)
    assert told(hub) == [(True, "connected"), (False, evidence)]
    assert await clients(hub) == set()


async def test_a_session_taken_over_by_the_device_itself_is_no_news_but_renews_its_time() -> None:
    hub = a_hub()

    await opened(hub, 1)
    await opened(hub, 3, address=ADDRESS)

    assert await of(hub) == Presence(True, second(3), "connected", ADDRESS)
    assert told(hub) == [(True, "connected")]
    assert await clients(hub) == {ID}


async def test_lines_told_twice_are_news_once() -> None:
    hub = a_hub()

    for _ in range(2):
        await opened(hub, 1)
    for _ in range(2):
        await closed(hub, 2)

    assert told(hub) == [(True, "connected"), (False, "disconnected")]


async def test_the_sessions_of_a_broker_are_listed_with_whose_they_are() -> None:
    hub = a_hub()
    await opened(hub, 1, address=ADDRESS)
    await opened(hub, 2, name="claim-default", client="some-uuid")
    await opened(hub, 3, name=OTHER, broker="remote")

    found = await presence.sessions(call(BrokerName(broker="remote")), hub)

    assert json.loads(found.encode()) == {
        "sessions": [
            {"clientId": OTHER, "commonName": OTHER, "address": "127.0.0.1:3", "since": "2035-01-01T12:00:03Z"}
        ]
    }
    assert await clients(hub) == {ID, "some-uuid"}


# --- Whose session it is --------------------------------------------------------


@pytest.mark.parametrize("name", ["claim-default", "EDGB-9999", "@bridge", "a name with blanks", "x/y.*>"])
async def test_a_session_of_no_registered_device_is_kept_and_makes_nobody_present(name: str) -> None:
    hub = a_hub()

    await opened(hub, 1, name=name)
    listed = await clients(hub)
    await closed(hub, 2, client=name)

    assert listed == {name}
    assert await clients(hub) == set()
    assert [entry async for entry in hub.presence.entries()] == []
    assert hub.events.sent == []


async def test_a_session_under_another_client_id_does_not_make_its_device_present() -> None:
    hub = a_hub()

    await opened(hub, 1, name=ID, client="somebody")
    await closed(hub, 2, client="somebody")

    assert await of(hub) is None


async def test_a_session_taken_over_with_another_certificate_is_the_devices_no_more() -> None:
    hub = a_hub()
    await opened(hub, 1, address=ADDRESS)

    await opened(hub, 2, name=OTHER, client=ID)
    away = await of(hub)
    await closed(hub, 3, client=ID, evidence="ended")

    assert away == Presence(False, second(2), "replaced", ADDRESS)
    assert await of(hub) == away
    assert await of(hub, OTHER) is None


async def test_a_claim_certificate_under_the_id_of_a_device_that_has_joined_is_denied() -> None:
    hub = a_hub()
    later = CLAIM_LIFETIME.total_seconds()
    await opened(hub, 1, address=ADDRESS)

    with pytest.raises(Denied) as refused:
        await opened(hub, later, name="claim-default", client=ID)

    assert refused.value.reason is Reason.DENIED
    assert await of(hub) == Presence(True, second(1), "connected", ADDRESS)


async def test_a_device_that_is_joining_may_ask_again_under_its_own_id() -> None:
    hub = a_hub()

    await opened(hub, 1, name="claim-default", client="EDGB-9999")
    await opened(hub, CLAIM_LIFETIME.total_seconds() - 1, name="claim-default", client=ID)
    await opened(hub, 5000, name="claim-default", client="some-uuid")

    assert await clients(hub) == {"EDGB-9999", ID, "some-uuid"}


async def test_a_device_that_has_joined_takes_its_id_over_from_its_claim() -> None:
    hub = a_hub()
    await opened(hub, 1, name="claim-default", client=ID)

    await opened(hub, 2, address=ADDRESS)

    assert await of(hub) == Presence(True, second(2), "connected", ADDRESS)
    assert told(hub) == [(True, "connected")]


@pytest.mark.parametrize("client", ["x" * 5000, "ü" * 30, "a\nb", "a'b (p2, c1, k60, u'EDGB-0001').", ""])
async def test_a_client_id_may_be_any_text(client: str) -> None:
    hub = a_hub()

    line = SessionOpened(broker="local", client_id=client, common_name=ID, address="x", at=second(1))
    await presence.opened(call(line), hub)

    assert await clients(hub) == {client}
    assert await of(hub) is None


# --- Late lines -----------------------------------------------------------------


async def test_a_late_end_does_not_undo_a_newer_session() -> None:
    hub = a_hub()
    await opened(hub, 1)
    await opened(hub, 5)

    await closed(hub, 3)

    assert await online(hub) is True
    assert await clients(hub) == {ID}


async def test_a_late_begin_does_not_undo_a_newer_end() -> None:
    hub = a_hub()
    await opened(hub, 1, address=ADDRESS)
    await closed(hub, 5)

    await opened(hub, 1, address=ADDRESS)

    assert await online(hub) is False
    assert await clients(hub) == set()


async def test_an_older_session_does_not_take_the_place_of_a_newer_one() -> None:
    hub = a_hub()
    await opened(hub, 5, address=ADDRESS)

    await opened(hub, 1)

    assert await of(hub) == Presence(True, second(5), "connected", ADDRESS)


async def test_of_lines_in_one_second_the_one_that_came_later_holds() -> None:
    hub = a_hub()

    await opened(hub, 1, address="127.0.0.1:1")
    await closed(hub, 1)
    gone = await online(hub)
    await opened(hub, 1, address="127.0.0.1:2")

    assert gone is False
    assert await online(hub) is True
    await closed(hub, 1)
    assert await online(hub) is False


async def test_a_time_with_a_fraction_counts_as_its_second() -> None:
    """The keeper's own times have fractions, the log's have none."""
    hub = a_hub()
    await opened(hub, 1)
    await closed(hub, 10.7, evidence="ended")

    await opened(hub, 10)

    assert await online(hub) is True


async def test_the_end_of_a_session_at_one_broker_leaves_a_device_online_that_moved_to_another() -> None:
    hub = a_hub()
    await opened(hub, 1, broker="a")
    await opened(hub, 2, broker="b")

    await closed(hub, 4, broker="a")
    stayed = await online(hub)
    await closed(hub, 5, broker="b")

    assert stayed is True
    assert await online(hub) is False


@given(st.lists(st.tuples(st.sampled_from(["opened", "closed"]), st.integers(0, 2)), max_size=12))
def test_presence_is_what_the_last_line_says(steps: list[tuple[str, int]]) -> None:
    """Lines in the order of the log, some in one second, each told once or more often."""

    async def follow() -> None:
        hub, now, present = a_hub(), 0, False
        for number, (kind, pause) in enumerate(steps):
            now += pause
            for _ in range(1 + number % 2):
                if kind == "opened":
                    await opened(hub, now, address=f"127.0.0.1:{number}")
                else:
                    await closed(hub, now)
            present = kind == "opened"
            assert bool(await online(hub)) == present
            assert await clients(hub) == ({ID} if present else set())

        changes = [event.online for event in hub.events.on(PRESENCE)]
        assert all(one != other for one, other in itertools.pairwise(changes))

    asyncio.run(follow())


# --- A restarted broker ---------------------------------------------------------


async def test_a_broker_that_restarted_has_lost_every_session_from_before() -> None:
    hub = a_hub()
    await opened(hub, 1, address=ADDRESS)
    await opened(hub, 2, name="claim-default", client="some-uuid")
    await opened(hub, 3, name=OTHER, broker="remote")

    await restarted(hub, 10)

    assert await of(hub) == Presence(False, second(10), "broker-restart", ADDRESS)
    assert await clients(hub) == set()
    assert await online(hub, OTHER) is True
    assert told(hub) == [(True, "connected")]
    (event,) = hub.events.on("devicehub.broker.changed")
    assert (event.broker, event.change, event.sessions, event.timestamp) == ("local", "restarted", 2, second(10))


async def test_who_comes_back_after_a_restart_is_no_news_and_who_does_not_is_told_a_minute_later() -> None:
    hub = a_hub()
    await opened(hub, 1)
    await opened(hub, 1, name=OTHER)
    await restarted(hub, 10)
    await opened(hub, 69, name=OTHER)
    await presence.settle_presence(hub)
    assert told(hub) == [(True, "connected")]

    hub.clock.set(second(70))
    for _ in range(2):
        await presence.settle_presence(hub)
    await opened(hub, 75)

    assert told(hub) == [(True, "connected"), (False, "broker-restart"), (True, "connected")]
    events = hub.events.on(f"devicehub.devices.{OTHER}.presence")
    assert [event.online for event in events] == [True]


async def test_two_workers_tell_who_was_lost_once() -> None:
    hub = a_hub()
    await opened(hub, 1)
    await restarted(hub, 10)
    hub.clock.set(second(70))

    await asyncio.gather(presence.settle_presence(hub), presence.settle_presence(hub))

    assert told(hub) == [(True, "connected"), (False, "broker-restart")]


async def test_a_device_that_came_back_before_the_restart_was_told_stays_online() -> None:
    hub = a_hub()
    await opened(hub, 1)
    hub.clock.set(second(11))
    await opened(hub, 11)

    await restarted(hub, 10)

    assert await online(hub) is True


@pytest.mark.parametrize(("known_at", "stays"), [(10.2, False), (10.8, True)])
async def test_of_the_sessions_of_the_second_of_the_restart_those_known_before_are_lost(
    known_at: float, stays: bool
) -> None:
    hub = a_hub()
    hub.clock.set(second(known_at))
    await opened(hub, 10)

    await restarted(hub, 10.5)

    assert await online(hub) is stays


async def test_a_device_can_come_back_in_the_second_of_the_restart() -> None:
    hub = a_hub()
    await opened(hub, 1)

    await restarted(hub, 10.5)
    await opened(hub, 10)

    assert await online(hub) is True


async def test_a_restart_told_twice_is_news_once() -> None:
    hub = a_hub()
    await opened(hub, 1)

    for _ in range(2):
        await restarted(hub, 10)

    assert told(hub) == [(True, "connected")]
    assert len(hub.events.on("devicehub.broker.changed")) == 1


async def test_a_restart_ends_as_many_sessions_as_there_are() -> None:
    hub = memory_hub()
    for number in range(120):
        await opened(hub, 1, name=f"EDGB-{number:04}")

    await restarted(hub, 10)

    assert await clients(hub) == set()


# --- A clock that is set back ---------------------------------------------------


async def set_back(hub: MemoryHub, at: float) -> None:
    hub.clock.set(second(at))


async def test_after_the_clock_was_set_back_a_device_comes_and_goes_as_before() -> None:
    hub = a_hub()
    await opened(hub, 3600, address="127.0.0.1:1")
    await set_back(hub, 10)

    await closed(hub, 11)
    gone = await online(hub)
    await opened(hub, 12, address="127.0.0.1:2")
    back = await of(hub)
    await closed(hub, 13)

    assert gone is False
    assert back == Presence(True, second(12), "connected", "127.0.0.1:2")
    assert await online(hub) is False
    assert await clients(hub) == set()


async def test_a_session_that_takes_over_after_the_clock_was_set_back_is_the_newer_one() -> None:
    hub = a_hub()
    await opened(hub, 3600, address="127.0.0.1:1")
    await set_back(hub, 10)

    await opened(hub, 11, address="127.0.0.1:2")

    assert await of(hub) == Presence(True, second(11), "connected", "127.0.0.1:2")
    assert [one.address for one in (await presence.sessions(call(BrokerName(broker="local")), hub)).sessions] == [
        "127.0.0.1:2"
    ]


async def test_a_device_that_was_away_when_the_clock_was_set_back_can_come() -> None:
    hub = a_hub()
    await opened(hub, 3600)
    await closed(hub, 3601)
    await set_back(hub, 10)

    await opened(hub, 11)

    assert await online(hub) is True


async def test_a_restart_after_the_clock_was_set_back_ends_what_was_there() -> None:
    hub = a_hub()
    await opened(hub, 3600)
    await set_back(hub, 10)

    await restarted(hub, 11)

    assert await online(hub) is False
    assert await clients(hub) == set()


async def test_a_clock_that_was_set_forward_changes_nothing() -> None:
    hub = a_hub()
    await opened(hub, 1)

    await closed(hub, 86_400)
    await opened(hub, 86_401)

    assert await online(hub) is True


# --- Flapping -------------------------------------------------------------------


async def flap(hub: MemoryHub, begin: int, times: int) -> None:
    for number in range(times):
        await opened(hub, begin + 2 * number, address=f"127.0.0.1:{number}")
        await closed(hub, begin + 2 * number + 1)


async def test_a_device_that_flaps_is_told_a_few_times_and_then_what_came_of_it() -> None:
    hub = a_hub()

    await flap(hub, 1, 20)
    await opened(hub, 41, address=ADDRESS)
    events = hub.events.on(PRESENCE)
    assert [event.flapping for event in events] == [False] * 5 + [True]

    hub.clock.set(second(70))
    await presence.settle_presence(hub)
    assert len(hub.events.on(PRESENCE)) == 6
    hub.clock.set(second(71))
    for _ in range(2):
        await presence.settle_presence(hub)

    events = hub.events.on(PRESENCE)
    assert len(events) == 7
    assert (events[-1].online, events[-1].timestamp) == (True, second(41))
    assert await online(hub) is True


async def test_a_device_that_comes_and_goes_slowly_is_told_each_time() -> None:
    hub = a_hub()

    for number in range(10):
        await opened(hub, 30 * number, address=f"127.0.0.1:{number}")
        await closed(hub, 30 * number + 15)

    assert len(told(hub)) == 20


# --- What its connections were --------------------------------------------------


async def connections_of(hub: MemoryHub) -> list[dict[str, Any]]:
    found = await presence.connections(call(Nothing(), names=(ID,)), hub)
    return list(json.loads(found.encode())["connections"])


async def test_connections_are_told_with_what_ended_them_newest_first() -> None:
    hub = a_hub()
    assert await connections_of(hub) == []
    await opened(hub, 1, address="127.0.0.1:1")
    await closed(hub, 5, evidence="timeout")
    await opened(hub, 10, address="127.0.0.1:2")
    await opened(hub, 20, address="127.0.0.1:3")

    def fact(since: int, until: int | None, port: int, evidence: str | None) -> dict[str, Any]:
        times = [None if at is None else f"2035-01-01T12:00:{at:02}Z" for at in (since, until)]
        return {
            "connectedAt": times[0],
            "disconnectedAt": times[1],
            "address": f"127.0.0.1:{port}",
            "evidence": evidence,
        }

    assert await connections_of(hub) == [
        fact(20, None, 3, None),
        fact(10, 20, 2, "replaced"),
        fact(1, 5, 1, "timeout"),
    ]


async def test_who_is_no_device_has_no_connections() -> None:
    with pytest.raises(NotFound):
        await presence.connections(call(Nothing(), names=("EDGB-9999",)), a_hub())


# --- The open delta -------------------------------------------------------------


def wish(**desired: Any) -> Any:
    return call(TwinDesire(desired=desired), names=(ID,))


async def test_a_device_that_connects_is_sent_what_was_wished_while_it_was_away() -> None:
    hub = a_hub()
    await twins.desire(wish(led="on"), hub)
    hub.events.sent.clear()

    await opened(hub, 1)

    assert [delta.delta for delta in hub.events.on(DELTA)] == [{"led": "on"}]


async def test_a_device_without_an_open_difference_is_sent_none() -> None:
    hub = a_hub()

    await opened(hub, 1)

    assert hub.events.on(DELTA) == []


async def test_a_suspended_device_is_seen_and_not_told() -> None:
    hub = a_hub(Lifecycle.SUSPENDED)
    await twins.desire(wish(led="on"), hub)
    hub.events.sent.clear()

    await opened(hub, 1)

    assert await online(hub) is True
    assert hub.events.on(DELTA) == []


async def test_a_late_line_sends_no_delta() -> None:
    hub = a_hub()
    await opened(hub, 5)
    await closed(hub, 6)
    await twins.desire(wish(led="on"), hub)
    hub.events.sent.clear()

    await opened(hub, 5)

    assert hub.events.sent == []
