"""Messages of who wants to hear what devices say and do as it happens."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from functions.contract.messages.base import Message, Request

FollowedName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Follow(Request):
    """Asks to hear a topic; of the devices named, by id or role, or of any where none is."""

    devices: Annotated[list[FollowedName], Field(max_length=1000)] = Field(default=[])


class Followed(Message):
    """The topic may be heard; the devices by their ids, in the order in which they were named."""

    devices: list[str]


class LiveChange(Message):
    """Told to who follows ``devices`` or ``certificates``: what was done to which one, as an audit entry names both."""

    action: str
    target: str
    timestamp: datetime
