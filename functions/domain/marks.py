"""What the hub notes of its own doing: starts of bridges, revocations and their list, and when something was done."""

from dataclasses import dataclass
from datetime import datetime

from functions.domain.certificates import RevocationReason


@dataclass(frozen=True, slots=True)
class Mark:
    """When something was done last, by the clock of who did it."""

    at: datetime


@dataclass(frozen=True, slots=True)
class BridgeStart:
    """How often a bridge has started: the epoch of the orders it stamps."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Revocations:
    """The state of the revocation list: its number, and the CRL in PEM as published last.

    ``this_update`` is when it was made (the CRL itself says an hour earlier);
    ``covers`` is a digest of its issuer and of the serials on it.
    """

    number: int
    crl_pem: str
    this_update: datetime
    next_update: datetime
    covers: str = ""


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revoked certificate: whose, since when, until when its issuer's CRL must name it, and why if that was told."""

    common_name: str
    at: datetime
    not_after: datetime
    reason: RevocationReason | None = None
    issuer: str = ""
