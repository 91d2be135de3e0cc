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
HEARTBEAT: Final = "heartbeat"
# A bridge tells every five seconds that it lives.
_SILENT_SECONDS: Final = 60.0
_STEADY_SECONDS: Final = 20.0
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


@dataclass(frozen=True, slots=True)
class Evidence:
    """When a device was heard of last, by kind; ``silent_seconds`` is how long that is by a clock that nobody sets."""

    message_at: datetime | None = None
    heartbeat_at: datetime | None = None
    will_at: datetime | None = None
    silent_seconds: float = 0.0

    @property
    def last(self) -> datetime | None:
        """The latest of them."""
        return max((at for at in (self.message_at, self.heartbeat_at, self.will_at) if at is not None), default=None)


@dataclass(frozen=True, slots=True)
class BrokerWord:
    """What is known of who tells of a broker: for how long nothing came, or for how long it has come steadily.

    ``reads_log`` is what it said last of the broker's log; None for nothing.
    """

    silent_seconds: float
    steady_seconds: float
    reads_log: bool | None


@dataclass(frozen=True, slots=True)
class Darkness:
    """That nobody could tell from a time on who is connected to a broker."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Doubt:
    """That a device is offline or unknown for want of evidence, and may be heard of again."""

    since: datetime


def is_dark(word: BrokerWord) -> bool:
    """Whether nobody can tell who is connected to a broker: its bridge is silent, or has no log to read."""
    return word.silent_seconds > _SILENT_SECONDS or word.reads_log is False


def is_light(word: BrokerWord) -> bool:
    """Whether its bridge has read the log for long enough that all it tells is known here."""
    return word.reads_log is True and word.silent_seconds <= _SILENT_SECONDS and word.steady_seconds >= _STEADY_SECONDS


def doubted(kept: Presence, now: datetime) -> Presence:
    """What was last known of a device, when nobody can tell any more."""
    return kept if kept.unknown_since is not None else replace(kept, unknown_since=now)


def known_again(kept: Presence, *, has_session: bool, now: datetime) -> Presence:
    """What is known of a device when its broker's log is read again: by that, only who has a session is online."""
    if kept.unknown_since is None:
        return kept
    if kept.online and not has_session:
        return turned(kept, Presence(False, now, "disconnected", kept.address))
    return replace(kept, unknown_since=None)


def missed(kept: Presence, now: datetime) -> Presence:
    """A device whose heartbeats have stopped is offline, long before its connection is given up."""
    if not kept.online or kept.unknown_since is not None:
        return kept
    return turned(kept, replace(kept, online=False, at=now, evidence=HEARTBEAT, session_at=kept.session_at or kept.at))


def in_doubt(kept: Presence) -> bool:
    """Whether anything heard of the device would settle what it is."""
    return kept.unknown_since is not None or (not kept.online and kept.evidence == HEARTBEAT)


def heard_again(kept: Presence, evidence: Evidence | None, since: datetime) -> Presence:
    """What a device is by what was heard of it since nobody could tell."""
    last = None if evidence is None else evidence.last
    if evidence is None or last is None or last <= since or not in_doubt(kept):
        return kept
    settled = replace(kept, at=last, unknown_since=None, session_at=kept.session_at or kept.at)
    if evidence.will_at == last:
        return turned(kept, replace(settled, online=False, evidence="last-will"))
    word = HEARTBEAT if evidence.heartbeat_at == last else "message"
    return turned(kept, replace(settled, online=True, evidence=word))


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
    if before is None:
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
    since = presence.session_at or presence.at
    return presence.online and (since, presence.address) == (session.since, session.address)


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
