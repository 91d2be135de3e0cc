"""What a client may say on a WebSocket."""

from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from functions.contract.messages.base import Request, RequestId
from functions.domain.faults import Malformed
from functions.domain.methods import DEFAULT_TIMEOUT, LEAST_TIMEOUT, MOST_TIMEOUT
from gateway.live import logs
from gateway.live.selection import ALL
from gateway.live.topics import JOINING_PATTERN, MOST_JOININGS, TOPICS

_MOST_DEVICES: Final = 1000
_MOST_GROUPS: Final = 100
_MOST_WRONG: Final = 5

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Device = Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]{1,64}|\*)$")]
_Topic = Annotated[str, Field(pattern=f"^({'|'.join(TOPICS)}|{JOINING_PATTERN}|{logs.PATTERN})$")]
_Topics = Annotated[list[_Topic], Field(max_length=len(TOPICS) + MOST_JOININGS + logs.MOST)]
_Devices = Annotated[list[_Device], Field(max_length=_MOST_DEVICES)]
_Groups = Annotated[list[_Name], Field(max_length=_MOST_GROUPS)]


class Subscribe(Request):
    """Hear topics: of all devices, of those named, or of those in groups."""

    type: Literal["subscribe"]
    topics: _Topics
    devices: _Devices | None = None
    groups: _Groups | None = None


class Unsubscribe(Request):
    """Hear less: what is named, or nothing any more."""

    type: Literal["unsubscribe"]
    topics: _Topics | None = None
    devices: _Devices | None = None
    groups: _Groups | None = None


class CallMethod(Request):
    """Call a method of a device; ``timeout`` in seconds."""

    type: Literal["callMethod"]
    request_id: RequestId
    device_id: _Name
    method_name: _Name
    payload: JsonValue = None
    timeout: Annotated[float, Field(ge=LEAST_TIMEOUT, le=MOST_TIMEOUT)] = DEFAULT_TIMEOUT


class SendMessage(Request):
    """Send a device a message."""

    type: Literal["sendMessage"]
    message_id: RequestId
    device_id: _Name
    payload: JsonValue = None


class Ping(Request):
    """Ask for a sign of life."""

    type: Literal["ping"]


class Resume(Request):
    """Ask for what came after a message, on this socket or on one before."""

    type: Literal["resume"]
    seq: Annotated[int, Field(ge=0, lt=2**53)]


Saying = Subscribe | Unsubscribe | CallMethod | SendMessage | Ping | Resume

_ANY: Final[TypeAdapter[Saying]] = TypeAdapter(Annotated[Saying, Field(discriminator="type")])


def read_saying(text: str | bytes) -> Saying:
    """What a client says.

    Raises:
        Malformed: it is no JSON in UTF-8, of no known type, or has what it must not have.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as problem:
            raise Malformed(detail="The frame is no JSON in UTF-8.") from problem
    try:
        return _ANY.validate_json(text)
    except ValidationError as problem:
        wrong = {
            ".".join(map(str, one["loc"][1:])) or "type": str(one["msg"])
            for one in problem.errors(include_url=False, include_context=False, include_input=False)[:_MOST_WRONG]
        }
    raise Malformed(detail="; ".join(f"{name}: {why}" for name, why in wrong.items()), fields=wrong)


def named(names: list[str] | None) -> frozenset[str] | None:
    """Names as a set; all of them are none in particular where ``*`` is among them."""
    if names is None:
        return None
    return frozenset({ALL}) if ALL in names else frozenset(names)
