"""Messages of onboarding and renewal: what a device that joins says and is told."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue

from functions.contract.messages.base import FromDevice, Message, Pem, RequestId, ShownName


class CreateFromCsr(FromDevice):
    """``certificates/create-from-csr``: the device id is the CSR's common name."""

    csr_pem: Pem
    request_id: RequestId | None = None
    uuid: Annotated[str, Field(max_length=64)] | None = None
    meta: dict[str, JsonValue] | None = None


class CertificateCreated(Message):
    """``certificates/create-from-csr/accepted``."""

    request_id: str | None
    device_id: str
    certificate_id: str
    cert_pem: str
    ca_chain_pem: str
    expires_at: datetime


class ProvisionRequest(FromDevice):
    """``provision/request``, both handshakes; ``token`` is ignored, kept for published clients."""

    uuid: Annotated[str, Field(max_length=64)] | None = None
    csr_pem: Pem | None = None
    device_id: Annotated[str, Field(max_length=64)] | None = None
    name: ShownName | None = None
    token: str | None = None
    meta: dict[str, JsonValue] | None = None


class Provisioned(Message):
    """``provision/accepted``: the name alone in the first round, with the certificate in the last."""

    device_id: str
    cert_pem: str | None = None
    ca_chain_pem: str | None = None
    expires_at: datetime | None = None


class OnboardingStep(Message):
    """Event: a step of one joining; ``error`` and ``message`` say why a ``refused`` one was."""

    device_id: str | None
    step: str
    error: str | None
    message: str | None
    actor: str
    call: str
    timestamp: datetime


class Renew(FromDevice):
    """``certificates/renew``: answered with ``CertificateCreated``."""

    csr_pem: Pem
    request_id: RequestId | None = None


class RenewConfirm(FromDevice):
    """``certificates/renew/confirm``, from a session opened with the new certificate."""

    certificate_id: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]


class RenewConfirmed(Message):
    """``certificates/renew/confirm/accepted``: what the device held before is revoked."""

    device_id: str
    certificate_id: str
