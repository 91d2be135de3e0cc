"""What the broker must enforce, and when the revocation list is made anew."""

from datetime import timedelta

import pytest
from cryptography import x509

from functions.adapters.authority import LocalAuthority
from functions.adapters.roots import make_root
from functions.contract.messages import Access, DeviceRevoke, Nothing
from functions.domain.marks import Revoked
from functions.handlers import access, records
from functions.ports import Hub
from functions.testing import START, MemoryHub, SettableClock, call, memory_hub
from tests.unit.handlers.onboarding import create_device, listed, new_csr


async def read(hub: Hub) -> Access:
    return await access.read(call(Nothing(), caller="system:bridge"), hub)


async def revoke(hub: Hub, name: str) -> None:
    await records.revoke(call(DeviceRevoke(), caller="user:anna", names=(name,)), hub)


def entry(number: int) -> str:
    return f"{1 << 127 | number:x}"


def revoked(days: int = 365, name: str = "pump-7") -> Revoked:
    return Revoked(name, START, START + timedelta(days=days))


async def test_the_first_call_makes_the_first_list() -> None:
    hub = memory_hub()

    told = await read(hub)

    assert (told.claims, told.suspended, told.cut, told.crl_number) == ([], [], [], 1)
    crl = x509.load_pem_x509_crl(told.crl_pem.encode())
    assert len(crl) == 0
    assert crl.last_update_utc == START - timedelta(hours=1)
    assert crl.next_update_utc == START + timedelta(days=30)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value
    assert number.crl_number == 1


async def test_a_list_is_kept_for_a_day_then_made_anew() -> None:
    hub = memory_hub()
    first = await read(hub)
    hub.clock.advance(timedelta(hours=23, minutes=59))
    assert await read(hub) == first
    hub.clock.advance(60)

    second = await read(hub)

    assert second.crl_number == 2
    crl = x509.load_pem_x509_crl(second.crl_pem.encode())
    assert crl.next_update_utc == START + timedelta(days=31)


async def test_what_the_list_lacks_is_put_on_it() -> None:
    hub = memory_hub()
    await read(hub)
    await hub.revoked.create(entry(1), revoked())

    assert (await read(hub)).crl_number == 2
    assert await listed(hub) == {entry(1)}


async def test_an_expired_certificate_leaves_the_list_a_day_after_its_end() -> None:
    hub = memory_hub(revoked={entry(1): revoked(days=1), entry(2): revoked()})
    await read(hub)
    hub.clock.advance(timedelta(days=2, seconds=-1))
    await read(hub)
    assert await listed(hub) == {entry(1), entry(2)}
    hub.clock.advance(1)

    await read(hub)

    assert await listed(hub) == {entry(2)}


async def test_a_list_made_by_a_clock_that_ran_ahead_is_made_anew() -> None:
    hub = memory_hub()
    hub.clock.advance(timedelta(days=3))
    await read(hub)
    hub.clock.set(START)

    told = await read(hub)

    assert told.crl_number == 2
    assert x509.load_pem_x509_crl(told.crl_pem.encode()).last_update_utc < START


async def test_another_ca_makes_a_list_of_its_own() -> None:
    clock = SettableClock()
    hub = memory_hub(clock=clock)
    first = await read(hub)
    kept = await hub.revocations.get("crl")
    assert kept is not None
    other = memory_hub(clock=clock, authority=LocalAuthority(*make_root(), clock), revocations={"crl": kept.value})

    second = await read(other)

    assert second.crl_number == 2
    issuers = {x509.load_pem_x509_crl(told.crl_pem.encode()).issuer for told in (first, second)}
    assert len(issuers) == 2


async def test_a_cut_names_each_revoked_common_name_once_with_the_last_time() -> None:
    hub = memory_hub()
    await create_device(hub, "pump-7")
    await revoke(hub, "pump-7")
    hub.clock.advance(60)
    await create_device(hub, "pump-7", new_csr("pump-7"))
    hub.clock.advance(60)
    await revoke(hub, "pump-7")
    await create_device(hub, "pump-8")
    await revoke(hub, "pump-8")

    told = [(cut.common_name, cut.at) for cut in (await read(hub)).cut]

    later = START + timedelta(minutes=2)
    assert told == [("pump-7", later), ("pump-8", later)]


async def test_what_was_revoked_longer_ago_than_a_list_lives_has_no_session_to_cut() -> None:
    hub = memory_hub(revoked={entry(1): revoked()})
    hub.clock.advance(timedelta(days=30, seconds=-1))
    assert len((await read(hub)).cut) == 1
    hub.clock.advance(1)

    assert (await read(hub)).cut == []
    assert await listed(hub) == {entry(1)}


@pytest.fixture
def crowded() -> MemoryHub:
    return memory_hub(revoked={entry(number): revoked(name=f"pump-{number}") for number in range(300)})


async def test_numbers_go_up_by_one_with_each_list_and_stay_without(crowded: MemoryHub) -> None:
    numbers = []
    for _ in range(5):
        numbers += [(await read(crowded)).crl_number, (await read(crowded)).crl_number]
        crowded.clock.advance(timedelta(days=1))

    assert numbers == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert len(await listed(crowded)) == 300
