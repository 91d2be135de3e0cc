"""Onboarding and revocation when calls meet, and when one is cut short anywhere."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from functions.contract.messages import DeviceRevoke, Nothing, Provisioned
from functions.domain.devices import Lifecycle
from functions.domain.faults import Conflict, Fault, Reason, Unavailable
from functions.handlers import access, records
from functions.handlers.intents import finish_intents
from functions.handlers.provisioning import finish_claims
from functions.ports import Hub
from functions.testing import MemoryHub, call, collect
from tests.unit.handlers.onboarding import (
    ACCESS_CHANGED,
    NAME,
    UUID,
    Meddler,
    Once,
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
    registered,
    serial_of,
)

SEEDS = range(12)
# More writes than any of these operations has.
MANY = 40


async def revoke(hub: Hub, name: str = NAME) -> None:
    await records.revoke(call(DeviceRevoke(), caller="user:anna", names=(name,)), hub)


async def settled(calls: list[Awaitable[object]]) -> list[object]:
    """The results, with faults among them."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Fault):
            raise result
    return list(results)


async def good(hub: MemoryHub, name: str = NAME) -> set[str]:
    """The serials of a device's certificates that are not revoked."""
    return {
        serial
        for serial, found in (await registered(hub)).items()
        if found.common_name == name and not await is_revoked(hub, serial)
    }


async def end_claims(hub: MemoryHub) -> None:
    hub.clock.advance(timedelta(minutes=16))
    await finish_claims(hub)


# --- Calls that meet ---------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_same_claim_twenty_times_at_once_is_one_name_and_one_certificate(seed: int) -> None:
    hub = open_hub()
    busy = meddled(hub, Shuffle(seed))

    names = await asyncio.gather(*(provision(busy, UUID) for _ in range(20)))
    assert {answer.device_id for answer in names} == {NAME}
    answers = await asyncio.gather(
        *(provision(busy, UUID, csr_pem=csr(NAME), device_id=NAME, meta={"a": 1}) for _ in range(20))
    )

    assert len({answer.cert_pem for answer in answers}) == 1
    assert len(await registered(hub)) == 1
    assert len(await collect(hub.names.entries())) == 2


async def test_what_a_process_remembers_of_a_claim_gives_way_to_what_another_made_of_it() -> None:
    hub = open_hub()
    first, second = (meddled(hub, Meddler()) for _ in range(2))
    await provision(first, UUID)
    there = await provision(second, UUID, csr_pem=new_csr(NAME), device_id=NAME)

    here = await provision(first, UUID, csr_pem=new_csr(NAME), device_id=NAME)

    assert (await device(hub)).certificate == serial_of(here)
    await end_claims(hub)
    assert await good(hub) == {serial_of(here)}
    assert await is_revoked(hub, serial_of(there))


class Count(Meddler):
    """Counts reads and writes."""

    def __init__(self) -> None:
        self.reads = self.writes = 0

    async def before_read(self) -> None:
        self.reads += 1

    async def before_write(self) -> None:
        self.writes += 1


async def test_a_second_round_in_the_process_of_the_first_reads_only_gates_device_and_settings() -> None:
    hub = open_hub()
    count = Count()
    here = meddled(hub, count)
    # The first device of all settles which CA signs.
    await create_device(here, "first-0001")
    await provision(here, UUID)
    count.reads = count.writes = 0

    await provision(here, UUID, csr_pem=new_csr(NAME), device_id=NAME)

    assert count.reads == len(["enrolment", "claim certificate", "device", "settings"])
    assert count.writes == len(["claim", "certificate", "device"])


async def test_a_claim_remembered_and_ended_elsewhere_is_no_claim() -> None:
    hub = open_hub()
    here = meddled(hub, Meddler())
    await provision(here, UUID)
    kept = await hub.claims.get(hub.hasher.hash(UUID))
    assert kept is not None
    await hub.claims.remove(hub.hasher.hash(UUID), expect=kept.revision)

    with pytest.raises(Conflict) as refused:
        await provision(here, UUID, csr_pem=new_csr(NAME), device_id=NAME)

    assert refused.value.reason is Reason.NO_CLAIM_IN_PROGRESS
    assert await registered(hub) == {}


