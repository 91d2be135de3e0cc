"""Messages of API tokens."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from functions.contract.messages.base import Message, Request

TokenName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TokenCreate(Request):
    """Makes a token for an application, good for ``days`` or until it is revoked."""

    name: TokenName
    scopes: Annotated[list[str], Field(min_length=1, max_length=20)]
    days: Annotated[int, Field(ge=1, le=36_500)] | None = None


class TokenCreated(Message):
    """A new token; ``token`` is its text, shown this once and kept nowhere."""

    name: str
    token: str = Field(repr=False)
    scopes: list[str]
    expires_at: datetime | None


class TokenFact(Message):
    """A token in short; never its text, nor the digest it is kept under."""

    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenList(Message):
    """Every token, with the expired and revoked ones, by name."""

    tokens: list[TokenFact]


class TokenRevoke(Request):
    """Revokes the token in use under a name."""

    name: TokenName


class TokenProof(Request):
    """Asks what a token allows, by the SHA-256 of its text in lower-case hex."""

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TokenProven(Message):
    """Whose token it is, and what it allows until when."""

    name: str
    scopes: list[str]
    expires_at: datetime | None
