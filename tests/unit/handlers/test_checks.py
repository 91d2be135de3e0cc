"""Check functions on a hub in memory."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from functions.adapters.authority import LocalAuthority
from functions.adapters.keeping import FileKeeping
from functions.adapters.roots import make_root
from functions.contract.messages import AlarmQuery, Nothing, SessionOpened, Telemetry
from functions.domain.ca import Trusted, trust_alone
from functions.domain.certificates import Certificate, Purpose
from functions.domain.checks import CHECKS
from functions.domain.devices import Device
from functions.domain.enrolment import Enrolment
from functions.domain.sessions import Session
from functions.handlers import alarms, checks, presence, telemetry
from functions.handlers.revoking import renew
from functions.ports import Hub
from functions.testing import START, MemoryHub, SettableClock, call, memory_hub

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def certificate(serial: str, name: str, ends: timedelta, key: str = "ec secp256r1") -> Certificate:
    return Certificate(
        serial, Purpose.DEVICE, name, "f1", START - DAY, START + ends, START - DAY, "staff", "user:anna", "0", "PEM",
        key=key,
    )  # fmt: skip


def fleet(*certificates: Certificate) -> MemoryHub:
    return memory_hub(
        devices={
            one.common_name: Device(one.common_name, START, START, certificate=one.serial) for one in certificates
        },
        certificates={one.serial: one for one in certificates},
        enrolment={"enrolment": Enrolment()},
    )


async def wrong(hub: Hub) -> list[tuple[str, str]]:
    found = await checks.list_(call(Nothing()), hub)
    assert [one.check for one in found.checks] == list(CHECKS)
    assert all(one.is_well is (one.total == 0) and one.total == len(one.findings) for one in found.checks)
    return [(finding.kind, finding.subject) for one in found.checks for finding in one.findings]


async def alarmed(hub: Hub) -> set[tuple[str, str]]:
    page = await alarms.list_(call(AlarmQuery(state="open")), hub)
    return {(one.kind, one.subject) for one in page.alarms}


async def open_session(hub: Hub, name: str, address: str = "192.0.2.7:1") -> None:
    line = SessionOpened(broker="local", client_id=name, common_name=name, address=address, at=hub.clock.now())
    await presence.opened(call(line), hub)


async def test_a_hub_that_is_well_has_no_findings() -> None:
    hub = fleet(certificate("a1", "pump-0001", 365 * DAY))
    await renew(hub)
    await open_session(hub, "pump-0001")
    hub.clock.advance(DAY)

    assert await wrong(hub) == []


async def test_each_check_finds_what_it_is_for() -> None:
    hub = fleet(
        certificate("a1", "pump-0001", 10 * DAY),
        certificate("a2", "pump-0002", -DAY),
        certificate("a3", "pump-0003", 365 * DAY, key="rsa 1024"),
        certificate("a4", "pump-0004", 365 * DAY),
    )
    for number in range(4):
        await open_session(hub, "pump-0004", f"192.0.2.{number}:1")
        hub.clock.advance(20)
    await open_session(hub, "nobody")
    hub.clock.advance(60)
    ahead = Session("pump-0001", "pump-0001", "192.0.2.7:1", hub.clock.now() + timedelta(seconds=30), "far")
    await hub.sessions.create("ahead", ahead)

    assert await wrong(hub) == [
        ("certificate-expiring", "pump-0002"),
        ("certificate-expiring", "pump-0001"),
        ("weak-key", "pump-0003"),
        ("crl-age", ""),
        ("session-without-certificate", "nobody"),
        ("client-id-clash", "pump-0004"),
        ("clock-skew", "the broker 'far'"),
    ]


async def test_the_authority_that_was_decided_on_is_looked_at_by_who_has_no_key(tmp_path: Path) -> None:
    hub = fleet(certificate("a1", "pump-0001", 365 * DAY))
    await renew(hub)
    short = make_root(days=20, now=START)[0]
    trusted = Trusted("f1", short)
    kept = await hub.trust.get("trust")
    assert kept is not None
    await hub.trust.replace("trust", trust_alone(trusted, at=START, by="user:anna"), expect=kept.revision)
    # As in the process of the index: it signs nothing, and may not even be given the passphrase.
    elsewhere = FileKeeping(tmp_path / "root.crt", tmp_path / "root.key")
    index = replace(hub, authority=LocalAuthority.kept(elsewhere, hub.clock))

    ((kind, subject),) = await wrong(index)

    assert kind == "authority-expiring"
    assert subject in x509.load_pem_x509_certificate(short.encode()).subject.rfc4514_string()


async def test_a_certificate_that_the_broker_shows_no_more_may_end() -> None:
    old = replace(certificate("b1", "hub-broker", 10 * DAY), purpose=Purpose.SERVER)
    new = replace(old, serial="b2", issued_at=START, not_after=START + 365 * DAY)
    hub = memory_hub(certificates={"b1": old})
    await renew(hub)
    assert await wrong(hub) == [("certificate-expiring", "hub-broker")]

    await hub.certificates.create("b2", new)

    assert await wrong(hub) == []


async def test_alarms_open_by_what_is_found_and_close_when_it_is_gone() -> None:
    hub = fleet(certificate("a1", "pump-0001", 10 * DAY), certificate("a2", "pump-0002", 365 * DAY))
    await checks.watch(hub)
    assert await alarmed(hub) == {("certificate-expiring", "pump-0001")}

    renewed = certificate("a3", "pump-0001", 365 * DAY)
    await hub.certificates.create("a3", renewed)
    kept = await hub.devices.get("pump-0001")
    assert kept is not None
    await hub.devices.replace("pump-0001", Device("pump-0001", START, START, certificate="a3"), expect=kept.revision)
    hub.clock.advance(checks.WATCH_EVERY)
    await checks.watch(hub)

    assert await alarmed(hub) == set()


async def test_of_several_processes_one_looks_every_five_minutes() -> None:
    hub = fleet(certificate("a1", "pump-0001", 10 * DAY))
    await checks.watch(hub)
    kept = await hub.alarms.get(next(iter(await ids(hub))))
    assert kept is not None
    await hub.alarms.remove(next(iter(await ids(hub))), expect=kept.revision)

    hub.clock.advance(checks.WATCH_EVERY - timedelta(seconds=1))
    await checks.watch(hub)
    assert await alarmed(hub) == set()
    hub.clock.advance(1)
    await checks.watch(hub)
    assert await alarmed(hub) == {("certificate-expiring", "pump-0001")}


async def ids(hub: Hub) -> list[str]:
    return [key async for key, _ in hub.alarms.entries()]


async def test_very_many_findings_are_counted_and_a_hundred_shown() -> None:
    hub = fleet(*(certificate(f"a{n:x}", f"pump-{n:04}", 10 * DAY) for n in range(150)))

    (found, *_) = (await checks.list_(call(Nothing()), hub)).checks

    assert (found.total, len(found.findings), found.is_well) == (150, 100, False)


async def test_a_clock_of_the_storage_that_is_off_is_found() -> None:
    hub = fleet()

    # The stores of a hub in memory go by the clock that they were made with.
    behind: dict[str, Any] = {"clock": SettableClock(START - timedelta(seconds=10))}

    assert ("clock-skew", "the NATS server") in await wrong(replace(hub, **behind))


async def test_a_device_whose_time_lies_ahead_is_told_of() -> None:
    hub = fleet(certificate("a1", "pump-0001", 365 * DAY))
    for seconds in (-3600, 0, 59, 61, 61):
        at = hub.clock.now() + timedelta(seconds=seconds)
        body = Telemetry.model_validate({"timestamp": at.isoformat(), "temp": 1})
        await telemetry.telemetry(call(body, caller="device:pump-0001", names=("pump-0001",)), hub)

    assert await alarmed(hub) == {("device-clock-ahead", "pump-0001")}
    assert len(hub.streams.appended) == 5