@pytest.mark.parametrize("digits", ["9205", "9205fa1c"])
async def test_a_hundred_uuids_of_the_same_digits_at_once_get_a_hundred_names(digits: str) -> None:
    hub = open_hub()
    busy = meddled(hub, Shuffle(1))
    uuids = [f"{digits}{number:0{32 - len(digits)}x}" for number in range(100)]

    answers = await asyncio.gather(*(provision(busy, uuid) for uuid in uuids))

    names = [answer.device_id for answer in answers]
    assert len(set(names)) == 100
    assert all(name.startswith("EDGB-9205") for name in names)
    assert [(await provision(hub, uuid)).device_id for uuid in uuids] == names


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_same_csr_twenty_times_at_once_is_one_certificate(seed: int) -> None:
    hub = open_hub()
    busy = meddled(hub, Shuffle(seed))

    answers = await asyncio.gather(*(create_from_csr(busy, csr("pump-7"), uuid=UUID) for _ in range(20)))

    assert len({answer.cert_pem for answer in answers}) == 1
    assert len(await registered(hub)) == 1


@pytest.mark.parametrize("seed", SEEDS)
async def test_of_several_keys_for_one_id_at_once_one_gets_the_certificate(seed: int) -> None:
    hub = open_hub()
    busy = meddled(hub, Shuffle(seed))

    results = await settled([create_from_csr(busy, new_csr("pump-7")) for _ in range(6)])

    refused = [result.reason for result in results if isinstance(result, Fault)]
    assert refused == [Reason.DEVICE_EXISTS] * 5


@pytest.mark.parametrize("seed", SEEDS)
async def test_of_an_id_in_several_spellings_at_once_one_is_taken(seed: int) -> None:
    busy = meddled(open_hub(), Shuffle(seed))

    results = await settled([create_from_csr(busy, csr(name)) for name in ("pump-7", "Pump-7", "PUMP-7")])

    assert [result.reason for result in results if isinstance(result, Fault)] == [Reason.DEVICE_EXISTS] * 2


@pytest.mark.parametrize("seed", SEEDS)
async def test_of_two_ids_for_one_uuid_at_once_one_is_taken(seed: int) -> None:
    hub = open_hub()
    busy = meddled(hub, Shuffle(seed))

    results = await settled([create_from_csr(busy, csr(name), uuid=UUID) for name in ("pump-7", "pump-8")])

    assert [result.reason for result in results if isinstance(result, Fault)] == [Reason.DEVICE_EXISTS]
    (name,) = await collect(hub.devices.entries())
    await end_claims(hub)
    assert (await provision(hub, UUID)).device_id == name


