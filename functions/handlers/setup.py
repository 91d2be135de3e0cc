"""The first run: a code that is shown on the machine itself makes the first admin.

Subjects   devicehub.setup.get, .open, .complete
Writes     setup_codes, users, user_sessions, login_failures; settings, where host names are told
"""

import hmac
import secrets
from dataclasses import replace

from functions.contract.messages import Nothing, ServerChange, SetupCodeGiven, SetupComplete, SetupState, SignedIn
from functions.domain import logins
from functions.domain.faults import Conflict, Denied, Reason
from functions.domain.logins import SetupCode
from functions.domain.roles import UserRole
from functions.domain.server_settings import ServerSettings, amend_settings
from functions.handlers import server_settings
from functions.handlers.auditing import make, record_all
from functions.handlers.limiting import SETUP as ATTEMPTS
from functions.handlers.limiting import begin_attempt, end_attempt
from functions.handlers.logins import begin_session
from functions.handlers.rewriting import rewrite
from functions.handlers.users import keep_user, make_user
from functions.ports import Call, Hub
from functions.storage import Kept

SETUP = "setup"


async def read(call: Call[Nothing], hub: Hub) -> SetupState:
    """Whether the first admin is still to be made."""
    return SetupState(needed=not await _has_users(hub))


async def open_(call: Call[Nothing], hub: Hub) -> SetupCodeGiven:
    """Make a code, good for a day and for once; the one before is good no longer.

    Raises:
        Conflict: ``already_set_up``: there are users.
    """
    if await _has_users(hub):
        raise _set_up()
    code = "".join(secrets.choice(logins.CODE_LETTERS) for _ in range(logins.CODE_LENGTH))
    expires_at = hub.clock.now() + logins.CODE_GOOD_FOR
    made = SetupCode(logins.code_digest(code), expires_at)
    told = make(hub, call, "setup.opened", SETUP, after={"expiresAt": expires_at})
    written = await rewrite(hub.setup_codes, SETUP, lambda _: made, tell=lambda *_: told)
    await record_all(hub, written.entries)
    groups = (code[place : place + 4] for place in range(0, len(code), 4))
    return SetupCodeGiven(code="-".join(groups), expires_at=expires_at)


async def complete(call: Call[SetupComplete], hub: Hub) -> SignedIn:
    """Make the first admin with the code, and sign it in; a code makes one user, however many use it at once.

    Raises:
        Denied: ``wrong_credentials``: the code is another, used or over.
        Malformed: a name, password or host name that will not do; the code stays good.
        Conflict: ``already_set_up``.
        Unavailable: ``rate_limited``.
    """
    if await _has_users(hub):
        raise _set_up()
    attempt = await begin_attempt(hub, call.origin, ATTEMPTS)
    kept = await hub.setup_codes.get(SETUP)
    if kept is None or not _is_right(kept, call.body.code, hub):
        raise Denied(
            Reason.WRONG_CREDENTIALS, "The code is wrong or over. 'devicehub up' prints a new one when it starts."
        )
    await end_attempt(hub, attempt)
    names = call.body.hostnames
    if names is not None:
        amend_settings(ServerSettings(), {"hostnames": names})
    user = await make_user(hub, call.body.name, UserRole.ADMIN, call.body.password)
    try:
        await hub.setup_codes.replace(SETUP, replace(kept.value, used=True), expect=kept.revision)
    except Conflict as lost:
        raise _set_up() from lost
    await keep_user(hub, user, make(hub, call, "user.created", user.name, after={"role": user.role, "first": True}))
    if names is not None:
        await server_settings.change(replace(call, body=ServerChange(hostnames=names)), hub)  # type: ignore[arg-type]
    return await begin_session(hub, user, call.origin)


async def _has_users(hub: Hub) -> bool:
    async for _ in hub.users.entries():
        return True
    return False


def _is_right(kept: Kept[SetupCode], code: str, hub: Hub) -> bool:
    is_same = hmac.compare_digest(kept.value.digest, logins.code_digest(code))
    return is_same and not kept.value.used and hub.clock.now() < kept.value.expires_at


def _set_up() -> Conflict:
    return Conflict(Reason.ALREADY_SET_UP)
