"""Revocation on a real broker: the certificate is refused and its session ended, whatever happens to the files."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.broker.process import Process
from functions.adapters.authority import LocalAuthority
from functions.adapters.clock import SystemClock
from functions.adapters.roots import make_root
from functions.domain.faults import Unavailable
from tests.integration.bridge.broker.client import ADMINISTRATIVE_ACTION, NOT_AUTHORISED, Refused
from tests.integration.bridge.broker.conftest import Join, Keeping

WITHIN_SECONDS = 2.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it is so."""
    async with asyncio.timeout(15):
        # Another process has no event to await.
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def has(truth: object) -> bool:
    return bool(truth)


async def test_a_revoked_device_is_refused_and_its_sessions_end_within_two_seconds(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    taken: list[float] = []
    revoked: list[Path] = []
    for number in range(5):
        name = f"EDGB-{number:04}"
        identity = keeping.broker.authority.issue(name)
        session = await join(identity, name)
        other = await join(keeping.broker.authority.issue("EDGB-9999"), "EDGB-9999")
        revoked.append(identity[0])
        keeping.revoke(*revoked, name=name)

        begun = time.perf_counter()
        await keeping.functions.tell(name)
        assert await session.wait_ended() == ADMINISTRATIVE_ACTION
        taken.append(time.perf_counter() - begun)

        with pytest.raises(Refused):
            await join(identity, name)
        await keeping.until_told(f"closed {name} ended")
        assert not other.ended.is_set()
    print(f"revocation to end of session: {', '.join(f'{seconds * 1000:.0f}' for seconds in taken)} ms")
    assert max(taken) < WITHIN_SECONDS


async def test_every_session_of_a_revoked_claim_certificate_ends(keeping: Keeping, join: Join) -> None:
    keeping.functions.access = keeping.functions.access.model_copy(update={"claims": ["fleet", "factory"]})
    await keeping.start()
    identity = keeping.broker.authority.issue("claim-fleet")
    sessions = [await join(identity, client_id) for client_id in ("8f14", "a b/c", "x" * 980)]
    other = await join(keeping.broker.authority.issue("claim-factory"), "9b07")
    keeping.revoke(identity[0], name="claim-fleet")
    keeping.functions.access = keeping.functions.access.model_copy(update={"claims": ["factory"]})

    await keeping.functions.tell("claim-fleet")
    for session in sessions:
        assert await session.wait_ended() == ADMINISTRATIVE_ACTION

    # Its role went before the list was loaded, so it may come back once more.
    await keeping.apply()
    with pytest.raises(Refused):
        await join(identity, "8f14")
    assert not other.ended.is_set()


async def test_the_last_will_of_an_ended_session_is_not_sent(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")
    session = await join(identity, "EDGB-0001", will="$devicehub/devices/EDGB-0001/status")
    keeping.revoke(identity[0])

    await keeping.functions.tell("EDGB-0001")
    await session.wait_ended()
    await keeping.admin.answers()

    assert not keeping.functions.asked_by


async def test_a_revocation_made_while_the_bridge_was_away_is_enforced_when_it_is_back(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")
    await keeping.kill()
    keeping.revoke(identity[0])
    # It comes after it was revoked, and the broker does not know.
    session = await join(identity, "EDGB-0001")

    await keeping.start()

    assert await session.wait_ended() == ADMINISTRATIVE_ACTION
    with pytest.raises(Refused):
        await join(identity, "EDGB-0001")


async def test_a_bridge_that_died_between_writing_and_loading_loads_when_it_is_back(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")
    await keeping.kill()
    keeping.revoke(identity[0])
    (keeping.broker.folder / "crl.pem").write_text(keeping.functions.access.crl_pem)

    await keeping.start()

    with pytest.raises(Refused):
        await join(identity, "EDGB-0001")


async def test_a_change_that_comes_in_the_middle_of_a_reload_is_not_lost(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    revoked: list[Path] = []
    for number in range(10):
        name = f"EDGB-{number:04}"
        identity = keeping.broker.authority.issue(name)
        session = await join(identity, name)
        revoked.append(identity[0])
        keeping.revoke(*revoked, name=name)

        # Somebody else's reload, at every stage of ours.
        keeping.broker.signal(signal.SIGHUP)
        await asyncio.sleep(0.004 * number)
        await keeping.functions.tell(name)
        await session.wait_ended()

        with pytest.raises(Refused):
            await join(identity, name)


async def test_changes_that_come_at_once_are_loaded_together(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    keeping.broker.signal(signal.SIGHUP)
    identities = [keeping.broker.authority.issue(f"EDGB-{number:04}") for number in range(10)]
    sessions = [await join(identity, f"EDGB-{number:04}") for number, identity in enumerate(identities)]
    before = keeping.broker.log.count("Reloading config.")

    for number in range(10):
        name = f"EDGB-{number:04}"
        keeping.revoke(*(identity[0] for identity in identities[: number + 1]), name=name)
        await keeping.functions.tell(name)
    await asyncio.gather(*(session.wait_ended() for session in sessions))

    for number, identity in enumerate(identities):
        with pytest.raises(Refused):
            await join(identity, f"EDGB-{number:04}")
    assert keeping.broker.log.count("Reloading config.") - before <= 3


@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
async def test_a_list_damaged_on_disk_and_loaded_by_somebody_is_put_right_at_once(
    keeping: Keeping, join: Join, damage: str
) -> None:
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")
    keeping.revoke(identity[0])
    await keeping.apply()
    device = await join(keeping.broker.authority.issue("EDGB-0002"), "EDGB-0002")
    file = keeping.broker.folder / "crl.pem"
    rounds = keeping.keeper.to_json()["rounds"]

    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else whole[: len(whole) // 2])
    begun = time.perf_counter()
    keeping.broker.signal(signal.SIGHUP)
    await until(lambda: has(keeping.keeper.to_json()["rounds"] > rounds))
    print(f"put right in {(time.perf_counter() - begun) * 1000:.0f} ms")

    assert file.read_bytes() == whole
    assert keeping.alarms.counts["broker-reload-failed"] >= 1
    with pytest.raises(Refused):
        await join(identity, "EDGB-0001")
    # And the bridge hears and is heard.
    await device.subscribe("$devicehub/devices/EDGB-0002/twin/update/accepted")
    await device.publish("$devicehub/devices/EDGB-0002/twin/get")
    await asyncio.wait_for(device.heard.get(), 5)


async def test_a_key_file_that_the_broker_cannot_load_is_an_alarm_and_the_bridge_goes_on(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    device = await join(keeping.broker.authority.issue("EDGB-0002"), "EDGB-0002")
    await device.subscribe("$devicehub/devices/EDGB-0002/twin/update/accepted")
    key = keeping.broker.folder / "server.pem"
    whole = key.read_text()
    key.write_text("nonsense")
    keeping.broker.signal(signal.SIGHUP)
    await until(lambda: has(keeping.alarms.counts["access-failed"] >= 2))

    async def is_answered() -> bool:
        await device.publish("$devicehub/devices/EDGB-0002/twin/get")
        try:
            await asyncio.wait_for(device.heard.get(), 0.2)
        except TimeoutError:
            return False
        return True

    await until(is_answered)
    key.write_text(whole)
    rounds = keeping.keeper.to_json()["rounds"]
    await keeping.functions.tell()
    await until(lambda: has(keeping.keeper.to_json()["rounds"] > rounds))
    await until(is_answered)


async def test_an_acl_that_was_broken_and_mended_is_loaded_again(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    device = await join(keeping.broker.authority.issue("EDGB-0002"), "EDGB-0002")
    acl = keeping.broker.folder / "acl"
    whole = acl.read_text()
    acl.write_text(f"{whole}\nnonsense\n")
    keeping.broker.signal(signal.SIGHUP)

    async def is_refused() -> bool:
        return await device.publish("$devicehub/devices/EDGB-0002/twin/get") == NOT_AUTHORISED

    await until(is_refused)
    await keeping.functions.tell()
    await until(lambda: has(keeping.alarms.counts["access-failed"]))
    acl.write_text(whole)

    async def is_taken() -> bool:
        return not await is_refused()

    await until(is_taken)


async def test_what_is_no_crl_never_reaches_the_broker(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")
    keeping.revoke(identity[0])
    await keeping.apply()
    good = keeping.functions.access

    keeping.functions.access = good.model_copy(update={"crl_pem": good.crl_pem[:100]})
    await keeping.functions.tell()
    await until(lambda: has(keeping.alarms.counts["access-failed"]))
    with pytest.raises(Refused):
        await join(identity, "EDGB-0001")

    keeping.functions.access = good
    await keeping.apply()
    device = await join(keeping.broker.authority.issue("EDGB-0002"), "EDGB-0002")
    assert await device.publish("$devicehub/devices/EDGB-0002/twin/get") == 0


async def test_who_is_revoked_while_the_broker_cannot_be_signalled_is_denied_everything(
    keeping: Keeping, join: Join
) -> None:
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")
    session = await join(identity, "EDGB-0001")
    pid_file = keeping.broker.folder / "mosquitto.pid"
    pid = pid_file.read_text()
    pid_file.write_text(str(os.getpid()))
    keeping.revoke(identity[0])

    await keeping.functions.tell("EDGB-0001")
    await session.wait_ended()
    again = await join(identity, "EDGB-0001")
    assert await again.publish("$devicehub/devices/EDGB-0001/twin/get") == NOT_AUTHORISED
    assert keeping.alarms.counts["access-failed"] >= 1

    pid_file.write_text(pid)
    await again.wait_ended(15)
    with pytest.raises(Refused):
        await join(identity, "EDGB-0001")


async def test_a_list_of_twenty_thousand_is_loaded_in_time(keeping: Keeping, join: Join) -> None:
    await keeping.start()
    identity = keeping.broker.authority.issue("EDGB-0001")
    session = await join(identity, "EDGB-0001")
    authority = LocalAuthority(*make_root(), SystemClock())
    now = datetime.now(UTC)
    # Another authority's list stands in the same file: the broker must read it all.
    long = await authority.sign_crl(
        ((f"{number + 2**100:x}", now, None) for number in range(20_000)), number=1, next_update=now + timedelta(days=1)
    )
    pem = keeping.sign(identity[0]) + long
    keeping.functions.cut("EDGB-0001", now)
    keeping.functions.access = keeping.functions.access.model_copy(update={"crl_pem": pem})

    begun = time.perf_counter()
    await keeping.functions.tell("EDGB-0001")
    await session.wait_ended()
    seconds = time.perf_counter() - begun

    print(f"revocation to end of session with {len(pem) >> 10} KiB of lists: {seconds * 1000:.0f} ms")
    assert seconds < WITHIN_SECONDS
    assert (keeping.broker.folder / "crl.pem").read_text() == pem
    with pytest.raises(Refused):
        await join(identity, "EDGB-0001")


@pytest.mark.parametrize("content", ["", "0", "-1", "no number", "999999999"])
def test_a_pid_file_that_names_no_process_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)

    with pytest.raises(Unavailable):
        Process(tmp_path / "pid").reload()


def test_a_process_that_is_no_broker_is_not_signalled(tmp_path: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _frame: heard.append(number))
    try:
        (tmp_path / "pid").write_text(str(os.getpid()))
        with pytest.raises(Unavailable, match="no broker"):
            Process(tmp_path / "pid").reload()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not heard


def test_a_missing_pid_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="pid file"):
        Process(tmp_path / "pid").save()
