"""Credentials of event-driven programs on a hub in memory."""

from datetime import timedelta

import pytest

from functions.contract.messages import CredentialsCreate, CredentialsFact, CredentialsRevoke, Nothing
from functions.domain.credentials import Credentials, check_key
from functions.domain.faults import Conflict, Malformed, NotFound
from functions.domain.groups import Group
from functions.handlers import credentials
from functions.ports import Hub
from functions.testing import START, call, collect, memory_hub
from infra.stack.keys import make_key


async def create(hub: Hub, key: str, name: str = "reports", **more: object) -> CredentialsFact:
    asked = CredentialsCreate.model_validate({"name": name, "publicKey": key, "scopes": ["devices:read"], **more})
    return await credentials.create(call(asked, caller="user:anna"), hub)


async def revoke(hub: Hub, name: str = "reports") -> None:
    await credentials.revoke(call(CredentialsRevoke(name=name), caller="user:anna"), hub)


async def listed(hub: Hub) -> list[CredentialsFact]:
    return (await credentials.list_(call(Nothing(), caller="user:anna"), hub)).credentials


async def test_what_is_kept_is_the_public_key_and_what_it_allows() -> None:
    hub, (_, key) = memory_hub(), make_key()

    made = await create(hub, key, scopes=["twins:read", "devices:read"], groups=["north", "north"], days=90)

    assert await listed(hub) == [made]
    kept = await collect(hub.credentials.entries())
    assert {one: entry.value for one, entry in kept.items()} == {
        key: Credentials("reports", ("devices:read", "twins:read"), ("north",), START, START + timedelta(days=90))
    }


async def test_a_name_in_use_and_a_known_key_are_refused() -> None:
    hub, (_, key), (_, other) = memory_hub(), make_key(), make_key()
    await create(hub, key)

    with pytest.raises(Conflict, match="name_taken"):
        await create(hub, other)
    with pytest.raises(Conflict, match="name_taken"):
        await create(hub, key, "others")


async def test_a_revoked_name_is_free_again_and_its_key_is_not() -> None:
    hub, (_, key), (_, other) = memory_hub(), make_key(), make_key()
    await create(hub, key)
    hub.clock.advance(60)

    await revoke(hub)

    assert [one.revoked_at for one in await listed(hub)] == [START + timedelta(seconds=60)]
    with pytest.raises(NotFound):
        await revoke(hub)
    await create(hub, other)
    with pytest.raises(Conflict):
        await create(hub, key, "others")
    assert [(one.public_key, one.revoked_at is None) for one in await listed(hub)] == [(key, False), (other, True)]


async def test_a_group_with_a_query_limits_nothing_and_is_refused() -> None:
    hub = memory_hub(groups={"pumps": Group("pumps", START, START, "model:P"), "north": Group("north", START, START)})

    with pytest.raises(Malformed, match="has a query"):
        await create(hub, make_key()[1], groups=["north", "pumps"])
    assert await listed(hub) == []


@pytest.mark.parametrize(
    "change",
    [lambda key: key[:-1] + ("B" if key.endswith("A") else "A"), lambda key: "S" + key[1:], str.lower, lambda key: ""],
)
def test_what_is_no_public_key_is_refused(change: object) -> None:
    _, key = make_key()
    assert check_key(key) == key

    with pytest.raises(Malformed) as refused:
        check_key(change(key) if callable(change) else key)
    assert refused.value.fields.keys() == {"publicKey"}


async def test_a_seed_is_never_taken_for_a_key() -> None:
    seed, _ = make_key()

    with pytest.raises(Malformed):
        check_key(seed)
