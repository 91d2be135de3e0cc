"""Messages of one device's record."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from functions.contract.messages.base import GroupName, Message, Pem, Request, ShownName


class CertificateFact(Message):
    """A certificate in short; null is what a list does not know, and the device's own record does."""

    serial: str
    fingerprint: str | None
    not_after: datetime | None


class DeviceView(Message):
    """A device as lists and pages show it (``Device`` of the HTTP contract)."""

    device_id: str
    device_name: str
    display_name: str
    role: str | None
    groups: list[str]
    tags: dict[str, str]
    uuid: None = None
    status: Literal["online", "offline", "unknown"]
    presence: dict[str, Any] | None
    last_seen: datetime | None
    model: str
    firmware: str
    metadata: dict[str, Any]
    twin_in_sync: bool
    certificate: CertificateFact | None
    lifecycle: str
    created_at: datetime
    updated_at: datetime


class DeviceRecord(DeviceView):
    """All that the registry has of one device.

    ``version`` grows with every change of the record, and is what
    ``expectedVersion`` and ``If-Match`` name. ``sources`` says where
    ``model``, ``firmware`` and each member of ``metadata`` were found:
    ``reported``, ``onboarding`` or ``record``. ``replaces`` and
    ``replacedBy`` are the ids of a swap's other device.
    """

    notes: str
    sources: dict[str, Any]
    replaces: str | None
    replaced_by: str | None
    version: int


TagKey = Annotated[str, Field(max_length=64)]
TagValue = Annotated[str, Field(max_length=256)]


class DeviceUpdate(Request):
    """A change of a device's record; what is not given stays as it is.

    ``displayName`` (or ``name``), ``role`` and ``notes`` are taken away by
    null or an empty text; ``groups`` are all groups of the device; ``tags``
    are merged into its tags, null as a value removes one, null in the place
    of all removes all.
    """

    display_name: ShownName | None = None
    role: Annotated[str, Field(max_length=64)] | None = None
    groups: Annotated[list[GroupName], Field(max_length=32)] | None = None
    tags: Annotated[dict[TagKey, TagValue | None], Field(max_length=128)] | None = None
    notes: Annotated[str, Field(max_length=4096)] | None = None
    expected_version: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_name(cls, values: Any) -> Any:
        """``name`` says the same as ``displayName``; of both, the one is an unknown field."""
        if isinstance(values, dict) and "name" in values and "displayName" not in values:
            return {"displayName" if key == "name" else key: value for key, value in values.items()}
        return values


class DeviceRetire(Request):
    """Retires a device: revokes its certificates, ends its sessions and gives its role free; its record stays."""


class DeviceSwap(Request):
    """Puts the device ``replacement`` (its id) in the place of this one."""

    replacement: Annotated[str, Field(min_length=1, max_length=64)]


class DeviceSwapped(Message):
    """Event and answer: a device took the place of another. UUIDs are null, as only their keyed hashes are kept."""

    previous_uuid: None
    previous_name: str
    uuid: None
    device_name: str
    role: str | None
    groups: list[str]
    by: str
    timestamp: datetime


class DeviceCreate(Request):
    """Registers a device and signs its first certificate; the key stays with the caller."""

    csr_pem: Pem
    days: Annotated[int, Field(ge=1, le=36500)] | None = None


class Issued(Message):
    """A certificate for a key the caller holds."""

    common_name: str
    serial: str
    cert_pem: str
    ca_chain_pem: str
    expires_at: datetime


class DeviceRevoke(Request):
    """Revokes the device's certificate, ends its sessions and retires its record."""
