"""Sessions of users: signing in, and what is asked of whoever shows one.

Subjects   devicehub.sessions.create, .prove, .list, .*.end
Writes     user_sessions, login_failures; of users, when they signed in
Publishes  devicehub.sessions.changed
"""

import secrets
from dataclasses import replace

from functions.contract.messages import (
    Done,
    Nothing,
    SessionProof,
    SessionProven,
    SessionsChanged,
    SignedIn,
    SignIn,
    UserSessionFact,
    UserSessionList,
)
from functions.contract.subjects import subject
from functions.domain import logins
from functions.domain.callers import OPERATOR
from functions.domain.faults import Conflict, Denied, NotFound, Reason
from functions.domain.logins import UserSession
from functions.domain.roles import UserRole, role_of
from functions.domain.users import User, canonical, user_key
from functions.handlers.auditing import make, record, record_all
from functions.handlers.limiting import begin_attempt, end_attempt
from functions.handlers.rewriting import amend, value_of
from functions.ports import Call, Hub

CHANGED = subject("sessions", "changed")


async def sign_in(call: Call[SignIn], hub: Hub) -> SignedIn:
    """Begin a session for who knows a user's password.

    A name that is nobody's and a wrong password are answered alike, after as
    much work. The session is always a new one.

    Raises:
        Denied: ``wrong_credentials``.
        Unavailable: ``rate_limited``.
    """
    key = user_key(call.body.user)
    attempt = await begin_attempt(hub, call.origin, call.body.user)
    user = value_of(await hub.users.get(key)) if _is_key(key) else None
    password = canonical(call.body.password)
    is_right = await hub.passwords.verify(user.password if user is not None else None, password)
    if user is None or not is_right or user.disabled:
        raise Denied(Reason.WRONG_CREDENTIALS, "The name or the password is wrong.")
    await end_attempt(hub, attempt)
    hashed = await hub.passwords.hash(password) if hub.passwords.is_outdated(user.password) else user.password
    now = hub.clock.now()

    def noted(found: User) -> User:
        # Where it was changed meanwhile, the new one stays.
        newer = hashed if found.password == user.password else found.password
        return replace(found, password=newer, signed_in_at=now)

    await amend(hub.users, key, noted)
    begun = await begin_session(hub, user, call.origin)
    await record(hub, call, "user.signed-in", user.name, after={"session": begun.id})
    return begun


async def begin_session(hub: Hub, user: User, origin: str) -> SignedIn:
    """A new session of a user; its text stands in this reply and nowhere else."""
    text = logins.PREFIX + secrets.token_urlsafe(logins.RANDOM_BYTES)
    now = hub.clock.now()
    session = UserSession(user_key(user.name), user.stamp, now, now, origin)
    await hub.user_sessions.create(logins.session_id(text), session)
    return SignedIn(
        session=text,
        id=logins.session_id(text),
        user=user.name,
        role=user.role.value,
        expires_at=session.ends_at(hub.session_lifetime),
        ends_at=session.since + hub.session_lifetime.most,
    )


async def prove(call: Call[SessionProof], hub: Hub) -> SessionProven:
    """Whose session has this id, and what the user may do now; its use is noted, at most twice a minute.

    Raises:
        Denied: ``unauthenticated``: there is none, or it is over.
    """
    now = hub.clock.now()
    session, user, revision = await _good(call.body.id, hub)
    noted = session if call.body.quiet else logins.used(session, now)
    if noted is not session:
        try:
            await hub.user_sessions.replace(call.body.id, noted, expect=revision)
        except Conflict:
            # Another gateway noted the same use, or it was ended this moment.
            noted, user, _ = await _good(call.body.id, hub)
    return SessionProven(
        id=call.body.id,
        user=user.name,
        role=user.role.value,
        expires_at=noted.ends_at(hub.session_lifetime),
        ends_at=noted.since + hub.session_lifetime.most,
        server_time=now,
    )


