"""Users: the people who sign in, with their roles and passwords.

A name is written as its owner likes and found in any case. Of a password
nothing is kept but its argon2id hash. ``stamp`` is drawn anew whenever all
sessions of a user must end: a session that has another is over.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from functions.domain.faults import Conflict, Malformed, Reason
from functions.domain.roles import UserRole

LEAST_PASSWORD = 12
MOST_PASSWORD = 256

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in.

    Args:
        name: as it is shown.
        role: what the user may do.
        password: its argon2id hash, in the form that names its parameters (PHC).
        stamp: random, of the sessions that are good.
        created_at: when the user was made.
        changed_at: when role, password or state changed last.
        disabled: whether the user is kept from signing in.
        signed_in_at: when the user signed in last.
    """

    name: str
    role: UserRole
    password: str = field(repr=False)
    stamp: str = field(repr=False)
    created_at: datetime
    changed_at: datetime
    disabled: bool = False
    signed_in_at: datetime | None = None


def user_name(text: str) -> str:
    """Check the name of a new user: 1 to 64 letters, digits, ``_`` and ``-``, the first a letter or digit.

    Raises:
        Malformed: the text is no such name.
    """
    if _NAME.fullmatch(text) is None:
        wrong = "must be 1 to 64 letters, digits, '_' or '-', and begin with a letter or digit"
        raise Malformed(detail=f"name: {wrong}", fields={"name": wrong})
    return text


def user_key(name: str) -> str:
    """Where a user is kept: names that differ only in case are one."""
    return name.lower()


def canonical(password: str) -> str:
    """A password as it is hashed: however a keyboard composed its letters (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, name: str, field_name: str = "password") -> str:
    """Check a new password and give it in canonical form.

    Length is what helps; rules on kinds of characters do not (NIST SP 800-63B).

    Raises:
        Malformed: it is shorter than 12 characters, longer than 256, or built on the user's name.
    """
    text = canonical(password)
    wrong = ""
    if not LEAST_PASSWORD <= len(text) <= MOST_PASSWORD:
        wrong = f"must have {LEAST_PASSWORD} to {MOST_PASSWORD} characters"
    elif len(set(text)) < LEAST_PASSWORD // 3:
        wrong = "must not repeat a few characters"
    elif name and text.casefold().strip("0123456789!.-_ ") == name.casefold():
        wrong = "must be more than the user's name"
    if wrong:
        raise Malformed(detail=f"{field_name}: {wrong}", fields={field_name: wrong})
    return text


def keep_an_admin(others: Iterable[User], after: User | None) -> None:
    """Refuse a change after which nobody could administer the hub.

    Args:
        others: every other user.
        after: the changed one; None where it is deleted.

    Raises:
        Conflict: ``last_admin``.
    """
    left = [*others, *([after] if after is not None else [])]
    if not any(one.role is UserRole.ADMIN and not one.disabled for one in left):
        raise Conflict(Reason.LAST_ADMIN, "This is the last admin who can sign in. Make another one first.")


def changed(
    user: User,
    at: datetime,
    *,
    role: UserRole | None = None,
    disabled: bool | None = None,
    password: str | None = None,
    stamp: str,
) -> User:
    """A user after a change; the same one where nothing changes.

    A new password, and being disabled, end the sessions that are open
    (``stamp`` is the new one then); a role holds from the next call on.
    """
    after = replace(
        user,
        role=user.role if role is None else role,
        disabled=user.disabled if disabled is None else disabled,
        password=user.password if password is None else password,
    )
    if after == user:
        return user
    ends = password is not None or (after.disabled and not user.disabled)
    return replace(after, stamp=stamp if ends else user.stamp, changed_at=at)
