"""Messages of the register of certificates and of the revocation list."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from functions.contract.messages.base import Message, Request, Text, Time

Kind = Literal["device", "claim", "server"]
Why = Literal[
    "unspecified",
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
]


class CertificateQuery(Request):
    """A question to the register; what is given must all hold, and nothing given asks for every certificate.

    ``q`` is found in the subject or in ``issuedTo``, or begins the serial
    number or the fingerprint. Without ``sort`` the newest come first.
    """

    q: Text = ""
    state: Literal["active", "superseded", "expired", "revoked"] | None = None
    kind: Kind | None = None
    gate: Text | None = None
    subject: Text | None = None
    expires_after: Time | None = None
    expires_before: Time | None = None
    sort: Text = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class CertificateView(Message):
    """A certificate as the register lists it; ``issuedTo`` is the caller that asked for it, ``gate`` where."""

    serial: str
    subject: str
    kind: Kind
    state: Literal["active", "superseded", "expired", "revoked"]
    fingerprint: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    issued_to: str
    gate: str
    revoked_at: datetime | None
    reason: Why | None


class CertificatePage(Message):
    """A page of certificates, and how many match in all."""

    total: int
    certificates: list[CertificateView]


class CertificateDetail(CertificateView):
    """One certificate, itself included."""

    pem: str


class CertificateRevoke(Request):
    """Revokes one certificate; the list says why where a reason is given."""

    reason: Why | None = None


class CertificateRevoked(Message):
    """A certificate is revoked, now or by an earlier call, and what follows from it, for programs and for people."""

    serial: str
    subject: str
    kind: Kind
    revoked_at: datetime
    reason: Why | None
    consequence: Literal["device_retired", "device_stays", "claim_closed", "new_server_certificate", "nothing_else"]
    message: str


class CrlView(Message):
    """The revocation list as it was published last."""

    number: int
    this_update: datetime
    next_update: datetime
    pem: str
