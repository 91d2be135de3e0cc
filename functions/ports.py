"""All that a handler may touch, on one page; what is kept, in ``functions.storage``.

A handler is ``async (call, hub) -> reply``: ``Call`` is decoded and admitted,
``Hub`` is a frozen record of the ports below. ``functions/adapters`` makes
them real; ``functions/checks.py`` and ``functions/audit_checks.py`` have the
checks that any adapter must pass.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Any, Generic, Protocol, TypeVar

from functions.contract.messages import Encoded, M, Message, MethodRequest, MethodResponse, ServiceView
from functions.domain.alarms import Alarm
from functions.domain.audit import AuditEntry, AuditWanted, Trail
from functions.domain.bundles import Site
from functions.domain.ca import Chain, Trust, Trusted
from functions.domain.callers import Caller
from functions.domain.certificates import Certificate, Purpose, RevocationReason, Signed, SigningRequest
from functions.domain.credentials import Credentials
from functions.domain.devices import Device, Suspension
from functions.domain.enrolment import Claim, ClaimCertificate, Enrolment, Reservation, Whitelisted
from functions.domain.groups import Group
from functions.domain.intents import Intent
from functions.domain.inventory import Counts, DeviceQuery
from functions.domain.jobs import Job, Part
from functions.domain.jobs import Place as JobPlace
from functions.domain.logins import LoginFailures, SessionLifetime, SetupCode, UserSession
from functions.domain.marks import BridgeStart, Mark, Revocations, Revoked
from functions.domain.methods import CallQueue
from functions.domain.names import DeviceId
from functions.domain.order import Order
from functions.domain.presence import BrokerRestart, BrokerWord, Darkness, Doubt, Evidence, Flapping
from functions.domain.query import Condition, Saved
from functions.domain.refusals import RefusalSums
from functions.domain.register import CertificatesWanted, Entry
from functions.domain.server_settings import ServerSettings
from functions.domain.services import HostWord
from functions.domain.sessions import Presence, Session, SessionMark
from functions.domain.telemetry import Keeping, KeptMessage, Kind, Latest, Place, Sent, Span, TelemetryWanted
from functions.domain.tokens import Token
from functions.domain.twins import Half
from functions.domain.users import User
from functions.domain.whitelist import Wanted as WhitelistWanted
from functions.storage import Page, Store

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call of a function.

    ``names`` are the subject's tokens that stood for the route's ``*``, in
    order; ``payload`` the body as it came, for recognising a repeat;
    ``origin`` from where the caller came, as the edge saw it (``cli``, ``mqtt``,
    ``nats``, ``hub``, ``http:192.0.2.7``); ``session`` which session a device's
    message came in, where its bridge says so; ``scopes`` what the token of an
    application allows, or the role of a user.
    """

    body: T
    caller: Caller
    id: str
    names: tuple[str, ...] = ()
    order: Order | None = None
    payload: bytes = b""
    origin: str = "hub"
    session: SessionMark | None = None
    scopes: tuple[str, ...] = ()

    @property
    def device(self) -> DeviceId:
        """The device that the subject names: its first ``*``, of the form that the route checked."""
        return DeviceId(self.names[0])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the payload in hex: the same message sent twice has the same digest."""
        return sha256(self.payload).hexdigest()


class Clock(Protocol):
    """Time of day, aware and in UTC."""

    def now(self) -> datetime:
        """The time now."""
        ...


class Authority(Protocol):
    """The certificate authority. Its private key never leaves it.

    Which one signs is decided elsewhere (``functions.handlers.trusting``); this
    keeps them with their keys, and signs with the one it was told to follow.
    """

    @property
    def trust(self) -> Trust | None:
        """What is followed; None if nothing was yet."""
        ...

    @property
    def active(self) -> Trusted:
        """The authority that signs here."""
        ...

    @property
    def chain_pem(self) -> str:
        """What a device is given to trust, in PEM: the issuing certificate and those above it, then other trusted."""
        ...

    @property
    def is_encrypted(self) -> bool:
        """Whether private keys are encrypted where they lie."""
        ...

    async def follow(self, trust: Trust) -> None:
        """Sign with the issuer of this decision from now on. Raises Unavailable if its key is not here."""
        ...

    async def make(self, common_name: str | None, days: int, key: str) -> Trusted:
        """Make a root and keep it, durably, to be decided on; ``key`` is one of ``messages.CaCreate``."""
        ...

    def examine(self, chain_pem: str, key_pem: str) -> Chain:
        """What the certificates of an authority that is brought along say. Raises Malformed (``bad_ca``)."""
        ...

    async def take(self, chain_pem: str, key_pem: str) -> Trusted:
        """Keep an authority that was examined and judged, durably, to be decided on."""
        ...

    def describe(self, trusted: Trusted) -> Chain:
        """What the certificates of a trusted authority say."""
        ...

    async def tidy(self) -> None:
        """Forget authorities that calls cut short have left; for a timer."""
        ...

    def inspect(self, csr_pem: str) -> SigningRequest:
        """Read a CSR. Raises Malformed (``bad_csr``) when it is none."""
        ...

    def new_serial(self) -> str:
        """A random serial number that no certificate has yet."""
        ...

    async def sign(
        self, csr_pem: str, *, common_name: str, purpose: Purpose, not_after: datetime, serial: str | None = None
    ) -> Signed:
        """Sign the key of a judged CSR; of its other contents only the key is taken over.

        ``serial`` is one of ``new_serial`` that was decided on before; without it, one is drawn.
        """
        ...

    async def sign_server(self, csr_pem: str, *, hostnames: Sequence[str], not_after: datetime) -> Signed:
        """Sign the key of a judged CSR for a server that is reached under these names and IP addresses."""
        ...

    async def sign_crl(
        self, revoked: Iterable[tuple[str, datetime, RevocationReason | None]], *, number: int, next_update: datetime
    ) -> str:
        """The CRL in PEM of ``(serial, revoked at, why)``; its thisUpdate lies an hour back."""
        ...


class Roster(Protocol):
    """Knows the devices there are, and which of them take part, without asking the store."""

    def is_active(self, device: str) -> bool:
        """Whether the device was active a moment ago, at most 2 s; False also where it is not known: then ask."""
        ...

    def ids_after(self, device: str, limit: int) -> list[str]:
        """The ids of the devices whose ids come after one, by code point: ``limit`` at most, retired ones too.

        It may lack what was registered in the last 2 s. Raises Unavailable
        while it does not know all devices.
        """
        ...


class UuidHasher(Protocol):
    """Keyed hash of a hardware UUID, so that the stored form tells nothing without the hub's secret."""

    def hash(self, uuid: str) -> str:
        """HMAC-SHA-256 in lower-case hex of a canonical UUID."""
        ...


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A new private key in PEM, not encrypted, and the CSR for it in PEM."""

    key_pem: str = field(repr=False)
    csr_pem: str


class Keyring(Protocol):
    """Makes private keys for others, and seals those that the hub keeps."""

    def make(self, common_name: str) -> KeyPair:
        """A new private key, and the CSR for it."""
        ...

    def seal(self, key_pem: str, owner: str) -> str:
        """The key so that only this hub can read it, and only as the key of this owner."""
        ...

    def unseal(self, sealed: str, owner: str) -> str:
        """The key that was sealed for this owner. Raises Conflict (``no_bundle``) when it cannot be opened."""
        ...


class Passwords(Protocol):
    """Keeps passwords from whoever reads what is stored: slow, salted hashes."""

    async def hash(self, password: str) -> str:
        """The hash of a password, with a salt of its own. Raises Unavailable (``rate_limited``) where too many wait."""
        ...

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether a password has this hash; False for no hash, after as much work. Raises as ``hash`` does."""
        ...

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made with other parameters than new ones are."""
        ...


class Events(Protocol):
    """Tells the rest of the hub that something changed. May be lost: an event is never the only carrier of a fact."""

    async def publish(self, subject: str, body: Any) -> None:
        """Publish a body (a message or mapping, encoded as JSON) on a full subject."""
        ...


class Streams(Protocol):
    """Append-only streams. An append is durable before it returns."""

    async def append(self, stream: str, device: DeviceId, payload: bytes, headers: Mapping[str, str]) -> None:
        """Append a device's message to ``telemetry`` or ``events``; one device's messages keep their order."""
        ...


class Downlink(Protocol):
    """The way to devices, over the bridges of their brokers."""

    def new_id(self) -> str:
        """An id that no other request has."""
        ...

    async def call(self, device: DeviceId, request: MethodRequest, *, within: float) -> MethodResponse:
        """Send a request once, and give what the device answers to it within so many seconds; later it is dropped.

        Raises what ``send`` raises; Unavailable (``timeout``) when no answer
        came: then the device may have done it.
        """
        ...

    async def send(
        self, device: DeviceId, path: tuple[str, ...], body: Message | Encoded[Any], *, within: float | None
    ) -> None:
        """Give the broker a message for a device; it has it when this returns, and drops it after ``within`` seconds.

        ``path`` is the topic's below the device's. Raises NotFound
        (``not_subscribed``) where no session is subscribed to it, connected or
        kept; Unavailable where the broker was not given it, ``timeout`` where
        that is not known.
        """
        ...


class Heard(Protocol):
    """When devices were heard of last, as their bridges tell; known since this process began, and never stored."""

    def of(self, device: str) -> Evidence | None:
        """What is known of a device; None for nothing."""
        ...

    def overdue(self) -> list[str]:
        """The devices whose heartbeats came regularly, and of which nothing came for three times as long."""
        ...

    def brokers(self) -> dict[str, BrokerWord]:
        """What is known of those who tell, by broker."""
        ...


class Audit(Protocol):
    """The audit trail, which only grows. Handlers write to it with ``functions.handlers.auditing.record``."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Keep what one call did, entries of one trail; durable when it returns.

        Up to 64 of them are kept all or not at all, and however often they
        are written, once. Raises Unavailable; it is tried again later then.
        """
        ...

    async def about(self, trail: Trail, kind: str, target: str, *, most: int) -> list[AuditEntry]:
        """What was last done to one thing, oldest first: as many entries at most, fewer where they are large.

        It reads that thing's records and nothing else. Of calls that did
        several things, a record lies under the first of them.
        """
        ...

    async def catch_up(self) -> None:
        """Keep what could not be kept before, as far as that is possible now; for a timer."""
        ...


class Trails(Protocol):
    """The audit trail's index: what was written, a moment later, for who asks."""

    async def find(self, wanted: AuditWanted) -> Page[AuditEntry]:
        """A page of the entries that are wanted; the total is exact up to 10,000, beyond that at most a second old.

        Raises Unavailable while they are still being read.
        """
        ...

    async def walk(self, wanted: AuditWanted) -> list[AuditEntry]:
        """The entries of such a page, uncounted. Raises Unavailable as ``find`` does."""
        ...


