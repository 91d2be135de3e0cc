"""Messages of direct methods (a call, what goes to the device, what it answers) and of messages to devices."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from functions.contract.messages.base import FromDevice, Message, Request, RequestId
from functions.domain.methods import DEFAULT_QUEUED, DEFAULT_TIMEOUT, LEAST_TIMEOUT, MOST_QUEUED, MOST_TIMEOUT


class MethodCall(Request):
    """Calls a method of a device: any JSON for it, and how many seconds its answer is waited for.

    With ``queue`` a call of a device that is not there waits for it, for ``expires_in`` seconds at most.
    """

    payload: JsonValue = None
    timeout: Annotated[float, Field(ge=LEAST_TIMEOUT, le=MOST_TIMEOUT)] = DEFAULT_TIMEOUT
    queue: bool = False
    expires_in: Annotated[float, Field(ge=1, le=MOST_QUEUED)] = DEFAULT_QUEUED


class MethodRequest(Message):
    """What a device is sent on ``methods/{name}/request``."""

    request_id: str
    method_name: str
    payload: JsonValue


class MethodResponse(FromDevice):
    """What a device answers on ``methods/{name}/response``; published clients may leave the status out, meaning 200."""

    request_id: RequestId
    status: int = 200
    payload: JsonValue = None
    message: Annotated[str | None, Field(max_length=4096)] = None


class MethodAnswer(Message):
    """The device's answer to a call, as it gave it; or, with ``queued_until``, that the call waits for the device."""

    request_id: str
    status: int
    payload: JsonValue
    message: str | None
    queued_until: datetime | None = None


class MessageSend(Request):
    """Sends a device any JSON; ``expires_in`` is how many seconds the broker keeps it, for ever if none."""

    payload: JsonValue
    expires_in: Annotated[float, Field(ge=1, le=MOST_QUEUED)] | None = None


class MessageSent(Message):
    """The broker has the message: it was sent to the device's session, or is held for one that is not connected."""

    message_id: str
    device_id: str
    state: Literal["sent", "held"]
    timestamp: datetime
