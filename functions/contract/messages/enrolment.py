"""Messages of the enrolment settings."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from functions.contract.messages.base import Message, Request

Minutes = Annotated[int, Field(ge=1, le=525_600)]
ClaimNameText = Annotated[str, Field(max_length=58)]


class EnrolmentOpen(Request):
    """Opens enrolment, for ``minutes`` or until it is closed.

    ``serve_files`` names a claim certificate whose files any device may fetch meanwhile.
    """

    minutes: Minutes | None = None
    serve_files: ClaimNameText | None = None


class EnrolmentChange(Request):
    """Changes the enrolment settings in one step; what is not given stays.

    ``minutes`` and ``serve_files`` are of a window that this opens, anew if it was open.
    """

    is_open: bool | None = None
    minutes: Minutes | None = None
    serve_files: ClaimNameText | None = None
    whitelist_enforced: bool | None = None


class WhitelistEnforce(Request):
    """Switches the whitelist gate."""

    enforced: bool


class EnrolmentView(Message):
    """The enrolment settings as they now hold."""

    is_open: bool
    open_until: datetime | None
    whitelist_enforced: bool
    serve_files: str | None
