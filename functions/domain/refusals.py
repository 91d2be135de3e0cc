"""Attempts that were refused, on their way into the audit trail: the first of a kind at once, those after it in sums.

Whoever reaches the hub can be refused as often as they like. So what is
written is bounded by kinds and minutes and not by attempts: who tries what
and is told which reason is one kind, and there are so many kinds at most.
Each kind of caller has its share of them, so that no number of strangers, or
of devices, hides what a user was refused.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from functions.domain.addresses import address_group
from functions.domain.audit import UNNAMED
from functions.domain.faults import Denied, Fault, Reason

# Of one kind of caller: of users, say, or of strangers.
MOST_KINDS: Final = 256
# The sum of those of a kind is written so often.
EVERY: Final = timedelta(minutes=1)
_HTTP: Final = "http:"
_SHOWN_CHARACTERS: Final = 256
# The reason of a sum of many kinds.
OTHERS: Final = "others"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Attempts that were refused alike.

    Args:
        actor: who, ``user:anna``; ``-`` where nobody is known.
        origin: from where: ``http:192.0.2.7``, ``nats``.
        function: by its name in the table; ``-`` where none was reached.
        what: was asked: the last one's subject, or method and address.
        error: the stable code of the reason.
        why: the sentence that the last one was told.
        call: the id of the last one's call.
        since: when the first was refused.
        until: when the last one was.
        count: how many there were.
    """

    actor: str
    origin: str
    function: str
    what: str
    error: str
    why: str
    call: str
    since: datetime
    until: datetime
    count: int = 1


@dataclass(slots=True)
class _Line:
    refusal: Refusal
    untold: int
    told_at: datetime | None = None


class RefusalSums:
    """What of the refusals is to be written, and when; nothing here waits or writes.

    Args:
        most_kinds: of one kind of caller; the others of it are summed in one.
    """

    def __init__(self, most_kinds: int = MOST_KINDS) -> None:
        self._most = most_kinds
        self._lines: dict[tuple[str, ...], _Line] = {}
        self._kinds: Counter[str] = Counter()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was refused lately."""
        return not self._lines

    def note(self, refusal: Refusal) -> None:
        """Take in attempts that were refused."""
        key = _kind(refusal)
        if key not in self._lines and self._kinds[key[0]] >= self._most:
            told = f"Too many kinds of refusals at once: these are the others of '{key[0]}'."
            key = (key[0],)
            refusal = replace(refusal, actor=UNNAMED, origin="hub", function=UNNAMED, what="", error=OTHERS, why=told)
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = _Line(refusal, refusal.count)
            self._kinds[key[0]] += 1
            return
        since = line.refusal.since if line.untold else refusal.since
        line.refusal = replace(refusal, since=since)
        line.untold += refusal.count

    def due(self, now: datetime, *, every: timedelta = EVERY) -> list[Refusal]:
        """What is to be written now: kinds that are new, and the sums of those last written a minute ago."""
        told: list[Refusal] = []
        for key, line in list(self._lines.items()):
            if line.told_at is not None and now - line.told_at < every:
                continue
            if not line.untold:
                del self._lines[key]
                self._kinds[key[0]] -= 1
                continue
            told.append(replace(line.refusal, count=line.untold))
            line.untold, line.told_at = 0, now
        return told

    def rest(self) -> list[Refusal]:
        """All that is not written yet; nothing is left then."""
        told = [replace(line.refusal, count=line.untold) for line in self._lines.values() if line.untold]
        self._lines.clear()
        self._kinds.clear()
        return told


def is_refusal(fault: Fault) -> bool:
    """Whether a fault says that somebody may not do this, or not so often."""
    return isinstance(fault, Denied) or fault.reason is Reason.RATE_LIMITED


def refusal_of(
    fault: Fault, at: datetime, *, actor: str | None, origin: str, function: str, what: str, call: str
) -> Refusal:
    """One attempt that was refused; what comes from outside is cut to a bounded length."""
    return Refusal(
        actor=(actor or UNNAMED)[:_SHOWN_CHARACTERS],
        origin=origin,
        function=function,
        what=what[:_SHOWN_CHARACTERS],
        error=str(fault.reason),
        why=fault.detail[:_SHOWN_CHARACTERS],
        call=call,
        since=at,
        until=at,
    )


def _kind(refusal: Refusal) -> tuple[str, ...]:
    """What attempts have in common that are summed, the kind of caller first: of strangers, where they come from."""
    is_known = refusal.actor != UNNAMED
    who = refusal.actor if is_known else address_group(refusal.origin.removeprefix(_HTTP))
    what = refusal.what if refusal.function == UNNAMED else ""
    return (refusal.actor.partition(":")[0], who, refusal.function, what, refusal.error)
