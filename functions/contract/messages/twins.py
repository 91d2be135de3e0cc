"""Messages of the twin, as the device and as operators and applications ask."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from functions.contract.messages.base import ClientToken, FromDevice, Message, Request


class TwinGet(FromDevice):
    """``twin/get``: empty or ``{clientToken?}``."""

    client_token: ClientToken | None = None


class TwinReport(FromDevice):
    """``twin/update``: a patch of the reported half. ``desired`` is there to be refused."""

    reported: dict[str, Any] | None = None
    desired: Any = None
    expected_version: Annotated[int, Field(ge=0)] | None = None
    client_token: ClientToken | None = None


class TwinHalf(Message):
    """A half as sent: its version and the whole document."""

    version: int
    doc: dict[str, Any]


class TwinUpdated(Message):
    """Which halves changed, each whole, or null."""

    desired: TwinHalf | None
    reported: TwinHalf | None


class TwinAccepted(Message):
    """``twin/update/accepted``, the answer to both ``get`` and ``update``."""

    device_id: str
    operation: Literal["get", "update"]
    desired: TwinHalf
    reported: TwinHalf
    updated: TwinUpdated
    client_token: str | None = None
    timestamp: datetime


class TwinDelta(Message):
    """``twin/update/delta``: all of ``desired`` that ``reported`` does not show; never empty.

    ``metadata`` mirrors ``delta`` with ``{timestamp}`` at each leaf.
    """

    device_id: str
    delta: dict[str, Any]
    desired_version: int
    reported_version: int
    metadata: dict[str, Any]
    timestamp: datetime


class TwinDocuments(Message):
    """Event after a change: both halves before and after, and who changed it."""

    device_id: str
    before: TwinUpdated
    after: TwinUpdated
    by: str
    timestamp: datetime


class TwinDesire(Request):
    """A patch of the desired half, from an operator or application."""

    desired: dict[str, Any]
    expected_version: Annotated[int, Field(ge=0)] | None = None


class TwinView(Message):
    """The twin as operators and applications see it: documents, not wrapped."""

    device_id: str
    desired: dict[str, Any]
    reported: dict[str, Any]
    delta: dict[str, Any]
    desired_version: int
    reported_version: int
    metadata: dict[str, Any]
    last_updated: datetime | None


class TwinReached(Message):
    """Event: the device reports all that is desired, which it did not before."""

    device_id: str
    desired_version: int
    reported_version: int
    timestamp: datetime
