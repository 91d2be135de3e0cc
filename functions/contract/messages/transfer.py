"""Messages of export and import: a line a device."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from functions.contract.messages.base import GroupName, Message, Request, ShownName, Time
from functions.contract.messages.devices import TagKey, TagValue


class DeviceLine(Request):
    """A device as it is exported and imported, one a line; what is not given is left as it is.

    ``certificate`` is the serial number, ``uuidHash`` the keyed hash of the
    hardware UUID. The halves of the twin are whole documents.
    """

    device_id: Annotated[str, Field(max_length=64)]
    display_name: ShownName | None = None
    role: Annotated[str, Field(max_length=64)] | None = None
    groups: Annotated[list[GroupName], Field(max_length=32)] | None = None
    tags: Annotated[dict[TagKey, TagValue], Field(max_length=64)] | None = None
    notes: Annotated[str, Field(max_length=4096)] | None = None
    model: Annotated[str, Field(max_length=128)] | None = None
    firmware: Annotated[str, Field(max_length=128)] | None = None
    metadata: dict[str, JsonValue] | None = None
    lifecycle: Literal["active", "suspended", "retired"] | None = None
    uuid_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    certificate: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")] | None = None
    created_at: Time | None = None
    updated_at: Time | None = None
    replaces: Annotated[str, Field(max_length=64)] | None = None
    replaced_by: Annotated[str, Field(max_length=64)] | None = None
    desired: dict[str, Any] | None = None
    desired_version: Annotated[int, Field(ge=0, le=2**53)] | None = None
    reported: dict[str, Any] | None = None
    reported_version: Annotated[int, Field(ge=0, le=2**53)] | None = None


class DeviceExport(Request):
    """Asks for the records of the devices whose ids come after one, in the order of their ids."""

    after: Annotated[str, Field(max_length=64)] = ""
    limit: Annotated[int, Field(ge=1, le=500)] = 500


class DeviceLines(Message):
    """Some devices, as many as fit into an answer; ``next`` is what to ask after, null behind the last."""

    lines: list[DeviceLine]
    next: str | None


class TwinExport(Request):
    """Asks for the twins of devices, by id."""

    devices: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=500)]


class TwinLine(Message):
    """Both halves of a twin, with their versions."""

    desired: dict[str, Any]
    desired_version: int
    reported: dict[str, Any]
    reported_version: int


class TwinLines(Message):
    """The twins of the first of the devices that were asked for, as many as fit into an answer, one at least."""

    twins: list[TwinLine]


class DeviceImport(Request):
    """Registers and changes devices as lines say; with ``dryRun`` it only says what would be done."""

    devices: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=100)]
    dry_run: bool = False


class ImportResult(Message):
    """What became of a line: ``created``, ``updated``, ``unchanged``, or ``failed`` and why.

    ``remarks`` say what of the line was not done, and what is to be done about it.
    """

    device_id: str
    result: Literal["created", "updated", "unchanged", "failed"]
    error: str | None = None
    message: str | None = None
    fields: dict[str, str] | None = None
    remarks: list[str] | None = None


class DeviceImported(Message):
    """What became of each line, in their order."""

    results: list[ImportResult]
