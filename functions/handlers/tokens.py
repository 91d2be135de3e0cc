"""API tokens: what applications show the gateway, which proves them here.

Subjects   devicehub.tokens.create, .list, .revoke, .prove
Writes     tokens, under the digest of a token's text; jobs of a token that is revoked
"""

import secrets
from datetime import timedelta

from functions.contract.messages import (
    Done,
    Nothing,
    TokenCreate,
    TokenCreated,
    TokenFact,
    TokenList,
    TokenProof,
    TokenProven,
    TokenRevoke,
)
from functions.domain import tokens
from functions.domain.audit import AuditEntry
from functions.domain.faults import Conflict, Malformed, NotFound, Reason
from functions.domain.tokens import Token
from functions.handlers.auditing import make, record_all
from functions.handlers.job_tokens import cancel_jobs_of
from functions.handlers.rewriting import amend, value_of
from functions.ports import Call, Hub


async def create(call: Call[TokenCreate], hub: Hub) -> TokenCreated:
    """Make a token of 256 random bits; this reply is the only place where its text ever stands.

    Two calls at the same time may both take a name, as only the text need be
    one of its kind: the name is then revoked for both.

    Raises:
        Malformed: a scope does not exist, or the name is what a token looks like.
        Conflict: a token of this name is in use (``name_taken``).
    """
    if tokens.is_text(call.body.name):
        sentence = "This is what a token looks like, and names are shown to everyone."
        raise Malformed(detail=sentence, fields={"name": sentence})
    scopes = tokens.parse_scopes(call.body.scopes)
    now = hub.clock.now()
    if await _in_use(call.body.name, hub):
        raise Conflict(
            Reason.NAME_TAKEN,
            f"A token named '{call.body.name}' is in use. Take another name, or revoke it first.",
        )
    text = tokens.PREFIX + secrets.token_urlsafe(tokens.RANDOM_BYTES)
    expires_at = now + timedelta(days=call.body.days) if call.body.days is not None else None
    facts = {"scopes": list(scopes), "expiresAt": expires_at}
    told = make(hub, call, "token.created", call.body.name, after=facts)
    await hub.tokens.create(tokens.digest(text), Token(call.body.name, scopes, now, expires_at), pledge=told)
    await record_all(hub, [told])
    return TokenCreated(name=call.body.name, token=text, scopes=list(scopes), expires_at=expires_at)


async def list_(call: Call[Nothing], hub: Hub) -> TokenList:
    """Every token by name, with the expired and revoked ones; never a text or a digest."""
    found = [kept.value async for _, kept in hub.tokens.entries()]
    return TokenList(
        tokens=[
            TokenFact(
                name=token.name,
                scopes=list(token.scopes),
                created_at=token.created_at,
                expires_at=token.expires_at,
                last_used_at=token.last_used_at,
                revoked_at=token.revoked_at,
            )
            for token in sorted(found, key=lambda token: (token.name, token.created_at))
        ]
    )


async def revoke(call: Call[TokenRevoke], hub: Hub) -> Done:
    """Revoke whatever is in use under a name, and cancel the jobs that it made.

    Raises:
        NotFound: nothing is.
    """
    digests = await _in_use(call.body.name, hub)
    if not digests:
        # Without the name: who mistakes a token's text for it must not read it in a log.
        raise NotFound(detail="No token of this name is in use.")
    now = hub.clock.now()

    def told(before: Token, _: Token) -> AuditEntry:
        facts = {"scopes": before.scopes, "expiresAt": before.expires_at}
        return make(hub, call, "token.revoked", call.body.name, before=facts)

    revoked = [
        await amend(hub.tokens, digest, lambda token: tokens.revoke(token, now), tell=told) for digest in digests
    ]
    changed = [written for written in revoked if written is not None and written.changed]
    if changed:
        await record_all(hub, [entry for written in changed for entry in written.entries])
        await cancel_jobs_of(hub, call, [written.value for written in changed])
    return Done()


async def prove(call: Call[TokenProof], hub: Hub) -> TokenProven:
    """Whose token has this digest, and what it allows; its use is noted, at most once a minute.

    Raises:
        Denied: ``unauthenticated``: there is none, or it is revoked or over.
    """
    now = hub.clock.now()
    kept = await hub.tokens.get(call.body.digest)
    token = tokens.prove(value_of(kept), now)
    noted = tokens.used(token, now)
    if kept is not None and noted is not token:
        try:
            await hub.tokens.replace(call.body.digest, noted, expect=kept.revision)
        except Conflict:
            # Another gateway noted the same use, or it was revoked this moment.
            token = tokens.prove(value_of(await hub.tokens.get(call.body.digest)), now)
    return TokenProven(name=token.name, scopes=list(token.scopes), expires_at=token.expires_at)


async def _in_use(name: str, hub: Hub) -> list[str]:
    now = hub.clock.now()
    return [
        digest
        async for digest, kept in hub.tokens.entries()
        if kept.value.name == name and tokens.is_live(kept.value, now)
    ]
