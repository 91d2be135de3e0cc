"""create-from-csr, and what operators do with devices' certificates."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from functions.contract.messages import AccessChanged, DeviceRevoke, Nothing
from functions.domain.certificates import Purpose
from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import ClaimCertificate, Enrolment, Whitelisted
from functions.domain.faults import Conflict, Denied, Fault, Malformed, NotFound, Reason
from functions.handlers import access, records
from functions.handlers.provisioning import finish_claims
from functions.testing import START, MemoryHub, call, collect, memory_hub
from tests.unit.handlers.onboarding import (
    ACCESS_CHANGED,
    NAME,
    UUID,
    certificate,
    claim_hub,
    create_device,
    create_from_csr,
    csr,
    device,
    is_revoked,
    join,
    listed,
    new_csr,
    open_hub,
    provision,
    registered,
    serial_of,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "certificates"
ID = "pump-7"
SECOND_UUID = "9205ffff-1111-4111-8111-111111111111"


async def refusal(hub: MemoryHub, request: str, **body: Any) -> Fault:
    with pytest.raises(Fault) as raised:
        await create_from_csr(hub, request, **body)
    return raised.value


async def refused_create(hub: MemoryHub, name: str, request: str) -> Fault:
    with pytest.raises(Fault) as raised:
        await create_device(hub, name, request)
    return raised.value


async def revoke(hub: MemoryHub, name: str = ID) -> None:
    await records.revoke(call(DeviceRevoke(), caller="user:anna", names=(name,)), hub)


# --- create-from-csr ------------------------------------------------------------------


async def test_a_csr_gets_the_certificate_of_its_common_name() -> None:
    hub = open_hub()

    answer = await create_from_csr(hub, csr(ID), request_id="r1", meta={"a": 1}, uuid=UUID)

    assert (answer.device_id, answer.request_id, answer.certificate_id) == (ID, "r1", serial_of(answer))
    assert answer.ca_chain_pem == hub.authority.chain_pem
    record = await device(hub, ID)
    assert (record.certificate, record.metadata, record.uuid_hash) == (
        answer.certificate_id,
        {"a": 1},
        hub.hasher.hash(UUID),
    )
    kept = await certificate(hub, answer.certificate_id)
    assert (kept.purpose, kept.gate, kept.issued_to, kept.not_after) == (
        Purpose.DEVICE,
        "create-from-csr",
        "claim:fleet",
        answer.expires_at,
    )


async def test_a_request_without_an_id_is_answered_with_none() -> None:
    assert b'"requestId":null' in (await create_from_csr(open_hub(), csr(ID))).encode()


async def test_the_same_csr_gets_the_same_certificate_and_its_own_request_id() -> None:
    hub = open_hub()
    first = await create_from_csr(hub, csr(ID), request_id="r1")
    await hub.enrolment.replace("enrolment", Enrolment(), expect=1)

    second = await create_from_csr(hub, csr(ID), request_id="r2")

    assert (second.request_id, second.cert_pem) == ("r2", first.cert_pem)
    assert len(await registered(hub)) == 1


@pytest.mark.parametrize("name", ["slash-in-cn", "nul-in-cn"])
async def test_a_common_name_that_can_be_no_device_id_is_refused(name: str) -> None:
    fault = await refusal(open_hub(), (VECTORS / f"{name}.csr").read_text())

    assert (type(fault), fault.reason) == (Malformed, Reason.CN_MISMATCH)


@pytest.mark.parametrize("name", ["claim-fleet", "HUB-1", "abc", "*", ">", "+", "#", "a.b.c", "a b c", "@bridge"])
async def test_a_common_name_with_tricks_is_refused(name: str) -> None:
    hub = open_hub()

    assert (await refusal(hub, new_csr(name))).reason is Reason.CN_MISMATCH
    assert await registered(hub) == {}


@pytest.mark.parametrize("name", ["spoilt", "rsa1024", "p521", "sha1", "ca-true", "no-cn", "two-cns"])
async def test_a_bad_csr_is_refused_before_any_gate(name: str) -> None:
    fault = await refusal(memory_hub(), (VECTORS / f"{name}.csr").read_text())

    assert (type(fault), fault.reason) == (Malformed, Reason.BAD_CSR)


async def test_a_bad_uuid_or_too_much_metadata_is_refused() -> None:
    assert (await refusal(open_hub(), csr(ID), uuid="a b")).reason is Reason.BAD_REQUEST
    assert (await refusal(open_hub(), csr(ID), meta={"a": "x" * 5_000})).reason is Reason.BAD_REQUEST


async def test_the_gates_hold_here_too() -> None:
    enforced = Enrolment(is_open=True, whitelist_enforced=True)
    key = memory_hub().hasher.hash(UUID)

    assert (await refusal(claim_hub(), csr(ID))).reason is Reason.ENROLMENT_CLOSED
    hub = claim_hub(enrolment={"enrolment": enforced}, whitelist={key: Whitelisted(key, "ab1e", START)})
    for body in ({}, {"uuid": SECOND_UUID}):
        assert (await refusal(hub, csr(ID), **body)).reason is Reason.UUID_NOT_WHITELISTED
    assert (await create_from_csr(hub, csr(ID), uuid=UUID)).device_id == ID
    revoked = ClaimCertificate("fleet", "ab", START, START + timedelta(days=9), revoked_at=START)
    assert type(await refusal(open_hub(claim_certificates={"fleet": revoked}), csr(ID))) is Denied


async def test_an_existing_device_is_given_only_to_its_uuid() -> None:
    hub = open_hub()
    first = await create_from_csr(hub, csr(ID), uuid=UUID)

    for body in ({}, {"uuid": SECOND_UUID}):
        assert (await refusal(hub, new_csr(ID), **body)).reason is Reason.DEVICE_EXISTS
    second = await create_from_csr(hub, new_csr(ID), uuid=UUID)

    assert (await device(hub, ID)).certificate == second.certificate_id != first.certificate_id
    hub.clock.advance(timedelta(minutes=15))
    await finish_claims(hub)
    assert await is_revoked(hub, first.certificate_id)


# --- Operators -------------------------------------------------------------------------


async def test_an_operator_registers_a_device_although_enrolment_is_closed() -> None:
    hub = memory_hub()

    issued = await create_device(hub, ID, days=30)

    assert (issued.common_name, issued.serial) == (ID, serial_of(issued))
    assert issued.expires_at == START + timedelta(days=30)
    record = await device(hub, ID)
    assert (record.certificate, record.lifecycle) == (issued.serial, Lifecycle.ACTIVE)
    kept = await certificate(hub, issued.serial)
    assert (kept.gate, kept.issued_to) == ("staff", "user:anna")


async def test_a_certificate_lasts_no_longer_than_its_ca() -> None:
    hub = memory_hub()

    issued = await create_device(hub, ID, days=36_500)

    assert issued.expires_at < START + timedelta(days=20 * 366)


async def test_an_operator_cannot_register_a_device_twice() -> None:
    hub = memory_hub()
    await create_device(hub, ID)

    for name in (ID, ID.upper()):
        fault = await refused_create(hub, name, new_csr(name))
        assert (type(fault), fault.reason) == (Conflict, Reason.DEVICE_EXISTS)


async def test_the_same_csr_again_is_answered_as_before() -> None:
    hub = memory_hub()

    assert await create_device(hub, ID) == await create_device(hub, ID)
    assert len(await registered(hub)) == 1


async def test_an_operators_csr_must_be_for_the_device() -> None:
    assert (await refused_create(memory_hub(), ID, csr("pump-8"))).reason is Reason.CN_MISMATCH
    assert (await refused_create(memory_hub(), "claim-1", csr("claim-1"))).reason is Reason.BAD_REQUEST
    assert (await refused_create(memory_hub(), ID, "no CSR")).reason is Reason.BAD_CSR


async def test_an_operator_does_not_take_a_name_kept_for_a_device_that_is_joining() -> None:
    hub = open_hub()
    await provision(hub, UUID)

    assert (await refused_create(hub, NAME, csr(NAME))).reason is Reason.DEVICE_EXISTS


async def test_an_operator_brings_a_retired_device_back() -> None:
    hub = open_hub()
    await join(hub)
    await revoke(hub, NAME)

    issued = await create_device(hub, NAME)

    record = await device(hub)
    assert (record.lifecycle, record.certificate) == (Lifecycle.ACTIVE, issued.serial)
    assert record.uuid_hash == hub.hasher.hash(UUID)


async def test_a_suspended_device_is_not_replaced_by_an_operator() -> None:
    hub = memory_hub()
    await create_device(hub, ID)
    kept = await hub.devices.get(ID)
    assert kept is not None
    await hub.devices.replace(ID, replace(kept.value, lifecycle=Lifecycle.SUSPENDED), expect=kept.revision)

    assert (await refused_create(hub, ID, new_csr(ID))).reason is Reason.DEVICE_EXISTS
    assert (await refused_create(hub, ID, csr(ID))).reason is Reason.DEVICE_SUSPENDED


# --- Revoking --------------------------------------------------------------------------


async def test_a_revoked_device_is_retired_listed_and_its_sessions_end() -> None:
    hub = memory_hub()
    issued = await create_device(hub, ID)
    hub.clock.advance(60)

    await revoke(hub)

    assert (await device(hub, ID)).lifecycle is Lifecycle.RETIRED
    assert await is_revoked(hub, issued.serial)
    assert (await certificate(hub, issued.serial)).revoked_at == START + timedelta(minutes=1)
    assert await listed(hub) == {issued.serial}
    assert hub.events.on(ACCESS_CHANGED) == [AccessChanged(end=[ID])]


async def test_revoking_twice_changes_nothing_and_tells_again() -> None:
    hub = memory_hub()
    issued = await create_device(hub, ID)
    await revoke(hub)
    before = (await device(hub, ID), await certificate(hub, issued.serial), await hub.revocations.get("crl"))
    hub.clock.advance(60)

    await revoke(hub)

    assert (await device(hub, ID), await certificate(hub, issued.serial), await hub.revocations.get("crl")) == before
    assert len(hub.events.on(ACCESS_CHANGED)) == 2


async def test_a_device_without_a_certificate_is_retired_too() -> None:
    hub = memory_hub(devices={ID: Device(ID, START, START)})

    await revoke(hub)

    assert (await device(hub, ID)).lifecycle is Lifecycle.RETIRED


async def test_a_certificate_that_the_register_does_not_show_is_revoked_all_the_same() -> None:
    serial = f"{1 << 127:x}"
    hub = memory_hub(devices={ID: Device(ID, START, START, certificate=serial)})

    await revoke(hub)

    assert await listed(hub) == {serial}
    assert (await device(hub, ID)).lifecycle is Lifecycle.RETIRED


async def test_a_device_that_does_not_exist_cannot_be_revoked() -> None:
    with pytest.raises(NotFound) as raised:
        await revoke(memory_hub(), "nobody")

    assert raised.value.reason is Reason.UNKNOWN_DEVICE


async def test_every_certificate_of_the_device_goes_also_one_that_a_claim_superseded() -> None:
    hub = open_hub()
    first = serial_of(await join(hub))
    hub.clock.advance(timedelta(days=1))
    second = serial_of(await join(hub))
    third = serial_of(await provision(hub, NAME, caller=f"device:{NAME}", csr_pem=new_csr(NAME)))
    other = serial_of(await create_device(hub, ID))

    await revoke(hub, NAME)

    assert await listed(hub) == {first, second, third}
    assert not await is_revoked(hub, other)
    assert {kept.value.device for kept in (await collect(hub.claims.entries())).values()} == {ID}


async def test_a_revoked_device_is_not_answered_with_its_certificate_again() -> None:
    hub = open_hub()
    await create_from_csr(hub, csr(ID))
    await revoke(hub)

    assert (await refusal(hub, csr(ID))).reason is Reason.DEVICE_EXISTS


async def test_what_the_broker_must_enforce_follows_a_revocation() -> None:
    hub = memory_hub()
    await create_device(hub, ID)
    before = await access.read(call(Nothing()), hub)
    hub.clock.advance(60)

    await revoke(hub)

    after = await access.read(call(Nothing()), hub)
    assert (before.crl_number, before.cut) == (1, [])
    assert after.crl_number == 2
    assert [(cut.common_name, cut.at) for cut in after.cut] == [(ID, START + timedelta(minutes=1))]