class TelemetryStore(Protocol):
    """What devices measured and what happened to them, kept to be asked; filled from the streams.

    A message that came late counts for the time that it is of. Every method
    raises ``Unavailable`` when the store cannot be used now.
    """

    async def place(self, stream: str) -> Place | None:
        """Up to where a stream is known; None if nothing of it is."""
        ...

    async def renew(self, stream: str) -> None:
        """Begin again at the first message of a stream that was made anew; what is kept of the old one stays."""
        ...

    async def put(self, stream: str, kind: Kind, sent: Sequence[Sent], place: Place) -> None:
        """Keep messages of a stream, in its order, and note up to where it is known then; both or nothing.

        Messages up to the place that is known already are passed over: so each
        is kept and counted once, however often it is put.
        """
        ...

    async def forget(self, keeping: Keeping, now: int) -> None:
        """Drop what is older, and the oldest of what is more, than is to be kept; now in milliseconds since 1970."""
        ...

    async def find(self, wanted: TelemetryWanted) -> list[KeptMessage]:
        """A page of the wanted messages. Raises Unavailable (``timeout``) where that takes too long."""
        ...

    async def count(self, wanted: TelemetryWanted) -> int:
        """How many messages are wanted in all. Raises Unavailable (``timeout``) where that takes too long."""
        ...

    async def spans(self, devices: Sequence[str] | None, begin: int, end: int) -> list[Span]:
        """The numbers of every hour that begins in this time (milliseconds since 1970), in no order; None for all.

        Raises Malformed (``too_large``) where they are too many for one answer.
        """
        ...

    async def latest(self, device: str) -> list[Latest]:
        """The newest value of each key of a device, by key."""
        ...


