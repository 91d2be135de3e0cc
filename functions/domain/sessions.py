"""Who is connected to the broker, as its connect log tells.

A session belongs to the common name of the certificate it was opened with,
which is the identity; the client id is the client's own free choice.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from functions.domain.faults import Malformed

_MARK = re.compile(r"([0-9]{1,11})/([^/\x00-\x20\x7f]{1,128})")


@dataclass(frozen=True, slots=True)
class Session:
    """An open session: client id, common name, ``host:port``, when it began, and the broker that holds it."""

    client_id: str
    common_name: str
    address: str
    since: datetime
    broker: str


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
    ``ended`` (by the hub) or ``broker-restart``.
    """

    online: bool
    at: datetime
    evidence: str
    address: str = ""
