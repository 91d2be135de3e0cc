"""The hub's CA is replaced until a device has a certificate of it, and one call decides."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from functions.adapters.authority import LocalAuthority
from functions.adapters.keeping import FileKeeping
from functions.adapters.roots import make_root
from functions.contract.messages import (
    BrokerCertify,
    CaCreate,
    CaImport,
    CaReplaced,
    CaView,
    ClaimCreate,
    Issued,
    Nothing,
    TrustTaken,
)
from functions.domain.ca import Trust
from functions.domain.certificates import Purpose
from functions.domain.faults import Conflict, Fault, Malformed, Reason, Unavailable
from functions.handlers import access, broker, ca, claims
from functions.testing import MemoryHub, call, collect, memory_hub
from tests.unit.handlers.onboarding import (
    ACCESS_CHANGED,
    Meddler,
    Once,
    Outage,
    Shuffle,
    create_device,
    create_from_csr,
    csr,
    listed,
    meddled,
    new_csr,
    open_hub,
    registered,
)

HOSTS = ["hub.example"]


async def create(hub: MemoryHub, **body: Any) -> CaReplaced:
    return await ca.create(call(CaCreate(**body), caller="user:anna"), hub)


async def import_(hub: MemoryHub, pair: tuple[str, str], **body: Any) -> CaReplaced:
    return await ca.import_(call(CaImport(chain_pem=pair[0], key_pem=pair[1], **body), caller="user:anna"), hub)


async def show(hub: MemoryHub) -> CaView:
    return await ca.read(call(Nothing()), hub)


async def claim(hub: MemoryHub, name: str) -> Issued:
    return await claims.create(call(ClaimCreate(name=name, csr_pem=csr(f"claim-{name}")), caller="user:anna"), hub)


async def settle(hub: MemoryHub) -> None:
    """What the keeper does: it fetches, applies, and tells."""
    told = await access.read(call(Nothing(), caller="system:bridge"), hub)
    if not told.settled:
        await broker.trust_taken(call(TrustTaken(issuer=told.issuer), caller="system:bridge"), hub)


async def trust(hub: MemoryHub) -> Trust:
    kept = await hub.trust.get("trust")
    assert kept is not None
    return kept.value


def signed_by(certificate_pem: str, chain_pem: str) -> bool:
    """Whether the first certificate of a chain signed one."""
    issuer = x509.load_pem_x509_certificates(chain_pem.encode())[0]
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    try:
        certificate.verify_directly_issued_by(issuer)
    except ValueError:
        return False
    return True


def fresh(**kept: Any) -> MemoryHub:
    """A hub with a CA of its own: the one that hubs in memory share cannot be replaced in one of them."""
    made = open_hub(**{"claim_certificates": {}, **kept})
    return replace(made, authority=LocalAuthority(*make_root(), made.clock))


async def test_the_ca_of_the_first_start_signs_and_can_be_replaced() -> None:
    hub = fresh()

    view = await show(hub)

    assert (view.in_use, view.settled, view.is_root) == (False, True, True)
    assert view.ca_pem == hub.authority.chain_pem
    assert await show(hub) == view


@pytest.mark.parametrize("purpose", [Purpose.DEVICE, Purpose.CLAIM])
async def test_a_hub_of_an_earlier_version_is_in_use_if_it_has_a_device(purpose: Purpose) -> None:
    source = fresh()
    await (create_device(source, "pump-7") if purpose is Purpose.DEVICE else claim(source, "fleet"))
    hub = fresh(certificates=await registered(source))

    assert (await show(hub)).in_use is (purpose is Purpose.DEVICE)


async def test_a_replaced_ca_signs_nothing_more_and_its_claim_certificates_end() -> None:
    hub = fresh()
    old = hub.authority.chain_pem
    await claim(hub, "fleet")
    await claim(hub, "factory")

    replaced = await create(hub, cn="Pumps CA")

    assert replaced.ended_claims == ["factory", "fleet"]
    assert replaced.common_name == "Pumps CA"
    assert replaced.decided_by == "user:anna"
    assert all(kept.value.revoked_at for kept in (await collect(hub.claim_certificates.entries())).values())
    assert ["claim-factory", "claim-fleet"] in [told.end for told in hub.events.on(ACCESS_CHANGED)]
    issued = await claim(hub, "fleet")
    assert signed_by(issued.cert_pem, replaced.ca_pem)
    assert not signed_by(issued.cert_pem, old)
    assert issued.ca_chain_pem == replaced.ca_pem == hub.authority.chain_pem


async def test_the_list_is_the_new_ca_s_and_names_nothing_of_the_old_one() -> None:
    hub = fresh()
    await claim(hub, "fleet")
    replaced = await create(hub)

    told = await access.read(call(Nothing()), hub)

    crl = x509.load_pem_x509_crl(told.crl_pem.encode())
    issuer = x509.load_pem_x509_certificate(replaced.ca_pem.encode())
    assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    assert await listed(hub) == set()
    assert [cut.common_name for cut in told.cut] == ["claim-fleet"]
    assert (told.issuer, told.ca_pem, told.settled) == (replaced.fingerprint, replaced.ca_pem, False)


async def test_until_the_broker_follows_nobody_joins_by_a_claim_certificate() -> None:
    hub = fresh()
    await create(hub)
    await claim(hub, "fleet")

    with pytest.raises(Unavailable, match="about to follow"):
        await create_from_csr(hub, csr("pump-7"))
    assert not (await trust(hub)).in_use
    await settle(hub)
    await create_from_csr(hub, csr("pump-7"))

    assert (await show(hub)).in_use


async def test_that_the_broker_takes_another_ca_s_certificates_settles_nothing() -> None:
    hub = fresh()
    before = (await show(hub)).fingerprint
    await create(hub)

    await broker.trust_taken(call(TrustTaken(issuer=before)), hub)

    assert not (await show(hub)).settled


@pytest.mark.parametrize("times", [1, 2])
async def test_from_the_first_device_on_the_ca_stays(times: int) -> None:
    hub = fresh()
    for number in range(times):
        await create_device(hub, f"pump-{number}")
    before = await show(hub)

    for attempt in (create(hub), import_(hub, make_root())):
        with pytest.raises(Conflict) as refused:
            await attempt
        assert refused.value.reason is Reason.CA_IN_USE

    assert before.in_use
    assert await show(hub) == before


async def test_a_claim_certificate_does_not_make_it_stay() -> None:
    hub = fresh()
    await claim(hub, "fleet")

    assert not (await show(hub)).in_use


async def test_who_means_another_ca_replaces_nothing() -> None:
    hub = fresh()
    meant = (await show(hub)).fingerprint
    second = await create(hub, replaces=meant)

    with pytest.raises(Conflict, match="not the one that you mean"):
        await create(hub, replaces=meant)

    assert (await show(hub)).fingerprint == second.fingerprint


async def test_a_ca_that_is_imported_again_changes_nothing() -> None:
    hub, pair = fresh(), make_root()
    first = await import_(hub, pair)
    await claim(hub, "fleet")
    entries = len(hub.audit.written)

    again = await import_(hub, pair)

    assert again == first
    assert len(hub.audit.written) == entries


@pytest.mark.parametrize("pair", [("", ""), (make_root()[0], make_root()[1]), (make_root()[0], "no key")])
async def test_what_is_no_ca_with_its_key_is_refused(pair: tuple[str, str]) -> None:
    hub = fresh()
    before = await show(hub)

    with pytest.raises(Malformed) as refused:
        await import_(hub, pair)

    assert refused.value.reason is Reason.BAD_CA
    assert await show(hub) == before


async def test_a_ca_that_is_over_at_the_hub_s_time_is_refused() -> None:
    hub, pair = fresh(), make_root(days=1)
    hub.clock.advance(timedelta(days=3650))

    with pytest.raises(Malformed, match="is over since"):
        await import_(hub, pair)


async def test_the_broker_gets_its_certificate_from_the_ca_that_signs_and_the_register_knows_it() -> None:
    hub = fresh()
    replaced = await create(hub)
    request = BrokerCertify(csr_pem=new_csr("hub-broker"), hostnames=[*HOSTS, "192.0.2.7"])

    issued = await broker.certify(call(request, caller="system:bridge"), hub)

    assert signed_by(issued.cert_pem, replaced.ca_pem)
    (entry,) = (await registered(hub)).values()
    assert (entry.purpose, entry.pem, entry.issuer) == (Purpose.SERVER, issued.cert_pem, replaced.fingerprint)


# --- Races ------------------------------------------------------------------------


async def outcome(attempt: Any) -> Fault | Any:
    try:
        return await attempt
    except Fault as fault:
        return fault


async def consistent(hub: MemoryHub) -> None:
    """What must hold whoever came first: every device's certificate is of the CA that signs, which then is in use."""
    found = await trust(hub)
    devices = [one for one in (await registered(hub)).values() if one.purpose is Purpose.DEVICE]
    assert all(signed_by(one.pem, found.trusted[0].chain_pem) for one in devices)
    assert found.in_use or not devices


