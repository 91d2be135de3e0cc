"""What workers do of themselves, with a clock that is moved: above all, that the revocation list never grows old."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import structlog
from cryptography import x509

from functions.adapters.authority import LocalAuthority
from functions.adapters.roots import make_root
from functions.chores import CHORES, do_chores
from functions.contract.messages import Nothing
from functions.domain.alarms import Alarm, AlarmState, Severity
from functions.domain.certificates import CRL_LIFETIME
from functions.domain.faults import Unavailable
from functions.handlers import access
from functions.testing import START, MemoryHub, SettableClock, call, collect, memory_hub
from tests.unit.handlers.onboarding import create_device

WEEK = timedelta(days=7)


class Over(Exception):
    """Enough rounds were made."""


async def rounds(hub: MemoryHub, number: int, between: Callable[[], Awaitable[None]]) -> None:
    """Let the real loop make so many rounds, with something else instead of sleeping between them."""
    left = number

    async def sleep(seconds: float) -> None:
        nonlocal left
        assert 30 <= seconds <= 90
        left -= 1
        if left == 0:
            raise Over
        await between()

    with pytest.raises(Over):
        await do_chores(hub, CHORES, 60, sleep)


async def crl(hub: MemoryHub) -> x509.CertificateRevocationList:
    kept = await hub.revocations.get("crl")
    assert kept is not None
    return x509.load_pem_x509_crl(kept.value.crl_pem.encode())


def end_of(found: x509.CertificateRevocationList) -> datetime:
    assert found.next_update_utc is not None
    return found.next_update_utc


@pytest.mark.parametrize("step", [timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), WEEK])
async def test_a_list_that_nobody_touches_for_a_year_never_comes_into_its_last_third(step: timedelta) -> None:
    hub = memory_hub()
    least = CRL_LIFETIME

    async def later() -> None:
        nonlocal least
        least = min(least, end_of(await crl(hub)) - hub.clock.now())
        hub.clock.advance(step)
        least = min(least, end_of(await crl(hub)) - hub.clock.now())

    span = timedelta(days=365) if step >= timedelta(hours=1) else timedelta(days=3)
    await rounds(hub, span // step + 2, later)

    assert hub.clock.now() - START >= span
    assert least > CRL_LIFETIME / 3
    # By the timer alone, and no oftener than once a day.
    kept = await hub.revocations.get("crl")
    assert kept is not None
    assert kept.value.number <= span / max(step, timedelta(days=1)) + 2


async def test_a_hub_that_stood_still_for_weeks_renews_at_once() -> None:
    hub = memory_hub()
    await rounds(hub, 1, _nothing)
    hub.clock.advance(timedelta(days=29))

    await rounds(hub, 1, _nothing)

    assert end_of(await crl(hub)) == hub.clock.now() + CRL_LIFETIME
    assert hub.events.on("devicehub.broker.access.changed")


async def test_what_cannot_be_signed_now_is_told_and_tried_again() -> None:
    hub = memory_hub()
    ill = memory_hub(clock=hub.clock, authority=Failing(*make_root(), hub.clock))
    with structlog.testing.capture_logs() as logs:
        await rounds(ill, 3, _nothing)

    told = [line for line in logs if line["event"] == "chore put off"]
    assert [line["chore"] for line in told] == ["keep_fresh"] * 3


async def test_what_nobody_foresaw_ends_no_timer() -> None:
    hub = memory_hub()
    ill = replace(hub, authority=Broken(*make_root(), hub.clock))
    with structlog.testing.capture_logs() as logs:
        await rounds(ill, 3, _nothing)

    told = [(line["log_level"], line["chore"]) for line in logs if line["event"] == "chore failed"]
    # The renewal of the list comes after it, and was made.
    assert told == [("error", "finish_replacement")] * 3
    assert await hub.revocations.get("crl") is not None


async def test_an_alarm_is_open_from_when_a_renewal_was_missed_until_it_is_made() -> None:
    hub, ill = well_and_ill()
    await rounds(hub, 1, _nothing)

    hub.clock.advance(timedelta(days=1, hours=23))
    await rounds(ill, 1, _nothing)
    assert await alarms(hub) == []
    hub.clock.advance(timedelta(hours=1))
    await rounds(ill, 3, _nothing)
    (alarm,) = await alarms(hub)
    assert (alarm.kind, alarm.severity, alarm.state) == ("crl-age", Severity.CRITICAL, AlarmState.OPEN)
    assert "good until 2035-01-31 12:00 UTC" in alarm.detail
    # Four weeks are left to mend it.
    assert end_of(await crl(hub)) - hub.clock.now() == timedelta(days=28)

    await rounds(hub, 1, _nothing)
    (alarm,) = await alarms(hub)
    assert alarm.state is AlarmState.CLOSED


async def test_an_alarm_is_open_too_where_nobody_foresaw_why_the_list_cannot_be_made() -> None:
    hub = memory_hub()

    class Unreadable(LocalAuthority):
        async def sign_crl(self, *_: object, **__: object) -> str:
            raise ValueError

    await rounds(replace(hub, authority=Unreadable(*make_root(), hub.clock)), 1, _nothing)

    (alarm,) = await alarms(hub)
    assert (alarm.kind, alarm.state) == ("crl-age", AlarmState.OPEN)
    assert alarm.detail == "It is never made: the functions' log has why."


async def test_an_alarm_closes_also_when_the_keeper_had_the_list_renewed() -> None:
    hub, ill = well_and_ill()
    await rounds(ill, 1, _nothing)
    (alarm,) = await alarms(hub)
    assert "never made" in alarm.detail

    await access.read(call(Nothing(), caller="system:bridge"), hub)
    await rounds(hub, 1, _nothing)

    assert [alarm.state for alarm in await alarms(hub)] == [AlarmState.CLOSED]


async def test_the_timer_writes_nothing_where_nothing_is_due() -> None:
    hub = memory_hub()
    await create_device(hub, "pump-7")
    await rounds(hub, 1, _nothing)
    before = await hub.revocations.get("crl")

    await rounds(hub, 3, _nothing)

    assert await hub.revocations.get("crl") == before


async def alarms(hub: MemoryHub) -> list[Alarm]:
    return [kept.value for kept in (await collect(hub.alarms.entries())).values()]


async def _nothing() -> None:
    return


def well_and_ill() -> tuple[MemoryHub, MemoryHub]:
    """A hub, and the same with a CA that signs no list now."""
    clock, root = SettableClock(), make_root()
    hub = memory_hub(clock=clock, authority=LocalAuthority(*root, clock))
    return hub, replace(hub, authority=Failing(*root, clock))


class Failing(LocalAuthority):
    """A CA that signs no list now."""

    async def sign_crl(self, *_: object, **__: object) -> str:
        raise Unavailable


class Broken(LocalAuthority):
    """A CA whose disk does what nobody foresaw."""

    async def tidy(self) -> None:
        raise PermissionError
