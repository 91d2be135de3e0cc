"""Who is connected to the broker, as its connect log tells.

A session belongs to the common name of the certificate it was opened with,
which is the identity; the client id is the client's own free choice.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from functions.domain.faults import Malformed

_MARK = re.compile(r"([0-9]{1,11})/([^/\x00-\x20\x7f]{1,128})")


# A device that moves takes its own session over now and then, one with a poor line often and from the same place; two
# that share a client id do it all the time.
_CLASH_WITHIN = timedelta(minutes=10)
_CLASH_FROM_ELSEWHERE = 3
_MOST_TAKEOVERS = 10


@dataclass(frozen=True, slots=True)
class Takeover:
    """That a session took the place of an open one: when, and whether it came from another host."""

    at: datetime
    from_elsewhere: bool


@dataclass(frozen=True, slots=True)
class Session:
    """An open session: client id, common name, ``host:port``, when it began, and the broker that holds it.

    ``takeovers`` are the last ten of its client id, within ten minutes.
    """

    client_id: str
    common_name: str
    address: str
    since: datetime
    broker: str
    takeovers: tuple[Takeover, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionMark:
    """Which of a device's sessions a message came in: when that began, by the broker's clock, and its ``host:port``.

    A broker has one session of a device at a time, whose connection has a port
    of its own; so two sessions have two marks, also within one second.
    """

    since: datetime
    address: str

    def __str__(self) -> str:
        return f"{int(self.since.timestamp())}/{self.address}"

    @classmethod
    def of(cls, session: Session) -> Self:
        """The mark of a session; the broker's log knows whole seconds."""
        return cls(session.since.replace(microsecond=0), session.address)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``seconds since 1970/host:port``.

        Raises:
            Malformed: the text has another form.
        """
        form = _MARK.fullmatch(text)
        if form is None:
            raise Malformed(detail="The session of the call is not 'seconds/host:port'.")
        return cls(datetime.fromtimestamp(int(form[1]), UTC), form[2])


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a device is online, since when, and on what evidence.

    ``evidence`` is ``connected``, ``disconnected``, ``timeout``, ``replaced``,
    ``ended`` (by the hub) or ``broker-restart``. With ``unknown_since`` that
    is what was last known, and nobody can tell what is now. Other evidence is
    ``heartbeat`` (it came again, or stopped), ``message`` and ``last-will``;
    then ``session_at`` is when the session began. ``turns`` are when it came
    and went of late.
    """

    online: bool
    at: datetime
    evidence: str
    address: str = ""
    unknown_since: datetime | None = None
    session_at: datetime | None = None
    turns: tuple[datetime, ...] = field(default=(), compare=False)


def follow(before: Session | None, session: Session, now: datetime) -> Session:
    """The session that is open now that ``session`` was opened, where ``before`` was open under its client id.

    A line that comes late or again changes nothing. A session that began in
    time to come is of a clock that was set back since, and gives way.
    """
    if before is None:
        return session
    is_late = session.since < before.since <= now
    if is_late or (before.since, before.address) == (session.since, session.address):
        return before
    takeover = Takeover(session.since, _host(before.address) != _host(session.address))
    recent = [one for one in before.takeovers if session.since - one.at < _CLASH_WITHIN]
    return replace(session, takeovers=(*recent, takeover)[-_MOST_TAKEOVERS:])


def clashes(session: Session, now: datetime) -> bool:
    """Whether several clients take this client id from each other."""
    recent = [one for one in session.takeovers if now - one.at < _CLASH_WITHIN]
    return len(recent) >= _MOST_TAKEOVERS or sum(one.from_elsewhere for one in recent) >= _CLASH_FROM_ELSEWHERE


def _host(address: str) -> str:
    return address.rpartition(":")[0]