@pytest.mark.parametrize("seed", range(60))
async def test_the_first_device_and_a_replacement_at_once_have_one_winner(seed: int) -> None:
    hub = fresh()
    before = await show(hub)
    workers = [meddled(hub, Shuffle(seed * 3 + number)) for number in range(3)]
    # Each has the CA in its own memory, as processes have.
    keeping = hub.authority._keeping  # type: ignore[attr-defined]
    workers = [replace(one, authority=LocalAuthority.kept(keeping, hub.clock)) for one in workers]

    replaced, device, claimed = await asyncio.gather(
        outcome(create(workers[0])), outcome(create_device(workers[1], "pump-7")), outcome(claim(workers[2], "fleet"))
    )

    await consistent(hub)
    if isinstance(replaced, Fault):
        assert (await show(hub)).fingerprint == before.fingerprint
    else:
        assert (await show(hub)).fingerprint == replaced.fingerprint
    assert isinstance(device, (Issued, Unavailable))
    assert not (isinstance(device, Unavailable) and isinstance(replaced, Fault)), "nobody won"
    if isinstance(claimed, Issued):
        live = {
            kept.value.serial
            for kept in (await collect(hub.claim_certificates.entries())).values()
            if kept.value.revoked_at is None
        }
        of_the_present = signed_by(claimed.cert_pem, (await show(hub)).ca_pem)
        assert (claimed.serial in live) is of_the_present


