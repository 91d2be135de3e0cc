"""Messages of the checks and what they found."""

from datetime import datetime

from functions.contract.messages.alarms import SeverityWord
from functions.contract.messages.base import Message


class FindingView(Message):
    """Something that a check found wrong, and what to do about it."""

    kind: str
    subject: str
    severity: SeverityWord
    text: str
    remedy: str


class CheckView(Message):
    """A check and what it found; of ``total`` findings at most 100 are here."""

    check: str
    is_well: bool
    total: int
    findings: list[FindingView]


class CheckList(Message):
    """What every check found, at the time ``at``."""

    at: datetime
    checks: list[CheckView]
