"""The keeper applies the access state whenever it may have changed, and nothing that fails stops it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from bridge.broker.alarms import Alarms
from bridge.broker.keeper import Keeper
from bridge.broker.logfile import LogFile, LogLine
from bridge.broker.port import M, Pauses
from bridge.broker.sessions import Sessions
from functions.contract.messages import Message, Nothing, SessionFact
from functions.domain.callers import Caller
from functions.domain.certificates import CRL_LIFETIME
from functions.domain.faults import Conflict, Denied, Fault, Malformed, Unavailable
from functions.handlers import access
from functions.testing import MemoryHub, call, memory_hub
from tests.unit.bridge.broker.memory import (
    NOW,
    MemoryBroker,
    MemoryFunctions,
    MemoryLane,
    MemoryLink,
    connect,
    logged,
)

OWN = "@bridge"


class Rig:
    def __init__(self, folder: Path, functions: MemoryFunctions | None = None, **facts: Any) -> None:
        self.log = folder / "broker.log"
        self.log.touch()
        self.log_file = LogFile(self.log)
        self.functions = functions or MemoryFunctions()
        self.broker = MemoryBroker(self.log_file)
        self.link = MemoryLink()
        self.lane = MemoryLane()
        self.alarms = Alarms(self.functions)
        self.sessions = Sessions("local")
        self.peers: frozenset[str] | None = frozenset({"127.0.0.1:5"})
        self.keeper = Keeper(
            self.broker,
            self.sessions,
            self.link,
            self.lane,
            self.functions,
            own=OWN,
            alarms=self.alarms,
            peers=lambda: self.peers,
            pauses=Pauses(0.001, 0.004),
            **facts,
        )
        self.task: asyncio.Task[None] | None = None

    def hear(self, line: LogLine) -> None:
        """Let the broker write a line, and the keeper look."""
        with self.log.open("ab") as file:
            file.write(line.text + b"\n")
        self.keeper.claimant("")

    async def start(self) -> None:
        self.task = asyncio.create_task(self.keeper.run())
        async with asyncio.timeout(5):
            await self.keeper.ready.wait()

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task

    async def reconnect(self) -> None:
        self.lane.subscribed.clear()
        self.link.disconnected.set()
        await asyncio.sleep(0)
        self.link.disconnected.clear()
        self.lane.subscribed.set()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    yield made
    await made.stop()


async def test_at_the_start_the_access_state_is_applied_and_the_broker_saved(rig: Rig) -> None:
    rig.functions.access = rig.functions.access.model_copy(update={"claims": ["fleet"], "suspended": ["EDGB-0009"]})

    await rig.start()
    await rig.broker.until(lambda: rig.broker.done("save"))

    assert rig.broker.done("crl") == ["crl 1"]
    assert rig.broker.done("access") == [(["fleet"], ["EDGB-0009"])]
    assert not rig.broker.done("end")
    assert not rig.alarms.counts


async def test_a_change_is_applied_and_those_named_are_ended_after_the_crl(rig: Rig) -> None:
    await rig.start()
    rig.broker.deeds.clear()
    rig.functions.cut("EDGB-0001")

    await rig.functions.tell("EDGB-0001")
    await rig.broker.until(lambda: rig.broker.done("end"))

    assert [deed for deed in rig.broker.deeds if deed[0] != "answers"][:3] == [
        ("crl", "crl 2"),
        ("access", ([], [])),
        ("end", ["EDGB-0001"]),
    ]


async def test_a_cut_is_made_once(rig: Rig) -> None:
    await rig.start()
    rig.functions.cut("EDGB-0001")

    await rig.functions.tell("EDGB-0001")
    await rig.broker.until(lambda: rig.broker.done("end"))
    await rig.functions.tell()
    await rig.broker.until(lambda: len(rig.broker.done("crl")) == 3)

    assert rig.broker.done("end") == [["EDGB-0001"]]


async def test_a_cut_whose_event_was_lost_is_made_at_the_next_look(rig: Rig) -> None:
    await rig.start()
    rig.functions.cut("EDGB-0001")

    rig.keeper.hub_is_back()
    await rig.broker.until(lambda: rig.broker.done("end"))

    assert rig.broker.done("end") == [["EDGB-0001"]]


async def test_the_same_name_cut_again_is_ended_again(rig: Rig) -> None:
    await rig.start()
    rig.functions.cut("EDGB-0001")
    rig.keeper.hub_is_back()
    await rig.broker.until(lambda: rig.broker.done("end"))

    rig.functions.access = rig.functions.access.model_copy(update={"cut": []})
    rig.functions.cut("EDGB-0001", NOW + timedelta(seconds=7))
    rig.keeper.hub_is_back()
    await rig.broker.until(lambda: len(rig.broker.done("end")) == 2)

    assert rig.broker.done("end") == [["EDGB-0001"], ["EDGB-0001"]]


async def test_who_was_cut_while_the_bridge_was_away_is_ended_also_if_it_came_after_the_cut(rig: Rig) -> None:
    rig.functions.cut("EDGB-0001", NOW - timedelta(minutes=5))
    rig.functions.cut("EDGB-0002", NOW - timedelta(minutes=5))
    rig.functions.known = [
        SessionFact(client_id="EDGB-0001", common_name="EDGB-0001", address="127.0.0.1:5", since=NOW)
    ]

    await rig.start()

    assert rig.broker.done("end") == [["EDGB-0001"]]


async def test_while_the_crl_cannot_be_applied_those_it_names_are_denied_and_ended(rig: Rig) -> None:
    await rig.start()
    rig.functions.cut("EDGB-0001")
    rig.broker.faults["crl"] = [Unavailable()]

    await rig.functions.tell("EDGB-0001")
    await rig.broker.until(lambda: "crl 2" in rig.broker.done("crl"))
    await rig.broker.until(lambda: len(rig.broker.done("end")) == 2)

    assert rig.broker.done("access")[-2:] == [([], ["EDGB-0001"]), ([], [])]
    assert rig.broker.done("end") == [["EDGB-0001"], ["EDGB-0001"]]
    assert rig.alarms.counts["access-failed"] == 1


@pytest.mark.parametrize("step", ["crl", "access", "end"])
async def test_a_step_that_fails_is_an_alarm_and_tried_again_and_holds_up_no_other(rig: Rig, step: str) -> None:
    await rig.start()
    rig.broker.deeds.clear()
    rig.broker.faults[step] = [Conflict(), Malformed(), Unavailable()]

    await rig.functions.tell("EDGB-0001")
    await rig.broker.until(lambda: rig.broker.done(step))
    await rig.broker.until(lambda: len(rig.broker.done("end")) >= 1)

    assert rig.alarms.counts["access-failed"] == 3
    for other in {"crl", "access", "end"} - {step}:
        assert len(rig.broker.done(other)) == 4


async def test_a_broker_that_refuses_us_gets_its_files_loaded_again(rig: Rig) -> None:
    await rig.start()
    rig.broker.faults["access"] = [Denied()]

    await rig.functions.tell()
    await rig.broker.until(lambda: rig.broker.done("forget"))

    assert rig.broker.done("forget") == [None]


async def test_somebody_else_s_failed_reload_is_mended_at_once(rig: Rig) -> None:
    await rig.start()
    await rig.broker.until(lambda: rig.broker.done("save"))
    rig.broker.deeds.clear()

    rig.hear(logged("Error when reloading certificate '/server.crt' or key '/server.key'.", level="E"))
    await rig.broker.until(lambda: rig.broker.done("access"))

    assert rig.broker.done("crl") == ["crl 1"]


async def test_a_broker_that_is_only_away_is_no_alarm(rig: Rig) -> None:
    await rig.start()
    rig.link.is_connected = False
    rig.broker.faults["crl"] = [Unavailable()]

    await rig.functions.tell()
    await rig.broker.until(lambda: len(rig.broker.done("crl")) == 2)

    assert not rig.alarms.counts


async def test_functions_that_are_away_are_waited_for(rig: Rig) -> None:
    rig.functions.faults["sessions.list"] = [Unavailable()] * 3
    rig.functions.faults["access.get"] = [Unavailable()] * 3

    await rig.start()

    assert rig.functions.asked == {"sessions.list": 4, "access.get": 4}
    assert not rig.alarms.counts


async def test_a_fault_of_functions_is_an_alarm_and_asked_again(rig: Rig) -> None:
    rig.functions.faults["access.get"] = [Fault()]

    await rig.start()

    assert rig.alarms.counts["access-failed"] == 1


async def test_after_a_reconnection_everything_is_done_again(rig: Rig) -> None:
    await rig.start()
    await rig.broker.until(lambda: rig.broker.done("save"))
    rig.hear(connect("EDGB-0001"))
    await rig.functions.until(lambda: len(rig.functions.told) == 1)
    rig.broker.deeds.clear()

    await rig.reconnect()
    await rig.broker.until(lambda: rig.broker.done("save"))
    await rig.functions.until(lambda: len(rig.functions.told) == 2)

    assert rig.functions.lines == ["opened EDGB-0001 EDGB-0001"] * 2
    assert rig.functions.asked["sessions.list"] == 1
    await rig.broker.until(lambda: rig.broker.done("crl"))


async def test_sessions_from_before_this_process_are_told_once_and_dead_ones_closed(rig: Rig) -> None:
    rig.functions.known = [
        SessionFact(client_id="EDGB-0001", common_name="EDGB-0001", address="127.0.0.1:5", since=NOW),
        SessionFact(client_id="EDGB-0002", common_name="EDGB-0002", address="127.0.0.1:6", since=NOW),
    ]

    await rig.start()
    await rig.functions.until(lambda: len(rig.functions.told) == 2)

    assert sorted(rig.functions.lines) == ["closed EDGB-0002 disconnected", "opened EDGB-0001 EDGB-0001"]


async def test_where_the_host_cannot_tell_sessions_are_kept(rig: Rig) -> None:
    rig.peers = None
    rig.functions.known = [
        SessionFact(client_id="EDGB-0002", common_name="EDGB-0002", address="127.0.0.1:6", since=NOW)
    ]

    await rig.start()

    assert list(rig.sessions.all()) == ["EDGB-0002"]


@pytest.mark.parametrize("peers", [None, frozenset({"127.0.0.1:6"})])
async def test_where_a_part_of_the_log_is_lost_those_nobody_saw_connect_are_ended(
    rig: Rig, peers: frozenset[str] | None
) -> None:
    rig.functions.access = rig.functions.access.model_copy(update={"claims": ["fleet"]})
    await rig.start()
    rig.hear(connect("EDGB-0001"))

    rig.peers = peers
    rig.log_file.has_gap = True
    await rig.reconnect()
    await rig.broker.until(lambda: rig.broker.done("end"))

    assert rig.broker.done("end") == [["EDGB-0001", "claim-fleet"]]
    await rig.functions.until(lambda: "closed EDGB-0001 disconnected" in rig.functions.lines)


async def test_a_wrong_session_is_ended_even_if_it_takes_more_than_one_try(rig: Rig) -> None:
    await rig.start()
    rig.broker.faults["end"] = [Unavailable(), Conflict()]

    rig.hear(connect("EDGB-0001", "EDGB-0002"))
    await rig.broker.until(lambda: rig.broker.done("end"))

    assert rig.broker.done("end") == [["EDGB-0002"]]
    assert rig.alarms.counts["ending-failed"] == 2


async def test_a_wrong_session_that_comes_again_while_it_is_ended_is_ended_again(rig: Rig) -> None:
    await rig.start()
    rig.broker.gate.clear()
    rig.hear(connect("EDGB-0001", "EDGB-0002"))
    await asyncio.sleep(0)

    rig.hear(connect("EDGB-0001", "EDGB-0002", second=1))
    rig.broker.gate.set()
    await rig.broker.until(lambda: len(rig.broker.done("end")) == 2)


async def test_a_name_that_is_told_again_while_it_is_ended_is_ended_again(rig: Rig) -> None:
    await rig.start()
    rig.broker.gate.clear()
    await rig.functions.tell("EDGB-0001")
    await rig.broker.until(lambda: len(rig.broker.done("access")) == 2)

    await rig.functions.tell("EDGB-0001")
    rig.broker.gate.set()
    await rig.broker.until(lambda: len(rig.broker.done("end")) == 2)


async def test_a_broker_that_does_not_save_is_an_alarm_and_asked_again(rig: Rig) -> None:
    rig.broker.faults["save"] = [Unavailable()]

    await rig.start()
    await rig.broker.until(lambda: rig.broker.done("save"))

    assert rig.alarms.counts["saving-failed"] == 1


async def test_counts_are_visible(rig: Rig) -> None:
    await rig.start()
    rig.hear(connect("EDGB-0001"))
    await rig.functions.until(lambda: rig.functions.told)
    await rig.broker.until(lambda: rig.broker.done("save"))

    assert rig.keeper.to_json() == {"sessions": 1, "reports": 1, "saves": 1, "rounds": 1, "alarms": {}, "broker": {}}


class HubFunctions(MemoryFunctions):
    """The access state of a hub in memory, by the function itself."""

    def __init__(self, hub: MemoryHub) -> None:
        super().__init__()
        self.hub = hub
        self.are_away = False

    async def call(self, subject: str, body: Message, answer: type[M], *, caller: Caller, within: float = 5.0) -> M:
        if subject.endswith("access.get"):
            if self.are_away:
                raise Conflict
            self.access = await access.read(call(Nothing(), caller=str(caller)), self.hub)
        return await super().call(subject, body, answer, caller=caller, within=within)


@pytest.fixture
async def aging(tmp_path: Path) -> AsyncIterator[Rig]:
    """A keeper of a hub whose clock can be moved, with its own timer, which is quick."""
    hub = memory_hub()
    made = Rig(tmp_path, HubFunctions(hub), every=0.001, now=hub.clock.now)
    yield made
    await made.stop()


async def a_round(rig: Rig) -> None:
    """Wait until the keeper's timer has begun and ended a round from now on."""
    begun = rig.keeper.to_json()["rounds"]
    async with asyncio.timeout(5):
        while rig.keeper.to_json()["rounds"] < begun + 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_broker_whose_hub_nobody_touches_for_a_year_never_has_an_old_list(aging: Rig) -> None:
    assert isinstance(aging.functions, HubFunctions)
    clock = aging.functions.hub.clock
    await aging.start()
    for _ in range(53):
        clock.advance(timedelta(days=7))
        await a_round(aging)

        ends = x509.load_pem_x509_crl(aging.broker.done("crl")[-1].encode()).next_update_utc
        assert ends is not None
        # A week later, when the timer comes next, two thirds are left of it.
        assert ends - clock.now() - timedelta(days=7) > CRL_LIFETIME / 3

    assert len(set(aging.broker.done("crl"))) == 54
    assert not aging.alarms.counts


