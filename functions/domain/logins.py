"""Signing in: sessions of users, how often a password may be tried, and the code of the first run.

A session's text is ``dhs_`` and 32 random bytes in base64url; it stands in a
cookie and nowhere else. The hub finds the session by the first 128 bits of
its SHA-256, which are its id: nobody can make a text for an id, so an id is
no secret, and may be shown to whoever ends sessions.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil
from typing import Final

from functions.domain.faults import Denied, Reason, Unavailable

PREFIX: Final = "dhs_"
RANDOM_BYTES: Final = 32

CODE_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH: Final = 16
CODE_GOOD_FOR: Final = timedelta(days=1)

_TEXT = re.compile(r"dhs_[A-Za-z0-9_-]{43}", re.ASCII)
_ID_DIGITS = 32
# Not worth a write a request, and a small part of the shortest idle time.
_NOTE_USE_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class SessionLifetime:
    """How long a session may go unused, and how long it lasts however it is used."""

    idle: timedelta = timedelta(minutes=60)
    most: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class UserSession:
    """That a user is signed in, under the session's id.

    Args:
        user: the key of the user.
        stamp: of the user when the session began.
        since: when it began.
        used_at: when it was used last, to the half minute.
        origin: from where the user signed in.
    """

    user: str
    stamp: str
    since: datetime
    used_at: datetime
    origin: str

    def ends_at(self, lifetime: SessionLifetime) -> datetime:
        """When it is over, if it is not used again."""
        return min(self.used_at + lifetime.idle, self.since + lifetime.most)


def is_text(text: str) -> bool:
    """Whether a text has the form of a session's."""
    return _TEXT.fullmatch(text) is not None


def session_id(text: str) -> str:
    """The id of the session with this text: 32 hex digits."""
    return sha256(text.encode()).hexdigest()[:_ID_DIGITS]


def used(session: UserSession, now: datetime) -> UserSession:
    """Note a use, at most twice a minute; the session itself where there is nothing to note."""
    return session if abs(now - session.used_at) < _NOTE_USE_AFTER else replace(session, used_at=now)


def prove(session: UserSession | None, lifetime: SessionLifetime, now: datetime) -> UserSession:
    """Give a session back if it is good now.

    Raises:
        Denied: ``unauthenticated``: it is over, or there is none.
    """
    if session is None or session.ends_at(lifetime) <= now:
        raise Denied(Reason.UNAUTHENTICATED, "The session is over. Sign in again.")
    return session


@dataclass(frozen=True, slots=True)
class Limit:
    """How often something may fail: so many times in a row, then once every so often."""

    at_once: int
    every: timedelta


# Beyond the first a client is slowed by its address; beyond the second a name is guessed from many addresses.
BY_ADDRESS: Final = Limit(10, timedelta(seconds=30))
BY_NAME: Final = Limit(50, timedelta(seconds=60))


@dataclass(frozen=True, slots=True)
class LoginFailures:
    """Passwords that were wrong, of one address or for one name: when all of them will be forgiven."""

    clean_at: datetime


def count(failures: LoginFailures | None, limit: Limit, now: datetime) -> LoginFailures:
    """Count an attempt as failed before it is made, so that no number of them at once is more than a limit allows.

    Raises:
        Unavailable: ``rate_limited``, with the seconds until one more may be made.
    """
    patience = limit.every * limit.at_once
    before = failures.clean_at if failures is not None else now
    if not now < before <= now + patience:
        # Long forgiven, or of a clock that was set back since.
        before = now
    clean_at = before + limit.every
    wait = clean_at - now - patience
    if wait > timedelta(0):
        seconds = ceil(wait.total_seconds())
        raise Unavailable(
            Reason.RATE_LIMITED, f"Too many attempts failed. Try again in {seconds} s.", retry_after=seconds
        )
    return LoginFailures(clean_at)


def forgive(failures: LoginFailures, limit: Limit) -> LoginFailures:
    """Take back one attempt, which did not fail."""
    return LoginFailures(failures.clean_at - limit.every)


@dataclass(frozen=True, slots=True)
class SetupCode:
    """The code that makes the first admin: its SHA-256, until when it is good, and whether it was used."""

    digest: str
    expires_at: datetime
    used: bool = False


def code_digest(code: str) -> str:
    """The digest of a code, however it was typed: case, blanks and dashes say nothing, nor O for 0 and I or L for 1."""
    plain = code.upper().translate(str.maketrans("OIL", "011", " -\t\r\n"))
    return sha256(plain.encode()).hexdigest()
