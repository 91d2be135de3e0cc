"""A device's newer certificate: asked for, confirmed, not confirmed, and revoked in between."""

import asyncio
from datetime import timedelta

import pytest

from functions.contract.messages import (
    AccessChanged,
    CertificateCreated,
    DeviceRevoke,
    Nothing,
    Renew,
    RenewConfirm,
    RenewConfirmed,
)
from functions.domain.devices import Lifecycle
from functions.domain.faults import Denied, Fault, Malformed, NotFound, Reason, Unavailable
from functions.domain.sessions import SessionMark
from functions.handlers import access, records, suspending
from functions.handlers.provisioning import finish_claims
from functions.handlers.renewing import confirm, finish_renewals, renew
from functions.handlers.revoking import revoke as revoke_serials
from functions.ports import Hub
from functions.testing import START, MemoryHub, call, collect, memory_hub
from tests.unit.handlers.onboarding import (
    ACCESS_CHANGED,
    NAME,
    Outage,
    Shuffle,
    certificate,
    create_device,
    device,
    is_revoked,
    join,
    listed,
    meddled,
    new_csr,
    open_hub,
    registered,
    serial_of,
)

ID = "pump-7"
MANY = 40
SEEDS = range(25)
GRACE = timedelta(days=7)


def session(number: int, after: timedelta = timedelta()) -> SessionMark:
    return SessionMark(START + after, f"192.0.2.7:{50000 + number}")


OLD, NEW = session(1), session(2, timedelta(seconds=2))


async def ask(
    hub: Hub, request: str, *, inside: SessionMark | None = OLD, name: str = ID, request_id: str | None = None
) -> CertificateCreated:
    body = Renew(csr_pem=request, request_id=request_id)
    return await renew(call(body, caller=f"device:{name}", names=(name,), session=inside), hub)


async def confirm_(hub: Hub, serial: str, *, inside: SessionMark | None = NEW, name: str = ID) -> RenewConfirmed:
    body = RenewConfirm(certificate_id=serial)
    return await confirm(call(body, caller=f"device:{name}", names=(name,), session=inside), hub)


async def refused(deed: object) -> Fault:
    with pytest.raises(Fault) as raised:
        await deed  # type: ignore[misc]
    return raised.value


async def fleet() -> tuple[MemoryHub, str]:
    """A hub with one device, and the serial of its certificate."""
    hub = memory_hub()
    return hub, (await create_device(hub, ID)).serial


async def good(hub: MemoryHub, name: str = ID) -> set[str]:
    """The serials of a device's certificates that are not revoked."""
    found = await registered(hub)
    return {serial for serial, kept in found.items() if kept.common_name == name and not await is_revoked(hub, serial)}


async def on_the_list(hub: MemoryHub) -> set[str]:
    """The serials on the revocation list, once the broker's keeper has asked for it."""
    await access.read(call(Nothing()), hub)
    return await listed(hub)


async def revoke(hub: Hub, name: str = ID) -> None:
    await records.revoke(call(DeviceRevoke(), caller="user:anna", names=(name,)), hub)


# --- asking -----------------------------------------------------------------------------


async def test_a_renewed_device_has_two_good_certificates_until_it_confirms() -> None:
    hub, old = await fleet()

    answer = await ask(hub, new_csr(ID), request_id="r1")

    assert (answer.device_id, answer.request_id, answer.certificate_id) == (ID, "r1", serial_of(answer))
    assert answer.ca_chain_pem == hub.authority.chain_pem
    kept = await certificate(hub, answer.certificate_id)
    assert (kept.gate, kept.issued_to, kept.not_after) == ("renewal", f"device:{ID}", answer.expires_at)
    assert (await device(hub, ID)).certificate == answer.certificate_id
    assert (await device(hub, ID)).fingerprint == kept.fingerprint
    assert await good(hub) == {old, answer.certificate_id}

    done = await confirm_(hub, answer.certificate_id)

    assert done == RenewConfirmed(device_id=ID, certificate_id=answer.certificate_id)
    assert await good(hub) == {answer.certificate_id}
    assert await on_the_list(hub) == {old}
    assert hub.events.on(ACCESS_CHANGED) == [AccessChanged(end=[ID])]
    assert (await device(hub, ID)).lifecycle is Lifecycle.ACTIVE
    assert await collect(hub.renewals.entries()) == {}


