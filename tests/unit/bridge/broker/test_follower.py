"""What the log tells reaches functions, and sessions that are not what they seem are ended."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from bridge.broker.alarms import Alarms
from bridge.broker.follower import Follower
from bridge.broker.logfile import LogLine
from bridge.broker.port import Pauses
from bridge.broker.reports import Reports
from bridge.broker.sessions import Sessions
from functions.contract.messages import SessionFact
from functions.domain.faults import Denied, Reason
from tests.unit.bridge.broker.memory import NOW, MemoryFunctions, connect, end, logged, parse_of

OWN = "@bridge"


class Rig:
    """A follower with all it needs; ``hear`` gives it lines."""

    def __init__(self, subscribes_within: float = 60.0, told_after: float = 60.0) -> None:
        self.functions = MemoryFunctions()
        self.alarms = Alarms(self.functions)
        self.sessions = Sessions("local")
        self.reports = Reports(self.functions, self.alarms, Pauses(0.001, 0.004))
        self.acknowledged: list[LogLine] = []
        self.ended: list[str] = []
        self.is_pressed = False
        self.follower = Follower(
            self.sessions,
            self.reports,
            self.alarms,
            own=OWN,
            end=self.ended.append,
            subscribes_within=subscribes_within,
            told_after=told_after,
            is_pressed=lambda: self.is_pressed,
        )

    def hear(self, *lines: LogLine) -> None:
        for line in lines:
            told = parse_of(line)
            if told is None:
                self.acknowledged.append(line)
            else:
                self.follower.follow(told, partial(self.acknowledged.append, line))

    async def lines(self) -> list[str]:
        async with asyncio.timeout(5):
            await self.reports.settled()
        return self.functions.lines


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_device_comes_and_goes(rig: Rig) -> None:
    rig.hear(connect("EDGB-0001"), end("EDGB-0001", second=5))

    assert await rig.lines() == ["opened EDGB-0001 EDGB-0001", "closed EDGB-0001 disconnected"]
    assert len(rig.acknowledged) == 2
    assert not rig.ended


async def test_a_line_is_acknowledged_only_when_functions_have_taken_it(rig: Rig) -> None:
    rig.functions.gate.clear()

    rig.hear(connect("EDGB-0001"))
    await rig.functions.until(lambda: rig.functions.running == 1)
    assert not rig.acknowledged
    rig.functions.gate.set()
    await rig.lines()

    assert len(rig.acknowledged) == 1


async def test_a_takeover_by_the_same_certificate_is_one_more_opening(rig: Rig) -> None:
    rig.hear(
        connect("EDGB-0001"),
        logged("Client EDGB-0001 already connected, closing old connection.", level="E"),
        connect("EDGB-0001", second=3),
    )

    assert await rig.lines() == ["opened EDGB-0001 EDGB-0001"] * 2
    assert len(rig.acknowledged) == 3


async def test_a_device_under_another_s_client_id_is_ended_and_the_victim_is_told_to_be_gone(rig: Rig) -> None:
    rig.hear(connect("EDGB-0001"), connect("EDGB-0001", "EDGB-0002", second=1, address="10.0.0.2:7"))
    await rig.alarms.told()

    assert await rig.lines() == ["opened EDGB-0001 EDGB-0001", "closed EDGB-0001 replaced"]
    assert rig.ended == ["EDGB-0002"]
    (alarm,) = rig.functions.raised
    assert (alarm.kind, alarm.subject) == ("foreign-client-id", "EDGB-0002")
    assert alarm.detail.startswith("The client id is 'EDGB-0001'.")
    assert rig.sessions.claimant("EDGB-0001") is None


async def test_the_end_of_a_wrong_session_is_nobody_s_news(rig: Rig) -> None:
    rig.hear(connect("EDGB-0001", "EDGB-0002"), end("EDGB-0001", second=1))

    assert await rig.lines() == []
    assert len(rig.acknowledged) == 2


async def test_a_claim_certificate_that_takes_a_connected_device_s_id_is_ended(rig: Rig) -> None:
    rig.hear(connect("EDGB-0001"), connect("EDGB-0001", "claim-fleet", second=1))

    assert rig.ended == ["claim-fleet"]
    assert rig.sessions.claimant("EDGB-0001") is None
    assert rig.alarms.counts["claim-as-device"] == 1
    assert (await rig.lines())[-1] == "closed EDGB-0001 replaced"


async def test_a_claim_certificate_under_the_id_of_a_device_that_functions_know_is_ended(rig: Rig) -> None:
    rig.functions.faults["sessions.opened"] = [Denied()]

    rig.hear(connect("EDGB-0001", "claim-fleet"))
    await rig.lines()

    assert rig.ended == ["claim-fleet"]
    assert rig.sessions.claimant("EDGB-0001") is None
    assert rig.alarms.counts["claim-as-device"] == 1


async def test_a_denied_claim_session_that_is_over_takes_no_other_with_it(rig: Rig) -> None:
    rig.functions.faults["sessions.opened"] = [Denied()]

    rig.hear(connect("EDGB-0001", "claim-fleet"), end("EDGB-0001", second=1))
    await rig.lines()

    assert not rig.ended


async def test_a_device_that_functions_deny_is_not_ended_for_it(rig: Rig) -> None:
    rig.functions.faults["sessions.opened"] = [Denied(Reason.DEVICE_RETIRED), Denied()]

    rig.hear(connect("EDGB-0001"), connect("EDGB-0001", second=1))
    await rig.lines()

    assert not rig.ended


async def test_a_device_that_was_claimed_takes_its_claim_session_over(rig: Rig) -> None:
    rig.hear(connect("EDGB-0001", "claim-fleet"), connect("EDGB-0001", second=1))

    assert not rig.ended
    assert await rig.lines() == ["opened EDGB-0001 claim-fleet", "opened EDGB-0001 EDGB-0001"]


async def test_a_name_that_is_no_device_s_is_ended(rig: Rig) -> None:
    rig.hear(connect("hub-broker"))

    assert rig.ended == ["hub-broker"]
    assert rig.alarms.counts["foreign-name"] == 1


async def test_an_unreadable_connect_line_is_an_alarm(rig: Rig) -> None:
    rig.hear(connect("x" * 980, "EDGB-0001"), connect("<unknown>", "EDGB-0001"))

    assert rig.alarms.counts["unreadable-connect-line"] == 2
    assert len(rig.acknowledged) == 2
    assert not rig.sessions.all()


async def test_dropped_messages_are_an_alarm(rig: Rig) -> None:
    rig.hear(logged("Outgoing messages are being dropped for client EDGB-0001."))

    assert rig.alarms.counts["messages-dropped"] == 1
    assert len(rig.acknowledged) == 1


async def test_the_bridge_s_own_sessions_are_not_told(rig: Rig) -> None:
    rig.hear(connect("ff" * 16, OWN))

    assert not rig.sessions.all()
    assert await rig.lines() == []
    assert len(rig.acknowledged) == 1


@pytest.fixture
def hasty() -> Rig:
    """A follower that gives a device no time to subscribe."""
    return Rig(subscribes_within=0.0)


async def test_a_device_is_told_once_more_when_it_has_had_time_to_subscribe(hasty: Rig) -> None:
    hasty.hear(connect("EDGB-0001"), connect("claimer-1", "claim-fleet"))
    await hasty.functions.until(lambda: len(hasty.functions.lines) == 3)

    assert sorted(await hasty.lines()) == ["opened EDGB-0001 EDGB-0001"] * 2 + ["opened claimer-1 claim-fleet"]


async def test_a_device_that_has_left_by_then_is_not_told_again(hasty: Rig) -> None:
    hasty.hear(connect("EDGB-0001"), end("EDGB-0001", second=1), connect("EDGB-0002"))
    await hasty.functions.until(lambda: hasty.functions.lines.count("opened EDGB-0002 EDGB-0002") == 2)

    assert (await hasty.lines()).count("opened EDGB-0001 EDGB-0001") == 1


async def test_a_restart_of_the_broker_ends_all_sessions_before_the_new_ones_are_told(rig: Rig) -> None:
    rig.hear(
        connect("EDGB-0001"),
        connect("EDGB-0002", second=9),
        logged("mosquitto version 2.0.11 running", second=9, level="I"),
        connect("EDGB-0001", second=9),
    )

    lines = await rig.lines()
    restart = lines.index(f"restarted {int(NOW.timestamp()) + 9}")
    # Functions see from the second that EDGB-0001 is gone; of EDGB-0002 they are told.
    assert sorted(lines[restart + 1 :]) == ["closed EDGB-0002 broker-restart", "opened EDGB-0001 EDGB-0001"]
    assert list(rig.sessions.all()) == ["EDGB-0001"]


async def test_the_end_of_a_session_from_before_this_process_is_told(rig: Rig) -> None:
    rig.hear(end("EDGB-0001"))
    rig.follower.fill(
        [SessionFact(client_id="EDGB-0001", common_name="EDGB-0001", address="a:1", since=NOW - timedelta(hours=1))]
    )

    assert await rig.lines() == ["closed EDGB-0001 disconnected"]
    assert not rig.sessions.all()


async def test_sessions_without_a_connection_are_closed(rig: Rig) -> None:
    rig.hear(
        connect("EDGB-0001", address="127.0.0.1:5"),
        connect("EDGB-0002", address="127.0.0.1:6"),
        connect("EDGB-0003", "EDGB-0004", address="127.0.0.1:7"),
    )
    await rig.lines()

    gone = rig.follower.drop_dead(frozenset({"127.0.0.1:5"}))

    assert sorted(session.client_id for session in gone) == ["EDGB-0002", "EDGB-0003"]
    assert (await rig.lines())[2:] == ["closed EDGB-0002 disconnected"]
    assert list(rig.sessions.all()) == ["EDGB-0001"]


async def test_every_right_session_is_told_again_once(rig: Rig) -> None:
    rig.hear(connect("EDGB-0001"), connect("8f14", "claim-fleet"), connect("EDGB-0003", "EDGB-0004"))
    await rig.lines()
    rig.functions.told.clear()

    rig.follower.tell_again()

    assert sorted(await rig.lines()) == ["opened 8f14 claim-fleet", "opened EDGB-0001 EDGB-0001"]


async def test_what_is_being_told_is_not_told_again(rig: Rig) -> None:
    rig.functions.gate.clear()
    rig.hear(connect("EDGB-0001"))

    rig.follower.tell_again()
    rig.functions.gate.set()

    assert await rig.lines() == ["opened EDGB-0001 EDGB-0001"]


# --- Claim certificates that come and go ----------------------------------------

BOARD = "9205fa1c-7e57-4bad-8c0d-e51a7edcab1e"


async def test_a_joining_that_is_soon_over_is_not_told(rig: Rig) -> None:
    rig.follower.fill([])

    rig.hear(connect(BOARD, "claim-fleet"))
    assert rig.sessions.claimant(BOARD) is not None
    assert not rig.acknowledged
    rig.hear(end(BOARD, second=1))

    assert await rig.lines() == []
    assert len(rig.acknowledged) == 2


async def test_a_claim_certificate_s_session_that_stays_is_told() -> None:
    rig = Rig(told_after=0.01)
    rig.follower.fill([])

    rig.hear(connect(BOARD, "claim-fleet"))
    await rig.functions.until(lambda: bool(rig.functions.lines))
    rig.hear(end(BOARD, second=5))

    assert await rig.lines() == [f"opened {BOARD} claim-fleet", f"closed {BOARD} disconnected"]
    assert len(rig.acknowledged) == 2


async def test_joining_again_at_once_is_not_told_either(rig: Rig) -> None:
    rig.follower.fill([])

    rig.hear(connect(BOARD, "claim-fleet"), connect(BOARD, "claim-fleet", second=1))
    assert len(rig.acknowledged) == 1
    rig.hear(end(BOARD, second=2))

    assert await rig.lines() == []
    assert len(rig.acknowledged) == 3


async def test_a_restarted_broker_has_no_joining_session(rig: Rig) -> None:
    rig.follower.fill([])

    rig.hear(connect(BOARD, "claim-fleet"), logged("mosquitto version 2.0.11 running", second=5, level="I"))

    assert await rig.lines() == [f"restarted {int(NOW.timestamp()) + 5}"]
    assert len(rig.acknowledged) == 2


async def test_a_joining_session_without_a_connection_is_dropped_untold(rig: Rig) -> None:
    rig.follower.fill([])
    rig.hear(connect(BOARD, "claim-fleet"))

    gone = rig.follower.drop_dead(frozenset())

    assert [session.client_id for session in gone] == [BOARD]
    assert await rig.lines() == []
    assert len(rig.acknowledged) == 1


async def test_hearing_of_the_hub_again_does_not_tell_what_waits(rig: Rig) -> None:
    rig.follower.fill([])
    rig.hear(connect(BOARD, "claim-fleet"))

    rig.follower.tell_again()

    assert await rig.lines() == []
    assert not rig.acknowledged


async def test_all_is_told_at_once_while_the_log_is_to_be_put_aside(rig: Rig) -> None:
    rig.follower.fill([])
    rig.is_pressed = True

    rig.hear(connect(BOARD, "claim-fleet"))

    assert await rig.lines() == [f"opened {BOARD} claim-fleet"]
    assert len(rig.acknowledged) == 1


async def test_a_claim_certificate_under_another_kind_of_id_is_told_at_once(rig: Rig) -> None:
    """Functions judge whether that is a device's id."""
    rig.follower.fill([])

    rig.hear(connect("EDGB-0001", "claim-fleet"))

    assert await rig.lines() == ["opened EDGB-0001 claim-fleet"]


async def test_a_claim_certificate_in_the_place_of_a_session_that_was_told_is_told_at_once(rig: Rig) -> None:
    rig.follower.fill([SessionFact(client_id=BOARD, common_name="claim-fleet", address="10.0.0.1:5", since=NOW)])

    rig.hear(connect(BOARD, "claim-fleet", second=9))

    assert await rig.lines() == [f"opened {BOARD} claim-fleet"]
