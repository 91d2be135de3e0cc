"""Credentials of event-driven programs: which key they connect to the bus with, what they may do, and until when.

A program proves to the bus that it holds an Ed25519 key; the hub keeps the
public half, which NATS writes as ``U`` and 55 characters of base32 (a byte for
the kind of key, 32 of the key, a CRC-16), and nothing with which anyone could
connect.
"""

from base64 import b32decode
from binascii import Error, crc_hqx
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from functions.domain.faults import Denied, Malformed, Reason
from functions.domain.tokens import is_live

KEY_CHARACTERS: Final = 56
# The first byte of the public key of a user.
_USER = 20 << 3
_KEY_BYTES = 1 + 32 + 2


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is kept of a program's credentials, under its public key; with ``groups``, only devices in one of them."""

    name: str
    scopes: tuple[str, ...]
    groups: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


def check_key(text: str) -> str:
    """Give a public key back if it is one of a NATS user.

    Raises:
        Malformed: with the field ``publicKey``.
    """
    try:
        data = b32decode(text + "=" * (-len(text) % 8))
    except (Error, ValueError):
        data = b""
    if len(data) != _KEY_BYTES or data[0] != _USER or crc_hqx(data[:-2], 0) != int.from_bytes(data[-2:], "little"):
        told = "is not the public key of a NATS user: U and 55 characters of base32"
        raise Malformed(detail=f"publicKey: {told}", fields={"publicKey": told})
    return text


def prove(credentials: Credentials | None, now: datetime) -> Credentials:
    """Give credentials back if they are good now.

    Raises:
        Denied: ``unauthenticated``: there are none, or they are revoked or over.
    """
    if credentials is None or credentials.revoked_at is not None:
        raise Denied(Reason.UNAUTHENTICATED, "The hub does not know these credentials, or they were revoked.")
    if not is_live(credentials, now):
        told = "The credentials have expired. Make new ones with 'devicehub nats-credentials'."
        raise Denied(Reason.UNAUTHENTICATED, told)
    return credentials


def revoke(credentials: Credentials, at: datetime) -> Credentials:
    """Mark credentials revoked; what is keeps its time."""
    return credentials if credentials.revoked_at is not None else replace(credentials, revoked_at=at)


def check_device(groups: Iterable[str], of_device: Collection[str]) -> None:
    """Refuse a device that is in none of the groups that a caller is limited to.

    Raises:
        Denied: it says which those are.
    """
    if not any(group in of_device for group in groups):
        raise Denied(detail=f"These credentials are for devices of: {', '.join(groups)}. This one is of none of them.")
