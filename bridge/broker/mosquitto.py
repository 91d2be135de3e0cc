"""Mosquitto 2.0.11 as a broker to be kept: over its MQTT session, its log, its CRL file and its signals."""

import asyncio
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from bridge.broker import access
from bridge.broker.alarms import Alarms
from bridge.broker.control import RESPONSE_TOPIC, Control
from bridge.broker.crl import CrlFile, Loader
from bridge.broker.figures import TOPICS, Figures
from bridge.broker.lines import Saving, SavingFailed, parse
from bridge.broker.logfile import LogFile, LogLine
from bridge.broker.port import Follow, Lane, Link
from bridge.broker.process import Process
from bridge.broker.server import Server, ServerFiles
from bridge.broker.sessions import Sessions
from bridge.mqtt.session import Incoming
from functions.domain.faults import Denied, Unavailable
from functions.domain.sessions import Session

# How soon a line is acted upon that nobody asks for; a look costs 10 us.
_READ_EVERY_SECONDS = 0.02
_READS_A_MARK = 10
_NAMES_AT_ONCE = 25
_SAVED_WITHIN_SECONDS = 2.0
_SAVES = 20
_PAUSE_SECONDS = 0.25

# Making and deleting a client to end its connections: it may have been there.
_EXPECTED = ("Client already exists", "Client not found")

log = structlog.get_logger("bridge.broker")


@dataclass(frozen=True, slots=True)
class Files:
    """What is reached past MQTT: the CRL that the broker reads, its pid file, its log, and its own side of TLS."""

    crl: Path
    pid: Path
    log: Path
    server: ServerFiles


