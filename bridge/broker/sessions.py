"""Who is connected, kept from the broker's log lines.

Lines come in the order in which the broker wrote them, and a client's connect
line is written before its first message is passed on. So whoever has read the
log to its end and asks for the sender of a message that has just come gets the
one who sent it.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from bridge.broker.lines import Connected
from functions.domain.callers import CLAIM, DEVICE, Caller
from functions.domain.faults import Malformed
from functions.domain.names import CLAIM_PREFIX, claim_name, is_device_id
from functions.domain.sessions import Session, SessionMark

# Sessions that ended lately, whose last messages may still be on their way.
_REMEMBERED = 1024


class Sessions:
    """The open sessions of one broker, by client id.

    What was known before this process started is filled in beneath what the
    lines have told since: a client that a line has named is not taken from
    the older account.
    """

    def __init__(self, broker: str) -> None:
        self.broker = broker
        self._open: dict[str, Session] = {}
        self._barred: dict[str, Session] = {}
        self._over: dict[str, Session] = {}
        self._named: set[str] | None = set()
        self._running_since: datetime | None = None

    @property
    def is_filled(self) -> bool:
        """Whether what was known before is in."""
        return self._named is None

    def all(self) -> Mapping[str, Session]:
        """The open sessions as they are now."""
        return dict(self._open)

    def has(self, common_name: str) -> bool:
        """Whether a session of this common name is open, under whatever client id."""
        return any(session.common_name == common_name for session in self._open.values())

    def find(self, client_id: str) -> Session | None:
        """The open session of a client id."""
        return self._open.get(client_id)

    def connected(self, line: Connected) -> tuple[Session, Session | None]:
        """Take a connect line; gives the new session, and the one that it took the place of."""
        before = self._forget(line.client_id)
        session = Session(line.client_id, line.common_name, line.address, line.at, self.broker)
        self._open[line.client_id] = session
        return session, before

    def ended(self, client_id: str) -> Session | None:
        """Forget a session that has ended; gives what it was, or None if it was not known."""
        return self._forget(client_id)

    def bar(self, session: Session) -> bool:
        """Let nobody claim in a session until it ends; False if it is over already."""
        if self._open.get(session.client_id) is not session:
            return False
        self._barred[session.client_id] = session
        return True

    def restarted(self, at: datetime) -> list[Session]:
        """Forget every session, as the broker's present process, which began now and at ``at``, has none of them."""
        self._running_since = at
        return self.keep(lambda session: False)

    def keep(self, is_alive: Callable[[Session], bool]) -> list[Session]:
        """Forget every session that is not alive; gives those forgotten."""
        gone = [session for session in self._open.values() if not is_alive(session)]
        for session in gone:
            self._forget(session.client_id)
        return gone

    def fill(self, known: Iterable[Session]) -> None:
        """Add what was known before this process started, once."""
        if self._named is None:
            return
        for session in known:
            is_dead = self._running_since is not None and session.since < self._running_since
            if session.client_id not in self._named and not is_dead:
                self._open[session.client_id] = session
        self._named = None

    def claimant(self, client_id: str) -> Caller | None:
        """Who asks for an identity under a client id: a claim certificate, the device itself, or None for others."""
        session = self._open.get(client_id)
        return None if session is None or client_id in self._barred else claimant_of(session)

    def mark(self, device: str) -> SessionMark | None:
        """The newest session of a device under its own name, also one that ended lately; None if none is known."""
        session = self._open.get(device) or self._over.get(device)
        if session is None or session.common_name != device or device in self._barred:
            return None
        return SessionMark.of(session)

    def _forget(self, client_id: str) -> Session | None:
        if self._named is not None:
            self._named.add(client_id)
        barred = self._barred.pop(client_id, None)
        session = self._open.pop(client_id, None)
        self._over.pop(client_id, None)
        if session is not None and session is not barred:
            self._over[client_id] = session
            if len(self._over) > _REMEMBERED:
                del self._over[next(iter(self._over))]
        return session


def claimant_of(session: Session) -> Caller | None:
    """Who may ask for an identity in a session: a claim certificate, or a device under its own name."""
    if is_claim(session.common_name):
        try:
            return Caller(CLAIM, claim_name(session.common_name.removeprefix(CLAIM_PREFIX)))
        except Malformed:
            return None
    if session.common_name == session.client_id and is_device_id(session.common_name):
        return Caller(DEVICE, session.common_name)
    return None


def is_claim(common_name: str) -> bool:
    """Whether a common name is a claim certificate's."""
    return common_name.startswith(CLAIM_PREFIX)