@pytest.mark.parametrize("seed", SEEDS)
async def test_however_keys_of_one_device_meet_one_certificate_is_left(seed: int) -> None:
    hub = open_hub()
    await join(hub)
    await end_claims(hub)
    busy = meddled(hub, Shuffle(seed))
    await provision(hub, UUID)

    async def ask(request: str, by: Hub, *, itself: bool) -> Provisioned:
        if itself:
            return await provision(by, NAME, caller=f"device:{NAME}", csr_pem=request)
        return await provision(by, UUID, csr_pem=request, device_id=NAME)

    asked = [(new_csr(NAME), number < 2) for number in range(5)]
    results = await settled([ask(request, busy, itself=itself) for request, itself in asked])
    given = {serial_of(result) for result in results if isinstance(result, Provisioned)}
    assert given
    for (request, itself), result in zip(asked, results, strict=True):
        if isinstance(result, Fault):
            assert result.reason is Reason.UNAVAILABLE
            given.add(serial_of(await ask(request, hub, itself=itself)))
    assert given <= await good(hub)

    await end_claims(hub)
    current = (await device(hub)).certificate
    assert current in given
    assert await good(hub) & given == {current}


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_uuid_that_asks_for_two_names_at_once_has_one_device(seed: int) -> None:
    hub = open_hub()
    busy = meddled(hub, Shuffle(seed))

    named, issued = await settled([provision(busy, UUID), provision(busy, "pump-7", csr_pem=csr("pump-7"), uuid=UUID)])

    if isinstance(issued, Provisioned):
        assert issued.device_id == "pump-7"
        assert (await certificate(hub, serial_of(issued))).common_name == "pump-7"
        assert (await provision(hub, UUID)).device_id == "pump-7"
    else:
        assert isinstance(issued, Fault)
        assert isinstance(named, Provisioned)
        assert issued.reason is Reason.DEVICE_EXISTS
        assert (await join(hub)).device_id == named.device_id == NAME


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_device_that_is_revoked_while_it_asks_is_retired(seed: int) -> None:
    hub = open_hub()
    await join(hub)
    busy = meddled(hub, Shuffle(seed))

    await settled([provision(busy, NAME, caller=f"device:{NAME}", csr_pem=new_csr(NAME)), revoke(busy)])

    record = await device(hub)
    assert record.lifecycle is Lifecycle.RETIRED
    assert record.certificate not in await good(hub)


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_issued_while_the_device_is_revoked_is_not_good(seed: int) -> None:
    hub = open_hub()
    await join(hub)
    await provision(hub, UUID)
    busy = meddled(hub, Shuffle(seed))
    request = new_csr(NAME)

    joining, _ = await settled([provision(busy, UUID, csr_pem=request, device_id=NAME), revoke(busy)])

    await end_claims(hub)
    record = await device(hub)
    if record.lifecycle is Lifecycle.RETIRED:
        handed_out = [serial_of(joining)] if isinstance(joining, Provisioned) else []
        assert not await good(hub) & {*handed_out, record.certificate}
    else:
        # The request came after: the same hardware joined again.
        assert await good(hub) == {record.certificate}


async def test_a_certificate_given_out_just_before_the_device_is_retired_is_revoked_too() -> None:
    hub = open_hub()
    await join(hub)
    asks = Once(lambda: provision(hub, NAME, caller=f"device:{NAME}", csr_pem=csr(NAME)))

    await revoke(meddled(hub, asks))

    assert (await device(hub)).lifecycle is Lifecycle.RETIRED
    assert len(await registered(hub)) == 2
    assert await good(hub) == set()


@pytest.mark.parametrize("seed", SEEDS)
async def test_several_workers_end_claims_at_once(seed: int) -> None:
    hub = open_hub()
    uuids = [f"{number:04x}-0000" for number in range(8)]
    first = [serial_of(await join(hub, uuid)) for uuid in uuids]
    await end_claims(hub)
    second = [serial_of(await join(hub, uuid)) for uuid in uuids]
    hub.clock.advance(timedelta(minutes=16))
    busy = meddled(hub, Shuffle(seed))

    await asyncio.gather(*(finish_claims(busy) for _ in range(4)))

    assert [await is_revoked(hub, serial) for serial in first] == [True] * 8
    assert [await is_revoked(hub, serial) for serial in second] == [False] * 8
    assert await listed(hub) == set(first)
    assert await collect(hub.claims.entries()) == {}


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_numbers_of_lists_made_at_once_never_repeat(seed: int) -> None:
    hub = open_hub()
    names = [f"pump-{number}" for number in range(8)]
    serials = {serial_of(await create_from_csr(hub, csr(name))) for name in names}
    busy = meddled(hub, Shuffle(seed))

    await asyncio.gather(*(revoke(busy, name) for name in names))

    assert await listed(hub) == serials
    kept = await hub.revocations.get("crl")
    assert kept is not None
    assert kept.revision == kept.value.number


