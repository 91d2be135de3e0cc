"""Credentials of event-driven programs, which connect to the bus themselves.

The runtime proves each of their calls by these records, so that what is
revoked counts from then on, whatever the NATS server has heard of it.

Subjects   devicehub.credentials.create, .list, .revoke
Reads      groups
Writes     credentials, under the public key
"""

from datetime import timedelta

from functions.contract.messages import (
    CredentialsCreate,
    CredentialsFact,
    CredentialsList,
    CredentialsRevoke,
    Done,
    Nothing,
)
from functions.domain import credentials
from functions.domain.audit import AuditEntry
from functions.domain.credentials import Credentials
from functions.domain.faults import Conflict, Malformed, NotFound, Reason
from functions.domain.tokens import is_live, parse_scopes
from functions.handlers.auditing import make, record_all
from functions.handlers.rewriting import amend, value_of
from functions.ports import Call, Hub


async def create(call: Call[CredentialsCreate], hub: Hub) -> CredentialsFact:
    """Keep what the holder of a key may do. The key was made by who calls; its private half is never here.

    Two calls at the same time may both take a name, as only the key need be
    one of its kind: the name is then revoked for both.

    Raises:
        Malformed: it is no key, a scope does not exist, or a group has a query.
        Conflict: credentials of this name, or of this key, are there (``name_taken``).
    """
    key, scopes = credentials.check_key(call.body.public_key), parse_scopes(call.body.scopes)
    groups = tuple(dict.fromkeys(call.body.groups))
    await _refuse_dynamic(groups, hub)
    if await _in_use(call.body.name, hub):
        sentence = f"Credentials named '{call.body.name}' are in use. Take another name, or revoke them first."
        raise Conflict(Reason.NAME_TAKEN, sentence)
    now = hub.clock.now()
    expires_at = now + timedelta(days=call.body.days) if call.body.days is not None else None
    made = Credentials(call.body.name, tuple(scopes), groups, now, expires_at)
    facts = {"scopes": list(scopes), "groups": list(groups), "expiresAt": expires_at, "publicKey": key}
    told = make(hub, call, "credentials.created", made.name, after=facts)
    try:
        await hub.credentials.create(key, made, pledge=told)
    except Conflict as problem:
        raise Conflict(Reason.NAME_TAKEN, "There are credentials of this key already. Make another key.") from problem
    await record_all(hub, [told])
    return _fact(key, made)


async def list_(call: Call[Nothing], hub: Hub) -> CredentialsList:
    """All credentials by name, with the expired and revoked ones."""
    found = [_fact(key, kept.value) async for key, kept in hub.credentials.entries()]
    return CredentialsList(credentials=sorted(found, key=lambda fact: (fact.name, fact.created_at)))


async def revoke(call: Call[CredentialsRevoke], hub: Hub) -> Done:
    """Revoke whatever is in use under a name.

    Raises:
        NotFound: nothing is.
    """
    keys = await _in_use(call.body.name, hub)
    if not keys:
        sentence = "No credentials of this name are in use. 'devicehub nats-credentials list' shows them."
        raise NotFound(detail=sentence)
    now = hub.clock.now()

    def told(before: Credentials, _: Credentials) -> AuditEntry:
        facts = {"scopes": before.scopes, "groups": before.groups, "expiresAt": before.expires_at}
        return make(hub, call, "credentials.revoked", call.body.name, before=facts)

    revoked = [await amend(hub.credentials, key, lambda kept: credentials.revoke(kept, now), tell=told) for key in keys]
    await record_all(hub, [entry for written in revoked if written is not None for entry in written.entries])
    return Done()


async def _refuse_dynamic(groups: tuple[str, ...], hub: Hub) -> None:
    """Refuse a group with a query: who is in it only the index knows, a moment later.

    Raises:
        Malformed: with the field ``groups``.
    """
    for name in groups:
        group = value_of(await hub.groups.get(name))
        if group is not None and group.query is not None:
            told = f"'{name}' has a query. Name groups that stand in the devices' records."
            raise Malformed(detail=f"groups: {told}", fields={"groups": told})


async def _in_use(name: str, hub: Hub) -> list[str]:
    now = hub.clock.now()
    return [
        key async for key, kept in hub.credentials.entries() if kept.value.name == name and is_live(kept.value, now)
    ]


def _fact(key: str, kept: Credentials) -> CredentialsFact:
    return CredentialsFact(
        name=kept.name,
        public_key=key,
        scopes=list(kept.scopes),
        groups=list(kept.groups),
        created_at=kept.created_at,
        expires_at=kept.expires_at,
        revoked_at=kept.revoked_at,
    )