async def test_a_list_that_is_not_renewed_is_an_alarm_four_weeks_before_it_lapses(aging: Rig) -> None:
    assert isinstance(aging.functions, HubFunctions)
    clock = aging.functions.hub.clock
    await aging.start()
    aging.functions.are_away = True

    clock.advance(timedelta(days=1, hours=23))
    await a_round(aging)
    assert "crl-not-renewed" not in aging.alarms.counts
    clock.advance(timedelta(hours=1))
    await a_round(aging)
    async with asyncio.timeout(5):
        while not aging.alarms.counts["crl-not-renewed"]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    aging.functions.are_away = False
    await a_round(aging)
    told = aging.alarms.counts["crl-not-renewed"]
    await a_round(aging)
    await a_round(aging)
    assert aging.alarms.counts["crl-not-renewed"] == told


# --- Whom the broker trusts ---------------------------------------------------------


def with_ca(rig: Rig, ca_pem: str, *, settled: bool) -> None:
    told = {"ca_pem": ca_pem, "issuer": ca_pem.encode().hex().ljust(64, "0"), "settled": settled}
    rig.functions.access = rig.functions.access.model_copy(update=told)


async def test_a_new_ca_is_written_with_a_certificate_of_it_and_loaded_with_the_list_and_then_told(rig: Rig) -> None:
    await rig.start()
    rig.broker.deeds.clear()
    with_ca(rig, "new ca", settled=False)
    rig.functions.cut("claim-fleet")

    await rig.functions.tell("claim-fleet")
    await rig.functions.until(lambda: rig.functions.asked["trust.taken"])

    assert [deed for deed in rig.broker.deeds if deed[0] != "answers"] == [
        ("trust", ("new ca", "of new ca")),
        ("crl", "crl 2"),
        ("access", ([], [])),
        ("end", ["claim-fleet"]),
    ]
    assert rig.functions.access.settled


