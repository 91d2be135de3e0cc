"""When a device's presence is news, and what its connections were.

All times are of a broker's log, cut to seconds. A clock may be set back: what
was noted for a time to come is of before that, and gives way to anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from functions.domain.sessions import Presence, Session

RESTARTED: Final = "broker-restart"
# Who comes back within this time of a broker's restart was away for that alone, which was told once for all.
RETURNS_WITHIN: Final = timedelta(seconds=60)
# A device that comes and goes so often in so long flaps; when it has not for a while, it is told what came of it.
_TURNS_OF_FLAPPING: Final = 6
_FLAPS_WITHIN: Final = timedelta(seconds=60)
_CALM_AFTER: Final = timedelta(seconds=30)
_MOST_TURNS: Final = 10


@dataclass(frozen=True, slots=True)
class Flapping:
    """That a device's comings and goings are not told one by one: since when."""

    since: datetime


@dataclass(frozen=True, slots=True)
class BrokerRestart:
    """That a broker was restarted, and who of its devices has not come back is to be told."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection of a device: from when to when, from where, and on what evidence it ended; or it is open."""

    since: datetime
    address: str
    until: datetime | None = None
    evidence: str | None = None


def turned(before: Presence | None, after: Presence) -> Presence:
    """The new presence, with when the device came and went of late."""
    turns = before.turns if before is not None else ()
    if before is not None and before.online == after.online:
        return replace(after, turns=turns)
    recent = tuple(at for at in turns if timedelta() <= after.at - at < _FLAPS_WITHIN)
    return replace(after, turns=(*recent, after.at)[-_MOST_TURNS:])


def gives_way(kept: Presence | None, at: datetime, now: datetime) -> bool:
    """Whether what is kept gives way to what is told of a time: it is older, or of a clock that was set back."""
    return kept is None or kept.at <= at or kept.at > now


def is_news(before: Presence | None, after: Presence) -> bool:
    """Whether a change is to be told of the device itself."""
    if before is None or before.unknown_since is not None:
        return True
    if before.online == after.online:
        return False
    was_restart = not before.online and before.evidence == RESTARTED
    is_back = was_restart and timedelta() <= after.at - before.at <= RETURNS_WITHIN
    return not is_back and after.evidence != RESTARTED


def is_flapping(presence: Presence) -> bool:
    """Whether the device has come and gone too often of late to tell of each time."""
    return len(presence.turns) >= _TURNS_OF_FLAPPING


def is_calm(presence: Presence, now: datetime) -> bool:
    """Whether a device that was flapping has stayed as it is for a while."""
    return not presence.turns or not timedelta() <= now - presence.turns[-1] < _CALM_AFTER


def lost(presence: Presence, restart: BrokerRestart) -> bool:
    """Whether a device went with this restart of its broker and has not come back."""
    return not presence.online and presence.evidence == RESTARTED and presence.at == restart.at


def is_by(presence: Presence, session: Session) -> bool:
    """Whether a device is online by this very session."""
    return presence.online and (presence.at, presence.address) == (session.since, session.address)


def connections(kept: Sequence[Presence]) -> list[Connection]:
    """The connections that presences tell of, which are given oldest first; the newest first."""
    found: list[Connection] = []
    for presence in kept:
        last = found[-1] if found and found[-1].until is None else None
        if presence.online:
            if last is not None and (last.since, last.address) == (presence.at, presence.address):
                continue
            if last is not None:
                found[-1] = replace(last, until=presence.at, evidence="replaced")
            found.append(Connection(presence.at, presence.address))
        elif last is not None:
            found[-1] = replace(last, until=presence.at, evidence=presence.evidence)
    return found[::-1]