async def test_a_device_signed_by_a_ca_that_was_replaced_meanwhile_is_not_handed_out() -> None:
    hub = fresh()
    await show(hub)

    class AtThePin(Meddler):
        """Has the CA replaced right before it is marked in use."""

        def __init__(self) -> None:
            self.done = False

        async def before_write(self) -> None:
            # The writes of a first device: its id, its claim, and then the mark.
            self.writes = getattr(self, "writes", 0) + 1
            if self.writes == 3 and not self.done:
                self.done = True
                await create(hub)

    with pytest.raises(Unavailable):
        await create_device(meddled(hub, AtThePin()), "pump-7")

    assert await registered(hub) == {}
    assert not (await trust(hub)).in_use
    issued = await create_device(hub, "pump-7")
    assert signed_by(issued.cert_pem, (await show(hub)).ca_pem)


async def test_two_who_replace_it_at_once_leave_one_and_the_other_knows() -> None:
    hub = fresh()
    first = await show(hub)

    async def other() -> None:
        await create(hub, cn="first")

    with pytest.raises(Conflict, match="Another replaced"):
        await create(meddled(hub, Once(other)), cn="second")

    assert (await show(hub)).common_name == "first"
    assert (await show(hub)).fingerprint != first.fingerprint


async def test_a_claim_certificate_made_while_the_ca_is_replaced_is_taken_back() -> None:
    hub = fresh()
    await show(hub)

    async def replace_it() -> None:
        await create(hub)

    with pytest.raises(Unavailable, match="replaced at this moment"):
        await claim(meddled(hub, Once(replace_it)), "fleet")

    assert [
        kept.value.revoked_at is not None for _, kept in (await collect(hub.claim_certificates.entries())).items()
    ] == [True]


