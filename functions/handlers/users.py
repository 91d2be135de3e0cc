"""Users: who may sign in, and as what.

Subjects   devicehub.users.list, .create, .*.update, .*.delete, .change-password
Writes     users, login_failures
Publishes  devicehub.sessions.changed
"""

import secrets
from functools import partial
from typing import Any

from functions.contract.messages import (
    Done,
    Nothing,
    PasswordChange,
    SignedIn,
    UserCreate,
    UserFact,
    UserList,
    UserUpdate,
)
from functions.domain.audit import AuditEntry
from functions.domain.callers import OPERATOR
from functions.domain.faults import Conflict, Denied, Malformed, NotFound, Reason
from functions.domain.roles import UserRole
from functions.domain.users import User, canonical, changed, check_password, keep_an_admin, user_key, user_name
from functions.handlers.auditing import make, record_all
from functions.handlers.limiting import begin_attempt, end_attempt, forget_name
from functions.handlers.logins import begin_session, tell_changed
from functions.handlers.rewriting import amend, value_of
from functions.ports import Call, Hub
from functions.storage import Kept

_STAMP_BYTES = 16


async def list_(call: Call[Nothing], hub: Hub) -> UserList:
    """Every user by name."""
    found = [kept.value async for _, kept in hub.users.entries()]
    return UserList(users=[_fact(user) for user in sorted(found, key=lambda user: user_key(user.name))])


async def create(call: Call[UserCreate], hub: Hub) -> UserFact:
    """Make a user.

    Raises:
        Malformed: a name or password that no user may have.
        Conflict: ``name_taken``.
    """
    user = await make_user(hub, call.body.name, UserRole(call.body.role), call.body.password)
    await keep_user(hub, user, make(hub, call, "user.created", user.name, after={"role": user.role}))
    return _fact(user)


async def update(call: Call[UserUpdate], hub: Hub) -> UserFact:
    """Change role, password or state of a user; what is not given stays.

    A new password, and being disabled, end the user's sessions. A password
    that is set also lets the user try again at once.

    Raises:
        Malformed: nothing is given, or a password that no user may have.
        Denied: a user's own password is changed with ``users.change-password``.
        NotFound: there is no such user.
        Conflict: ``last_admin``.
    """
    wish = {name: getattr(call.body, name) for name in call.body.model_fields_set}
    if not any(value is not None for value in wish.values()):
        raise Malformed(detail="Give 'role', 'password' or 'disabled'.")
    key = user_key(call.names[0])
    before = _found(await hub.users.get(key)).value
    hashed = await _new_password(call, before, hub)
    change = partial(
        changed,
        at=hub.clock.now(),
        role=UserRole(call.body.role) if call.body.role is not None else None,
        disabled=call.body.disabled,
        password=hashed,
        stamp=secrets.token_hex(_STAMP_BYTES),
    )
    await _keep_an_admin(hub, key, change(before))
    facts = {"passwordChanged": True} if hashed is not None else {}

    def told(found: User, user: User) -> AuditEntry:
        return make(hub, call, "user.changed", before.name, before=_state(found), after=_state(user) | facts)

    written = await amend(hub.users, key, change, tell=told)
    if written is None:
        raise _unknown()
    if hashed is not None:
        await forget_name(hub, before.name)
    if written.changed:
        await tell_changed(hub, key)
        await record_all(hub, written.entries)
    return _fact(written.value)


async def delete(call: Call[Nothing], hub: Hub) -> Done:
    """Delete a user, whose sessions end.

    Raises:
        NotFound: there is no such user.
        Conflict: ``last_admin``; or the user was changed at this moment.
    """
    key = user_key(call.names[0])
    kept = _found(await hub.users.get(key))
    await _keep_an_admin(hub, key, None)
    told = make(hub, call, "user.deleted", kept.value.name, before=_state(kept.value))
    await hub.users.remove(key, expect=kept.revision, pledge=told)
    await tell_changed(hub, key)
    await record_all(hub, [told])
    return Done()


