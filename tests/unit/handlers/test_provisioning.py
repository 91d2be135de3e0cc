"""Both handshakes of provision/request: every gate, every fault, repeats, and what becomes of older certificates."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from functions.contract.messages import AccessChanged, Nothing, Provisioned
from functions.domain.devices import Device, Lifecycle
from functions.domain.enrolment import ClaimCertificate, Enrolment, Reservation, Whitelisted
from functions.domain.faults import Conflict, Denied, Fault, Malformed, Reason, Unavailable
from functions.handlers import access
from functions.handlers.provisioning import finish_claims
from functions.testing import START, MemoryHub, call, collect, memory_hub
from tests.unit.handlers.onboarding import (
    ACCESS_CHANGED,
    NAME,
    UUID,
    certificate,
    claim_hub,
    create_device,
    csr,
    device,
    fleet_claim,
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
SECOND_UUID = "9205ffff-1111-4111-8111-111111111111"


async def refusal(hub: MemoryHub, topic_id: str, *, caller: str = "claim:fleet", **body: Any) -> Fault:
    with pytest.raises(Fault) as raised:
        await provision(hub, topic_id, caller=caller, **body)
    return raised.value


async def suspend(hub: MemoryHub, name: str = NAME) -> None:
    kept = await hub.devices.get(name)
    assert kept is not None
    await hub.devices.replace(name, replace(kept.value, lifecycle=Lifecycle.SUSPENDED), expect=kept.revision)


async def is_empty(hub: MemoryHub) -> bool:
    return not any([await collect(store.entries()) for store in (hub.names, hub.claims, hub.certificates, hub.devices)])


# --- Two rounds ---------------------------------------------------------------------


async def test_the_first_round_gives_a_name_and_nothing_else() -> None:
    answer = await provision(open_hub(), UUID)

    assert answer.encode() == b'{"deviceId":"EDGB-9205"}'


async def test_the_second_round_gives_the_certificate_of_that_name() -> None:
    hub = open_hub()
    name = (await provision(hub, UUID, uuid=UUID.upper(), token="kept for published clients")).device_id

    answer = await provision(hub, UUID, csr_pem=csr(name), device_id=name, name="Pump", meta={"model": "X"})

    assert answer.device_id == NAME
    assert answer.ca_chain_pem == hub.authority.chain_pem
    record = await device(hub)
    assert (record.name, record.metadata, record.lifecycle) == ("Pump", {"model": "X"}, Lifecycle.ACTIVE)
    assert record.certificate == serial_of(answer)
    kept = await certificate(hub, serial_of(answer))
    assert (kept.pem, kept.not_after, kept.gate, kept.issued_to) == (
        answer.cert_pem,
        answer.expires_at,
        "two-rounds",
        "claim:fleet",
    )


async def test_the_uuid_is_kept_nowhere_but_as_its_keyed_hash() -> None:
    hub = open_hub(whitelist={})
    await join(hub, name="Pump")

    for store in (hub.names, hub.claims, hub.certificates, hub.devices):
        kept = repr(await collect(store.entries())).lower()
        assert "7e57-4bad" not in kept
        assert "e51a7edcab1e" not in kept
    assert (await device(hub)).uuid_hash == hub.hasher.hash(UUID)


async def test_within_a_claim_the_same_uuid_gets_the_same_name() -> None:
    hub = open_hub()
    names = set()
    for spelling in (UUID, UUID.upper(), UUID):
        names.add((await provision(hub, spelling)).device_id)
        hub.clock.advance(timedelta(minutes=4))

    assert names == {NAME}


async def test_within_a_claim_the_same_csr_gets_the_same_certificate() -> None:
    hub = open_hub()
    first = await join(hub, request=csr(NAME))
    hub.clock.advance(timedelta(minutes=14))

    assert await provision(hub, UUID, csr_pem=csr(NAME), device_id=NAME) == first
    assert len(await registered(hub)) == 1


async def test_a_repeat_is_answered_although_enrolment_was_closed_meanwhile() -> None:
    hub = open_hub()
    first = await join(hub, request=csr(NAME))
    await hub.enrolment.replace("enrolment", Enrolment(is_open=False, whitelist_enforced=True), expect=1)

    assert await provision(hub, UUID, csr_pem=csr(NAME), device_id=NAME) == first


async def test_a_name_is_kept_for_its_uuid_also_after_the_claim() -> None:
    hub = open_hub()
    await provision(hub, UUID)
    hub.clock.advance(timedelta(days=400))
    await finish_claims(hub)

    assert (await provision(hub, SECOND_UUID)).device_id != NAME
    assert (await provision(hub, UUID)).device_id == NAME


async def test_a_second_uuid_of_the_same_digits_gets_a_longer_name() -> None:
    hub = open_hub()

    names = [(await provision(hub, uuid)).device_id for uuid in (UUID, SECOND_UUID)]

    assert names == ["EDGB-9205", "EDGB-9205F"]


async def test_a_name_that_an_operator_gave_to_a_device_is_passed_over_whatever_its_case() -> None:
    hub = open_hub()
    await create_device(hub, "edgb-9205")

    assert (await provision(hub, UUID)).device_id == "EDGB-9205F"


async def test_a_csr_without_a_claim_is_told_to_make_one() -> None:
    hub = open_hub()

    fault = await refusal(hub, UUID, csr_pem=csr(NAME), device_id=NAME)

    assert (type(fault), fault.reason) == (Conflict, Reason.NO_CLAIM_IN_PROGRESS)
    assert await is_empty(hub)


async def test_a_claim_lives_for_fifteen_minutes() -> None:
    hub = open_hub()
    await provision(hub, UUID)
    hub.clock.advance(timedelta(minutes=15))

    assert (await refusal(hub, UUID, csr_pem=csr(NAME), device_id=NAME)).reason is Reason.NO_CLAIM_IN_PROGRESS


async def test_a_device_that_starts_over_late_in_its_claim_has_time_again() -> None:
    hub = open_hub()
    await provision(hub, UUID)
    hub.clock.advance(timedelta(minutes=14))
    await provision(hub, UUID)
    hub.clock.advance(timedelta(minutes=14))

    assert (await provision(hub, UUID, csr_pem=csr(NAME), device_id=NAME)).cert_pem


async def test_a_csr_for_another_name_than_the_one_kept_is_refused() -> None:
    hub = open_hub()
    await provision(hub, UUID)

    for name, echoed in (("EDGB-0001", NAME), ("EDGB-0001", "EDGB-0001"), (NAME, "EDGB-0001"), (NAME.lower(), NAME)):
        assert (await refusal(hub, UUID, csr_pem=csr(name), device_id=echoed)).reason is Reason.CN_MISMATCH
    assert await registered(hub) == {}


async def test_a_csr_without_the_name_echoed_is_read_as_one_round() -> None:
    hub = open_hub()
    await provision(hub, UUID)

    assert (await refusal(hub, UUID, csr_pem=csr(NAME))).reason is Reason.CN_MISMATCH


async def test_another_uuid_in_the_body_than_in_the_topic_is_refused_in_both_rounds() -> None:
    hub = open_hub()
    assert (await refusal(hub, UUID, uuid=SECOND_UUID)).reason is Reason.UUID_MISMATCH
    assert await is_empty(hub)
    await provision(hub, UUID)

    fault = await refusal(hub, UUID, uuid="nothing like it!", csr_pem=csr(NAME), device_id=NAME)

    assert fault.reason is Reason.UUID_MISMATCH


@pytest.mark.parametrize("topic_id", ["abc", "-abcd", "_abcd"])
async def test_what_is_no_uuid_gets_no_name(topic_id: str) -> None:
    assert (await refusal(open_hub(), topic_id)).reason is Reason.BAD_REQUEST


# --- One round ----------------------------------------------------------------------


async def test_one_round_gives_the_certificate_at_once() -> None:
    hub = open_hub()

    answer = await provision(hub, "pump-7", csr_pem=csr("pump-7"), uuid=UUID, name="Pump")

    assert answer.device_id == "pump-7"
    record = await device(hub, "pump-7")
    assert (record.certificate, record.name, record.uuid_hash) == (
        serial_of(answer),
        "Pump",
        hub.hasher.hash(UUID),
    )


@pytest.mark.parametrize("body", [{}, {"device_id": "pump-7"}])
async def test_the_topics_own_id_as_device_id_is_one_round_too(body: dict[str, str]) -> None:
    assert (await provision(open_hub(), "pump-7", csr_pem=csr("pump-7"), **body)).device_id == "pump-7"


async def test_a_csr_for_another_id_than_the_topics_is_refused() -> None:
    hub = open_hub()

    for name in ("pump-8", "PUMP-7", "pump-7 ", "pump-77"):
        assert (await refusal(hub, "pump-7", csr_pem=csr(name))).reason is Reason.CN_MISMATCH
    assert await is_empty(hub)


@pytest.mark.parametrize("name", ["claim-x", "Hub-1", "abc", "-abcd", "a b c d", "a.b.c", "pump/7"])
async def test_what_is_no_device_id_gets_no_certificate(name: str) -> None:
    hub = open_hub()

    assert (await refusal(hub, name, csr_pem=csr(name))).reason is Reason.BAD_REQUEST
    assert await is_empty(hub)


async def test_the_same_csr_gets_the_same_certificate_without_a_uuid_too() -> None:
    hub = open_hub()
    first = await provision(hub, "pump-7", csr_pem=csr("pump-7"))

    for minutes in (0, 14, 60):
        hub.clock.advance(timedelta(minutes=minutes))
        await finish_claims(hub)
        assert await provision(hub, "pump-7", csr_pem=csr("pump-7")) == first
    assert len(await registered(hub)) == 1


async def test_an_id_that_exists_is_not_given_to_another() -> None:
    hub = open_hub()
    await provision(hub, "pump-7", csr_pem=csr("pump-7"), uuid=UUID)
    before = await device(hub, "pump-7")

    for body in ({}, {"uuid": SECOND_UUID}):
        fault = await refusal(hub, "pump-7", csr_pem=new_csr("pump-7"), **body)
        assert (type(fault), fault.reason) == (Conflict, Reason.DEVICE_EXISTS)
    assert await device(hub, "pump-7") == before


async def test_an_id_that_differs_only_in_case_is_not_given_away() -> None:
    hub = open_hub()
    await provision(hub, "pump-7", csr_pem=csr("pump-7"), uuid=UUID)

    for uuid in (UUID, SECOND_UUID, None):
        fault = await refusal(hub, "Pump-7", csr_pem=csr("Pump-7"), uuid=uuid)
        assert fault.reason is Reason.DEVICE_EXISTS


async def test_an_id_kept_for_a_uuid_is_not_given_to_another() -> None:
    hub = open_hub()
    await provision(hub, UUID)

    assert (await refusal(hub, NAME, csr_pem=csr(NAME))).reason is Reason.DEVICE_EXISTS
    assert (await refusal(hub, NAME, csr_pem=csr(NAME), uuid=SECOND_UUID)).reason is Reason.DEVICE_EXISTS
    assert (await provision(hub, NAME, csr_pem=csr(NAME), uuid=UUID)).device_id == NAME


async def test_a_uuid_has_one_device() -> None:
    hub = open_hub()
    await join(hub)

    fault = await refusal(hub, "pump-7", csr_pem=csr("pump-7"), uuid=UUID)

    assert fault.reason is Reason.DEVICE_EXISTS
    assert "another id" in fault.detail
    assert await hub.names.get("id-pump-7") is None


async def test_a_uuid_has_one_device_also_after_its_claim() -> None:
    hub = open_hub()
    await join(hub)
    hub.clock.advance(timedelta(minutes=16))
    await finish_claims(hub)

    assert (await refusal(hub, "pump-7", csr_pem=csr("pump-7"), uuid=UUID)).reason is Reason.DEVICE_EXISTS


async def test_the_hardware_of_a_retired_device_may_join_under_another_id() -> None:
    hub = retired_hub(UUID)
    key = f"uuid-{hub.hasher.hash(UUID)}"
    await hub.names.create(key, Reservation(NAME, hub.hasher.hash(UUID)))

    assert (await provision(hub, "pump-7", csr_pem=csr("pump-7"), uuid=UUID)).device_id == "pump-7"
    kept = await hub.names.get(key)
    assert kept is not None
    assert kept.value.device == "pump-7"


async def test_an_id_that_was_reserved_in_vain_goes_to_the_next_who_asks() -> None:
    hub = open_hub(names={"id-pump-7": Reservation("pump-7", None)})

    assert (await provision(hub, "pump-7", csr_pem=csr("pump-7"), uuid=UUID)).device_id == "pump-7"
    kept = await hub.names.get("id-pump-7")
    assert kept is not None
    assert kept.value.uuid_hash == hub.hasher.hash(UUID)


async def test_a_name_kept_and_never_used_gives_its_uuid_free() -> None:
    hub = open_hub()
    await provision(hub, UUID)
    assert (await refusal(hub, "pump-7", csr_pem=csr("pump-7"), uuid=UUID)).reason is Reason.DEVICE_EXISTS
    hub.clock.advance(timedelta(minutes=16))

    assert (await provision(hub, "pump-7", csr_pem=csr("pump-7"), uuid=UUID)).device_id == "pump-7"
    assert (await provision(hub, UUID)).device_id == "pump-7"


async def test_the_same_uuid_gets_a_new_certificate_and_the_old_one_ends_with_the_claim() -> None:
    hub = open_hub()
    first = serial_of(await provision(hub, "pump-7", csr_pem=csr("pump-7"), uuid=UUID))
    hub.clock.advance(timedelta(days=1))
    second = serial_of(await provision(hub, "pump-7", csr_pem=new_csr("pump-7"), uuid=UUID))

    assert not await is_revoked(hub, first)
    hub.clock.advance(timedelta(minutes=15))
    await finish_claims(hub)

    assert await is_revoked(hub, first)
    assert not await is_revoked(hub, second)
    assert (await device(hub, "pump-7")).certificate == second


# --- A device with its own certificate ----------------------------------------------------


async def test_a_device_may_ask_for_a_certificate_of_its_own() -> None:
    hub = open_hub()
    first = serial_of(await provision(hub, "pump-7", csr_pem=csr("pump-7")))

    second = serial_of(await provision(hub, "pump-7", caller="device:pump-7", csr_pem=new_csr("pump-7")))

    assert (await device(hub, "pump-7")).certificate == second
    assert not await is_revoked(hub, first)
    hub.clock.advance(timedelta(minutes=15))
    await finish_claims(hub)
    assert await is_revoked(hub, first)


async def test_a_device_may_tell_its_uuid_later_but_not_change_it() -> None:
    hub = open_hub()
    await provision(hub, "pump-7", csr_pem=csr("pump-7"))
    await provision(hub, "pump-7", caller="device:pump-7", csr_pem=new_csr("pump-7"), uuid=UUID)

    assert (await device(hub, "pump-7")).uuid_hash == hub.hasher.hash(UUID)
    fault = await refusal(hub, "pump-7", caller="device:pump-7", csr_pem=new_csr("pump-7"), uuid=SECOND_UUID)
    assert fault.reason is Reason.DEVICE_EXISTS


async def test_a_device_may_not_ask_for_another() -> None:
    hub = open_hub()
    await provision(hub, "pump-7", csr_pem=csr("pump-7"))

    for topic_id, body in (("pump-8", {"csr_pem": csr("pump-8")}), ("pump-7", {"csr_pem": csr("pump-7")}), (UUID, {})):
        assert type(await refusal(hub, topic_id, caller="device:pump-9", **body)) is Denied


async def test_a_device_has_no_first_round() -> None:
    hub = open_hub()
    await provision(hub, "pump-7", csr_pem=csr("pump-7"))

    assert (await refusal(hub, "pump-7", caller="device:pump-7")).reason is Reason.BAD_REQUEST
    fault = await refusal(hub, "pump-7", caller="device:pump-7", csr_pem=csr("pump-8"), device_id="pump-8")
    assert fault.reason is Reason.BAD_REQUEST


# --- Gates ------------------------------------------------------------------------------

ASKED: list[tuple[str, dict[str, str]]] = [
    (UUID, {}),
    (UUID, {"csr_pem": csr(NAME), "device_id": NAME}),
    ("pump-7", {"csr_pem": csr("pump-7"), "uuid": UUID}),
]


@pytest.mark.parametrize("closed", [None, Enrolment(), Enrolment(is_open=True, open_until=START)])
@pytest.mark.parametrize(("topic_id", "body"), ASKED)
async def test_nobody_joins_while_enrolment_is_closed(
    topic_id: str, body: dict[str, str], closed: Enrolment | None
) -> None:
    hub = claim_hub(enrolment={"enrolment": closed} if closed is not None else {})

    fault = await refusal(hub, topic_id, **body)

    assert (type(fault), fault.reason) == (Denied, Reason.ENROLMENT_CLOSED)
    assert await is_empty(hub)


async def test_the_window_closes_by_itself() -> None:
    hub = claim_hub(enrolment={"enrolment": Enrolment(is_open=True, open_until=START + timedelta(minutes=5))})
    await provision(hub, UUID)
    hub.clock.advance(timedelta(minutes=5))

    assert (await refusal(hub, UUID)).reason is Reason.ENROLMENT_CLOSED


def enforcing_hub(*, disabled: bool = False) -> MemoryHub:
    bare = memory_hub()
    key = bare.hasher.hash(UUID)
    return claim_hub(
        enrolment={"enrolment": Enrolment(is_open=True, whitelist_enforced=True)},
        whitelist={key: Whitelisted(key, "ab1e", START, disabled=disabled)},
    )


@pytest.mark.parametrize(
    ("topic_id", "body"),
    [
        (SECOND_UUID, {}),
        ("pump-7", {"csr_pem": csr("pump-7")}),
        ("pump-7", {"csr_pem": csr("pump-7"), "uuid": SECOND_UUID}),
    ],
)
async def test_with_the_whitelist_enforced_only_hardware_on_it_joins(topic_id: str, body: dict[str, str]) -> None:
    hub = enforcing_hub()

    fault = await refusal(hub, topic_id, **body)

    assert (type(fault), fault.reason) == (Denied, Reason.UUID_NOT_WHITELISTED)
    assert await is_empty(hub)


@pytest.mark.parametrize(("topic_id", "body"), ASKED)
async def test_a_disabled_whitelist_entry_lets_nobody_in(topic_id: str, body: dict[str, str]) -> None:
    assert (await refusal(enforcing_hub(disabled=True), topic_id, **body)).reason is Reason.UUID_NOT_WHITELISTED


async def test_first_and_last_use_of_a_whitelist_entry_are_kept() -> None:
    hub = enforcing_hub()
    await join(hub)
    hub.clock.advance(timedelta(days=3))
    await join(hub, UUID.upper())

    kept = await hub.whitelist.get(hub.hasher.hash(UUID))

    assert kept is not None
    assert (kept.value.first_used_at, kept.value.last_used_at) == (START, START + timedelta(days=3))


async def test_what_is_wrong_with_the_request_is_told_before_any_gate() -> None:
    hub = memory_hub()

    for name in ("spoilt", "rsa1024", "sha1", "ca-true", "no-cn", "two-cns"):
        request = (VECTORS / f"{name}.csr").read_text()
        fault = await refusal(hub, "EDGB-0001", csr_pem=request)
        assert (type(fault), fault.reason) == (Malformed, Reason.BAD_CSR)
    for name in ("slash-in-cn", "nul-in-cn", "other-cn"):
        request = (VECTORS / f"{name}.csr").read_text()
        assert (await refusal(hub, "EDGB-0001", csr_pem=request)).reason is Reason.CN_MISMATCH
    assert await is_empty(hub)


@pytest.mark.parametrize("name", ["p256", "p384", "ed25519", "rsa2048", "asks-for-more"])
async def test_each_kind_of_key_that_devices_use_gets_a_certificate(name: str) -> None:
    answer = await provision(open_hub(), "EDGB-0001", csr_pem=(VECTORS / f"{name}.csr").read_text())

    assert answer.cert_pem


async def test_a_closed_enrolment_is_told_before_that_the_device_exists() -> None:
    hub = open_hub()
    await provision(hub, "pump-7", csr_pem=csr("pump-7"))
    await hub.enrolment.replace("enrolment", Enrolment(), expect=1)

    assert (await refusal(hub, "pump-7", csr_pem=new_csr("pump-7"))).reason is Reason.ENROLMENT_CLOSED


@pytest.mark.parametrize(
    "meta",
    [{"text": "x" * 4_100}, {"é": "é" * 2_050}, {"a": [[[[[[[[[[1]]]]]]]]]]}, {f"k{n}": n for n in range(1_000)}],
)
async def test_more_metadata_than_is_kept_is_refused(meta: dict[str, Any]) -> None:
    for topic_id, body in ASKED:
        fault = await refusal(open_hub(), topic_id, meta=meta, **body)
        assert (type(fault), fault.reason) == (Malformed, Reason.BAD_REQUEST)


async def test_metadata_up_to_the_limits_is_kept() -> None:
    hub = open_hub()
    meta: dict[str, Any] = {"text": "x" * 4_000, "deep": [[[[[[[[[1]]]]]]]]]}

    await join(hub, meta=meta)

    assert (await device(hub)).metadata == meta


async def test_joining_again_without_name_or_metadata_keeps_what_was_told() -> None:
    hub = open_hub()
    await join(hub, name="Pump", meta={"a": 1})
    await join(hub)

    assert ((await device(hub)).name, (await device(hub)).metadata) == ("Pump", {"a": 1})
    await join(hub, meta={})
    assert (await device(hub)).metadata == {}


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        (fleet_claim(revoked_at=START), "revoked"),
        (fleet_claim(not_after=START), "expired"),
        (fleet_claim(name="other"), "does not know"),
    ],
    ids=["revoked", "expired", "unknown"],
)
async def test_what_a_claim_certificate_without_a_role_sent_is_refused(claim: ClaimCertificate, told: str) -> None:
    good = fleet_claim(name="good")
    hub = open_hub(claim_certificates={claim.name: claim, "good": good})

    for topic_id, body in ASKED:
        fault = await refusal(hub, topic_id, **body)
        assert type(fault) is Denied
        assert told in fault.detail
    assert (await provision(hub, UUID, caller="claim:good")).device_id == NAME


# --- Suspended and retired ------------------------------------------------------------------


async def test_a_suspended_device_gets_neither_name_nor_certificate() -> None:
    hub = open_hub()
    await join(hub, request=csr(NAME))
    await suspend(hub)

    for topic_id, body in (
        (UUID, {}),
        (UUID, {"csr_pem": csr(NAME), "device_id": NAME}),
        (UUID, {"csr_pem": new_csr(NAME), "device_id": NAME}),
        (NAME, {"csr_pem": csr(NAME)}),
        (NAME, {"csr_pem": new_csr(NAME), "uuid": UUID}),
    ):
        fault = await refusal(hub, topic_id, **body)
        assert (type(fault), fault.reason) == (Denied, Reason.DEVICE_SUSPENDED)


async def test_that_a_device_is_suspended_is_told_to_itself_only() -> None:
    hub = open_hub()
    await join(hub)
    await suspend(hub)

    assert (await refusal(hub, NAME, csr_pem=new_csr(NAME), uuid=SECOND_UUID)).reason is Reason.DEVICE_EXISTS


def retired_hub(uuid: str | None) -> MemoryHub:
    hasher = memory_hub().hasher
    record = Device(
        NAME, START, START, Lifecycle.RETIRED, uuid_hash=hasher.hash(uuid) if uuid else None, certificate="ab"
    )
    return open_hub(devices={NAME: record})


async def test_a_retired_device_comes_back_by_its_uuid() -> None:
    hub = retired_hub(UUID)

    answer = await provision(hub, NAME, csr_pem=csr(NAME), uuid=UUID)

    record = await device(hub)
    assert (record.lifecycle, record.certificate) == (Lifecycle.ACTIVE, serial_of(answer))


@pytest.mark.parametrize("uuid", [UUID, None])
async def test_a_retired_devices_id_goes_to_nobody_else(uuid: str | None) -> None:
    hub = retired_hub(uuid)

    for caller, body in (
        ("claim:fleet", {}),
        ("claim:fleet", {"uuid": SECOND_UUID}),
        (f"device:{NAME}", {}),
    ):
        fault = await refusal(hub, NAME, caller=caller, csr_pem=csr(NAME), **body)
        assert fault.reason is Reason.DEVICE_EXISTS


# --- Older certificates -----------------------------------------------------------------------


async def rejoined(hub: MemoryHub) -> tuple[str, str]:
    first = serial_of(await join(hub))
    hub.clock.advance(timedelta(days=1))
    second = serial_of(await join(hub, request=csr(NAME)))
    return first, second


async def test_a_claim_for_a_known_uuid_gives_its_name_and_a_new_certificate() -> None:
    hub = open_hub()

    first, second = await rejoined(hub)

    assert first != second
    assert (await device(hub)).certificate == second


async def test_both_certificates_are_good_while_the_claim_lives() -> None:
    hub = open_hub()
    first, second = await rejoined(hub)
    hub.clock.advance(timedelta(minutes=15, seconds=-1))
    await finish_claims(hub)

    assert [await is_revoked(hub, serial) for serial in (first, second)] == [False, False]
    assert hub.events.on(ACCESS_CHANGED) == []


async def test_the_old_certificate_is_revoked_when_the_claim_ends() -> None:
    hub = open_hub()
    first, second = await rejoined(hub)
    hub.clock.advance(timedelta(minutes=15))
    await finish_claims(hub)

    assert [await is_revoked(hub, serial) for serial in (first, second)] == [True, False]
    assert await listed(hub) == {first}
    assert hub.events.on(ACCESS_CHANGED) == [AccessChanged(end=[NAME])]
    assert (await device(hub)).lifecycle is Lifecycle.ACTIVE
    assert await collect(hub.claims.entries()) == {}


async def test_the_next_claim_ends_one_that_no_timer_has_ended() -> None:
    hub = open_hub()
    first, second = await rejoined(hub)
    hub.clock.advance(timedelta(minutes=20))

    await provision(hub, UUID)

    assert [await is_revoked(hub, serial) for serial in (first, second)] == [True, False]
    assert hub.events.on(ACCESS_CHANGED) == [AccessChanged(end=[NAME])]


async def test_a_claim_without_a_csr_ends_nothing() -> None:
    hub = open_hub()
    first = serial_of(await join(hub))
    hub.clock.advance(timedelta(days=1))
    await finish_claims(hub)
    await provision(hub, UUID)
    hub.clock.advance(timedelta(days=1))
    await finish_claims(hub)

    assert not await is_revoked(hub, first)
    assert await collect(hub.claims.entries()) == {}


async def test_a_device_has_a_whole_claim_to_ask_again_after_its_certificate() -> None:
    hub = open_hub()
    first = serial_of(await join(hub))
    hub.clock.advance(timedelta(days=1))
    await provision(hub, UUID)
    hub.clock.advance(timedelta(minutes=14))
    await provision(hub, UUID, csr_pem=csr(NAME), device_id=NAME)
    hub.clock.advance(timedelta(minutes=14))
    await finish_claims(hub)

    assert not await is_revoked(hub, first)
    assert (await provision(hub, UUID, csr_pem=csr(NAME), device_id=NAME)).cert_pem


async def test_a_device_that_keeps_asking_does_not_keep_its_old_certificate() -> None:
    hub = open_hub()
    first, second = await rejoined(hub)
    for _ in range(3):
        hub.clock.advance(timedelta(minutes=5))
        await provision(hub, UUID)
        await finish_claims(hub)

    assert await is_revoked(hub, first)
    assert not await is_revoked(hub, second)


async def test_another_key_in_the_same_claim_gets_a_certificate_and_the_last_one_stays() -> None:
    hub = open_hub()
    name = (await provision(hub, UUID)).device_id
    requests = [new_csr(name) for _ in range(3)]
    serials = [serial_of(await provision(hub, UUID, csr_pem=request, device_id=name)) for request in requests]
    assert len(set(serials)) == 3

    hub.clock.advance(timedelta(minutes=15))
    await finish_claims(hub)

    assert [await is_revoked(hub, serial) for serial in serials] == [True, True, False]
    assert (await device(hub)).certificate == serials[-1]


async def test_a_request_that_comes_late_does_not_put_its_certificate_over_the_latest() -> None:
    hub = open_hub()
    name = (await provision(hub, UUID)).device_id
    early, late = new_csr(name), new_csr(name)
    first = await provision(hub, UUID, csr_pem=early, device_id=name)
    second = await provision(hub, UUID, csr_pem=late, device_id=name)

    assert await provision(hub, UUID, csr_pem=early, device_id=name) == first
    assert (await device(hub)).certificate == serial_of(second)


async def test_more_keys_than_a_device_can_need_are_too_many() -> None:
    hub = open_hub()
    name = (await provision(hub, UUID)).device_id
    for _ in range(9):
        await provision(hub, UUID, csr_pem=new_csr(name), device_id=name)

    fault = await refusal(hub, UUID, csr_pem=new_csr(name), device_id=name)

    assert (type(fault), fault.reason) == (Unavailable, Reason.RATE_LIMITED)
    assert len(await registered(hub)) == 9


async def test_the_same_csr_in_a_later_claim_gets_a_new_certificate() -> None:
    hub = open_hub()
    first = serial_of(await join(hub, request=csr(NAME)))
    hub.clock.advance(timedelta(days=1))
    second = serial_of(await join(hub, request=csr(NAME)))
    assert first != second

    hub.clock.advance(timedelta(minutes=15))
    await finish_claims(hub)

    assert [await is_revoked(hub, serial) for serial in (first, second)] == [True, False]


async def test_the_end_of_a_claim_is_the_same_however_often_it_is_looked_for() -> None:
    hub = open_hub()
    first, _ = await rejoined(hub)
    hub.clock.advance(timedelta(minutes=15))
    for _ in range(3):
        await finish_claims(hub)

    assert await is_revoked(hub, first)
    assert len(hub.events.on(ACCESS_CHANGED)) == 1
    assert (await access.read(call(Nothing()), hub)).crl_number == 1


async def test_an_answer_has_what_the_contract_says() -> None:
    answer = await join(open_hub())

    told = Provisioned.model_validate_json(answer.encode(), strict=False)
    assert set(told.model_dump(by_alias=True, exclude_unset=True)) == {
        "deviceId",
        "certPem",
        "caChainPem",
        "expiresAt",
    }
    assert b'Z"' in answer.encode()
