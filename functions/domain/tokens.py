"""API tokens: what an application may do, and until when.

A token's text is ``dh_`` and 32 random bytes in base64url. The hub keeps its
SHA-256 and nothing more, and finds the record by it. No slow hash, as there
is nothing to guess among 2**256; and no comparison in constant time, as there
is none: what a look-up by digest may tell by its duration is how digests
compare, and nobody can choose a text for the digest it will have.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

from functions.domain.faults import Denied, Malformed, Reason

PREFIX = "dh_"
RANDOM_BYTES = 32

_TEXT = re.compile(r"dh_[A-Za-z0-9_-]{43}", re.ASCII)
# An operator asks on which day a token was used last: not worth a write a request.
_NOTE_USE_AFTER = timedelta(minutes=1)


class Scope(StrEnum):
    """What a token allows; ``admin`` includes all."""

    DEVICES_READ = "devices:read"
    DEVICES_WRITE = "devices:write"
    TWINS_READ = "twins:read"
    TWINS_WRITE = "twins:write"
    TELEMETRY_READ = "telemetry:read"
    METHODS_CALL = "methods:call"
    ADMIN = "admin"


class Ending(Protocol):
    """What is good until it is revoked or over."""

    @property
    def expires_at(self) -> datetime | None:
        """When it is over; None for never."""
        ...

    @property
    def revoked_at(self) -> datetime | None:
        """When it was revoked, if it was."""
        ...


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of an API token, under the digest of its text."""

    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


def is_text(text: str) -> bool:
    """Whether a text has the form of a token."""
    return _TEXT.fullmatch(text) is not None


def digest(text: str) -> str:
    """The key that a token's record is kept under: SHA-256 of its text, in lower-case hex."""
    return sha256(text.encode()).hexdigest()


def parse_scopes(words: Iterable[str]) -> tuple[Scope, ...]:
    """Check names of scopes and give each once, in the order of ``Scope``.

    Raises:
        Malformed: none is named, or one that does not exist.
    """
    named = set(words)
    known = tuple(scope for scope in Scope if scope in named)
    if not known or len(known) < len(named):
        wrong = "Not all of these are scopes." if named else "A token needs a scope."
        told = f"{wrong} There are: {', '.join(Scope)}."
        raise Malformed(detail=told, fields={"scopes": told})
    return known


def allows(scopes: Iterable[str], wanted: Scope) -> bool:
    """Whether scopes include the wanted one."""
    return any(scope in (wanted, Scope.ADMIN) for scope in scopes)


def is_live(token: Ending, now: datetime) -> bool:
    """Whether a token, or what ends as one does, is neither revoked nor over."""
    return token.revoked_at is None and (token.expires_at is None or now < token.expires_at)


def prove(token: Token | None, now: datetime) -> Token:
    """Give a token back if it is good now.

    Raises:
        Denied: ``unauthenticated``: there is none, or it is revoked or over.
    """
    if token is None or token.revoked_at is not None:
        raise Denied(Reason.UNAUTHENTICATED, "The hub does not know this token, or it was revoked.")
    if not is_live(token, now):
        raise Denied(Reason.UNAUTHENTICATED, "The token has expired. Make a new one with 'devicehub token create'.")
    return token


def used(token: Token, now: datetime) -> Token:
    """Note a use, at most once a minute; the token itself where there is nothing to note."""
    noted = token.last_used_at
    if noted is not None and abs(now - noted) < _NOTE_USE_AFTER:
        return token
    return replace(token, last_used_at=now)


def revoke(token: Token, at: datetime) -> Token:
    """Mark a token revoked; one that is keeps its time."""
    return token if token.revoked_at is not None else replace(token, revoked_at=at)
