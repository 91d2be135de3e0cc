"""How often a password or code may be tried: by the address that tries it, and by the name it is tried for.

What was counted is kept, so it holds over restarts and for all gateways. A
refused attempt writes nothing: thousands of them cost the hub a read each.

Writes     login_failures
"""

from dataclasses import dataclass
from functools import partial

from functions.domain.addresses import address_group
from functions.domain.faults import Conflict, Reason, Unavailable
from functions.domain.logins import BY_ADDRESS, BY_NAME, Limit, count, forgive
from functions.domain.users import user_key
from functions.handlers.rewriting import amend, rewrite
from functions.ports import Hub

# Of a name, so that it cannot be one of a user's.
SETUP = "the code of the first run"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was counted: under which keys, by which limits."""

    counted: tuple[tuple[str, Limit], ...]


async def begin_attempt(hub: Hub, origin: str, name: str) -> Attempt:
    """Count an attempt as failed before it is made.

    Raises:
        Unavailable: ``rate_limited``: too many failed, or too many are made at this moment.
    """
    now = hub.clock.now()
    counted = ((_address_key(hub, origin), BY_ADDRESS), (_name_key(hub, name), BY_NAME))
    for key, limit in counted:
        try:
            await rewrite(hub.login_failures, key, partial(count, limit=limit, now=now))
        except Conflict as lost:
            raise Unavailable(
                Reason.RATE_LIMITED, "Many try at this moment. Try again in a moment.", retry_after=1
            ) from lost
    return Attempt(counted)


async def end_attempt(hub: Hub, attempt: Attempt) -> None:
    """Take an attempt back, as it did not fail."""
    for key, limit in attempt.counted:
        try:
            await amend(hub.login_failures, key, partial(forgive, limit=limit))
        except Conflict:
            # Others try all the time. Then this one counts as failed, which time forgives.
            continue


async def forget_name(hub: Hub, name: str) -> None:
    """Forget what failed for a name, as its password is another now."""
    key = _name_key(hub, name)
    kept = await hub.login_failures.get(key)
    if kept is None:
        return
    try:
        await hub.login_failures.remove(key, expect=kept.revision)
    except Conflict:
        # Somebody tries at this very moment, and is counted from there.
        return


async def forget_failures(hub: Hub) -> None:
    """Forget what is forgiven; for a timer.

    Raises:
        Unavailable: the storage; what is left is done the next time.
    """
    now = hub.clock.now()
    async for key, kept in hub.login_failures.entries():
        if kept.value.clean_at > now:
            continue
        try:
            await hub.login_failures.remove(key, expect=kept.revision)
        except Conflict:
            # It failed again just now.
            continue


def _address_key(hub: Hub, origin: str) -> str:
    return "a-" + hub.hasher.hash(f"address {address_group(origin.removeprefix('http:'))}")


def _name_key(hub: Hub, name: str) -> str:
    # Hashed, as people type passwords into the wrong field.
    return "n-" + hub.hasher.hash(f"name {user_key(name)}")