async def change_password(call: Call[PasswordChange], hub: Hub) -> SignedIn:
    """Change the caller's own password. All sessions of the user end; the reply has a new one.

    Raises:
        Malformed: the new password is none that a user may have, or the old one.
        Denied: ``wrong_credentials``: the current password is another.
        Conflict: the user was changed at this moment.
        Unavailable: ``rate_limited``.
    """
    if call.caller.kind is not OPERATOR:
        raise Denied(detail="Only a user has a password of its own.")
    key = user_key(call.caller.name)
    kept = _found(await hub.users.get(key))
    attempt = await begin_attempt(hub, call.origin, call.caller.name)
    if not await hub.passwords.verify(kept.value.password, canonical(call.body.current_password)):
        raise Denied(Reason.WRONG_CREDENTIALS, "The current password is another.")
    await end_attempt(hub, attempt)
    new = check_password(call.body.new_password, kept.value.name, "newPassword")
    if new == canonical(call.body.current_password):
        wrong = "is the current password"
        raise Malformed(detail=f"newPassword: {wrong}", fields={"newPassword": wrong})
    hashed = await hub.passwords.hash(new)
    user = changed(kept.value, hub.clock.now(), password=hashed, stamp=secrets.token_hex(_STAMP_BYTES))
    told = make(hub, call, "user.changed", user.name, after={"passwordChanged": True})
    await hub.users.replace(key, user, expect=kept.revision, pledge=told)
    begun = await begin_session(hub, user, call.origin)
    await tell_changed(hub, key)
    await record_all(hub, [told])
    return begun


async def make_user(hub: Hub, name: str, role: UserRole, password: str) -> User:
    """A user who is not kept yet.

    Raises:
        Malformed: a name or password that no user may have.
    """
    name = user_name(name)
    hashed = await hub.passwords.hash(check_password(password, name))
    now = hub.clock.now()
    return User(name, role, hashed, secrets.token_hex(_STAMP_BYTES), now, now)


async def keep_user(hub: Hub, user: User, told: AuditEntry) -> None:
    """Keep a new user, and write down that it was made.

    Raises:
        Conflict: ``name_taken``.
    """
    try:
        await hub.users.create(user_key(user.name), user, pledge=told)
    except Conflict as taken:
        raise Conflict(Reason.NAME_TAKEN, f"There is a user '{user.name}' already, in this case or another.") from taken
    await record_all(hub, [told])


async def _new_password(call: Call[UserUpdate], user: User, hub: Hub) -> str | None:
    if call.body.password is None:
        return None
    if call.caller.kind is OPERATOR and user_key(call.caller.name) == user_key(user.name):
        raise Denied(detail="Change your own password with the current one: POST /api/auth/change-password.")
    return await hub.passwords.hash(check_password(call.body.password, user.name))


async def _keep_an_admin(hub: Hub, key: str, after: User | None) -> None:
    if after is not None and after.role is UserRole.ADMIN and not after.disabled:
        return
    everyone = {other: kept.value async for other, kept in hub.users.entries()}
    now = everyone.pop(key, None)
    if now is not None and now.role is UserRole.ADMIN and not now.disabled:
        keep_an_admin(everyone.values(), after)


def _found(kept: Kept[User] | None) -> Kept[User]:
    if value_of(kept) is None or kept is None:
        raise _unknown()
    return kept


def _unknown() -> NotFound:
    return NotFound(detail="There is no user of this name.")


def _state(user: User) -> dict[str, Any]:
    return {"role": user.role, "disabled": user.disabled}


def _fact(user: User) -> UserFact:
    return UserFact(
        name=user.name,
        role=user.role.value,
        disabled=user.disabled,
        created_at=user.created_at,
        changed_at=user.changed_at,
        signed_in_at=user.signed_in_at,
    )
