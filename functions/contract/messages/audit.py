"""Messages of the audit trail."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from functions.contract.messages.base import Message, Request, Text, Time


class AuditFilter(Request):
    """Which entries of the audit trail; what is given must all hold.

    ``action`` is one, or the first word of many; ``target`` an id, or
    ``kind:id``. Entries of ``startTime`` are included, of ``endTime`` not.
    """

    actor: Text | None = None
    action: Annotated[str, Field(max_length=128, pattern=r"^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)*$")] | None = None
    target: Annotated[str, Field(max_length=128, pattern=r"^([a-z]+(-[a-z]+)*:)?[A-Za-z0-9_-]{1,64}$")] | None = None
    start_time: Time | None = None
    end_time: Time | None = None
    outcome: Literal["done", "refused"] | None = None


class AuditQuery(AuditFilter):
    """A question to the audit trail; the newest entries come first."""

    sort: Literal["at", "-at"] = "-at"
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class AuditView(Message):
    """An entry of the audit trail; ``cut`` names what was left out of ``before`` and ``after``."""

    id: str
    at: datetime
    action: str
    actor: str
    origin: str
    call: str
    kind: str
    target: str
    before: JsonValue
    after: JsonValue
    cut: list[str]
    outcome: Literal["done", "refused"]


class AuditList(Message):
    """A page of entries, and how many match in all."""

    total: int
    entries: list[AuditView]


class AuditRecorded(Message):
    """Event: an entry was written to the audit trail; ``origin`` is where the actor was."""

    id: str
    at: datetime
    action: str
    actor: str
    origin: str
    kind: str
    target: str


class AuditExport(AuditFilter):
    """A part of all entries, oldest first: those whose ids come after one, which is empty for the beginning."""

    after: Annotated[str, Field(max_length=128, pattern=r"^[0-9A-Za-z_+-]*$")] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 500


class AuditLines(Message):
    """A part of an export, and the id to ask after for the next one; None at the end."""

    next: str | None
    lines: list[AuditView]


class RefusedAttempts(Request):
    """What a part of the hub refused before any function was called: attempts of one kind, and how many there were.

    ``actor`` is ``-`` where nobody is known. ``what`` was asked, with no value
    in it that came from outside; ``error`` and ``why`` are what the last one was told.
    """

    actor: Annotated[str, Field(max_length=256)]
    origin: Annotated[str, Field(max_length=64)]
    what: Annotated[str, Field(max_length=256)]
    error: Annotated[str, Field(max_length=64, pattern=r"^[a-z_]+$")]
    why: Annotated[str, Field(max_length=256)]
    call: Annotated[str, Field(max_length=64)]
    since: Time
    until: Time
    count: Annotated[int, Field(ge=1)]


class RefusalReport(Request):
    """What a part of the hub refused since it told last."""

    refusals: Annotated[list[RefusedAttempts], Field(min_length=1, max_length=1000)]
