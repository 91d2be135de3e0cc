"""Messages of a twin's history: its changes, the twin as it was, and where two of them differ."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from functions.contract.messages.base import Message, Request, Time

HalfName = Literal["desired", "reported"]
Version = Annotated[int, Field(ge=0, le=2**53)]


class TwinHistoryQuery(Request):
    """Asks for the changes of a twin, of one half or of both."""

    half: HalfName | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class TwinChange(Message):
    """One version of a half: ``change`` is the merge patch that made it of the version before."""

    half: HalfName
    version: int
    change: dict[str, Any]
    by: str
    timestamp: datetime


class TwinHistory(Message):
    """Changes, newest first, and how many are known in all."""

    total: int
    changes: list[TwinChange]


class TwinMoment(Request):
    """A twin as it was: at a time (to the millisecond), or with these versions of both halves."""

    time: Time | None = None
    desired: Version | None = None
    reported: Version | None = None


class TwinCompare(Request):
    """Two twins as they were, each named as in ``TwinMoment``; where nothing says which is the later, it is today's."""

    from_time: Time | None = None
    from_desired: Version | None = None
    from_reported: Version | None = None
    to_time: Time | None = None
    to_desired: Version | None = None
    to_reported: Version | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class TwinVersions(Message):
    """The versions of both halves."""

    desired: int
    reported: int


class TwinDifference(Message):
    """A place (a JSON Pointer, RFC 6901) at which a half differs.

    ``before`` or ``after`` is left out where the half has no value there;
    ``version``, ``by`` and ``timestamp`` are those of the last change there.
    """

    half: HalfName
    path: str
    before: Any = None
    after: Any = None
    version: int | None = None
    by: str | None = None
    timestamp: datetime | None = None


class TwinComparison(Message):
    """Where two twins differ, ``desired`` first, and in how many places in all."""

    device_id: str
    from_: TwinVersions = Field(alias="from")
    to: TwinVersions
    total: int
    differences: list[TwinDifference]