async def test_enrolment_may_be_closed_and_the_whitelist_enforced() -> None:
    hub = open_hub()
    await join(hub)
    kept = await hub.enrolment.get("enrolment")
    assert kept is not None
    await hub.enrolment.remove("enrolment", expect=kept.revision)

    answer = await ask(hub, new_csr(NAME), name=NAME)

    assert (await device(hub)).certificate == answer.certificate_id


async def test_the_same_csr_gets_the_same_certificate_before_and_after_the_confirmation() -> None:
    hub, _ = await fleet()
    request = new_csr(ID)
    first = await ask(hub, request, request_id="r1")
    second = await ask(hub, request, request_id="r2")
    await confirm_(hub, first.certificate_id)
    third = await ask(hub, request)

    assert (second.request_id, third.request_id) == ("r2", None)
    assert first.cert_pem == second.cert_pem == third.cert_pem
    assert len(await registered(hub)) == 2
    assert await collect(hub.renewals.entries()) == {}


async def test_an_old_csr_that_comes_again_much_later_is_a_renewal() -> None:
    """Of some keys each CSR is the same, and their devices would never get a newer certificate."""
    hub = memory_hub()
    request = new_csr(ID)
    old = (await create_device(hub, ID, request)).serial
    hub.clock.advance(timedelta(days=300))

    answer = await ask(hub, request)

    assert answer.certificate_id != old
    assert await good(hub) == {old, answer.certificate_id}


async def test_a_second_renewal_takes_the_place_of_the_first() -> None:
    hub, old = await fleet()
    request = new_csr(ID)
    first = await ask(hub, request)
    hub.clock.advance(timedelta(days=5))
    second = await ask(hub, new_csr(ID))
    late = await ask(hub, request)

    assert late.certificate_id == first.certificate_id
    assert (await device(hub, ID)).certificate == second.certificate_id
    assert await good(hub) == {old, first.certificate_id, second.certificate_id}
    inside = session(3, timedelta(days=5))
    assert (await refused(confirm_(hub, first.certificate_id, inside=inside))).reason is Reason.SUPERSEDED

    # The time begins anew: the second answer may have been lost too.
    hub.clock.advance(timedelta(days=6))
    await finish_renewals(hub)
    assert len(await good(hub)) == 3
    await confirm_(hub, second.certificate_id, inside=inside)

    assert await good(hub) == {second.certificate_id}
    assert await on_the_list(hub) == {old, first.certificate_id}


async def test_a_device_in_a_loop_fills_neither_register_nor_list() -> None:
    hub, _ = await fleet()
    for _ in range(8):
        last = await ask(hub, new_csr(ID))

    fault = await refused(ask(hub, new_csr(ID)))
    assert fault.reason is Reason.RATE_LIMITED
    assert "given last" in fault.detail

    await confirm_(hub, last.certificate_id)
    assert (await refused(ask(hub, new_csr(ID)))).reason is Reason.RATE_LIMITED
    assert len(await registered(hub)) == 9
    hub.clock.advance(timedelta(hours=1))
    await ask(hub, new_csr(ID), inside=session(3, timedelta(hours=1)))


@pytest.mark.parametrize("name", ["pump-8", "PUMP-7", "claim-fleet", "a b"])
async def test_a_csr_for_another_is_refused(name: str) -> None:
    hub, old = await fleet()

    fault = await refused(ask(hub, new_csr(name)))

    assert (type(fault), fault.reason) == (Malformed, Reason.CN_MISMATCH)
    assert await good(hub) == {old}