# --- Calls cut short ---------------------------------------------------------------------


async def fails(call_: Awaitable[object]) -> bool:
    try:
        await call_
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("rejoins", [False, True])
async def test_joining_cut_short_anywhere_succeeds_when_repeated(done: bool, rejoins: bool) -> None:
    for writes in range(1, MANY):
        hub = open_hub()
        held = await join(hub) if rejoins else None
        await end_claims(hub)
        broken = meddled(hub, Outage(writes, last_is_done=done))
        request = new_csr(NAME)
        if not await fails(join(broken, request=request)):
            break
        if held is not None:
            assert not await is_revoked(hub, serial_of(held))

        answer = await join(hub, request=request)

        assert (await device(hub)).certificate == serial_of(answer)
        await end_claims(hub)
        assert await good(hub) == {serial_of(answer)}
    assert 4 < writes < MANY


@pytest.mark.parametrize("done", [True, False])
async def test_a_device_whose_claim_was_cut_short_keeps_a_good_certificate(done: bool) -> None:
    for writes in range(1, MANY):
        hub = open_hub()
        await join(hub)
        await end_claims(hub)
        if not await fails(join(meddled(hub, Outage(writes, last_is_done=done)))):
            break
        await end_claims(hub)

        assert (await device(hub)).certificate in await good(hub)
    assert 2 < writes < MANY


@pytest.mark.parametrize("done", [True, False])
async def test_create_from_csr_cut_short_anywhere_succeeds_when_repeated(done: bool) -> None:
    for writes in range(1, MANY):
        for minutes in (0, 20):
            hub = open_hub()
            if not await fails(create_from_csr(meddled(hub, Outage(writes, last_is_done=done)), csr("pump-7"))):
                break
            hub.clock.advance(timedelta(minutes=minutes))

            answer = await create_from_csr(hub, csr("pump-7"))

            assert (await device(hub, "pump-7")).certificate == serial_of(answer)
        else:
            continue
        break
    assert 3 < writes < MANY


@pytest.mark.parametrize("done", [True, False])
async def test_the_end_of_a_claim_cut_short_anywhere_is_done_the_next_time(done: bool) -> None:
    for writes in range(1, MANY):
        hub = open_hub()
        first = serial_of(await join(hub))
        await end_claims(hub)
        second = serial_of(await join(hub))
        hub.clock.advance(timedelta(minutes=16))
        if not await fails(finish_claims(meddled(hub, Outage(writes, last_is_done=done)))):
            break

        await finish_claims(hub)
        # The list may have been all that was left, which its reader renews.
        await access.read(call(Nothing()), hub)

        assert await listed(hub) == {first}
        assert await good(hub) == {second}
    assert 2 < writes < MANY


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("repeated", [True, False])
async def test_a_revocation_cut_short_anywhere_is_finished_or_undone(done: bool, repeated: bool) -> None:
    finished = 0
    for writes in range(1, MANY):
        hub = open_hub()
        serial = serial_of(await join(hub))
        if not await fails(revoke(meddled(hub, Outage(writes, last_is_done=done)))):
            break
        hub.clock.advance(60)
        if repeated:
            await revoke(hub)
        else:
            await finish_intents(hub)
        told = await access.read(call(Nothing()), hub)

        if not repeated and not await listed(hub):
            # Cut short before it was decided: nothing of it has happened.
            assert (await device(hub)).lifecycle is Lifecycle.ACTIVE
            assert not await is_revoked(hub, serial)
            continue
        finished += 1
        assert hub.events.on(ACCESS_CHANGED)
        assert await listed(hub) == {serial}
        assert [cut.common_name for cut in told.cut] == [NAME]
        assert await is_revoked(hub, serial)
        assert (await certificate(hub, serial)).revoked_at == told.cut[0].at
        assert (await device(hub)).lifecycle is Lifecycle.RETIRED
    assert 3 < finished <= writes < MANY
