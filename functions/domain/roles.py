"""Roles of users: what a person who is signed in may do.

A role is given scopes, the same that tokens have, so a route that says which
scope it needs says with it which role may call it. A route without one, or
one that a role may call without the scope, names the least role itself.

=========  ==========================================================
role       may
=========  ==========================================================
viewer     read devices, twins, telemetry, alarms and certificates
operator   act on devices too: change, wish, call, swap, retire, jobs
admin      everything: users, tokens, the CA, joining, settings
=========  ==========================================================
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from functions.domain.tokens import Scope


class UserRole(StrEnum):
    """What a user is, from the least to the most."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_RANKS: Final = {role: rank for rank, role in enumerate(UserRole)}

# The least role that has a scope.
LEAST: Final[Mapping[Scope, UserRole]] = {
    Scope.DEVICES_READ: UserRole.VIEWER,
    Scope.TWINS_READ: UserRole.VIEWER,
    Scope.TELEMETRY_READ: UserRole.VIEWER,
    Scope.DEVICES_WRITE: UserRole.OPERATOR,
    Scope.TWINS_WRITE: UserRole.OPERATOR,
    Scope.METHODS_CALL: UserRole.OPERATOR,
    Scope.ADMIN: UserRole.ADMIN,
}


def role_of(words: Iterable[str]) -> UserRole | None:
    """The role that an edge vouches for; None where it names none, several, or one that does not exist."""
    named = tuple(words)
    if len(named) != 1 or named[0] not in _RANKS:
        return None
    return UserRole(named[0])


def is_at_least(role: UserRole | None, least: UserRole) -> bool:
    """Whether a role includes another."""
    return role is not None and _RANKS[role] >= _RANKS[least]
