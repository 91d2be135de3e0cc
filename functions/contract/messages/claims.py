"""Messages of claim certificates."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from functions.contract.messages.base import Message, Pem, Request
from functions.contract.messages.enrolment import ClaimNameText


class ClaimCreate(Request):
    """Signs a claim certificate for a key the caller holds; its CN will be ``claim-NAME``."""

    name: ClaimNameText
    csr_pem: Pem
    days: Annotated[int, Field(ge=1, le=36500)] | None = None


class ClaimFact(Message):
    """A claim certificate in short."""

    name: str
    serial: str
    created_at: datetime
    not_after: datetime
    revoked_at: datetime | None
    has_bundle: bool


class ClaimList(Message):
    """Claim certificates by name, and how many there are in all."""

    total: int
    claims: list[ClaimFact]


class ClaimIssue(Request):
    """Makes a key and a claim certificate for it, which the hub keeps to give out as a bundle."""

    name: ClaimNameText
    days: Annotated[int, Field(ge=1, le=36500)] | None = None


class ClaimQuery(Request):
    """Asks for claim certificates, by name; ``revoked`` for those too that are."""

    revoked: bool = False
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class ClaimNamed(Request):
    """Names a claim certificate."""

    name: ClaimNameText


class ClaimView(Message):
    """All that is to know of a claim certificate; ``has_bundle`` if the hub can give its bundle out."""

    name: str
    common_name: str
    serial: str
    fingerprint: str
    created_at: datetime
    created_by: str
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None
    has_bundle: bool
    cert_pem: str


class ClaimRevoke(Request):
    """Revokes a claim certificate: its role goes, its sessions end."""

    name: ClaimNameText
