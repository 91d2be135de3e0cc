"""Users, their sessions and the first run, on a hub in memory."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from structlog.testing import capture_logs

from functions.contract.messages import (
    Nothing,
    PasswordChange,
    SessionProof,
    SessionProven,
    SetupComplete,
    SignedIn,
    SignIn,
    UserCreate,
    UserUpdate,
)
from functions.domain import logins as rules
from functions.domain.faults import Conflict, Denied, Malformed, NotFound, Reason, Unavailable
from functions.handlers import limiting, logins, setup, users
from functions.routes import ROUTES
from functions.runtime.calls import answer
from functions.testing import MemoryHub, call, collect, memory_hub

PASSWORD = "correct horse battery"
OTHER = "another long password"


@pytest.fixture
async def hub() -> MemoryHub:
    made = memory_hub()
    await make(made, "anna", "admin")
    return made


async def make(hub: MemoryHub, name: str, role: str, password: str = PASSWORD) -> None:
    await users.create(call(UserCreate.model_validate({"name": name, "role": role, "password": password})), hub)


async def sign_in(
    hub: MemoryHub, user: str = "anna", password: str = PASSWORD, origin: str = "http:192.0.2.1"
) -> SignedIn:
    return await logins.sign_in(call(SignIn(user=user, password=password), caller="system:gateway", origin=origin), hub)


async def prove(hub: MemoryHub, id_: str, *, quiet: bool = False) -> SessionProven:
    return await logins.prove(call(SessionProof(id=id_, quiet=quiet), caller="system:gateway"), hub)


async def update(hub: MemoryHub, name: str, caller: str = "system:cli", **wish: Any) -> None:
    await users.update(call(UserUpdate(**wish), names=(name,), caller=caller), hub)


async def is_good(hub: MemoryHub, id_: str) -> bool:
    try:
        await prove(hub, id_, quiet=True)
    except Denied:
        return False
    return True


async def test_who_knows_the_password_is_signed_in_in_any_case_of_the_name(hub: MemoryHub) -> None:
    begun = await sign_in(hub, "ANNA")
    proven = await prove(hub, begun.id)

    assert rules.is_text(begun.session)
    assert begun.id == rules.session_id(begun.session)
    assert (proven.user, proven.role) == ("anna", "admin")
    assert proven.expires_at == hub.clock.now() + timedelta(minutes=60)
    assert proven.ends_at == hub.clock.now() + timedelta(hours=12)


async def test_nothing_of_a_password_or_a_session_is_kept_told_or_logged(hub: MemoryHub) -> None:
    route = next(one for one in ROUTES if one.subject == "sessions.create")
    asked = SignIn(user="anna", password=PASSWORD)
    with capture_logs() as lines:
        reply = await answer(route, hub, route.full_subject, asked.encode(), {"Hub-Caller": "system:gateway"})
        wrong = SignIn(user="annas-secret", password="wrong")
        await answer(route, hub, route.full_subject, wrong.encode(), {"Hub-Caller": "system:gateway"})
    begun = SignedIn.model_validate_json(reply.body)
    everything = repr(
        [
            await collect(hub.users.entries()),
            await collect(hub.user_sessions.entries()),
            await collect(hub.login_failures.entries()),
            hub.events.sent,
            hub.audit.written,
            lines,
            asked,
            begun,
        ]
    )

    for secret in (PASSWORD, begun.session, "annas-secret", "$argon2id"):
        assert secret not in everything
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("user", "password"),
    [("anna", "wrong"), ("anna", ""), ("bert", PASSWORD), ("an.na", PASSWORD), ("anna ", PASSWORD), ("änna", PASSWORD)],
)
async def test_wrong_names_and_wrong_passwords_are_answered_alike(hub: MemoryHub, user: str, password: str) -> None:
    with pytest.raises(Denied) as refused:
        await sign_in(hub, user, password or " ")

    assert (refused.value.reason, refused.value.detail) == (
        Reason.WRONG_CREDENTIALS,
        "The name or the password is wrong.",
    )


async def test_a_password_is_the_same_however_it_was_typed(hub: MemoryHub) -> None:
    await make(hub, "juergen", "viewer", "über den Wolken 1")

    assert (await sign_in(hub, "juergen", "u\u0308ber den Wolken 1")).user == "juergen"


async def test_a_session_ends_unused_and_in_any_case_after_its_most(hub: MemoryHub) -> None:
    unused, used = await sign_in(hub), await sign_in(hub)
    for _ in range(12 * 60 // 50):
        hub.clock.advance(timedelta(minutes=50))
        await prove(hub, used.id)
    assert not await is_good(hub, unused.id)

    hub.clock.advance(timedelta(minutes=21))

    assert not await is_good(hub, used.id)


async def test_a_quiet_look_at_a_session_does_not_keep_it(hub: MemoryHub) -> None:
    begun = await sign_in(hub)
    hub.clock.advance(timedelta(minutes=59))
    assert await is_good(hub, begun.id)

    hub.clock.advance(timedelta(minutes=1))

    assert not await is_good(hub, begun.id)


async def test_what_is_over_is_forgotten_and_nothing_else(hub: MemoryHub) -> None:
    over = await sign_in(hub)
    hub.clock.advance(timedelta(minutes=40))
    good = await sign_in(hub)
    with pytest.raises(Denied):
        await sign_in(hub, password="wrong")
    hub.clock.advance(timedelta(minutes=20))

    await logins.forget_sessions(hub)
    await limiting.forget_failures(hub)

    assert set(await collect(hub.user_sessions.entries())) == {good.id}
    assert over.id != good.id
    assert await collect(hub.login_failures.entries()) == {}


@pytest.mark.parametrize("wish", [{"password": OTHER}, {"disabled": True}])
async def test_another_password_or_being_disabled_ends_every_session(hub: MemoryHub, wish: dict[str, Any]) -> None:
    await make(hub, "bert", "admin")
    begun, others = await sign_in(hub, "bert"), await sign_in(hub, "anna")

    await update(hub, "bert", **wish)

    assert not await is_good(hub, begun.id)
    assert await is_good(hub, others.id)
    (told,) = hub.events.on("devicehub.sessions.changed")
    assert (told.user, told.session) == ("bert", None)


async def test_a_role_holds_from_the_next_call_on(hub: MemoryHub) -> None:
    await make(hub, "bert", "operator")
    begun = await sign_in(hub, "bert")

    await update(hub, "bert", role="viewer")

    assert (await prove(hub, begun.id)).role == "viewer"


async def test_a_user_who_was_deleted_is_out_even_if_the_name_is_used_again(hub: MemoryHub) -> None:
    await make(hub, "bert", "viewer")
    begun = await sign_in(hub, "bert")

    await users.delete(call(Nothing(), names=("bert",)), hub)
    assert not await is_good(hub, begun.id)
    await make(hub, "Bert", "admin")

    assert not await is_good(hub, begun.id)
    with pytest.raises(Conflict) as refused:
        await make(hub, "bert", "viewer")
    assert refused.value.reason is Reason.NAME_TAKEN


@pytest.mark.parametrize("wish", [{"role": "viewer"}, {"disabled": True}, None])
async def test_the_last_admin_stays(hub: MemoryHub, wish: dict[str, Any] | None) -> None:
    await make(hub, "bert", "admin")
    await update(hub, "bert", disabled=True)

    with pytest.raises(Conflict) as refused:
        await (users.delete(call(Nothing(), names=("anna",)), hub) if wish is None else update(hub, "anna", **wish))

    assert refused.value.reason is Reason.LAST_ADMIN
    await update(hub, "bert", disabled=False)
    await (users.delete(call(Nothing(), names=("anna",)), hub) if wish is None else update(hub, "anna", **wish))


async def test_who_changes_a_password_gets_the_only_session(hub: MemoryHub) -> None:
    before = [await sign_in(hub), await sign_in(hub)]
    wish = PasswordChange(current_password=PASSWORD, new_password=OTHER)

    begun = await users.change_password(call(wish, caller="user:anna"), hub)

    assert [await is_good(hub, one.id) for one in before] == [False, False]
    assert await is_good(hub, begun.id)
    with pytest.raises(Denied):
        await sign_in(hub)
    assert await is_good(hub, (await sign_in(hub, password=OTHER)).id)


async def test_a_password_is_not_changed_without_the_current_one(hub: MemoryHub) -> None:
    with pytest.raises(Denied) as refused:
        await users.change_password(
            call(PasswordChange(current_password="wrong", new_password=OTHER), caller="user:anna"), hub
        )
    assert refused.value.reason is Reason.WRONG_CREDENTIALS
    with pytest.raises(Denied):
        await update(hub, "anna", caller="user:Anna", password=OTHER)
    with pytest.raises(Malformed):
        await users.change_password(
            call(PasswordChange(current_password=PASSWORD, new_password=PASSWORD), caller="user:anna"), hub
        )
    assert await is_good(hub, (await sign_in(hub)).id)


@pytest.mark.parametrize(
    ("name", "password"),
    [("bert", "short"), ("bert", "x" * 257), ("bert", "aaaaaaaaaaaaa"), ("bertholdmaier", "bertholdmaier1"),
     ("", PASSWORD), ("-bert", PASSWORD), ("be rt", PASSWORD), ("b" * 65, PASSWORD), ("bert.b", PASSWORD)],
)  # fmt: skip
async def test_what_no_user_may_have_is_refused(hub: MemoryHub, name: str, password: str) -> None:
    with pytest.raises(Malformed) as refused:
        await users.create(
            call(UserCreate.model_construct(name=name, role="viewer", password=password), payload=b"{}"), hub
        )

    assert set(refused.value.fields) <= {"name", "password"}
    assert password not in str(refused.value)


async def test_users_see_and_end_their_own_sessions_and_admins_all(hub: MemoryHub) -> None:
    await make(hub, "bert", "operator")
    annas, berts = await sign_in(hub), await sign_in(hub, "bert")

    async def seen(caller: str, *scopes: str) -> set[str]:
        found = await logins.list_(call(Nothing(), caller=caller, scopes=scopes), hub)
        return {one.id for one in found.sessions}

    assert await seen("user:anna", "admin") == await seen("system:cli") == {annas.id, berts.id}
    assert await seen("user:Bert", "operator") == {berts.id}
    with pytest.raises(NotFound):
        await logins.end(call(Nothing(), names=(annas.id,), caller="user:bert", scopes=("operator",)), hub)
    await logins.end(call(Nothing(), names=(berts.id,), caller="user:anna", scopes=("admin",)), hub)
    assert not await is_good(hub, berts.id)
    assert hub.events.on("devicehub.sessions.changed")[-1].session == berts.id


async def test_an_address_is_limited_whatever_the_name_and_others_are_not(hub: MemoryHub) -> None:
    for number in range(10):
        with pytest.raises(Denied):
            await sign_in(hub, f"nobody-{number}", "wrong")

    with pytest.raises(Unavailable) as refused:
        await sign_in(hub)
    assert (refused.value.reason, refused.value.retry_after) == (Reason.RATE_LIMITED, 30)
    assert await is_good(hub, (await sign_in(hub, origin="http:192.0.2.2")).id)
    hub.clock.advance(30)
    assert await is_good(hub, (await sign_in(hub)).id)


async def test_a_name_is_limited_from_however_many_addresses_until_its_password_is_set(hub: MemoryHub) -> None:
    for number in range(50):
        with pytest.raises(Denied):
            await sign_in(hub, "Anna" if number % 2 else "anna", "wrong", origin=f"http:198.51.100.{number}")

    with pytest.raises(Unavailable) as refused:
        await sign_in(hub, origin="http:203.0.113.1")
    assert refused.value.reason is Reason.RATE_LIMITED
    await update(hub, "anna", password=OTHER)
    assert await is_good(hub, (await sign_in(hub, password=OTHER)).id)


async def test_no_number_of_attempts_at_once_is_more_than_the_limit(hub: MemoryHub) -> None:
    outcomes = await asyncio.gather(
        *(sign_in(hub, password=f"wrong {number}") for number in range(300)), return_exceptions=True
    )

    reasons = [one.reason for one in outcomes if isinstance(one, Denied | Unavailable)]
    assert len(reasons) == 300
    assert reasons.count(Reason.WRONG_CREDENTIALS) <= 10
    assert set(reasons) == {Reason.WRONG_CREDENTIALS, Reason.RATE_LIMITED}


async def test_who_succeeds_is_never_limited(hub: MemoryHub) -> None:
    for _ in range(30):
        await sign_in(hub)


async def test_a_refused_attempt_writes_nothing(hub: MemoryHub) -> None:
    for _ in range(10):
        with pytest.raises(Denied):
            await sign_in(hub, password="wrong")
    before = await collect(hub.login_failures.entries())

    for _ in range(200):
        with pytest.raises(Unavailable):
            await sign_in(hub, password="wrong")

    assert await collect(hub.login_failures.entries()) == before


async def test_a_hash_of_older_parameters_is_made_anew(hub: MemoryHub) -> None:
    kept = await hub.users.get("anna")
    assert kept is not None
    older = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    await hub.users.replace("anna", replace(kept.value, password=older), expect=kept.revision)

    begun = await sign_in(hub)

    again = await hub.users.get("anna")
    assert again is not None
    assert not hub.passwords.is_outdated(again.value.password)
    assert await is_good(hub, begun.id)
    assert await is_good(hub, (await sign_in(hub)).id)


# --- The first run


async def open_setup(hub: MemoryHub) -> str:
    return (await setup.open_(call(Nothing(), caller="system:cli"), hub)).code


async def complete(hub: MemoryHub, code: str, name: str = "anna", **more: Any) -> SignedIn:
    wish = SetupComplete(code=code, name=name, password=PASSWORD, **more)
    return await setup.complete(call(wish, caller="system:gateway", origin="http:192.0.2.1"), hub)


async def test_the_code_makes_the_first_admin_once() -> None:
    hub = memory_hub()
    assert (await setup.read(call(Nothing()), hub)).needed
    code = await open_setup(hub)

    begun = await complete(hub, f" {code.lower()} ", hostnames=["hub.lan", "192.0.2.9"])

    assert (await prove(hub, begun.id)).role == "admin"
    kept = await hub.settings.get("server")
    assert kept is not None
    assert kept.value.hostnames == ("hub.lan", "192.0.2.9")
    assert not (await setup.read(call(Nothing()), hub)).needed
    for again in (complete(hub, code, "bert"), open_setup(hub)):
        with pytest.raises(Conflict) as refused:
            await again
        assert refused.value.reason is Reason.ALREADY_SET_UP


async def test_a_code_is_good_for_a_day_and_until_the_next() -> None:
    hub = memory_hub()
    first, second = await open_setup(hub), await open_setup(hub)
    with pytest.raises(Denied):
        await complete(hub, first)
    hub.clock.advance(timedelta(days=1))

    with pytest.raises(Denied) as refused:
        await complete(hub, second)

    assert refused.value.reason is Reason.WRONG_CREDENTIALS
    assert "devicehub up" in refused.value.detail


async def test_what_is_wrong_with_the_first_admin_leaves_the_code_good() -> None:
    hub = memory_hub()
    code = await open_setup(hub)

    for wrong in ({"name": "an na"}, {"hostnames": ["not a host"]}):
        with pytest.raises(Malformed):
            await complete(hub, code, **wrong)

    assert (await complete(hub, code)).user == "anna"


async def test_two_who_use_the_code_at_once_make_one_admin() -> None:
    hub = memory_hub()
    code = await open_setup(hub)

    outcomes = await asyncio.gather(*(complete(hub, code, f"user-{n}") for n in range(5)), return_exceptions=True)

    assert sum(isinstance(one, SignedIn) for one in outcomes) == 1
    assert len(await collect(hub.users.entries())) == 1


async def test_codes_cannot_be_tried_for_ever() -> None:
    hub = memory_hub()
    code = await open_setup(hub)
    for _ in range(10):
        with pytest.raises(Denied):
            await complete(hub, "0000-0000-0000-0000")

    with pytest.raises(Unavailable):
        await complete(hub, code)
