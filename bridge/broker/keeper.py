"""Keeps a broker as the hub wants it: who may connect, who is told to be connected, and who must go.

It runs beside a lane, on the lane's session, and follows the broker's log file.
Everything it does can be done again: it asks
for the whole access state and applies it, at the start, when told of a change,
every minute, and whenever it may have missed something.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from nats.aio.msg import Msg
from pydantic import ValidationError

from bridge.broker.alarms import Alarms
from bridge.broker.follower import SUBSCRIBES_WITHIN_SECONDS, Follower
from bridge.broker.lines import Line, ReloadFailed
from bridge.broker.port import BRIDGE, PAUSES, BrokerAdmin, Functions, Lane, Link, Pauses
from bridge.broker.reports import Reports
from bridge.broker.sessions import Sessions
from bridge.mqtt.session import Incoming
from functions.contract.messages import (
    Access,
    AccessChanged,
    BrokerCertify,
    BrokerName,
    Done,
    Issued,
    Message,
    Nothing,
    SessionList,
    TrustTaken,
)
from functions.contract.subjects import subject
from functions.domain.callers import Caller
from functions.domain.certificates import crl_is_overdue
from functions.domain.faults import Denied, Fault, Unavailable
from functions.domain.names import CLAIM_PREFIX
from functions.domain.sessions import SessionMark

ACCESS = subject("broker", "access", "get")
ACCESS_CHANGED = subject("broker", "access", "changed")
CERTIFY = subject("broker", "certificate", "sign")
TRUST_TAKEN = subject("broker", "trust", "taken")
SESSIONS = subject("broker", "sessions", "list")

_EVERY_SECONDS = 60.0
_LONGEST_REFUSAL_SECONDS = 60.0
# Half of the time in which a revocation must be made, also one that functions take as soon as they are back.
_LONGEST_WAIT_SECONDS = 1.0

M = TypeVar("M", bound=Message)

log = structlog.get_logger("bridge.broker")


def _now() -> datetime:
    return datetime.now(UTC)


class Keeper:
    """Listens on a lane (``bridge.mqtt.ports.Listener``) and keeps its broker.

    ``ready`` is set once the first access state is applied.

    Args:
        admin: the broker.
        sessions: who is connected to it, kept from its log.
        link: the session that the lane has with it.
        lane: the lane.
        functions: the bus.
        own: the bridge's own user at the broker.
        alarms: where what is wrong is told.
        peers: the addresses connected to the broker's port, or None if this host cannot tell.
        pauses: how long is waited between tries.
        subscribes_within: seconds that a device is given to subscribe before it is told its delta again.
        every: seconds between two rounds when nothing calls for one.
        now: the time of day.
    """

    def __init__(
        self,
        admin: BrokerAdmin,
        sessions: Sessions,
        link: Link,
        lane: Lane,
        functions: Functions,
        *,
        own: str,
        alarms: Alarms,
        peers: Callable[[], frozenset[str] | None],
        pauses: Pauses = PAUSES,
        subscribes_within: float = SUBSCRIBES_WITHIN_SECONDS,
        every: float = _EVERY_SECONDS,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._admin = admin
        self._sessions = sessions
        self._link = link
        self._lane = lane
        self._functions = functions
        self._alarms = alarms
        self._peers = peers
        self._pauses = pauses
        self._every = every
        self._now = now
        self._reports = Reports(functions, alarms, pauses)
        self._follower = Follower(
            sessions,
            self._reports,
            alarms,
            own=own,
            end=self._end_now,
            subscribes_within=subscribes_within,
            is_pressed=lambda: admin.log_is_large,
        )
        admin.listen(self._told)
        self._asked = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._someone_to_end = asyncio.Event()
        self._to_end_now: set[str] = set()
        self._to_end: set[str] = set()
        self._must_end_claims = False
        self._is_applying = False
        self._saves = 0
        self._rounds = 0
        # When each common name was cut for the last time that we know to be done; None before the first access state.
        self._cut: dict[str, datetime] | None = None
        # When the list ends that the broker is known to have.
        self._crl_ends: datetime | None = None
        self.ready = asyncio.Event()

    # --- for the lane -----------------------------------------------------------

    @property
    def topics(self) -> tuple[str, ...]:
        """What the lane subscribes to for the keeper."""
        return self._admin.topics

    def take(self, incoming: Incoming) -> None:
        """Take a message of ``topics``: the broker's answer to an order."""
        self._admin.take(incoming)
        self._link.acknowledge(incoming)

    def claimant(self, client_id: str) -> Caller | None:
        """Who asks for an identity under a client id, by all that the broker has written until now."""
        self._admin.read_log()
        return self._sessions.claimant(client_id)

    def sent_in(self, device: str) -> SessionMark | None:
        """Which session of a device a message came in that the lane has just been given."""
        self._admin.read_log()
        return self._sessions.mark(device)

    # --- for the process --------------------------------------------------------

    async def run(self) -> None:
        """Keep the broker until cancelled."""
        await self._functions.subscribe(ACCESS_CHANGED, self._heard)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._admin.follow_log())
                for work in (self._catch_up, self._keep_access, self._end_wrong, self._keep_saved, self._watch_crl):
                    tasks.create_task(work())
        finally:
            await self._reports.stop()

    def hub_is_back(self) -> None:
        """Ask and tell everything again: the bus was away, and what was published meanwhile is lost."""
        self._asked.set()
        if self._caught_up.is_set():
            self._follower.tell_again()

    def to_json(self) -> dict[str, Any]:
        """Counts for operators."""
        return {
            "sessions": len(self._sessions.all()),
            "reports": self._reports.sent,
            "saves": self._saves,
            "rounds": self._rounds,
            "alarms": dict(self._alarms.counts),
            "broker": dict(self._admin.figures),
        }

    # --- the log, and catching up with it -----------------------------------------

    async def _catch_up(self) -> None:
        """After each connection, put right what the log may not have told."""
        while True:
            await self._lane.subscribed.wait()
            await self._until_done("catching-up", self._compare)
            self._caught_up.set()
            self._asked.set()
            self._unsaved.set()
            await self._link.disconnected.wait()

    def _told(self, line: Line, done: Callable[[], None]) -> None:
        if isinstance(line, ReloadFailed) and not self._is_applying:
            # Somebody else had the broker reload, and it has no CRL now.
            self._asked.set()
        self._follower.follow(line, done)

    async def _compare(self) -> None:
        # The log is told up to here when it answers.
        await self._admin.answers()
        has_missed = self._admin.log_has_gap
        if not self._sessions.is_filled:
            body = BrokerName(broker=self._sessions.broker)
            known = await self._ask(SESSIONS, body, SessionList)
            self._follower.fill(known.sessions)
        peers = self._peers()
        if peers is not None or has_missed:
            gone = self._follower.drop_dead(peers)
            log.info("caught up", sessions=len(self._sessions.all()), dropped=len(gone), missed=has_missed)
            if has_missed:
                # Who connected before we listened is known to nobody: let them connect once more.
                self._to_end |= {s.common_name for s in gone if not self._sessions.has(s.common_name)}
                self._must_end_claims = True
                self._admin.forget_gap()
        self._follower.tell_again()

    # --- access -------------------------------------------------------------------

    async def _heard(self, msg: Msg) -> None:
        try:
            self._to_end |= set(AccessChanged.model_validate_json(msg.data).end)
        except ValidationError as problem:
            log.warning("event not understood", subject=msg.subject, problem=str(problem))
        self._asked.set()

    async def _keep_access(self) -> None:
        await self._caught_up.wait()
        while True:
            self._is_applying = True
            await self._until_done("access", self._fetch_and_apply, hurry=self._asked)
            self._is_applying = False
            self.ready.set()
            await _pause(self._every, self._asked)

    async def _fetch_and_apply(self) -> None:
        self._asked.clear()
        # Not those that are named while the state is fetched: it may be older than their end.
        named, self._to_end = self._to_end, set()
        with_claims, self._must_end_claims = self._must_end_claims, False
        try:
            access = await self._ask(ACCESS, Nothing(), Access)
            claims = {f"{CLAIM_PREFIX}{name}" for name in access.claims} if with_claims else set()
            await self._apply(access, named | claims)
        except (Fault, ValidationError):
            self._to_end |= named
            self._must_end_claims |= with_claims
            raise
        finally:
            self._rounds += 1

    async def _apply(self, access: Access, named: set[str]) -> None:
        """One round: every step is tried whatever becomes of the others, and the first fault is raised at the end.

        Sessions end last, when their certificates open no new ones. Should
        the CRL not be applied, they are denied everything until it is.
        """
        cuts = {cut.common_name: cut.at for cut in access.cut}
        ending = named | self._freshly_cut(cuts)
        faults: list[Fault] = []
        await _try(faults, self._apply_trust(access))
        is_loaded = await _try(faults, self._admin.apply_crl(access.crl_pem))
        if is_loaded:
            self._crl_ends = access.crl_next_update
        denied = set(access.suspended) | (set() if is_loaded else ending)
        await _try(faults, self._admin.apply_access(access.claims, denied))
        if ending and await _try(faults, self._admin.end_sessions(sorted(ending))):
            log.info("sessions ended", names=len(ending))
        if faults:
            raise faults[0]
        self._cut = cuts
        await self._tell_trust(access)

    async def _apply_trust(self, access: Access) -> None:
        """Write whom the broker trusts, with a certificate of its own that they trust; the CRL's loading loads it."""
        if not access.ca_pem:
            return
        wanted = self._admin.request_certificate(access.ca_pem, access.hostnames)
        certificate = None
        if wanted is not None:
            csr, names = wanted
            body = BrokerCertify(csr_pem=csr, hostnames=list(names))
            certificate = (await self._functions.call(CERTIFY, body, Issued, caller=BRIDGE)).cert_pem
        self._admin.apply_trust(access.ca_pem, certificate)

    async def _tell_trust(self, access: Access) -> None:
        """Tell that the broker takes the certificates of the CA that signs, while that is not known."""
        if not access.settled:
            await self._functions.call(TRUST_TAKEN, TrustTaken(issuer=access.issuer), Done, caller=BRIDGE)

    async def _watch_crl(self) -> None:
        """Tell while the list grows old: past its end the broker lets nobody in, and whoever renews it may be away."""
        while True:
            if self._crl_ends is not None and crl_is_overdue(self._crl_ends, self._now()):
                until = self._crl_ends.isoformat(timespec="minutes")
                self._alarms.tell("crl-not-renewed", detail=f"At {until} it lapses, and the broker lets nobody in.")
            await asyncio.sleep(self._every)

    def _freshly_cut(self, cuts: dict[str, datetime]) -> set[str]:
        """The common names whose cut is not known to be made.

        Each cut is made once. It is not asked when a session began: between
        the cut and the loading of the CRL the certificate still opened new
        ones. Cuts from before this process started concern only those who
        are connected.
        """
        if self._cut is None:
            return {name for name in cuts if self._sessions.has(name)}
        return {name for name, at in cuts.items() if self._cut.get(name) != at}

    # --- ending wrong sessions, saving -----------------------------------------------

    def _end_now(self, common_name: str) -> None:
        self._to_end_now.add(common_name)
        self._someone_to_end.set()

    async def _end_wrong(self) -> None:
        while True:
            await self._someone_to_end.wait()
            self._someone_to_end.clear()
            await self._until_done("ending", self._end_those)

    async def _end_those(self) -> None:
        # One that connects again while this runs is to be ended once more.
        names, self._to_end_now = self._to_end_now, set()
        try:
            await self._admin.end_sessions(sorted(names))
        except Fault:
            self._to_end_now |= names
            raise

    async def _keep_saved(self) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            await self._until_done("saving", self._admin.save)
            self._saves += 1

    # --- trying ---------------------------------------------------------------------

    async def _ask(self, name: str, body: Message, answer: type[M]) -> M:
        """Call a function, and wait for as long as none can answer."""
        pauses = iter(Pauses(self._pauses.first, min(self._pauses.longest, _LONGEST_WAIT_SECONDS)))
        while True:
            try:
                return await self._functions.call(name, body, answer, caller=BRIDGE)
            except Unavailable as problem:
                log.info("functions are away", subject=name, problem=str(problem))
            await asyncio.sleep(next(pauses))

    async def _until_done(
        self, what: str, deed: Callable[[], Awaitable[None]], *, hurry: asyncio.Event | None = None
    ) -> None:
        """Try until it is done, at once when hurried; failure is an alarm, unless the broker is only away."""
        pauses, longer_pauses = iter(self._pauses), iter(Pauses(self._pauses.first, _LONGEST_REFUSAL_SECONDS))
        while True:
            try:
                await deed()
            except (Fault, ValidationError) as problem:
                if self._link.is_connected or isinstance(problem, Denied):
                    self._alarms.tell(f"{what}-failed", detail=str(problem))
                log.warning("not done yet", what=what, problem=str(problem))
                if isinstance(problem, Denied):
                    # The broker refuses us: it has given up a reload half way,
                    # and may do so at every try, which costs what devices
                    # send meanwhile. So nothing can hurry this.
                    self._admin.forget_crl()
                    await asyncio.sleep(next(longer_pauses))
                else:
                    await _pause(next(pauses), hurry)
            else:
                return


async def _pause(seconds: float, hurry: asyncio.Event | None) -> None:
    if hurry is None:
        await asyncio.sleep(seconds)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await hurry.wait()


async def _try(faults: list[Fault], deed: Awaitable[None]) -> bool:
    try:
        await deed
    except Fault as fault:
        faults.append(fault)
        return False
    return True
