"""Messages of the whitelist."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from functions.contract.messages.base import Message, Request, Text
from functions.domain.whitelist import MAX_HARDWARE_VERSION, MAX_LINES, MAX_MANUFACTURER, MAX_NOTE

# What an operator notes of hardware: no control characters, which would steer a terminal.
_SHOWN = r"^[^\x00-\x1f\x7f-\x9f]*$"

Note = Annotated[str, Field(max_length=MAX_NOTE, pattern=_SHOWN)]
HardwareVersion = Annotated[str, Field(max_length=MAX_HARDWARE_VERSION, pattern=_SHOWN)]
Manufacturer = Annotated[str, Field(max_length=MAX_MANUFACTURER, pattern=_SHOWN)]


class WhitelistCreate(Request):
    """Puts one hardware UUID on the whitelist."""

    uuid: Annotated[str, Field(max_length=64)]
    note: Note = ""
    hardware_version: HardwareVersion = ""
    manufacturer: Manufacturer = ""


class WhitelistBatch(Request):
    """Puts many on the whitelist: each line is ``[uuid, note?, hardwareVersion?, manufacturer?]``.

    With ``dry_run`` nothing is added, and the answer says what would be.
    """

    lines: Annotated[list[Annotated[list[str], Field(max_length=16)]], Field(max_length=MAX_LINES)]
    dry_run: bool = False


class WhitelistVerdict(Message):
    """What became of a line, counted from 1: ``malformed`` is followed by why, ``duplicate`` by of which line."""

    line: int
    result: Literal["added", "present", "malformed", "duplicate"]
    reason: str


class WhitelistReport(Message):
    """What became of a batch, or would."""

    dry_run: bool
    added: int
    present: int
    malformed: int
    duplicates: int
    lines: list[WhitelistVerdict]


class WhitelistUpdate(Request):
    """Changes an entry; what is not given stays."""

    disabled: bool | None = None
    note: Note | None = None
    hardware_version: HardwareVersion | None = None
    manufacturer: Manufacturer | None = None


class WhitelistQuery(Request):
    """A question to the whitelist; what is given must all hold.

    ``q`` is found in the texts of an entry or ends its UUID, as far as that is
    known; ``uuid`` finds the entry of that very UUID. ``sort`` names fields
    with commas between, ``-`` before one turns its order round.
    """

    q: Text = ""
    uuid: Annotated[str, Field(max_length=64)] | None = None
    state: Literal["enabled", "disabled"] | None = None
    used: bool | None = None
    sort: Text = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class WhitelistFact(Message):
    """An entry; the UUID itself is not kept, only its keyed hash, which is the id, and the last four characters."""

    id: str
    hint: str
    note: str
    hardware_version: str
    manufacturer: str
    disabled: bool
    added_at: datetime
    first_used_at: datetime | None
    last_used_at: datetime | None


class WhitelistPage(Message):
    """A page of the whitelist, and how many match in all."""

    total: int
    entries: list[WhitelistFact]
