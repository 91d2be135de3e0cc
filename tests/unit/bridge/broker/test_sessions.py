"""Who is connected, and who claims."""

from datetime import timedelta

from bridge.broker.lines import Connected
from bridge.broker.sessions import Sessions
from functions.domain.callers import CLAIM, DEVICE, Caller
from functions.domain.sessions import Session, SessionMark
from tests.unit.bridge.broker.memory import NOW


def connected(client_id: str, common_name: str = "", *, second: int = 0) -> Connected:
    return Connected(NOW + timedelta(seconds=second), client_id, common_name or client_id, "127.0.0.1:5")


def known(client_id: str, *, second: int = 0) -> Session:
    return Session(client_id, client_id, "127.0.0.1:5", NOW + timedelta(seconds=second), "local")


def test_a_claim_certificate_claims_under_any_client_id() -> None:
    sessions = Sessions("local")
    sessions.connected(connected("8f14e45f-ea", "claim-fleet"))

    assert sessions.claimant("8f14e45f-ea") == Caller(CLAIM, "fleet")


def test_a_device_asks_only_under_its_own_name() -> None:
    sessions = Sessions("local")
    sessions.connected(connected("EDGB-0001"))
    sessions.connected(connected("EDGB-0002", "EDGB-0001"))

    assert sessions.claimant("EDGB-0001") == Caller(DEVICE, "EDGB-0001")
    assert sessions.claimant("EDGB-0002") is None
    assert sessions.claimant("EDGB-0003") is None


def test_a_certificate_with_another_name_claims_nothing() -> None:
    sessions = Sessions("local")
    sessions.connected(connected("claim-", "claim-"))
    sessions.connected(connected("claim-a b", "claim-a b"))
    sessions.connected(connected("hub-broker", "hub-broker"))

    assert [sessions.claimant(name) for name in ("claim-", "claim-a b", "hub-broker")] == [None, None, None]


def test_a_takeover_gives_the_session_that_it_replaced() -> None:
    sessions = Sessions("local")
    first, nobody = sessions.connected(connected("EDGB-0001"))

    _, before = sessions.connected(connected("EDGB-0001", "EDGB-0002", second=1))

    assert nobody is None
    assert before is first
    assert sessions.claimant("EDGB-0001") is None


def test_a_barred_session_claims_nothing_and_its_successor_does() -> None:
    sessions = Sessions("local")
    session, _ = sessions.connected(connected("EDGB-0001", "claim-fleet"))
    assert sessions.bar(session)
    assert sessions.claimant("EDGB-0001") is None

    sessions.connected(connected("EDGB-0001", "claim-fleet", second=1))

    assert sessions.claimant("EDGB-0001") == Caller(CLAIM, "fleet")
    assert not sessions.bar(session)


def test_what_was_known_before_gives_way_to_what_the_lines_told() -> None:
    sessions = Sessions("local")
    sessions.connected(connected("EDGB-0001", second=5))
    sessions.ended("EDGB-0002")

    sessions.fill([known("EDGB-0001"), known("EDGB-0002"), known("EDGB-0003")])

    assert {name: session.since for name, session in sessions.all().items()} == {
        "EDGB-0001": NOW + timedelta(seconds=5),
        "EDGB-0003": NOW,
    }


def test_it_is_filled_once() -> None:
    sessions = Sessions("local")
    sessions.fill([])

    sessions.fill([known("EDGB-0001")])

    assert sessions.is_filled
    assert not sessions.all()


def test_a_restart_of_the_broker_ends_all_sessions_and_those_known_from_before() -> None:
    sessions = Sessions("local")
    sessions.connected(connected("EDGB-0001", second=10))

    gone = sessions.restarted(NOW + timedelta(seconds=10))
    sessions.connected(connected("EDGB-0003", second=10))
    sessions.fill([known("EDGB-0002", second=9)])

    assert [session.client_id for session in gone] == ["EDGB-0001"]
    assert list(sessions.all()) == ["EDGB-0003"]


def test_a_message_came_in_the_newest_session_also_when_that_is_over() -> None:
    sessions = Sessions("local")
    assert sessions.mark("EDGB-0001") is None
    sessions.connected(connected("EDGB-0001"))
    assert sessions.mark("EDGB-0001") == SessionMark(NOW, "127.0.0.1:5")
    sessions.ended("EDGB-0001")
    assert sessions.mark("EDGB-0001") == SessionMark(NOW, "127.0.0.1:5")
    sessions.connected(connected("EDGB-0001", second=3))
    assert sessions.mark("EDGB-0001") == SessionMark(NOW + timedelta(seconds=3), "127.0.0.1:5")


def test_a_session_under_another_name_is_none_of_the_devices() -> None:
    sessions = Sessions("local")
    sessions.connected(connected("EDGB-0001", "EDGB-0002"))
    assert sessions.mark("EDGB-0001") is None
    assert sessions.mark("EDGB-0002") is None
    session, _ = sessions.connected(connected("EDGB-0003"))
    sessions.bar(session)
    assert sessions.mark("EDGB-0003") is None
    sessions.ended("EDGB-0003")
    assert sessions.mark("EDGB-0003") is None


def test_sessions_that_are_over_are_remembered_within_bounds() -> None:
    sessions = Sessions("local")
    for number in range(2000):
        sessions.connected(connected(f"EDGB-{number:04d}"))
        sessions.ended(f"EDGB-{number:04d}")

    assert sessions.mark("EDGB-0000") is None
    assert sum(sessions.mark(f"EDGB-{number:04d}") is not None for number in range(2000)) == 1024
