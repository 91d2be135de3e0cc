"""What all messages have in common, and the fields that several share."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from functions.domain.certificates import MAX_CSR_CHARACTERS

# At most 64 bytes in UTF-8 as the contract says; 64 characters is checked here, the bytes by the twin rules.
ClientToken = Annotated[str, Field(max_length=64)]
RequestId = Annotated[str, Field(max_length=128)]
Text = Annotated[str, Field(max_length=1024)]
Texts = Annotated[list[Text], Field(max_length=20)]
# A name that operators read: no control characters, which would steer their terminal.
ShownName = Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Pem = Annotated[str, Field(max_length=MAX_CSR_CHARACTERS)]


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


# Requests are checked strictly on what JSON parsed to, where a time is still
# text. One that names no zone is in UTC, as every time of the interface.
Time = Annotated[datetime, Field(strict=False), AfterValidator(_in_utc)]


class Message(BaseModel):
    """What every message has in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, strict=True, frozen=True)

    def encode(self) -> bytes:
        """The message as JSON; what was never set is left out."""
        return self.model_dump_json(by_alias=True, exclude_unset=True).encode()


M = TypeVar("M", bound=Message)


class FromDevice(Message):
    """A payload that a device sends: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class Request(Message):
    """A payload from inside the hub or its operators: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Request):
    """A request without content: an empty payload or ``{}``."""


class Done(Message):
    """A reply that says only that it is done and durable."""

    done: Literal[True] = True

    def encode(self) -> bytes:
        """``{"done":true}``."""
        return b'{"done":true}'


@dataclass(frozen=True, slots=True)
class Encoded(Generic[M]):
    """A message that is JSON already: ``Encoded[DevicePage]`` is sent as a ``DevicePage``."""

    body: bytes

    def encode(self) -> bytes:
        """The message as JSON."""
        return self.body


GroupName = Annotated[str, Field(max_length=64)]
