"""Messages of direct methods: a call, what goes to the device, and what it answers."""

from typing import Annotated

from pydantic import Field, JsonValue

from functions.contract.messages.base import FromDevice, Message, Request, RequestId
from functions.domain.methods import DEFAULT_TIMEOUT, LEAST_TIMEOUT, MOST_TIMEOUT


class MethodCall(Request):
    """Calls a method of a device: any JSON for it, and how many seconds its answer is waited for."""

    payload: JsonValue = None
    timeout: Annotated[float, Field(ge=LEAST_TIMEOUT, le=MOST_TIMEOUT)] = DEFAULT_TIMEOUT


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
    """The device's answer to a call, as it gave it."""

    request_id: str
    status: int
    payload: JsonValue
    message: str | None
