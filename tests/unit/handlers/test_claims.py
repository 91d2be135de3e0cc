"""Claim certificates: made, listed, revoked, and the role that follows them."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from functions.contract.messages import (
    AccessChanged,
    ClaimCreate,
    ClaimIssue,
    ClaimNamed,
    ClaimQuery,
    ClaimRevoke,
    ClaimView,
    Issued,
    Nothing,
)
from functions.domain.certificates import CLAIM_CERTIFICATE_LIFETIME, Purpose
from functions.domain.faults import Conflict, Fault, Malformed, NotFound, Reason, Unavailable
from functions.handlers import access, bundles, claims
from functions.ports import Hub
from functions.testing import START, MemoryHub, call, memory_hub
from tests.unit.handlers.onboarding import (
    ACCESS_CHANGED,
    Outage,
    Shuffle,
    certificate,
    csr,
    is_revoked,
    listed,
    meddled,
    new_csr,
    registered,
    serial_of,
)


async def create(hub: Hub, name: str = "fleet", request: str | None = None, **body: Any) -> Issued:
    asked = ClaimCreate(name=name, csr_pem=request or csr("whatever"), **body)
    return await claims.create(call(asked, caller="user:anna"), hub)


async def issue(hub: Hub, name: str = "fleet", **body: Any) -> ClaimView:
    return await claims.issue(call(ClaimIssue(name=name, **body), caller="user:anna"), hub)


async def bundle(hub: Hub, name: str = "fleet") -> dict[str, str]:
    found = await bundles.claim(call(ClaimNamed(name=name)), hub)
    return {file.name: file.content for file in found.files}


async def revoke(hub: Hub, name: str = "fleet") -> None:
    await claims.revoke(call(ClaimRevoke(name=name), caller="user:anna"), hub)


async def roles(hub: Hub) -> list[str]:
    return (await access.read(call(Nothing()), hub)).claims


async def taken(hub: MemoryHub, name: str = "fleet") -> bool:
    with pytest.raises(Fault) as raised:
        await create(hub, name, new_csr(name))
    return type(raised.value) is Conflict and raised.value.reason is Reason.NAME_TAKEN


async def test_a_claim_certificate_has_the_hubs_name_and_not_that_of_the_csr() -> None:
    hub = memory_hub()

    issued = await create(hub)

    assert (issued.common_name, issued.serial) == ("claim-fleet", serial_of(issued))
    subject = x509.load_pem_x509_certificate(issued.cert_pem.encode()).subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["claim-fleet"]
    kept = await certificate(hub, issued.serial)
    assert (kept.purpose, kept.issued_to, kept.gate) == (Purpose.CLAIM, "user:anna", "claim")
    assert issued.expires_at == START + CLAIM_CERTIFICATE_LIFETIME


async def test_its_role_is_there_at_once_and_the_keeper_is_told() -> None:
    hub = memory_hub()

    await create(hub, "fleet")
    await create(hub, "factory-2")

    assert await roles(hub) == ["factory-2", "fleet"]
    assert hub.events.on(ACCESS_CHANGED) == [AccessChanged(end=[])] * 2


async def test_the_role_goes_when_the_certificate_is_over() -> None:
    hub = memory_hub()
    await create(hub, days=2)
    hub.clock.advance(timedelta(days=2))

    assert await roles(hub) == []
    assert (await create(hub, request=new_csr("x"))).common_name == "claim-fleet"


async def test_a_name_in_use_is_taken() -> None:
    hub = memory_hub()
    await create(hub)

    assert await taken(hub)
    assert len(await registered(hub)) == 1


async def test_the_same_csr_under_the_same_name_is_answered_as_before() -> None:
    hub = memory_hub()

    assert await create(hub) == await create(hub)
    assert len(await registered(hub)) == 1


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 59, "a.b", "ü"])
async def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        await claims.create(call(ClaimCreate.model_construct(name=name, csr_pem=csr("x"))), memory_hub())


async def test_a_bad_csr_is_refused() -> None:
    with pytest.raises(Malformed) as raised:
        await create(memory_hub(), request="no CSR")

    assert raised.value.reason is Reason.BAD_CSR


async def test_a_revoked_claim_certificate_loses_role_and_sessions() -> None:
    hub = memory_hub()
    issued = await create(hub)
    hub.clock.advance(60)

    await revoke(hub)

    assert await is_revoked(hub, issued.serial)
    assert await listed(hub) == {issued.serial}
    assert await roles(hub) == []
    assert hub.events.on(ACCESS_CHANGED)[-1] == AccessChanged(end=["claim-fleet"])
    (fact,) = (await claims.list_(call(ClaimQuery(revoked=True)), hub)).claims
    assert (fact.name, fact.serial, fact.revoked_at) == ("fleet", issued.serial, START + timedelta(minutes=1))


async def test_revoking_twice_changes_nothing() -> None:
    hub = memory_hub()
    issued = await create(hub)
    await revoke(hub)
    hub.clock.advance(60)

    await revoke(hub)

    assert (await certificate(hub, issued.serial)).revoked_at == START


async def test_a_name_can_be_used_again_after_it_was_revoked() -> None:
    hub = memory_hub()
    first = await create(hub)
    await revoke(hub)
    hub.clock.advance(1)

    second = await create(hub)

    assert first.serial != second.serial
    assert await roles(hub) == ["fleet"]
    (cut,) = (await access.read(call(Nothing()), hub)).cut
    # Sessions of the new one began after it.
    assert (cut.common_name, cut.at) == ("claim-fleet", START)
    # The next list looks again at what was revoked lately.
    await create(hub, "other")
    await revoke(hub, "other")
    assert await roles(hub) == ["fleet"]


async def test_what_was_never_made_cannot_be_revoked() -> None:
    with pytest.raises(NotFound):
        await revoke(memory_hub())


async def test_the_list_has_every_name() -> None:
    hub = memory_hub()
    for name in ("b", "a"):
        await create(hub, name, days=7)
    await revoke(hub, "b")

    told = (await claims.list_(call(ClaimQuery(revoked=True)), hub)).claims

    assert [(fact.name, fact.revoked_at is None) for fact in told] == [("a", True), ("b", False)]
    assert told[0].not_after == START + timedelta(days=7)


@pytest.mark.parametrize("seed", range(12))
async def test_of_several_who_want_a_name_at_once_one_gets_it(seed: int) -> None:
    hub = memory_hub()
    busy = meddled(hub, Shuffle(seed))

    results = await asyncio.gather(*(create(busy, request=new_csr("x")) for _ in range(5)), return_exceptions=True)
    same = await asyncio.gather(*(create(busy, "other") for _ in range(5)))

    faults = [result.reason for result in results if isinstance(result, Fault)]
    assert faults == [Reason.NAME_TAKEN] * 4
    assert len({issued.cert_pem for issued in same}) == 1


@pytest.mark.parametrize("done", [True, False])
async def test_a_call_cut_short_anywhere_succeeds_when_repeated(done: bool) -> None:
    for writes in range(1, 6):
        hub = memory_hub()
        try:
            await create(meddled(hub, Outage(writes, last_is_done=done)))
        except Unavailable:
            assert (await create(hub)).serial in await registered(hub)
            assert await roles(hub) == ["fleet"]
    assert await taken(hub)


# --- With a key that the hub keeps


def fits(files: dict[str, str]) -> bool:
    certificate = x509.load_pem_x509_certificate(files["provisioning.crt"].encode())
    return load_pem_private_key(files["provisioning.key"].encode(), None).public_key() == certificate.public_key()


async def kept_key(hub: Hub, name: str = "fleet") -> str:
    kept = await hub.claim_certificates.get(name)
    assert kept is not None
    return kept.value.sealed_key


async def test_an_issued_claim_has_its_role_and_its_bundle_at_once() -> None:
    hub = memory_hub()

    view = await issue(hub, days=30)

    assert (view.common_name, view.has_bundle) == ("claim-fleet", True)
    assert view.not_after == START + timedelta(days=30)
    assert await roles(hub) == ["fleet"]
    assert hub.events.on(ACCESS_CHANGED) == [AccessChanged(end=[])]
    files = await bundle(hub)
    assert fits(files)
    assert files["provisioning.crt"] == view.cert_pem


async def test_the_key_stands_nowhere_but_sealed_in_its_record() -> None:
    hub = memory_hub()
    await issue(hub)
    secret = "".join((await bundle(hub))["provisioning.key"].splitlines()[1:-1])

    told = [repr(hub.events.sent), repr(hub.audit.written), repr(await registered(hub))]
    told.append(repr([kept async for _, kept in hub.claim_certificates.entries()]))
    told.append((await claims.list_(call(ClaimQuery()), hub)).model_dump_json())
    told.append((await claims.read(call(ClaimNamed(name="fleet")), hub)).model_dump_json())
    told.append(repr(await bundles.claim(call(ClaimNamed(name="fleet")), hub)))
    sealed = await kept_key(hub)
    assert all(part not in text for text in told for part in (secret[:40], "PRIVATE", sealed))
    assert (await kept_key(hub)).startswith("v1:")


async def test_the_key_goes_with_the_claim() -> None:
    hub = memory_hub()
    await issue(hub)

    await revoke(hub)

    assert await kept_key(hub) == ""
    with pytest.raises(Conflict) as raised:
        await bundle(hub)
    assert raised.value.reason is Reason.NO_BUNDLE


async def test_the_key_of_another_claim_opens_nothing() -> None:
    hub = memory_hub()
    await issue(hub, "a")
    await issue(hub, "b")
    mine, other = await hub.claim_certificates.get("a"), await hub.claim_certificates.get("b")
    assert mine is not None
    assert other is not None
    await hub.claim_certificates.replace(
        "a", replace(mine.value, sealed_key=other.value.sealed_key), expect=mine.revision
    )

    with pytest.raises(Conflict) as raised:
        await bundle(hub, "a")
    assert raised.value.reason is Reason.NO_BUNDLE


async def test_a_name_that_is_issued_is_taken_in_either_way() -> None:
    hub = memory_hub()
    await issue(hub)

    assert await taken(hub)
    with pytest.raises(Conflict):
        await issue(hub)
    assert len(await registered(hub)) == 1


@pytest.mark.parametrize("seed", range(12))
async def test_of_several_who_issue_a_name_at_once_one_gets_it_and_its_own_key(seed: int) -> None:
    hub = memory_hub()
    busy = meddled(hub, Shuffle(seed))

    results = await asyncio.gather(*(issue(busy) for _ in range(4)), create(busy), return_exceptions=True)

    won = [result for result in results if not isinstance(result, BaseException)]
    assert len(won) == 1
    assert [type(result) for result in results if isinstance(result, Fault)] == [Conflict] * 4
    if isinstance(won[0], ClaimView):
        assert fits(await bundle(hub))
        assert (await bundle(hub))["provisioning.crt"] == won[0].cert_pem


@pytest.mark.parametrize("done", [True, False])
async def test_an_issue_cut_short_anywhere_leaves_a_claim_with_its_key_or_none(done: bool) -> None:
    for writes in range(1, 6):
        hub = memory_hub()
        try:
            await issue(meddled(hub, Outage(writes, last_is_done=done)))
        except Unavailable:
            if await roles(hub):
                assert fits(await bundle(hub))
            else:
                await issue(hub)
        assert await roles(hub) == ["fleet"]
        assert fits(await bundle(hub))


@pytest.mark.parametrize("seed", range(12))
async def test_a_claim_deleted_while_its_bundle_is_fetched_gives_it_or_refuses(seed: int) -> None:
    hub = memory_hub()
    await issue(hub)
    busy = meddled(hub, Shuffle(seed))

    result, _ = await asyncio.gather(bundle(busy), revoke(busy), return_exceptions=True)

    assert isinstance(result, Conflict) or (isinstance(result, dict) and fits(result))
    assert await kept_key(hub) == ""