# --- Cut short, and other processes -------------------------------------------------


@pytest.mark.parametrize("last_is_done", [True, False])
async def test_a_replacement_cut_short_at_any_write_is_finished_or_never_was(
    last_is_done: bool, tmp_path: Path
) -> None:
    for writes in count(1):
        folder = tmp_path / f"{last_is_done}-{writes}"
        folder.mkdir()
        hub, keeping = on_disk(folder)
        await claim(hub, "fleet")
        before = await show(hub)
        cut = Outage(writes, last_is_done=last_is_done)

        first = await outcome(create(meddled(hub, cut)))

        # Another process, which begins with what lies on the disk.
        later = replace(hub, authority=LocalAuthority.kept(keeping, hub.clock))
        await ca.finish_replacement(later)
        await settle(later)
        view, told = await show(later), await access.read(call(Nothing()), later)
        live = [one.name for one in await live_claims(later)]
        if view.fingerprint == before.fingerprint:
            assert live == ["fleet"]
        else:
            assert live == []
            assert view.settled
        issuer = x509.load_pem_x509_certificate(view.ca_pem.encode())
        assert x509.load_pem_x509_crl(told.crl_pem.encode()).is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
        assert (folder / "root.crt").read_text() == view.ca_pem
        assert signed_by((await create_device(later, "pump-7")).cert_pem, view.ca_pem)
        if not isinstance(first, Fault):
            assert writes > 3
            return


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def live_claims(hub: MemoryHub) -> list[Any]:
    kept = (await collect(hub.claim_certificates.entries())).values()
    return [one.value for one in kept if one.value.revoked_at is None]


def on_disk(folder: Path) -> tuple[MemoryHub, FileKeeping]:
    certificate, key = make_root()
    (folder / "root.crt").write_text(certificate)
    (folder / "root.key").write_text(key)
    keeping = FileKeeping(folder / "root.crt", folder / "root.key")
    hub = open_hub(claim_certificates={})
    return replace(hub, authority=LocalAuthority.kept(keeping, hub.clock)), keeping


async def test_every_process_follows_before_it_answers(tmp_path: Path) -> None:
    hub, keeping = on_disk(tmp_path)
    other = replace(hub, authority=LocalAuthority.kept(keeping, hub.clock))
    await show(other)

    replaced = await create(hub)

    issued = await claim(other, "fleet")
    assert signed_by(issued.cert_pem, replaced.ca_pem)
    assert issued.ca_chain_pem == replaced.ca_pem
    assert files_in(tmp_path) == ["root.crt", "root.key"]


async def test_a_process_whose_machine_lacks_the_key_says_so(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    hub, _ = on_disk(tmp_path / "here")
    _, elsewhere = on_disk(tmp_path / "there")
    other = replace(hub, authority=LocalAuthority.kept(elsewhere, hub.clock))
    await create(hub)

    with pytest.raises(Unavailable, match="not on this machine"):
        await create_device(other, "pump-7")

    assert await registered(hub) == {}


def test_what_another_process_forgets_at_the_same_moment_is_no_fault(tmp_path: Path) -> None:
    _, keeping = on_disk(tmp_path)
    # It is listed and cannot be looked at, as one that has gone in between.
    (tmp_path / f"{'0' * 16}.pem").symlink_to(tmp_path / "gone")

    keeping.tidy()


async def test_once_in_use_and_settled_the_decision_is_not_read_any_more() -> None:
    hub = fresh()
    await create_device(hub, "pump-7")

    class Unreadable(Meddler):
        """No store."""

        async def before_read(self) -> None:
            raise Unavailable

    silent = meddled(memory_hub(), Unreadable())
    await create_device(replace(hub, trust=silent.trust), "pump-8")