async def test_who_may_not_take_part_renews_and_confirms_nothing() -> None:
    hub, _ = await fleet()
    answer = await ask(hub, new_csr(ID))
    await suspending.suspend(call(Nothing(), caller="user:anna", names=(ID,)), hub)
    for deed in (ask(hub, new_csr(ID)), confirm_(hub, answer.certificate_id)):
        fault = await refused(deed)
        assert (type(fault), fault.reason) == (Denied, Reason.DEVICE_SUSPENDED)
    await revoke(hub)
    for deed in (ask(hub, new_csr(ID)), confirm_(hub, answer.certificate_id)):
        fault = await refused(deed)
        assert (type(fault), fault.reason) == (Denied, Reason.DEVICE_RETIRED)
    for deed in (ask(hub, new_csr("pump-9"), name="pump-9"), confirm_(hub, "0f", name="pump-9")):
        fault = await refused(deed)
        assert (type(fault), fault.reason) == (NotFound, Reason.UNKNOWN_DEVICE)


async def test_no_csr_is_a_bad_one() -> None:
    hub, _ = await fleet()

    assert (await refused(ask(hub, "none"))).reason is Reason.BAD_CSR


async def test_without_a_session_nothing_is_done() -> None:
    hub, old = await fleet()
    assert (await refused(ask(hub, new_csr(ID), inside=None))).reason is Reason.UNAVAILABLE
    answer = await ask(hub, new_csr(ID))
    assert (await refused(confirm_(hub, answer.certificate_id, inside=None))).reason is Reason.UNAVAILABLE

    assert await good(hub) == {old, answer.certificate_id}


async def test_each_step_is_written_down_once() -> None:
    hub, old = await fleet()
    request = new_csr(ID)
    await ask(hub, request)
    new = (await ask(hub, request)).certificate_id
    await confirm_(hub, new)
    await confirm_(hub, new)

    told = [one for one in hub.audit.written if one.actor == f"device:{ID}"]
    assert [(one.action, one.target) for one in told] == [
        ("device.renewed", ID),
        ("certificate.revoked", old),
        ("device.renewal-confirmed", ID),
    ]
    assert (told[0].before["certificate"], told[0].after["certificate"]) == (old, new)


# --- confirming -------------------------------------------------------------------------


async def test_the_session_that_asked_confirms_nothing() -> None:
    hub, old = await fleet()
    answer = await ask(hub, new_csr(ID))

    fault = await refused(confirm_(hub, answer.certificate_id, inside=OLD))

    assert fault.reason is Reason.SESSION_TOO_OLD
    assert await good(hub) == {old, answer.certificate_id}
    assert hub.events.on(ACCESS_CHANGED) == []


async def test_a_session_that_asked_again_confirms_nothing_either() -> None:
    """The answer was lost with the first session, and this one was opened with the old certificate too."""
    hub, _ = await fleet()
    request = new_csr(ID)
    answer = await ask(hub, request)
    await ask(hub, request, inside=NEW)

    assert (await refused(confirm_(hub, answer.certificate_id, inside=NEW))).reason is Reason.SESSION_TOO_OLD
    await confirm_(hub, answer.certificate_id, inside=session(3, timedelta(seconds=2)))


async def test_a_session_from_before_the_certificate_was_issued_confirms_nothing() -> None:
    """The functions were away for a minute, and the device connected again meanwhile."""
    hub, _ = await fleet()
    hub.clock.advance(60)
    answer = await ask(hub, new_csr(ID))

    assert (await refused(confirm_(hub, answer.certificate_id, inside=NEW))).reason is Reason.SESSION_TOO_OLD


async def test_a_confirmation_is_repeated_without_harm() -> None:
    hub, _ = await fleet()
    answer = await ask(hub, new_csr(ID))
    first = await confirm_(hub, answer.certificate_id)

    assert await confirm_(hub, answer.certificate_id) == first
    assert len(hub.events.on(ACCESS_CHANGED)) == 1