class Index(Protocol):
    """The inventory's index: answers what a store cannot, and never scans one."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of what devices report that can be asked for."""
        ...

    async def query(self, wanted: DeviceQuery) -> Page[bytes]:
        """A page of those wanted, each as the JSON of its ``DeviceView``.

        Raises Malformed where a group's own query cannot be answered.
        """
        ...

    async def ids(self, where: Condition, *, after: str, limit: int) -> list[str]:
        """The ids of the devices for which a condition holds that come after one, in the order of ids.

        Raises Malformed as ``query`` does. ``after`` is empty for the beginning.
        """
        ...

    async def count(self, where: Condition, *, drifted_for: timedelta, most: int | None = None) -> Counts:
        """How many devices for which a condition holds there are of what.

        A twin counts as out of sync after ``drifted_for``; of groups, models and tags the ``most`` largest are given.
        """
        ...

    async def group_sizes(self) -> dict[str, int]:
        """How many devices are in each group that a device names or that has a query, by name, but for the retired."""
        ...

    async def group_size(self, group: str, question: Saved | None) -> int:
        """How many devices are in a group if this is its query (None for none), but for the retired.

        It goes by the query given: the index may hear of a group a moment after it was written.
        """
        ...

    async def members(self, group: str) -> int:
        """How many devices name a group in their record, the retired among them."""
        ...


