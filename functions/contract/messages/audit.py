"""Messages of the audit trail."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from functions.contract.messages.base import Message, Request, Text, Time


class AuditQuery(Request):
    """A question to the audit trail; what is given must all hold, and the newest entries come first.

    ``action`` is one, or the first word of many; ``target`` an id, or
    ``kind:id``. Entries of ``startTime`` are included, of ``endTime`` not.
    """

    actor: Text | None = None
    action: Annotated[str, Field(max_length=128, pattern=r"^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)*$")] | None = None
    target: Annotated[str, Field(max_length=128, pattern=r"^([a-z]+(-[a-z]+)*:)?[A-Za-z0-9_-]{1,64}$")] | None = None
    start_time: Time | None = None
    end_time: Time | None = None
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