async def test_a_ca_that_is_settled_costs_a_look_and_no_question(rig: Rig) -> None:
    rig.broker.good_for = {"the ca"}
    with_ca(rig, "the ca", settled=True)

    await rig.start()

    assert rig.broker.done("trust") == [("the ca", None)]
    assert not rig.functions.asked["certificate.sign"]
    assert not rig.functions.asked["trust.taken"]


async def test_further_names_are_in_the_certificate_once_they_are_told_and_cost_nothing_then(rig: Rig) -> None:
    rig.broker.good_for = {"the ca"}
    with_ca(rig, "the ca", settled=True)
    await rig.start()
    rig.functions.access = rig.functions.access.model_copy(update={"hostnames": ["hub.lan"]})

    await rig.functions.tell()
    await rig.broker.until(lambda: rig.broker.names == ("hub.example", "hub.lan"))
    await rig.functions.tell()
    await rig.broker.until(lambda: len(rig.broker.done("trust")) == 3)

    assert rig.functions.asked["certificate.sign"] == 1
    assert not rig.functions.asked["trust.taken"]


@pytest.mark.parametrize("kind", ["trust", "crl", "access"])
async def test_nothing_is_told_before_all_is_applied(rig: Rig, kind: str) -> None:
    with_ca(rig, "new ca", settled=False)
    rig.broker.faults[kind] = [Unavailable(), Unavailable()]

    await rig.start()

    assert rig.functions.asked["trust.taken"] == 1
    assert len(rig.broker.done("crl")) == (1 if kind == "crl" else 3)
    assert rig.functions.access.settled


async def test_a_certificate_that_cannot_be_signed_now_is_asked_for_again(rig: Rig) -> None:
    with_ca(rig, "new ca", settled=False)
    rig.functions.faults["certificate.sign"] = [Unavailable(), Unavailable()]

    await rig.start()

    assert rig.functions.asked["certificate.sign"] == 3
    assert rig.broker.done("trust") == [("new ca", "of new ca")]
    assert rig.functions.asked["trust.taken"] == 1


async def test_that_it_could_not_be_told_is_made_up_for(rig: Rig) -> None:
    with_ca(rig, "new ca", settled=False)
    rig.functions.faults["trust.taken"] = [Unavailable()]

    await rig.start()

    assert rig.functions.access.settled
