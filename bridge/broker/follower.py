"""What follows from the broker's log lines: sessions are told to functions, and wrong ones are ended.

A session is right when its client id is the common name of its certificate,
or when it is a claim certificate's and the client id is nobody's device. The
broker's ACL lets a client use its client id's onboarding topics, and any
certificate take any client id, so a wrong session is ended by its common name.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

from bridge.broker.alarms import Alarms
from bridge.broker.lines import Connected, Dropping, Ended, Line, Running, Unreadable
from bridge.broker.reports import Report, Reports, nothing
from bridge.broker.sessions import Sessions, claimant_of, is_claim
from bridge.broker.sockets import canonical
from bridge.broker.waiting import TOLD_AFTER_SECONDS, Waiting
from functions.contract.messages import BrokerRestarted, SessionClosed, SessionFact, SessionOpened
from functions.contract.subjects import subject
from functions.domain.callers import DEVICE
from functions.domain.names import is_device_id
from functions.domain.sessions import Session

# A client that begins a session subscribes within a round trip or two.
SUBSCRIBES_WITHIN_SECONDS = 1.0

# As RFC 9562 writes them. Devices are seldom named so.
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

OPENED = subject("broker", "sessions", "opened")
CLOSED = subject("broker", "sessions", "closed")
RESTARTED = subject("broker", "restarted")


class Follower:
    """Follows one broker's log.

    Args:
        sessions: who is connected.
        reports: where it is told.
        alarms: where what is wrong is told.
        own: the bridge's own user at the broker.
        end: has every session of a common name ended.
        subscribes_within: seconds that a device is given to subscribe before it is told again.
        told_after: seconds after which a claim certificate's session is told, if it is still open.
        is_pressed: whether the log waits to be told whole, so that nothing may be told later.
    """

    def __init__(
        self,
        sessions: Sessions,
        reports: Reports,
        alarms: Alarms,
        *,
        own: str,
        end: Callable[[str], None],
        subscribes_within: float = SUBSCRIBES_WITHIN_SECONDS,
        told_after: float = TOLD_AFTER_SECONDS,
        is_pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._sessions = sessions
        self._reports = reports
        self._alarms = alarms
        self._own = own
        self._end = end
        self._subscribes_within = subscribes_within
        self._waiting = Waiting(self._open, told_after)
        self._is_pressed = is_pressed

    def follow(self, line: Line, done: Callable[[], None]) -> None:
        """Take one line; ``done`` is called when what it means is done."""
        match line:
            case Connected():
                self._connected(line, done)
            case Ended():
                self._ended(line, done)
            case Running():
                self._restarted(line.at, done)
            case Unreadable():
                self._alarms.tell("unreadable-connect-line", detail=line.text, at=line.at)
                done()
            case Dropping():
                self._alarms.tell("messages-dropped", client_id=line.client_id, at=line.at)
                done()
            case _:
                done()

    def fill(self, known: Iterable[SessionFact]) -> None:
        """Add the sessions that functions know, where the log has not told newer."""
        broker = self._sessions.broker
        self._sessions.fill(
            Session(fact.client_id, fact.common_name, fact.address, fact.since, broker) for fact in known
        )

    def drop_dead(self, peers: frozenset[str] | None) -> list[Session]:
        """Close the sessions that have no connection; None if that is not known, and then all of them."""
        now = datetime.now(UTC)
        gone = self._sessions.keep(lambda session: peers is not None and canonical(session.address) in peers)
        for session in gone:
            self._close(session, "disconnected", now)
        return gone

    def tell_again(self) -> None:
        """Report every open session, so that functions send what the devices may have missed."""
        for session in self._sessions.all().values():
            is_to_come = session.client_id in self._waiting or self._reports.is_pending(session.client_id)
            if self._is_told(session) and not is_to_come:
                self._open(session)

    # --- lines --------------------------------------------------------------------

    def _connected(self, line: Connected, done: Callable[[], None]) -> None:
        if line.common_name == self._own:
            done()
            return
        session, before = self._sessions.connected(line)
        if self._waiting.drop(line.client_id):
            # Functions never heard of it.
            before = None
        wrong = self._what_is_wrong(session, before)
        if wrong is None and self._can_wait(session, before):
            self._waiting.add(session, done)
            return
        if wrong is None:
            self._open(session, done)
            asyncio.get_running_loop().call_later(self._subscribes_within, self._open_again, session)
            return
        if before is not None:
            self._close(before, "replaced", line.at)
        self._bar(session, wrong)
        done()

    def _ended(self, line: Ended, done: Callable[[], None]) -> None:
        session = self._sessions.ended(line.client_id)
        if self._waiting.drop(line.client_id):
            is_news = False
        elif session is not None:
            is_news = self._is_told(session)
        else:
            # Functions may know it from before this process, or it is a line
            # that came twice and is not told yet.
            is_news = not self._sessions.is_filled or self._reports.is_pending(line.client_id)
        if is_news:
            self._reports.add(line.client_id, self._closing(line.client_id, line.evidence, line.at, done))
        else:
            done()

    def _restarted(self, at: datetime, done: Callable[[], None]) -> None:
        gone = self._sessions.restarted(at)
        self._waiting.drop_all()
        self._reports.restart(Report(RESTARTED, BrokerRestarted(broker=self._sessions.broker, at=at), done))
        for session in gone:
            if session.since >= at:
                # Of the same second: functions cannot tell that it is of the former life.
                self._close(session, "broker-restart", at)

    # --- judging ------------------------------------------------------------------

    def _what_is_wrong(self, session: Session, before: Session | None) -> str | None:
        """The alarm that a new session deserves, or None."""
        if is_claim(session.common_name):
            took_over = before is not None and before.common_name == session.client_id
            return "claim-as-device" if took_over and is_device_id(session.client_id) else None
        if session.common_name != session.client_id:
            return "foreign-client-id"
        return None if is_device_id(session.common_name) else "foreign-name"

    def _bar(self, session: Session, why: str) -> None:
        if not self._sessions.bar(session):
            return
        self._alarms.tell(
            why,
            client_id=session.client_id,
            common_name=session.common_name,
            address=session.address,
            at=session.since,
        )
        self._end(session.common_name)

    def _is_told(self, session: Session) -> bool:
        return claimant_of(session) is not None

    def _can_wait(self, session: Session, before: Session | None) -> bool:
        """Whether functions lose nothing by hearing of a session later, or never.

        They must know no other under its client id, whose end the broker does
        not log when this one takes its place. And they judge a claim
        certificate under a device's id, which must not wait: so only who
        comes under a hardware UUID does.
        """
        is_unknown = before is None and self._sessions.is_filled and not self._reports.is_pending(session.client_id)
        is_joining = is_claim(session.common_name) and _UUID.fullmatch(session.client_id) is not None
        return is_joining and is_unknown and not self._is_pressed()

    # --- telling ------------------------------------------------------------------

    def _open(self, session: Session, done: Callable[[], None] = nothing) -> None:
        body = SessionOpened(
            broker=session.broker,
            client_id=session.client_id,
            common_name=session.common_name,
            address=session.address,
            at=session.since,
        )
        # Functions deny a claim certificate's session under the id of a device that was there before it.
        refused = partial(self._bar, session, "claim-as-device") if is_claim(session.common_name) else nothing
        self._reports.add(session.client_id, Report(OPENED, body, done, refused))

    def _open_again(self, session: Session) -> None:
        """Report a device once more: what functions told it at its connect it has heard only if it had subscribed."""
        claimant = claimant_of(session)
        if claimant is not None and claimant.kind is DEVICE and self._sessions.find(session.client_id) is session:
            self._open(session)

    def _close(self, session: Session, evidence: str, at: datetime) -> None:
        if not self._waiting.drop(session.client_id) and self._is_told(session):
            self._reports.add(session.client_id, self._closing(session.client_id, evidence, at, nothing))

    def _closing(self, client_id: str, evidence: str, at: datetime, done: Callable[[], None]) -> Report:
        body = SessionClosed(broker=self._sessions.broker, client_id=client_id, evidence=evidence, at=at)
        return Report(CLOSED, body, done)