class Register(Protocol):
    """The register's index: every certificate ever issued, found without scanning the store."""

    async def find(self, wanted: CertificatesWanted, now: datetime) -> Page[Entry]:
        """A page of the certificates that are wanted at this time, and how many there are in all."""
        ...


class WhitelistIndex(Protocol):
    """The whitelist as it can be asked: found without reading the store whole."""

    async def find(self, wanted: WhitelistWanted, limit: int, offset: int) -> Page[Whitelisted]:
        """A page of the wanted entries; what was written before the question is in it. Raises Unavailable."""
        ...


class Hosts(Protocol):
    """The hosts that the hub lives on, each behind its shim."""

    def known(self) -> list[HostWord]:
        """Every host that was heard of since this process began, in no order."""
        ...

    def last(self, node: str) -> Sequence[ServiceView]:
        """The units of a host as it told of them last."""
        ...

    async def ask(self, node: str, ask: tuple[str, ...], body: Message, answer: type[M], *, within: float) -> M:
        """Ask a host's shim (``("units", "list")``) and give its answer, within seconds.

        Raises what the shim answered instead; Unavailable where it does not answer, ``timeout`` when not in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hub:
    """Everything a handler may touch. Stores are keyed by what their comment says.

    ``renewal_grace`` is how long the old certificate of a device that has been
    given a new one stays good while the device does not confirm that;
    ``session_lifetime`` how long a user stays signed in.
    """

    renewal_grace: timedelta
    session_lifetime: SessionLifetime
    clock: Clock
    authority: Authority
    hasher: UuidHasher
    keyring: Keyring
    passwords: Passwords
    site: Site
    events: Events
    streams: Streams
    downlink: Downlink
    heard: Heard
    audit: Audit
    trails: Trails
    refusals: RefusalSums
    telemetry: TelemetryStore
    hosts: Hosts
    index: Index
    register: Register
    whitelist_index: WhitelistIndex
    roster: Roster
    devices: Store[Device]  # device id
    suspensions: Store[Suspension]  # device id
    desired: Store[Half]  # device id
    reported: Store[Half]  # device id
    presence: Store[Presence]  # device id
    sessions: Store[Session]  # SHA-256 of broker and client id
    names: Store[Reservation]  # "id-" and an id or a role, or "uuid-" and the hash of a UUID
    renewals: Store[Claim]  # device id
    claims: Store[Claim]  # UUID hash, or "csr-" and the CSR's digest where no UUID was told
    certificates: Store[Certificate]  # serial
    claim_certificates: Store[ClaimCertificate]  # claim name
    whitelist: Store[Whitelisted]  # UUID hash
    enrolment: Store[Enrolment]  # "enrolment"
    settings: Store[ServerSettings]  # "server"
    revoked: Store[Revoked]  # serial
    revocations: Store[Revocations]  # "crl"
    trust: Store[Trust]  # "trust"
    bridges: Store[BridgeStart]  # bridge name
    queued: Store[CallQueue]  # device id
    flapping: Store[Flapping]  # device id
    restarts: Store[BrokerRestart]  # broker
    dark: Store[Darkness]  # broker
    doubts: Store[Doubt]  # device id
    tokens: Store[Token]  # SHA-256 of the token's text
    users: Store[User]  # user name in lower case
    user_sessions: Store[UserSession]  # session id
    login_failures: Store[LoginFailures]  # "a-" and the hash of an address, or "n-" and that of a name
    setup_codes: Store[SetupCode]  # "setup"
    credentials: Store[Credentials]  # public key
    intents: Store[Intent]  # "00" to "255"
    jobs: Store[Job]  # job id
    job_parts: Store[Part]  # job id, "-" and the number of the part
    job_places: Store[JobPlace]  # "00" to "63"
    alarms: Store[Alarm]  # alarm id
    marks: Store[Mark]  # what was done
    groups: Store[Group]  # group name
