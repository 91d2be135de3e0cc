"""Who is connected to a real broker, and who must not be, whatever clients call themselves."""

import asyncio

import pytest

from functions.contract.messages import SessionClosed, SessionOpened
from functions.domain.callers import CLAIM, DEVICE, Caller
from functions.domain.faults import Denied, Unavailable
from tests.integration.bridge.broker.client import ADMINISTRATIVE_ACTION, Client, Refused
from tests.integration.bridge.broker.conftest import CLIENT_ID, Join, Keeping


async def test_a_device_is_told_to_come_and_go(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")

    device = await join(identity, "EDGB-0001")
    await keeping.until_told("opened EDGB-0001 EDGB-0001")
    opened = keeping.functions.told[0]
    assert isinstance(opened, SessionOpened)
    assert (opened.broker, opened.address) == ("local", device.address)

    await device.leave()
    await keeping.until_told("closed EDGB-0001 disconnected")
    closed = keeping.functions.told[1]
    assert isinstance(closed, SessionClosed)
    assert closed.at >= opened.at


async def test_a_takeover_is_told_although_the_broker_writes_no_line_of_the_end(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")

    first = await join(identity, "EDGB-0001")
    second = await join(identity, "EDGB-0001")
    await first.wait_ended()
    await second.leave()

    await keeping.until_told("closed EDGB-0001 disconnected")
    assert keeping.functions.lines == ["opened EDGB-0001 EDGB-0001"] * 2 + ["closed EDGB-0001 disconnected"]
    assert keeping.functions.told[1].address == second.address  # type: ignore[attr-defined]


async def test_a_device_with_another_s_client_id_is_ended_and_the_victim_can_come_back(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    victim_identity = keeping.broker.authority.issue("EDGB-0001")
    victim = await join(victim_identity, "EDGB-0001")

    intruder = await join(keeping.broker.authority.issue("EDGB-0002"), "EDGB-0001")

    await victim.wait_ended()
    assert await intruder.wait_ended() == ADMINISTRATIVE_ACTION
    await join(victim_identity, "EDGB-0001")
    await keeping.functions.until(lambda: keeping.functions.lines.count("opened EDGB-0001 EDGB-0001") == 2)
    assert "closed EDGB-0001 replaced" in keeping.functions.lines
    assert not any("EDGB-0002" in line for line in keeping.functions.lines)
    assert keeping.alarms.counts == {"foreign-client-id": 1}


async def test_a_device_that_takes_the_bridge_s_client_id_is_ended_and_the_bridge_comes_back(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    intruder = await join(keeping.broker.authority.issue("EDGB-0002"), CLIENT_ID)

    try:
        await intruder.wait_ended()
    finally:
        async with asyncio.timeout(10):
            await keeping.lane.subscribed.wait()
    device = await join(keeping.broker.authority.issue("EDGB-0001"), "EDGB-0001")
    await device.publish("$devicehub/devices/EDGB-0001/twin/get")
    await keeping.functions.until(lambda: keeping.functions.asked_by)


async def test_a_claim_certificate_that_takes_a_device_s_id_is_ended(keeping: Keeping, join: Join) -> None:
    keeping.functions.access = keeping.functions.access.model_copy(update={"claims": ["fleet"]})
    await keeping.start()
    device = await join(keeping.broker.authority.issue("EDGB-0001"), "EDGB-0001")
    identity = keeping.broker.authority.issue("claim-fleet")

    intruder = await join(identity, "EDGB-0001")
    await device.wait_ended()
    assert await intruder.wait_ended() == ADMINISTRATIVE_ACTION

    keeping.functions.faults["sessions.opened"] = [Denied()]
    stranger = await join(identity, "EDGB-0009")
    assert await stranger.wait_ended() == ADMINISTRATIVE_ACTION
    assert keeping.alarms.counts == {"claim-as-device": 2}
    # The certificate still claims: its entry was made again.
    honest = await join(identity, "8f14")
    assert await honest.publish("$devicehub/certificates/create-from-csr") == 0


async def test_provision_requests_carry_the_claim_of_their_session(keeping: Keeping, join: Join) -> None:
    keeping.functions.access = keeping.functions.access.model_copy(update={"claims": ["fleet", "factory"]})
    await keeping.start()
    issue = keeping.broker.authority.issue
    clients = {
        "8f14": issue("claim-fleet"),
        "9b07": issue("claim-factory"),
        "EDGB-0001": issue("EDGB-0001"),
    }

    for client_id, identity in clients.items():
        client = await join(identity, client_id)
        await client.subscribe(f"$devicehub/devices/{client_id}/provision/accepted")
        await client.publish(f"$devicehub/devices/{client_id}/provision/request")
        await asyncio.wait_for(client.heard.get(), 5)

    assert [(subject.split(".")[2], caller) for subject, caller, _ in keeping.functions.asked_by] == [
        ("8f14", "claim:fleet"),
        ("9b07", "claim:factory"),
        ("EDGB-0001", "device:EDGB-0001"),
    ]


async def test_of_many_claimers_at_once_each_first_message_has_its_claim(keeping: Keeping) -> None:
    keeping.functions.access = keeping.functions.access.model_copy(update={"claims": ["fleet", "factory"]})
    await keeping.start()
    identities = [keeping.broker.authority.issue(name) for name in ("claim-fleet", "claim-factory")]
    slots = asyncio.Semaphore(16)

    async def claim(number: int) -> None:
        client_id = f"uuid-{number:03}"
        async with slots, await Client.connect(keeping.broker, identities[number % 2], client_id) as client:
            await client.publish(f"$devicehub/devices/{client_id}/provision/request")

    await asyncio.gather(*(claim(number) for number in range(96)))
    await keeping.functions.until(lambda: len(keeping.functions.asked_by) == 96)

    for subject, caller, _ in keeping.functions.asked_by:
        number = int(subject.split(".")[2].removeprefix("uuid-"))
        assert caller == ("claim:factory" if number % 2 else "claim:fleet")


async def test_a_device_under_another_s_client_id_gets_no_certificate(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    keeping.functions.gate.clear()
    intruder = await join(keeping.broker.authority.issue("EDGB-0002"), "8f14")
    try:
        # It may be ended before or after the broker has taken this.
        await intruder.publish("$devicehub/devices/8f14/provision/request")
    except Refused:
        assert intruder.ended.is_set()

    await intruder.wait_ended()
    keeping.functions.gate.set()
    assert not keeping.functions.asked_by


@pytest.mark.parametrize(
    "client_id",
    [
        "EDGB-0002 (p2, c1, k60, u'EDGB-0002').",
        "EDGB-0002 disconnected",
        "EDGB-0002 disconnected.",
        "EDGB-0002 disconnected:",
        "EDGB-0002 closed its connection.",
        "EDGB-0002 been disconnected by administrative action.",
        "EDGB-0002/events",
        "New client connected from 127.0.0.1:1 as EDGB-0002 (p2, c1, k60, u'EDGB-0002').",
        "\u2028EDGB-0002",
        "EDGB-0002 disconnected due to protocol error",
        "<unknown>",
        # Cut by the broker where a line could end, and beyond.
        "x" * 913 + " (p5, c1, k60, u'EDGB-0002').",
        "x" * 4000,
    ],
)
async def test_a_client_id_that_imitates_a_line_says_nothing_about_another(
    keeping: Keeping, join: Join, client_id: str
) -> None:
    await keeping.start()
    victim = await join(keeping.broker.authority.issue("EDGB-0002"), "EDGB-0002")
    await keeping.until_told("opened EDGB-0002 EDGB-0002")
    identity = keeping.broker.authority.issue("EDGB-0001")

    for _ in range(2):
        # Taken over by itself, then ended by the keeper or by us.
        intruder = await join(identity, client_id)
    alarm = "unreadable-connect-line" if len(client_id) > 800 or client_id == "<unknown>" else "foreign-client-id"
    if alarm == "foreign-client-id":
        await intruder.wait_ended()
    await intruder.drop()
    await keeping.admin.answers()
    keeping.read_log()

    assert keeping.functions.lines == ["opened EDGB-0002 EDGB-0002"]
    assert not victim.ended.is_set()
    assert keeping.sessions.claimant("EDGB-0002") == Caller(DEVICE, "EDGB-0002")
    assert set(keeping.alarms.counts) == {alarm}


async def test_lengths_around_the_cut_are_read_or_alarmed(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")
    forged = " (p5, c1, k60, u'EDGB-0002')."

    for length in range(880, 960, 3):
        client = await join(identity, "x" * (length - len(forged)) + forged)
        await client.drop()
    await keeping.admin.answers()
    keeping.read_log()

    assert keeping.functions.lines == []
    assert keeping.alarms.counts["foreign-client-id"] + keeping.alarms.counts["unreadable-connect-line"] == 27
    assert not any(session.common_name == "EDGB-0002" for session in keeping.sessions.all().values())


async def test_a_client_that_says_it_is_a_bridge_is_followed_like_any_other(keeping: Keeping, join: Join) -> None:
    await keeping.start()

    device = await join(keeping.broker.authority.issue("EDGB-0001"), "EDGB-0001", says_bridge=True)
    await keeping.until_told("opened EDGB-0001 EDGB-0001")
    intruder = await join(keeping.broker.authority.issue("EDGB-0002"), "EDGB-0003", says_bridge=True)

    await intruder.wait_ended()
    assert not device.ended.is_set()


async def test_lines_are_told_late_but_in_order_when_functions_were_away(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    keeping.functions.faults["sessions.opened"] = [Unavailable()] * 3
    identity = keeping.broker.authority.issue("EDGB-0001")

    for _ in range(3):
        device = await join(identity, "EDGB-0001")
        await device.leave()

    await keeping.functions.until(lambda: len(keeping.functions.told) == 6)
    assert keeping.functions.lines == ["opened EDGB-0001 EDGB-0001", "closed EDGB-0001 disconnected"] * 3


async def test_a_line_that_functions_had_not_taken_comes_again_to_the_next_process(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    keeping.functions.gate.clear()
    await join(keeping.broker.authority.issue("EDGB-0001"), "EDGB-0001")
    await keeping.functions.until(lambda: keeping.functions.running == 1)
    await keeping.kill()
    assert not keeping.functions.told

    keeping.functions.gate.set()
    await keeping.start()

    await keeping.until_told("opened EDGB-0001 EDGB-0001")
    assert list(keeping.sessions.all()) == ["EDGB-0001"]


async def test_a_new_process_knows_who_stayed_came_and_went_meanwhile(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    issue = keeping.broker.authority.issue
    stays = await join(issue("EDGB-0001"), "EDGB-0001")
    goes = await join(issue("EDGB-0002"), "EDGB-0002")
    await join(issue("claim-fleet"), "8f14")
    await keeping.functions.until(lambda: len(keeping.functions.told) == 3)
    keeping.remember()
    await keeping.kill()
    await goes.leave()
    await join(issue("EDGB-0003"), "EDGB-0003")
    keeping.functions.told.clear()

    await keeping.start()
    await keeping.functions.until(lambda: len(keeping.functions.told) >= 4)

    assert "closed EDGB-0002 disconnected" in keeping.functions.lines
    # Who stayed is told once more, so that functions send what it missed.
    assert keeping.functions.lines.count("opened EDGB-0001 EDGB-0001") == 1
    assert "opened EDGB-0003 EDGB-0003" in keeping.functions.lines
    assert sorted(keeping.sessions.all()) == ["8f14", "EDGB-0001", "EDGB-0003"]
    assert keeping.keeper.claimant("8f14") == Caller(CLAIM, "fleet")
    assert not stays.ended.is_set()


async def test_a_session_whose_end_nobody_heard_is_closed_by_its_missing_connection(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    device = await join(keeping.broker.authority.issue("EDGB-0001"), "EDGB-0001")
    await keeping.until_told("opened EDGB-0001 EDGB-0001")
    keeping.remember()
    await keeping.kill()
    # The line of its end goes to a session that is not ours.
    thief = await join(keeping.broker.authority.issue("EDGB-0002"), CLIENT_ID)
    await device.drop()
    await thief.drop()

    await keeping.start()

    await keeping.until_told("closed EDGB-0001 disconnected")
    assert not keeping.sessions.all()