class Mosquitto:
    """Keeps one Mosquitto (``bridge.broker.port.BrokerAdmin``).

    Args:
        link: the MQTT session.
        sessions: who is connected.
        prefixes: the topic prefixes that claim certificates may use.
        files: what is reached past MQTT.
        lanes: all that share the broker; they tell when no device's message is unanswered.
        alarms: where a broker that fails is told.
    """

    def __init__(
        self,
        link: Link,
        sessions: Sessions,
        *,
        prefixes: Sequence[str],
        files: Files,
        lanes: Sequence[Lane],
        alarms: Alarms,
    ) -> None:
        self._link = link
        self._sessions = sessions
        self._prefixes = tuple(prefixes)
        self._lanes = tuple(lanes)
        self._alarms = alarms
        self._control = Control(link)
        self._process = Process(files.pid)
        self._loader = Loader(CrlFile(files.crl), reload=self._process.reload, answers=self.answers, alarms=alarms)
        self._server = Server(files.server)
        self._log_file = LogFile(files.log)
        self._follow: Follow | None = None
        self._clients: Mapping[str, str] = {}
        self._figures = Figures()
        # Ending a session deletes its client for a moment, which must not be
        # the moment in which the clients are listed.
        self._one_writer = asyncio.Lock()
        self._saving = asyncio.Event()
        self._saving_failed = False

    @property
    def topics(self) -> tuple[str, ...]:
        """The security plugin's answers, and what the broker tells of itself."""
        return (RESPONSE_TOPIC, *TOPICS)

    def take(self, incoming: Incoming) -> None:
        """Look at a message of ``topics``."""
        if not self._figures.take(incoming.topic, incoming.payload):
            self._control.take(incoming.payload)

    @property
    def figures(self) -> Mapping[str, int]:
        """What the broker counts, as far as it has told."""
        return self._figures.to_json()

    def listen(self, follow: Follow) -> None:
        """Let this have what the log tells, in its order, each with what to call when it is done with."""
        self._follow = follow

    def read_log(self) -> None:
        """Hand over all that the broker has logged until now; sessions are up to date when it returns."""
        for line in self._log_file.read():
            self._hear(line)

    async def follow_log(self) -> None:
        """Hand over what the broker logs, as it does, until cancelled."""
        try:
            while True:
                for _ in range(_READS_A_MARK):
                    self.read_log()
                    await asyncio.sleep(_READ_EVERY_SECONDS)
                if self._log_file.save():
                    # The broker begins a new log at its next reload, which the next look at the CRL now brings.
                    self._loader.forget()
        finally:
            self._log_file.close()

    @property
    def log_is_large(self) -> bool:
        """Whether the log is to be put aside as soon as all of it is told."""
        return self._log_file.is_large

    @property
    def log_is_there(self) -> bool:
        """Whether the log file is open and still where it was."""
        return self._log_file.is_there

    @property
    def log_has_gap(self) -> bool:
        """Whether there were lines that cannot be had any more."""
        return self._log_file.has_gap

    def forget_gap(self) -> None:
        """What the gap may have hidden is put right."""
        self._log_file.has_gap = False

    def _hear(self, line: LogLine) -> None:
        """Take what is of our own concern, and hand on what a line tells.

        Notices tell of clients, errors of failed reloads, information of
        reloads and saves begun and of the broker's start.
        """
        told = parse(line.level, line.text)
        done = partial(self._log_file.acknowledge, line)
        if isinstance(told, Saving):
            self._saving.set()
        elif isinstance(told, SavingFailed):
            self._saving_failed = True
        elif told is not None:
            self._loader.hear(told)
        if told is None or self._follow is None:
            done()
        else:
            self._follow(told, done)

    async def apply_access(self, claims: Collection[str], suspended: Collection[str]) -> None:
        """Bring the plugin's roles and clients to what they should be; nothing is sent if they are."""
        async with self._one_writer:
            want = access.wanted(claims, suspended, self._prefixes)
            self._clients = want.clients
            roles = await self._control.list("listRoles", "roles")
            clients = await self._control.list("listClients", "clients")
            commands = access.changes(want, roles, clients)
            await self._control.run(commands)
        if commands:
            log.info("access applied", claims=len(claims), denied=len(suspended), commands=len(commands))

    def request_certificate(self, trust_pem: str, hostnames: Sequence[str]) -> tuple[str, Sequence[str]] | None:
        """A CSR and the names for it, if the broker needs another certificate for this trust or these names."""
        return self._server.request(trust_pem, hostnames, datetime.now(UTC))

    def apply_trust(self, trust_pem: str, certificate_pem: str | None) -> None:
        """Write whom the broker trusts, and the certificate that was asked for; loaded with the next ``apply_crl``."""
        if self._server.put(trust_pem, certificate_pem):
            log.info("trust written", certificate=certificate_pem is not None)
            self._loader.forget()

    async def apply_crl(self, pem: str) -> None:
        """Write and load the CRL; only the first time if the file has it already.

        When the broker cannot load its files it has taken our rules from this
        connection, and loses what devices send us. A new one has them again.
        """
        self._needs_connection()
        try:
            if await self._loader.load(pem):
                log.info("crl loaded")
        except Denied:
            await self._link.close()
            raise

    def forget_crl(self) -> None:
        """Load the CRL again at the next ``apply_crl``, whatever the file holds."""
        self._loader.forget()

    async def end_sessions(self, common_names: Collection[str]) -> None:
        """End every connection of these names: making and deleting a client of the name does it, in about 10 ms."""
        names = iter(common_names)
        while some := list(itertools.islice(names, _NAMES_AT_ONCE)):
            async with self._one_writer:
                ends = access.endings(some, self._clients)
                await self._control.run(list(itertools.chain.from_iterable(ends)), tolerate=_EXPECTED)

    async def save(self) -> None:
        """Have the sessions saved at a moment when no device's message is unanswered.

        A message that is unanswered in the snapshot comes again when the
        broker is killed later, over newer ones that were answered meanwhile.
        So a snapshot during which one came is taken again.
        """
        for _ in range(_SAVES):
            for lane in self._lanes:
                await lane.subscribed.wait()
                await lane.settled()
            self._needs_connection()
            before = self._taken
            self._saving.clear()
            self._saving_failed = False
            self._process.save()
            # The broker looks at signals after each packet, else every 100 ms.
            await self.answers()
            await self._saving_begun()
            # What the broker had sent before it began has come when it answers.
            await self.answers()
            if self._saving_failed:
                raise Unavailable(detail="The broker cannot write its sessions to disk.")
            if self._taken == before:
                log.info("broker saved")
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        raise Unavailable(detail="There was no moment without a message in which the broker could be saved.")

    async def answers(self) -> None:
        """One round trip through the security plugin, and then all that the broker logged before its answer."""
        try:
            await self._control.answers()
        finally:
            # A refusal is an answer too, and its cause stands in the log.
            self.read_log()

    def sessions(self) -> Mapping[str, Session]:
        """The open sessions by client id."""
        return self._sessions.all()

    @property
    def _taken(self) -> int:
        return sum(lane.taken for lane in self._lanes)

    async def _saving_begun(self) -> None:
        try:
            async with asyncio.timeout(_SAVED_WITHIN_SECONDS):
                await self._saving.wait()
        except TimeoutError as problem:
            raise Unavailable(detail="The broker does not save its sessions.") from problem

    def _needs_connection(self) -> None:
        # A broker that reloads without us does not fill our queue from then on.
        if not self._link.is_connected:
            raise Unavailable(detail="The broker is away.")
