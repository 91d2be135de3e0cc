"""Records that cannot be read: they stop nobody else, hold themselves, and a person is told until they are mended."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from tinydb import TinyDB
from tinydb.storages import MemoryStorage

from functions.adapters.codec import Codec
from functions.adapters.tinydb_store import TinyStore
from functions.contract.messages import AlarmQuery, CertificateRevoke, Nothing
from functions.domain.certificates import Certificate, Purpose, RevocationReason
from functions.domain.devices import Device, Lifecycle, Suspension
from functions.domain.enrolment import ClaimCertificate
from functions.domain.marks import Mark, Revoked
from functions.handlers import access, alarms, register, suspending
from functions.handlers.revoking import renew, revoke, spread
from functions.testing import START, MemoryHub, call, memory_hub

DAY = timedelta(days=1)
BAD, GOOD = "ab12", "cd34"
ALARM = "record-unreadable"


@dataclass(frozen=True)
class Rig:
    """A hub, and the places of two of its stores as another type would be kept there."""

    hub: MemoryHub
    revoked: TinyStore[Mark]
    claims: TinyStore[Mark]
    suspensions: TinyStore[Mark]


def certificate(serial: str, name: str, revoked: timedelta | None = None) -> Certificate:
    made = Certificate(
        serial, Purpose.DEVICE, name, "f1", START - DAY, START + 9 * DAY, START - DAY, "staff", "user:anna", "0", "PEM"
    )
    if revoked is None:
        return made
    return replace(made, revoked_at=START - revoked, revocation_reason=RevocationReason.KEY_COMPROMISE)


@pytest.fixture
def rig() -> Rig:
    hub = memory_hub(
        devices={name: Device(name, START, START, certificate=serial) for name, serial in (("a", BAD), ("b", GOOD))},
        certificates={BAD: certificate(BAD, "a", DAY), GOOD: certificate(GOOD, "b")},
    )
    database = TinyDB(storage=MemoryStorage)
    tables = [database.table(name, cache_size=0) for name in ("revoked", "claims", "suspensions")]
    hub = replace(
        hub,
        revoked=TinyStore(tables[0], Codec(Revoked), hub.clock),
        claim_certificates=TinyStore(tables[1], Codec(ClaimCertificate), hub.clock),
        suspensions=TinyStore(tables[2], Codec(Suspension), hub.clock),
    )
    return Rig(hub, *(TinyStore(table, Codec(Mark), hub.clock) for table in tables))


async def listed(hub: MemoryHub) -> dict[str, datetime]:
    revocations, _ = await renew(hub)
    crl = x509.load_pem_x509_crl(revocations.crl_pem.encode())
    return {f"{one.serial_number:x}": one.revocation_date_utc for one in crl}


async def alarmed(hub: MemoryHub) -> dict[str, str]:
    page = await alarms.list_(call(AlarmQuery(state="open")), hub)
    return {one.subject: one.text for one in page.alarms if one.kind == ALARM}


async def test_one_bad_record_stops_no_other_and_stays_on_the_list_itself(rig: Rig) -> None:
    await rig.revoked.create(BAD, Mark(START))

    assert await revoke(rig.hub, "b", [GOOD]) == [GOOD]
    await spread(rig.hub, ["b"])

    assert await listed(rig.hub) == {BAD: START - DAY, GOOD: START}
    state = await access.read(call(Nothing()), rig.hub)
    assert [(cut.common_name, cut.at) for cut in state.cut] == [("a", START - DAY), ("b", START)]
    assert BAD in (await alarmed(rig.hub))["revocations"]


async def test_of_a_bad_record_that_nobody_knows_more_of_the_serial_stays_on_the_list(rig: Rig) -> None:
    await rig.revoked.create("ef56", Mark(START))

    state = await access.read(call(Nothing()), rig.hub)
    rig.hub.clock.advance(20 * 365 * DAY)

    assert "ef56" in await listed(rig.hub)
    assert state.cut == []


@pytest.mark.parametrize("key", ["no-serial", "0", "f" * 40])
async def test_a_key_that_no_list_can_have_is_told_and_left_out(rig: Rig, key: str) -> None:
    await rig.hub.revoked.create(key, Revoked("a", START, START + DAY))
    await rig.hub.revoked.create(GOOD, Revoked("b", START, START + DAY))

    assert await listed(rig.hub) == {GOOD: START}
    assert list(await alarmed(rig.hub)) == ["revocations"]


@pytest.mark.parametrize("at", [datetime(2034, 1, 1), datetime(1949, 1, 1, tzinfo=START.tzinfo)])
async def test_times_that_no_list_can_have_are_those_that_the_register_has(rig: Rig, at: datetime) -> None:
    await rig.hub.revoked.create(BAD, Revoked("a", at, START + DAY))

    assert await listed(rig.hub) == {BAD: START - DAY}
    assert list(await alarmed(rig.hub)) == ["revocations"]


async def test_the_alarm_is_open_until_the_record_is_written_anew(rig: Rig) -> None:
    await rig.revoked.create(BAD, Mark(START))
    for _ in range(3):
        rig.hub.clock.advance(DAY)
        await access.read(call(Nothing()), rig.hub)
        assert list(await alarmed(rig.hub)) == ["revocations"]

    told = await register.revoke(call(CertificateRevoke(), names=(BAD,)), rig.hub)

    assert (told.revoked_at, told.reason) == (START - DAY, "keyCompromise")
    assert await alarmed(rig.hub) == {}
    kept = await rig.hub.revoked.get(BAD)
    assert kept is not None
    assert kept.value == Revoked("a", START - DAY, START + 9 * DAY, RevocationReason.KEY_COMPROMISE)
    assert [entry.action for entry in rig.hub.audit.written] == ["certificate.revoked"]


async def test_a_removed_record_closes_the_alarm_too(rig: Rig) -> None:
    revision = await rig.revoked.create(BAD, Mark(START))
    await access.read(call(Nothing()), rig.hub)
    assert list(await alarmed(rig.hub)) == ["revocations"]

    await rig.revoked.remove(BAD, expect=revision)
    await access.read(call(Nothing()), rig.hub)

    assert await alarmed(rig.hub) == {}


async def test_very_many_bad_records_are_all_on_the_list(rig: Rig) -> None:
    for number in range(1, 301):
        await rig.revoked.create(f"{number:x}", Mark(START))

    assert len(await listed(rig.hub)) == 300
    assert "and 295 more" in (await alarmed(rig.hub))["revocations"]


async def test_a_bad_claim_is_left_out_and_a_bad_suspension_holds(rig: Rig) -> None:
    await rig.hub.claim_certificates.create("good", ClaimCertificate("good", "77", START, START + DAY))
    await rig.claims.create("bad", Mark(START))
    await rig.suspensions.create("pump-0001", Mark(START))

    state = await access.read(call(Nothing()), rig.hub)

    assert (state.claims, state.suspended) == (["good"], ["pump-0001"])
    assert list(await alarmed(rig.hub)) == ["claim certificates", "suspensions"]


@pytest.mark.parametrize(
    ("lifecycle", "denied"), [(Lifecycle.SUSPENDED, ["a"]), (Lifecycle.ACTIVE, []), (Lifecycle.RETIRED, [])]
)
async def test_a_suspension_that_cannot_be_read_is_mended_by_the_devices_record(
    rig: Rig, lifecycle: Lifecycle, denied: list[str]
) -> None:
    hub = rig.hub
    device = await hub.devices.get("a")
    assert device is not None
    await hub.devices.replace("a", replace(device.value, lifecycle=lifecycle), expect=device.revision)
    await hub.suspensions.create("b", Suspension(START, "user:anna", holds=True))
    await rig.suspensions.create("a", Mark(START))
    # No call can be at work on either any more.
    hub.clock.advance(timedelta(minutes=2))
    assert (await access.read(call(Nothing()), hub)).suspended == ["a", "b"]

    await suspending.finish_suspensions(hub)

    # Device b takes part, and so nothing is left of its entry; nobody had to suffer from that of a.
    assert (await access.read(call(Nothing()), hub)).suspended == denied
    (alarm,) = (await alarms.list_(call(AlarmQuery(kind=ALARM)), hub)).alarms
    assert alarm.state == "closed"
    if lifecycle is Lifecycle.SUSPENDED:
        await suspending.resume(call(Nothing(), names=("a",)), hub)
        assert (await access.read(call(Nothing()), hub)).suspended == []


async def test_what_nothing_readable_is_known_of_stays_suspended(rig: Rig) -> None:
    table = TinyDB(storage=MemoryStorage).table("devices", cache_size=0)
    hub = replace(rig.hub, devices=TinyStore(table, Codec(Device), rig.hub.clock))
    await TinyStore(table, Codec(Mark), hub.clock).create("a", Mark(START))
    await rig.suspensions.create("a", Mark(START))
    hub.clock.advance(timedelta(minutes=2))

    await suspending.finish_suspensions(hub)

    assert (await access.read(call(Nothing()), hub)).suspended == ["a"]
