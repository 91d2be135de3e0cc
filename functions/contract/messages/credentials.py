"""Messages of the credentials that event-driven programs connect to the bus with."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from functions.contract.messages.base import Message, Request
from functions.contract.messages.tokens import TokenName
from functions.domain.credentials import KEY_CHARACTERS


class CredentialsCreate(Request):
    """Makes credentials of a public key, good for ``days`` or until they are revoked; ``groups`` limit them."""

    name: TokenName
    public_key: Annotated[str, Field(min_length=KEY_CHARACTERS, max_length=KEY_CHARACTERS)]
    scopes: Annotated[list[str], Field(min_length=1, max_length=20)]
    groups: Annotated[list[TokenName], Field(max_length=32)] = Field(default_factory=list)
    days: Annotated[int, Field(ge=1, le=36_500)] | None = None


class CredentialsFact(Message):
    """Credentials in short. The public key is no secret."""

    name: str
    public_key: str
    scopes: list[str]
    groups: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class CredentialsList(Message):
    """All credentials, with the expired and revoked ones, by name."""

    credentials: list[CredentialsFact]


class CredentialsRevoke(Request):
    """Revokes the credentials in use under a name."""

    name: TokenName
