"""Messages of the certificate authority."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from functions.contract.messages.base import Message, Request
from functions.domain.ca import MAX_CHAIN_CHARACTERS, MAX_KEY_CHARACTERS

CaName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
CaFingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class CaCreate(Request):
    """Makes a root CA in the place of the present one: of this name and kind of key, valid for ``days``.

    ``replaces`` is the fingerprint of the one to be replaced; if another is there, nothing is done.
    """

    cn: CaName | None = None
    days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    key: Literal["P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096"] = "P-256"
    replaces: CaFingerprint | None = None


class CaImport(Request):
    """Puts a CA made elsewhere in the place of the present one.

    ``chainPem`` holds its certificate and, if it is no root, those above it;
    ``keyPem`` its private key, not encrypted: to undo that is for who has the passphrase.
    """

    chain_pem: Annotated[str, Field(max_length=MAX_CHAIN_CHARACTERS)]
    key_pem: str = Field(max_length=MAX_KEY_CHARACTERS, repr=False)
    replaces: CaFingerprint | None = None


class CaFact(Message):
    """One certificate of the authority; ``key`` is its kind and curve or bits."""

    subject: str
    issuer: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    key: str
    signature_hash: str
    path_length: int | None


class CaView(Message):
    """The authority that signs: the issuing certificate first in ``chain``, the root last.

    ``notAfter`` is the end of the one that ends first. Once ``inUse``, it cannot
    be replaced; until ``settled``, the broker is about to follow. ``caPem`` is
    what devices are given to trust.
    """

    fingerprint: str
    common_name: str
    is_root: bool
    not_after: datetime
    in_use: bool
    settled: bool
    key_encrypted: bool
    decided_at: datetime
    decided_by: str
    chain: list[CaFact]
    ca_pem: str


class CaReplaced(CaView):
    """The new authority, and the names of the claim certificates that ended with the one before."""

    ended_claims: list[str]