async def list_(call: Call[Nothing], hub: Hub) -> UserSessionList:
    """Sessions that are good now, the latest first: of all users for an admin, for others their own.

    There are few: it reads the whole store.
    """
    now, users = hub.clock.now(), {key: kept.value async for key, kept in hub.users.entries()}
    found = []
    async for id_, kept in hub.user_sessions.entries():
        session, user = kept.value, users.get(kept.value.user)
        if user is None or not _is_good(session, user, hub) or not _may_see(call, session):
            continue
        found.append(
            UserSessionFact(
                id=id_,
                user=user.name,
                role=user.role.value,
                since=session.since,
                used_at=min(session.used_at, now),
                expires_at=session.ends_at(hub.session_lifetime),
                origin=session.origin,
            )
        )
    return UserSessionList(sessions=sorted(found, key=lambda fact: (fact.since, fact.id), reverse=True))


async def end(call: Call[Nothing], hub: Hub) -> Done:
    """End a session: an admin anybody's, others their own. Gateways hear of it at once.

    Raises:
        NotFound: there is none of this id, or it is another's.
    """
    kept = await hub.user_sessions.get(call.names[0])
    if kept is None or not _may_see(call, kept.value):
        raise NotFound(detail="There is no session of this id. It may have ended by itself.")
    told = make(hub, call, "session.ended", call.names[0], before={"user": kept.value.user})
    try:
        await hub.user_sessions.remove(call.names[0], expect=kept.revision, pledge=told)
    except Conflict as lost:
        again = await hub.user_sessions.get(call.names[0])
        if again is not None:
            # A use of it was noted at this moment.
            await hub.user_sessions.remove(call.names[0], expect=again.revision, pledge=told)
        else:
            raise NotFound(detail="The session ended at this moment.") from lost
    await tell_changed(hub, kept.value.user, call.names[0])
    await record_all(hub, [told])
    return Done()


async def forget_sessions(hub: Hub) -> None:
    """Forget sessions that are over; for a timer.

    Raises:
        Unavailable: the storage; what is left is done the next time.
    """
    users = {key: kept.value async for key, kept in hub.users.entries()}
    async for id_, kept in hub.user_sessions.entries():
        user = users.get(kept.value.user)
        if user is not None and _is_good(kept.value, user, hub):
            continue
        # Of a user who was made after the users were read, it is good.
        if user is None and await hub.users.get(kept.value.user) is not None:
            continue
        try:
            await hub.user_sessions.remove(id_, expect=kept.revision)
        except Conflict:
            # Used or ended at this moment.
            continue


async def tell_changed(hub: Hub, user: str, session: str | None = None) -> None:
    """Tell gateways that one session of a user is over, or that all of them may be."""
    await hub.events.publish(CHANGED, SessionsChanged(user=user, session=session))


async def _good(id_: str, hub: Hub) -> tuple[UserSession, User, int]:
    kept = await hub.user_sessions.get(id_)
    session = logins.prove(value_of(kept), hub.session_lifetime, hub.clock.now())
    user = value_of(await hub.users.get(session.user))
    if kept is None or user is None or not _is_good(session, user, hub):
        raise Denied(Reason.UNAUTHENTICATED, "The session is over. Sign in again.")
    return session, user, kept.revision


def _is_good(session: UserSession, user: User, hub: Hub) -> bool:
    is_over = session.ends_at(hub.session_lifetime) <= hub.clock.now()
    return not is_over and session.stamp == user.stamp and not user.disabled


def _may_see(call: Call[Nothing], session: UserSession) -> bool:
    if call.caller.kind is not OPERATOR or role_of(call.scopes) is UserRole.ADMIN:
        return True
    return session.user == user_key(call.caller.name)


def _is_key(key: str) -> bool:
    """Whether anything can be kept under a name that somebody typed."""
    return key.isascii() and 0 < len(key) <= 64 and key.replace("-", "").replace("_", "").isalnum()