@pytest.mark.parametrize("is_renewed", [True, False])
async def test_what_was_never_issued_is_not_confirmed(is_renewed: bool) -> None:
    hub, _ = await fleet()
    if is_renewed:
        await ask(hub, new_csr(ID))

    assert (await refused(confirm_(hub, "0f"))).reason is Reason.NO_RENEWAL_IN_PROGRESS


# --- the end of the term ----------------------------------------------------------------


async def test_what_is_not_confirmed_ends_with_the_term() -> None:
    hub, old = await fleet()
    answer = await ask(hub, new_csr(ID))
    hub.clock.advance(GRACE - timedelta(seconds=1))
    await finish_renewals(hub)
    assert await good(hub) == {old, answer.certificate_id}

    hub.clock.advance(1)
    await finish_renewals(hub)
    await finish_renewals(hub)

    assert await good(hub) == {answer.certificate_id}
    assert await on_the_list(hub) == {old}
    assert hub.events.on(ACCESS_CHANGED) == [AccessChanged(end=[ID])]
    told = [(one.actor, one.target) for one in hub.audit.written if one.action == "certificate.revoked"]
    assert told == [("system:timer", old)]
    # Told late, or again, it is what the device has.
    await confirm_(hub, answer.certificate_id)


async def test_a_device_that_joined_anew_meanwhile_keeps_what_it_got_then() -> None:
    hub = open_hub()
    first = serial_of(await join(hub))
    hub.clock.advance(timedelta(minutes=16))
    await finish_claims(hub)
    renewed = await ask(hub, new_csr(NAME), name=NAME)
    joined = serial_of(await join(hub))
    inside = session(3, timedelta(minutes=20))

    fault = await refused(confirm_(hub, renewed.certificate_id, name=NAME, inside=inside))
    assert fault.reason is Reason.SUPERSEDED
    hub.clock.advance(GRACE)
    await finish_claims(hub)
    await finish_renewals(hub)

    assert await good(hub, NAME) == {joined}
    assert await on_the_list(hub) == {first, renewed.certificate_id}
    assert (await device(hub)).lifecycle is Lifecycle.ACTIVE


async def test_a_device_that_renews_while_it_joins_keeps_the_newest() -> None:
    hub = open_hub()
    joined = serial_of(await join(hub))
    renewed = await ask(hub, new_csr(NAME), name=NAME)
    hub.clock.advance(timedelta(minutes=16))
    await finish_claims(hub)
    assert await good(hub, NAME) == {joined, renewed.certificate_id}

    hub.clock.advance(GRACE)
    await finish_renewals(hub)

    assert await good(hub, NAME) == {renewed.certificate_id}


# --- revoking ---------------------------------------------------------------------------


async def test_revoking_the_device_revokes_all_that_it_holds() -> None:
    hub, _ = await fleet()
    await ask(hub, new_csr(ID))
    await ask(hub, new_csr(ID))

    await revoke(hub)

    assert await good(hub) == set()
    assert len(await on_the_list(hub)) == 3
    assert await collect(hub.renewals.entries()) == {}


async def test_revoking_the_new_certificate_alone_retires_the_device_and_revokes_the_old_one_too() -> None:
    hub, old = await fleet()
    answer = await ask(hub, new_csr(ID))

    await revoke_serials(hub, ID, [answer.certificate_id])

    assert (await device(hub, ID)).lifecycle is Lifecycle.RETIRED
    assert {old, answer.certificate_id} == set(await collect(hub.revoked.entries()))


async def test_revoking_the_old_certificate_alone_leaves_the_device_with_the_new_one() -> None:
    hub, old = await fleet()
    answer = await ask(hub, new_csr(ID))

    await revoke_serials(hub, ID, [old])
    hub.clock.advance(GRACE)
    await finish_renewals(hub)

    assert (await device(hub, ID)).lifecycle is Lifecycle.ACTIVE
    assert await good(hub) == {answer.certificate_id}


# --- calls that meet, and calls cut short -----------------------------------------------


