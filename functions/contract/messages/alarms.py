"""Messages of alarms."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from functions.contract.messages.base import Message, Request, Text

AlarmKind = Annotated[str, Field(max_length=40, pattern=r"^[a-z]+(-[a-z]+)*$")]
SeverityWord = Literal["warning", "critical"]
AlarmWord = Literal["open", "acknowledged", "closed"]


class AlarmQuery(Request):
    """A question for alarms; what is given must all hold. Without ``sort``, what needs attention comes first."""

    q: Text = ""
    state: AlarmWord | None = None
    severity: SeverityWord | None = None
    kind: AlarmKind | None = None
    sort: Text = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class AlarmView(Message):
    """An alarm: what it is about, what it says, and what to do; ``times`` is how often it was opened."""

    id: str
    kind: str
    subject: str
    severity: SeverityWord
    state: AlarmWord
    text: str
    remedy: str
    opened_at: datetime
    seen_at: datetime
    count: int
    times: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    closed_at: datetime | None


class AlarmPage(Message):
    """A page of alarms, and how many match in all."""

    total: int
    alarms: list[AlarmView]


class AlarmRaise(Request):
    """Opens an alarm, or counts the open one of the same kind and subject."""

    kind: AlarmKind
    subject: Text = ""
    detail: Text = ""


class AlarmClear(Request):
    """Closes the alarm of a kind and subject, as its cause is gone."""

    kind: AlarmKind
    subject: Text = ""


class AlarmChanged(Message):
    """Event: an alarm opened, closed, was acknowledged or became worse."""

    id: str
    kind: str
    subject: str
    severity: SeverityWord
    state: AlarmWord
