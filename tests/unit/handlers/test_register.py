"""The register as operators see it, the revocation of one certificate, and the list of the revoked."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from functions.contract.messages import (
    AccessChanged,
    CertificateDetail,
    CertificateQuery,
    CertificateRevoke,
    CertificateRevoked,
    CertificateView,
    ClaimCreate,
    Nothing,
    Provisioned,
)
from functions.domain.certificates import Certificate, Purpose
from functions.domain.devices import Lifecycle
from functions.domain.faults import Conflict, Denied, Malformed, NotFound, Unavailable
from functions.handlers import claims, register
from functions.handlers.provisioning import finish_claims
from functions.ports import Hub
from functions.testing import START, MemoryHub, call, memory_hub
from tests.unit.handlers.onboarding import (
    ACCESS_CHANGED,
    NAME,
    Outage,
    Shuffle,
    certificate,
    create_device,
    create_from_csr,
    csr,
    device,
    is_revoked,
    join,
    listed,
    meddled,
    new_csr,
    open_hub,
    provision,
    serial_of,
)

ID = "pump-7"


async def query(hub: Hub, **asked: Any) -> list[CertificateView]:
    page = await register.query(call(CertificateQuery(**asked)), hub)
    assert page.total == len(page.certificates)
    return page.certificates


async def serials(hub: Hub, **asked: Any) -> list[str]:
    return [shown.serial for shown in await query(hub, **asked)]


async def read(hub: Hub, serial: str) -> CertificateDetail:
    return await register.read(call(Nothing(), names=(serial,)), hub)


async def revoke(hub: Hub, serial: str, **body: Any) -> CertificateRevoked:
    return await register.revoke(call(CertificateRevoke(**body), names=(serial,)), hub)


async def create_claim(hub: Hub, name: str) -> str:
    made = await claims.create(call(ClaimCreate(name=name, csr_pem=new_csr(name)), caller="user:anna"), hub)
    return made.serial


async def crl(hub: Hub) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl((await register.read_crl(call(Nothing()), hub)).pem.encode())


# --- What is in it ---------------------------------------------------------------------


async def test_every_gate_has_its_name_in_it() -> None:
    hub = open_hub()
    await create_claim(hub, "factory")
    await create_device(hub, ID)
    await create_from_csr(hub, csr("pump-8"))
    await provision(hub, "pump-9", csr_pem=csr("pump-9"))
    await join(hub)

    found = {(shown.gate, shown.kind, shown.subject, shown.issued_to) for shown in await query(hub)}

    assert found == {
        ("claim", "claim", "claim-factory", "user:anna"),
        ("staff", "device", ID, "user:anna"),
        ("create-from-csr", "device", "pump-8", "claim:fleet"),
        ("one-round", "device", "pump-9", "claim:fleet"),
        ("two-rounds", "device", NAME, "claim:fleet"),
    }
    assert {shown.subject for shown in await query(hub, gate="two-rounds")} == {NAME}


async def test_one_has_all_that_the_list_has_and_itself() -> None:
    hub = open_hub()
    serial = serial_of(await create_device(hub, ID))

    shown = await read(hub, serial.upper())

    (in_list,) = await query(hub)
    assert shown.model_dump(exclude={"pem"}) == in_list.model_dump()
    assert f"{x509.load_pem_x509_certificate(shown.pem.encode()).serial_number:x}" == serial
    assert b"pem" not in (await register.query(call(CertificateQuery()), hub)).encode()


async def test_what_it_does_not_have_is_told() -> None:
    for deed in (read, revoke):
        with pytest.raises(NotFound, match="abcd"):
            await deed(memory_hub(), "ABCD")
        with pytest.raises(Malformed):
            await deed(memory_hub(), "nothing")


async def test_a_wrong_field_to_sort_by_is_refused_with_those_there_are() -> None:
    with pytest.raises(Malformed, match="Certificates can be sorted by serial, subject"):
        await query(memory_hub(), sort="state")


async def test_states_are_the_same_in_list_and_record_all_along() -> None:
    hub = open_hub()
    first = serial_of(await join(hub, request=csr(NAME)))
    hub.clock.advance(60)
    second = serial_of(await join(hub))

    async def states() -> tuple[str, str]:
        told = {shown.serial: shown.state for shown in await query(hub)}
        for serial in (first, second):
            assert (await read(hub, serial)).state == told[serial]
            assert serial in await serials(hub, state=told[serial])
        return told[first], told[second]

    assert await states() == ("superseded", "active")
    hub.clock.advance(timedelta(minutes=15))
    await finish_claims(hub)
    assert await states() == ("revoked", "active")
    assert (await read(hub, first)).reason == "superseded"
    hub.clock.advance(timedelta(days=20 * 365))
    assert await states() == ("revoked", "expired")


async def test_what_ends_soon_is_found_whatever_zone_is_meant() -> None:
    hub = memory_hub()
    soon = serial_of(await create_device(hub, ID, days=30))
    await create_device(hub, "pump-8", days=90)

    end = START + timedelta(days=30)
    assert await serials(hub, expires_before=end + timedelta(seconds=1), sort="notAfter") == [soon]
    assert await serials(hub, expires_before=end.replace(tzinfo=None)) == []
    assert soon not in await serials(hub, expires_after=end)


async def test_a_record_of_an_earlier_version_is_listed_as_it_is() -> None:
    old = Certificate("ab", Purpose.DEVICE, ID, "cd", START, START, START, "provision", "claim:first", "ef", "PEM\n")
    hub = memory_hub(certificates={"ab": old})

    assert [(shown.gate, shown.reason) for shown in await query(hub, gate="provision")] == [("provision", None)]


# --- Revoking one ------------------------------------------------------------------------


async def test_the_certificate_of_a_device_takes_the_device_with_it() -> None:
    hub = open_hub()
    await create_device(hub, "pump-8")
    serial = serial_of(await create_device(hub, ID))
    hub.clock.advance(60)

    told = await revoke(hub, serial, reason="keyCompromise")

    assert (told.consequence, told.reason, told.revoked_at) == ("device_retired", "keyCompromise", hub.clock.now())
    assert "retired" in told.message
    assert ID in told.message
    assert (await device(hub, ID)).lifecycle is Lifecycle.RETIRED
    assert (await device(hub, "pump-8")).lifecycle is Lifecycle.ACTIVE
    assert await listed(hub) == {serial}
    assert hub.events.on(ACCESS_CHANGED)[-1] == AccessChanged(end=[ID])
    assert await serials(hub, state="revoked") == [serial]
    (entry,) = await crl(hub)
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise


async def test_what_a_claim_gave_the_device_meanwhile_goes_with_it() -> None:
    hub = open_hub()
    first = serial_of(await join(hub, request=csr(NAME)))
    hub.clock.advance(60)
    second = serial_of(await join(hub))

    assert (await revoke(hub, second)).consequence == "device_retired"

    assert await is_revoked(hub, first)
    assert await listed(hub) == {first, second}


async def test_a_superseded_certificate_leaves_the_device() -> None:
    hub = open_hub()
    first = serial_of(await join(hub, request=csr(NAME)))
    hub.clock.advance(60)
    second = serial_of(await join(hub))

    told = await revoke(hub, first)

    assert (told.consequence, told.reason) == ("device_stays", None)
    assert (await device(hub)).lifecycle is Lifecycle.ACTIVE
    assert await listed(hub) == {first}
    assert not await is_revoked(hub, second)
    assert hub.events.on(ACCESS_CHANGED)[-1] == AccessChanged(end=[NAME])


async def test_a_claim_certificate_closes_its_claim() -> None:
    hub = open_hub()
    first = await create_claim(hub, "factory")

    assert (await revoke(hub, first)).consequence == "claim_closed"

    kept = await hub.claim_certificates.get("factory")
    assert kept is not None
    assert kept.value.revoked_at == START
    assert hub.events.on(ACCESS_CHANGED)[-1] == AccessChanged(end=["claim-factory"])
    await create_claim(hub, "factory")
    assert (await revoke(hub, first)).consequence == "nothing_else"


async def test_a_repeat_answers_the_same_and_keeps_the_first_reason() -> None:
    hub = open_hub()
    serial = serial_of(await create_device(hub, ID))
    first = await revoke(hub, serial, reason="privilegeWithdrawn")
    hub.clock.advance(60)
    number = (await register.read_crl(call(Nothing()), hub)).number

    assert await revoke(hub, serial, reason="keyCompromise") == first
    assert await revoke(hub, serial) == first
    assert (await register.read_crl(call(Nothing()), hub)).number == number


async def test_cut_short_at_any_write_it_is_done_by_the_repeat() -> None:
    for writes in range(1, 12):
        hub = open_hub()
        serial = serial_of(await create_device(hub, ID))
        outage = Outage(writes, last_is_done=bool(writes % 2))
        with suppress(Unavailable):
            await revoke(meddled(hub, outage), serial)
        hub.clock.advance(1)

        assert (await revoke(hub, serial)).consequence == "device_retired"

        assert await is_revoked(hub, serial)
        assert await listed(hub) == {serial}
        if outage.left:
            return
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("seed", range(12))
async def test_of_a_revocation_and_a_joining_that_meet_no_revoked_certificate_stays_a_devices(seed: int) -> None:
    hub = open_hub()
    first = serial_of(await join(hub, request=csr(NAME)))
    hub.clock.advance(60)
    busy = meddled(hub, Shuffle(seed))

    joined, *revoked = await asyncio.gather(
        join(busy), revoke(busy, first), revoke(busy, first), return_exceptions=True
    )

    for told in revoked:
        assert isinstance(told, CertificateRevoked | Unavailable), told
    assert isinstance(joined, Provisioned | Unavailable | Denied | Conflict), joined
    # Whatever was cut short by the other is done by whoever comes next.
    assert (await revoke(hub, first)).serial == first
    record = await device(hub)
    assert await listed(hub) >= {first}
    assert await is_revoked(hub, first)
    assert record.certificate is not None
    if await is_revoked(hub, record.certificate):
        assert record.lifecycle is Lifecycle.RETIRED
    if isinstance(joined, Provisioned) and record.lifecycle is Lifecycle.ACTIVE:
        assert record.certificate == serial_of(joined)


async def test_a_revocation_is_written_down_once() -> None:
    hub = open_hub()
    serial = serial_of(await create_device(hub, ID))
    before = len(hub.audit.written)

    await revoke(hub, serial, reason="keyCompromise")
    await revoke(hub, serial)

    (entry,) = hub.audit.written[before:]
    assert (entry.action, entry.target) == ("certificate.revoked", serial)
    assert entry.after == {
        "subject": ID,
        "revoked": [serial],
        "reason": "keyCompromise",
        "consequence": "device_retired",
    }


# --- The list ------------------------------------------------------------------------------


async def test_the_first_reader_gets_a_list_and_the_next_the_same() -> None:
    hub = memory_hub()
    first = await register.read_crl(call(Nothing()), hub)
    hub.clock.advance(timedelta(days=3))

    assert await register.read_crl(call(Nothing()), hub) == first
    assert (first.number, first.this_update, first.next_update) == (1, START, START + timedelta(days=30))
    assert len(await crl(hub)) == 0


async def test_a_reader_sees_what_was_revoked_just_now() -> None:
    hub: MemoryHub = memory_hub()
    await register.read_crl(call(Nothing()), hub)
    serial = serial_of(await create_device(hub, ID))
    assert (await certificate(hub, serial)).revoked_at is None

    await revoke(hub, serial)

    assert [f"{entry.serial_number:x}" for entry in await crl(hub)] == [serial]