async def fails(deed: object) -> bool:
    try:
        await deed  # type: ignore[misc]
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize("seed", SEEDS)
async def test_renewals_at_once_with_the_same_csr_get_the_same_certificate(seed: int) -> None:
    hub, old = await fleet()
    busy, request = meddled(hub, Shuffle(seed)), new_csr(ID)

    answers = await asyncio.gather(*(ask(busy, request) for _ in range(4)))

    assert len({answer.cert_pem for answer in answers}) == 1
    assert await good(hub) == {old, answers[0].certificate_id}


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_revocation_at_the_same_time_leaves_nothing_good_in_anybodys_hands(seed: int) -> None:
    hub, _ = await fleet()
    busy = meddled(hub, Shuffle(seed))

    asked, revoked = await asyncio.gather(ask(busy, new_csr(ID)), revoke(busy), return_exceptions=True)

    assert revoked is None
    # What was signed and never handed out is nobody's.
    held = {asked.certificate_id} if isinstance(asked, CertificateCreated) else set()
    assert not held & await good(hub)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_confirmation_and_a_new_renewal_at_once_leave_the_device_with_what_it_was_given(seed: int) -> None:
    hub, old = await fleet()
    first = await ask(hub, new_csr(ID))
    busy = meddled(hub, Shuffle(seed))

    asked, confirmed = await asyncio.gather(
        ask(busy, new_csr(ID), inside=NEW), confirm_(busy, first.certificate_id), return_exceptions=True
    )

    for result in (asked, confirmed):
        assert isinstance(result, CertificateCreated | RenewConfirmed | Fault)
    current = (await device(hub, ID)).certificate
    assert current in await good(hub)
    if isinstance(asked, CertificateCreated):
        assert current == asked.certificate_id
    if isinstance(confirmed, RenewConfirmed):
        assert await is_revoked(hub, old)


@pytest.mark.parametrize("done", [True, False])
async def test_a_renewal_cut_short_anywhere_is_finished_when_repeated(done: bool) -> None:
    for writes in range(1, MANY):
        hub, old = await fleet()
        request = new_csr(ID)
        if not await fails(ask(meddled(hub, Outage(writes, last_is_done=done)), request)):
            break

        answer = await ask(hub, request)

        assert (await device(hub, ID)).certificate == answer.certificate_id
        await confirm_(hub, answer.certificate_id)
        assert await good(hub) == {answer.certificate_id}
        assert await on_the_list(hub) == {old}
    assert 3 < writes < MANY


@pytest.mark.parametrize("done", [True, False])
async def test_a_renewal_cut_short_anywhere_and_never_repeated_locks_nobody_out(done: bool) -> None:
    """The device never had an answer: while the registry names its old certificate, that stays."""
    for writes in range(1, MANY):
        hub, old = await fleet()
        if not await fails(ask(meddled(hub, Outage(writes, last_is_done=done)), new_csr(ID))):
            break
        hub.clock.advance(GRACE)

        await finish_renewals(hub)

        current = (await device(hub, ID)).certificate
        assert current in await good(hub)
        assert current == old or await on_the_list(hub) == {old}
    assert 3 < writes < MANY


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("is_repeated", [True, False])
async def test_a_confirmation_cut_short_anywhere_is_finished(done: bool, is_repeated: bool) -> None:
    for writes in range(1, MANY):
        hub, old = await fleet()
        answer = await ask(hub, new_csr(ID))
        if not await fails(confirm_(meddled(hub, Outage(writes, last_is_done=done)), answer.certificate_id)):
            break
        if is_repeated:
            await confirm_(hub, answer.certificate_id)
        else:
            hub.clock.advance(GRACE)
            await finish_renewals(hub)
        told = await access.read(call(Nothing()), hub)

        assert await good(hub) == {answer.certificate_id}
        assert await on_the_list(hub) == {old}
        assert [cut.common_name for cut in told.cut] == [ID]
        assert (await device(hub, ID)).lifecycle is Lifecycle.ACTIVE
    assert 2 < writes < MANY
