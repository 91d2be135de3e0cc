"""Messages: the payloads of every function, both ways.

JSON with camelCase names, ISO 8601 UTC times. What a device sends may hold
fields that the hub does not know (published clients send some) and they are
ignored; what operators, applications and the hub's own parts send may not.
Replies leave out what was not set; ``null`` means that it is known to be none.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, RootModel, model_validator
from pydantic.alias_generators import to_camel

from functions.domain.ca import MAX_CHAIN_CHARACTERS, MAX_KEY_CHARACTERS
from functions.domain.certificates import MAX_CSR_CHARACTERS
from functions.domain.whitelist import MAX_HARDWARE_VERSION, MAX_LINES, MAX_MANUFACTURER, MAX_NOTE

# At most 64 bytes in UTF-8 as the contract says; 64 characters is checked here, the bytes by the twin rules.
ClientToken = Annotated[str, Field(max_length=64)]
RequestId = Annotated[str, Field(max_length=128)]
Text = Annotated[str, Field(max_length=1024)]
Texts = Annotated[list[Text], Field(max_length=20)]
# A name that operators read: no control characters, which would steer their terminal.
ShownName = Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Pem = Annotated[str, Field(max_length=MAX_CSR_CHARACTERS)]


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


# Requests are checked strictly on what JSON parsed to, where a time is still
# text. One that names no zone is in UTC, as every time of the interface.
Time = Annotated[datetime, Field(strict=False), AfterValidator(_in_utc)]


class Message(BaseModel):
    """What every message has in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, strict=True, frozen=True)

    def encode(self) -> bytes:
        """The message as JSON; what was never set is left out."""
        return self.model_dump_json(by_alias=True, exclude_unset=True).encode()


M = TypeVar("M", bound=Message)


class FromDevice(Message):
    """A payload that a device sends: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class Request(Message):
    """A payload from inside the hub or its operators: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Request):
    """A request without content: an empty payload or ``{}``."""


class Done(Message):
    """A reply that says only that it is done and durable."""

    done: Literal[True] = True

    def encode(self) -> bytes:
        """``{"done":true}``."""
        return b'{"done":true}'


@dataclass(frozen=True, slots=True)
class Encoded(Generic[M]):
    """A message that is JSON already: ``Encoded[DevicePage]`` is sent as a ``DevicePage``."""

    body: bytes

    def encode(self) -> bytes:
        """The message as JSON."""
        return self.body


# --- Onboarding -------------------------------------------------------------


class CreateFromCsr(FromDevice):
    """``certificates/create-from-csr``: the device id is the CSR's common name."""

    csr_pem: Pem
    request_id: RequestId | None = None
    uuid: Annotated[str, Field(max_length=64)] | None = None
    meta: dict[str, JsonValue] | None = None


class CertificateCreated(Message):
    """``certificates/create-from-csr/accepted``."""

    request_id: str | None
    device_id: str
    certificate_id: str
    cert_pem: str
    ca_chain_pem: str
    expires_at: datetime


class ProvisionRequest(FromDevice):
    """``provision/request``, both handshakes; ``token`` is ignored, kept for published clients."""

    uuid: Annotated[str, Field(max_length=64)] | None = None
    csr_pem: Pem | None = None
    device_id: Annotated[str, Field(max_length=64)] | None = None
    name: ShownName | None = None
    token: str | None = None
    meta: dict[str, JsonValue] | None = None


class Provisioned(Message):
    """``provision/accepted``: the name alone in the first round, with the certificate in the last."""

    device_id: str
    cert_pem: str | None = None
    ca_chain_pem: str | None = None
    expires_at: datetime | None = None


class OnboardingStep(Message):
    """Event: a step of one joining; ``error`` and ``message`` say why a ``refused`` one was."""

    device_id: str | None
    step: str
    error: str | None
    message: str | None
    actor: str
    call: str
    timestamp: datetime


class Renew(FromDevice):
    """``certificates/renew``: answered with ``CertificateCreated``."""

    csr_pem: Pem
    request_id: RequestId | None = None


class RenewConfirm(FromDevice):
    """``certificates/renew/confirm``, from a session opened with the new certificate."""

    certificate_id: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]


class RenewConfirmed(Message):
    """``certificates/renew/confirm/accepted``: what the device held before is revoked."""

    device_id: str
    certificate_id: str


# --- Twin ---------------------------------------------------------------------


class TwinGet(FromDevice):
    """``twin/get``: empty or ``{clientToken?}``."""

    client_token: ClientToken | None = None


class TwinReport(FromDevice):
    """``twin/update``: a patch of the reported half. ``desired`` is there to be refused."""

    reported: dict[str, Any] | None = None
    desired: Any = None
    expected_version: Annotated[int, Field(ge=0)] | None = None
    client_token: ClientToken | None = None


class TwinHalf(Message):
    """A half as sent: its version and the whole document."""

    version: int
    doc: dict[str, Any]


class TwinUpdated(Message):
    """Which halves changed, each whole, or null."""

    desired: TwinHalf | None
    reported: TwinHalf | None


class TwinAccepted(Message):
    """``twin/update/accepted``, the answer to both ``get`` and ``update``."""

    device_id: str
    operation: Literal["get", "update"]
    desired: TwinHalf
    reported: TwinHalf
    updated: TwinUpdated
    client_token: str | None = None
    timestamp: datetime


class TwinDelta(Message):
    """``twin/update/delta``: all of ``desired`` that ``reported`` does not show; never empty.

    ``metadata`` mirrors ``delta`` with ``{timestamp}`` at each leaf.
    """

    device_id: str
    delta: dict[str, Any]
    desired_version: int
    reported_version: int
    metadata: dict[str, Any]
    timestamp: datetime


class TwinDocuments(Message):
    """Event after a change: both halves before and after, and who changed it."""

    device_id: str
    before: TwinUpdated
    after: TwinUpdated
    by: str
    timestamp: datetime


class TwinDesire(Request):
    """A patch of the desired half, from an operator or application."""

    desired: dict[str, Any]
    expected_version: Annotated[int, Field(ge=0)] | None = None


class TwinView(Message):
    """The twin as operators and applications see it: documents, not wrapped."""

    device_id: str
    desired: dict[str, Any]
    reported: dict[str, Any]
    delta: dict[str, Any]
    desired_version: int
    reported_version: int
    metadata: dict[str, Any]
    last_updated: datetime | None


class TwinReached(Message):
    """Event: the device reports all that is desired, which it did not before."""

    device_id: str
    desired_version: int
    reported_version: int
    timestamp: datetime


# --- Twin history ---------------------------------------------------------------

HalfName = Literal["desired", "reported"]
Version = Annotated[int, Field(ge=0, le=2**53)]


class TwinHistoryQuery(Request):
    """Asks for the changes of a twin, of one half or of both."""

    half: HalfName | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class TwinChange(Message):
    """One version of a half: ``change`` is the merge patch that made it of the version before."""

    half: HalfName
    version: int
    change: dict[str, Any]
    by: str
    timestamp: datetime


class TwinHistory(Message):
    """Changes, newest first, and how many are known in all."""

    total: int
    changes: list[TwinChange]


class TwinMoment(Request):
    """A twin as it was: at a time (to the millisecond), or with these versions of both halves."""

    time: Time | None = None
    desired: Version | None = None
    reported: Version | None = None


class TwinCompare(Request):
    """Two twins as they were, each named as in ``TwinMoment``; where nothing says which is the later, it is today's."""

    from_time: Time | None = None
    from_desired: Version | None = None
    from_reported: Version | None = None
    to_time: Time | None = None
    to_desired: Version | None = None
    to_reported: Version | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class TwinVersions(Message):
    """The versions of both halves."""

    desired: int
    reported: int


class TwinDifference(Message):
    """A place (a JSON Pointer, RFC 6901) at which a half differs.

    ``before`` or ``after`` is left out where the half has no value there;
    ``version``, ``by`` and ``timestamp`` are those of the last change there.
    """

    half: HalfName
    path: str
    before: Any = None
    after: Any = None
    version: int | None = None
    by: str | None = None
    timestamp: datetime | None = None


class TwinComparison(Message):
    """Where two twins differ, ``desired`` first, and in how many places in all."""

    device_id: str
    from_: TwinVersions = Field(alias="from")
    to: TwinVersions
    total: int
    differences: list[TwinDifference]


# --- Telemetry, events, presence ------------------------------------------------


class Telemetry(FromDevice):
    """Any JSON object; ``timestamp`` (ISO 8601 or milliseconds) is the device's time."""

    model_config = ConfigDict(extra="allow")

    timestamp: Any = None


class DeviceEvent(RootModel[JsonValue]):
    """Any JSON, on ``events/{type}`` and ``messages/events``."""

    model_config = ConfigDict(strict=True, frozen=True)


class Heartbeat(FromDevice):
    """Evidence of presence; nothing of it is kept."""

    timestamp: Any = None


class SessionOpened(Request):
    """A connect line of the broker's log."""

    broker: str
    client_id: str
    common_name: str
    address: str
    at: Time


class SessionClosed(Request):
    """A disconnect line of the broker's log; ``evidence`` as in ``functions.domain.sessions``."""

    broker: str
    client_id: str
    evidence: str
    at: Time


class BrokerRestarted(Request):
    """The broker was started at ``at``: no session from before it lives."""

    broker: str
    at: Time


class BrokerName(Request):
    """Asks about one broker."""

    broker: str


class SessionFact(Message):
    """One open session."""

    client_id: str
    common_name: str
    address: str
    since: datetime


class SessionList(Message):
    """Every open session of a broker."""

    sessions: list[SessionFact]


class PresenceChanged(Message):
    """Event: a device came or went."""

    device_id: str
    online: bool
    evidence: str
    timestamp: datetime


# --- Access: what the broker's keeper applies -------------------------------------


class Cut(Message):
    """A common name whose sessions from before ``at`` must end."""

    common_name: str
    at: datetime


class Access(Message):
    """What the broker must enforce: claim roles, denied devices, the CRL, sessions to end, and whom to trust.

    ``ca_pem`` is all that it must trust, ``issuer`` the fingerprint of the CA
    that signs; while not ``settled``, the keeper is to tell when the broker takes that one's certificates.
    """

    claims: list[str]
    suspended: list[str]
    crl_number: int
    crl_pem: str
    crl_next_update: datetime | None = None
    cut: list[Cut]
    issuer: str = ""
    ca_pem: str = ""
    settled: bool = True


class AccessChanged(Message):
    """Event: the keeper should fetch the access state now; ``end`` names who must lose their sessions."""

    end: list[str]


class TrustTaken(Request):
    """Tells the CA (its fingerprint) whose certificates the broker takes by now."""

    issuer: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BrokerCertify(Request):
    """Asks for a broker's server certificate, for a key that stays with it, under the names that devices use."""

    csr_pem: Pem
    hostnames: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,253}$")]], Field(min_length=1, max_length=100)
    ]


class BridgeName(Request):
    """A bridge that starts; names are stable across its restarts."""

    bridge: str


class BridgeEpoch(Message):
    """The epoch of the orders that this run of the bridge stamps."""

    epoch: int


# --- Registry ----------------------------------------------------------------------


class CertificateFact(Message):
    """A certificate in short; null is what a list does not know, and the device's own record does."""

    serial: str
    fingerprint: str | None
    not_after: datetime | None


class DeviceView(Message):
    """A device as lists and pages show it (``Device`` of the HTTP contract)."""

    device_id: str
    device_name: str
    display_name: str
    role: str | None
    groups: list[str]
    tags: dict[str, str]
    uuid: None = None
    status: Literal["online", "offline", "unknown"]
    presence: dict[str, Any] | None
    last_seen: datetime | None
    model: str
    firmware: str
    metadata: dict[str, Any]
    twin_in_sync: bool
    certificate: CertificateFact | None
    lifecycle: str
    created_at: datetime
    updated_at: datetime


class DeviceRecord(DeviceView):
    """All that the registry has of one device.

    ``version`` grows with every change of the record, and is what
    ``expectedVersion`` and ``If-Match`` name. ``sources`` says where
    ``model``, ``firmware`` and each member of ``metadata`` were found:
    ``reported``, ``onboarding`` or ``record``. ``replaces`` and
    ``replacedBy`` are the ids of a swap's other device.
    """

    notes: str
    sources: dict[str, Any]
    replaces: str | None
    replaced_by: str | None
    version: int


GroupName = Annotated[str, Field(max_length=64)]
TagKey = Annotated[str, Field(max_length=64)]
TagValue = Annotated[str, Field(max_length=256)]


class DeviceUpdate(Request):
    """A change of a device's record; what is not given stays as it is.

    ``displayName`` (or ``name``), ``role`` and ``notes`` are taken away by
    null or an empty text; ``groups`` are all groups of the device; ``tags``
    are merged into its tags, null as a value removes one, null in the place
    of all removes all.
    """

    display_name: ShownName | None = None
    role: Annotated[str, Field(max_length=64)] | None = None
    groups: Annotated[list[GroupName], Field(max_length=32)] | None = None
    tags: Annotated[dict[TagKey, TagValue | None], Field(max_length=128)] | None = None
    notes: Annotated[str, Field(max_length=4096)] | None = None
    expected_version: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_name(cls, values: Any) -> Any:
        """``name`` says the same as ``displayName``; of both, the one is an unknown field."""
        if isinstance(values, dict) and "name" in values and "displayName" not in values:
            return {"displayName" if key == "name" else key: value for key, value in values.items()}
        return values


class DeviceRetire(Request):
    """Retires a device: revokes its certificates, ends its sessions and gives its role free; its record stays."""


class DeviceSwap(Request):
    """Puts the device ``replacement`` (its id) in the place of this one."""

    replacement: Annotated[str, Field(min_length=1, max_length=64)]


class DeviceSwapped(Message):
    """Event and answer: a device took the place of another. UUIDs are null, as only their keyed hashes are kept."""

    previous_uuid: None
    previous_name: str
    uuid: None
    device_name: str
    role: str | None
    groups: list[str]
    by: str
    timestamp: datetime


class DeviceLine(Request):
    """A device as it is exported and imported, one a line; what is not given is left as it is.

    ``certificate`` is the serial number, ``uuidHash`` the keyed hash of the
    hardware UUID. The halves of the twin are whole documents.
    """

    device_id: Annotated[str, Field(max_length=64)]
    display_name: ShownName | None = None
    role: Annotated[str, Field(max_length=64)] | None = None
    groups: Annotated[list[GroupName], Field(max_length=32)] | None = None
    tags: Annotated[dict[TagKey, TagValue], Field(max_length=64)] | None = None
    notes: Annotated[str, Field(max_length=4096)] | None = None
    model: Annotated[str, Field(max_length=128)] | None = None
    firmware: Annotated[str, Field(max_length=128)] | None = None
    metadata: dict[str, JsonValue] | None = None
    lifecycle: Literal["active", "suspended", "retired"] | None = None
    uuid_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    certificate: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")] | None = None
    created_at: Time | None = None
    updated_at: Time | None = None
    replaces: Annotated[str, Field(max_length=64)] | None = None
    replaced_by: Annotated[str, Field(max_length=64)] | None = None
    desired: dict[str, Any] | None = None
    desired_version: Annotated[int, Field(ge=0, le=2**53)] | None = None
    reported: dict[str, Any] | None = None
    reported_version: Annotated[int, Field(ge=0, le=2**53)] | None = None


class DeviceExport(Request):
    """Asks for the records of the devices whose ids come after one, in the order of their ids."""

    after: Annotated[str, Field(max_length=64)] = ""
    limit: Annotated[int, Field(ge=1, le=500)] = 500


class DeviceLines(Message):
    """Some devices, as many as fit into an answer; ``next`` is what to ask after, null behind the last."""

    lines: list[DeviceLine]
    next: str | None


class TwinExport(Request):
    """Asks for the twins of devices, by id."""

    devices: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=500)]


class TwinLine(Message):
    """Both halves of a twin, with their versions."""

    desired: dict[str, Any]
    desired_version: int
    reported: dict[str, Any]
    reported_version: int


class TwinLines(Message):
    """The twins of the first of the devices that were asked for, as many as fit into an answer, one at least."""

    twins: list[TwinLine]


class DeviceImport(Request):
    """Registers and changes devices as lines say; with ``dryRun`` it only says what would be done."""

    devices: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=100)]
    dry_run: bool = False


class ImportResult(Message):
    """What became of a line: ``created``, ``updated``, ``unchanged``, or ``failed`` and why.

    ``remarks`` say what of the line was not done, and what is to be done about it.
    """

    device_id: str
    result: Literal["created", "updated", "unchanged", "failed"]
    error: str | None = None
    message: str | None = None
    fields: dict[str, str] | None = None
    remarks: list[str] | None = None


class DeviceImported(Message):
    """What became of each line, in their order."""

    results: list[ImportResult]


class DeviceFilter(Request):
    """Which devices are meant; what is given must all hold, and nothing given means every device but the retired.

    ``q`` is a query (the written interface has its grammar); each ``group``
    must have the device; a ``tag`` is ``key=value``, or ``key`` for any value.
    """

    q: Text = ""
    status: Literal["online", "offline", "unknown"] | None = None
    model: Text | None = None
    group: Texts = []
    tag: Texts = []
    last_seen_after: Time | None = None
    last_seen_before: Time | None = None


class RegistryQuery(DeviceFilter):
    """A question to the inventory.

    ``sort`` names fields of ``DeviceView`` with commas between, ``-`` before
    one turns its order round; equals go by id. ``at_least`` names records by
    ``device:revision`` that the answer must have seen, or later ones.
    """

    sort: Text = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    at_least: Texts = []


class FacetQuery(DeviceFilter):
    """Asks how many of the devices that are meant there are of what."""


class Facets(Message):
    """How many devices there are by what they have; of groups, models and tags at most the 100 that most have.

    A device counts in each of its groups and tags (``key=value``); one without model is not in ``model``.
    """

    total: int
    status: dict[str, int]
    group: dict[str, int]
    model: dict[str, int]
    tag: dict[str, int]


class DevicePage(Message):
    """A page of devices, and how many match in all."""

    devices: list[DeviceView]
    total: int


class FleetQuery(Request):
    """Asks for counts over the fleet; a twin counts as out of sync once it has been so for longer than this."""

    out_of_sync_seconds: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0


class FleetStats(Message):
    """Counts over the fleet; ``total`` is ``online``, ``offline`` and ``neverSeen`` together.

    A device in several groups counts in each; one without model is not in
    ``byModel``. ``retired`` devices are in no other count.
    """

    total: int
    online: int
    offline: int
    never_seen: int
    by_group: dict[str, int]
    by_model: dict[str, int]
    out_of_sync: int
    retired: int


class GroupCreate(Request):
    """Makes a group; with a query, those are in it for whom the query holds."""

    group: GroupName
    query: Text | None = None


class GroupUpdate(Request):
    """Gives a group another query; null for none."""

    query: Text | None


class GroupFact(Message):
    """A group: how many devices it has, and its query if it is dynamic; ``wrong`` is why that cannot be answered."""

    group: str
    device_count: int = Field(alias="device_count")
    query: str | None = None
    wrong: str | None = None


class GroupList(Message):
    """Every group, by name."""

    groups: list[GroupFact]


class DeviceCreate(Request):
    """Registers a device and signs its first certificate; the key stays with the caller."""

    csr_pem: Pem
    days: Annotated[int, Field(ge=1, le=36500)] | None = None


class Issued(Message):
    """A certificate for a key the caller holds."""

    common_name: str
    serial: str
    cert_pem: str
    ca_chain_pem: str
    expires_at: datetime


class DeviceRevoke(Request):
    """Revokes the device's certificate, ends its sessions and retires its record."""


# --- The register of certificates -------------------------------------------------------

Kind = Literal["device", "claim", "server"]
Why = Literal[
    "unspecified",
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
]


class CertificateQuery(Request):
    """A question to the register; what is given must all hold, and nothing given asks for every certificate.

    ``q`` is found in the subject or in ``issuedTo``, or begins the serial
    number or the fingerprint. Without ``sort`` the newest come first.
    """

    q: Text = ""
    state: Literal["active", "superseded", "expired", "revoked"] | None = None
    kind: Kind | None = None
    gate: Text | None = None
    subject: Text | None = None
    expires_after: Time | None = None
    expires_before: Time | None = None
    sort: Text = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class CertificateView(Message):
    """A certificate as the register lists it; ``issuedTo`` is the caller that asked for it, ``gate`` where."""

    serial: str
    subject: str
    kind: Kind
    state: Literal["active", "superseded", "expired", "revoked"]
    fingerprint: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    issued_to: str
    gate: str
    revoked_at: datetime | None
    reason: Why | None


class CertificatePage(Message):
    """A page of certificates, and how many match in all."""

    total: int
    certificates: list[CertificateView]


class CertificateDetail(CertificateView):
    """One certificate, itself included."""

    pem: str


class CertificateRevoke(Request):
    """Revokes one certificate; the list says why where a reason is given."""

    reason: Why | None = None


class CertificateRevoked(Message):
    """A certificate is revoked, now or by an earlier call, and what follows from it, for programs and for people."""

    serial: str
    subject: str
    kind: Kind
    revoked_at: datetime
    reason: Why | None
    consequence: Literal["device_retired", "device_stays", "claim_closed", "new_server_certificate", "nothing_else"]
    message: str


class CrlView(Message):
    """The revocation list as it was published last."""

    number: int
    this_update: datetime
    next_update: datetime
    pem: str


# --- Enrolment, whitelist, claim certificates -----------------------------------------


Minutes = Annotated[int, Field(ge=1, le=525_600)]
ClaimNameText = Annotated[str, Field(max_length=58)]


class EnrolmentOpen(Request):
    """Opens enrolment, for ``minutes`` or until it is closed.

    ``serve_files`` names a claim certificate whose files any device may fetch meanwhile.
    """

    minutes: Minutes | None = None
    serve_files: ClaimNameText | None = None


class EnrolmentChange(Request):
    """Changes the enrolment settings in one step; what is not given stays.

    ``minutes`` and ``serve_files`` are of a window that this opens, anew if it was open.
    """

    is_open: bool | None = None
    minutes: Minutes | None = None
    serve_files: ClaimNameText | None = None
    whitelist_enforced: bool | None = None


class WhitelistEnforce(Request):
    """Switches the whitelist gate."""

    enforced: bool


class EnrolmentView(Message):
    """The enrolment settings as they now hold."""

    is_open: bool
    open_until: datetime | None
    whitelist_enforced: bool
    serve_files: str | None


# What an operator notes of hardware: no control characters, which would steer a terminal.
_SHOWN = r"^[^\x00-\x1f\x7f-\x9f]*$"
Note = Annotated[str, Field(max_length=MAX_NOTE, pattern=_SHOWN)]
HardwareVersion = Annotated[str, Field(max_length=MAX_HARDWARE_VERSION, pattern=_SHOWN)]
Manufacturer = Annotated[str, Field(max_length=MAX_MANUFACTURER, pattern=_SHOWN)]


class WhitelistCreate(Request):
    """Puts one hardware UUID on the whitelist."""

    uuid: Annotated[str, Field(max_length=64)]
    note: Note = ""
    hardware_version: HardwareVersion = ""
    manufacturer: Manufacturer = ""


class WhitelistBatch(Request):
    """Puts many on the whitelist: each line is ``[uuid, note?, hardwareVersion?, manufacturer?]``.

    With ``dry_run`` nothing is added, and the answer says what would be.
    """

    lines: Annotated[list[Annotated[list[str], Field(max_length=16)]], Field(max_length=MAX_LINES)]
    dry_run: bool = False


class WhitelistVerdict(Message):
    """What became of a line, counted from 1: ``malformed`` is followed by why, ``duplicate`` by of which line."""

    line: int
    result: Literal["added", "present", "malformed", "duplicate"]
    reason: str


class WhitelistReport(Message):
    """What became of a batch, or would."""

    dry_run: bool
    added: int
    present: int
    malformed: int
    duplicates: int
    lines: list[WhitelistVerdict]


class WhitelistUpdate(Request):
    """Changes an entry; what is not given stays."""

    disabled: bool | None = None
    note: Note | None = None
    hardware_version: HardwareVersion | None = None
    manufacturer: Manufacturer | None = None


class WhitelistQuery(Request):
    """A question to the whitelist; what is given must all hold.

    ``q`` is found in the texts of an entry or ends its UUID, as far as that is
    known; ``uuid`` finds the entry of that very UUID. ``sort`` names fields
    with commas between, ``-`` before one turns its order round.
    """

    q: Text = ""
    uuid: Annotated[str, Field(max_length=64)] | None = None
    state: Literal["enabled", "disabled"] | None = None
    used: bool | None = None
    sort: Text = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class WhitelistFact(Message):
    """An entry; the UUID itself is not kept, only its keyed hash, which is the id, and the last four characters."""

    id: str
    hint: str
    note: str
    hardware_version: str
    manufacturer: str
    disabled: bool
    added_at: datetime
    first_used_at: datetime | None
    last_used_at: datetime | None


class WhitelistPage(Message):
    """A page of the whitelist, and how many match in all."""

    total: int
    entries: list[WhitelistFact]


class ClaimCreate(Request):
    """Signs a claim certificate for a key the caller holds; its CN will be ``claim-NAME``."""

    name: ClaimNameText
    csr_pem: Pem
    days: Annotated[int, Field(ge=1, le=36500)] | None = None


class ClaimFact(Message):
    """A claim certificate in short."""

    name: str
    serial: str
    created_at: datetime
    not_after: datetime
    revoked_at: datetime | None
    has_bundle: bool


class ClaimList(Message):
    """Claim certificates by name, and how many there are in all."""

    total: int
    claims: list[ClaimFact]


class ClaimIssue(Request):
    """Makes a key and a claim certificate for it, which the hub keeps to give out as a bundle."""

    name: ClaimNameText
    days: Annotated[int, Field(ge=1, le=36500)] | None = None


class ClaimQuery(Request):
    """Asks for claim certificates, by name; ``revoked`` for those too that are."""

    revoked: bool = False
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class ClaimNamed(Request):
    """Names a claim certificate."""

    name: ClaimNameText


class ClaimView(Message):
    """All that is to know of a claim certificate; ``has_bundle`` if the hub can give its bundle out."""

    name: str
    common_name: str
    serial: str
    fingerprint: str
    created_at: datetime
    created_by: str
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None
    has_bundle: bool
    cert_pem: str


class ClaimRevoke(Request):
    """Revokes a claim certificate: its role goes, its sessions end."""

    name: ClaimNameText


# --- Bundles --------------------------------------------------------------------------


class FileContent(Message):
    """A file of a bundle; a private one is for its owner only."""

    name: str
    content: str = Field(repr=False)
    is_private: bool


class FileWanted(Request):
    """Asks for one of the files that devices may fetch."""

    name: Annotated[str, Field(max_length=64)]


class BundleView(Message):
    """A certificate and the files that go with it onto a device."""

    common_name: str
    serial: str
    expires_at: datetime
    files: list[FileContent]


class DeviceRegister(Request):
    """Registers a device and gives its bundle; without a CSR with a new key, which nobody keeps."""

    device_id: Annotated[str, Field(max_length=64)]
    csr_pem: Pem | None = None
    days: Annotated[int, Field(ge=1, le=36500)] | None = None


# --- The certificate authority --------------------------------------------------------


CaName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
CaFingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class CaCreate(Request):
    """Makes a root CA in the place of the present one: of this name and kind of key, valid for ``days``.

    ``replaces`` is the fingerprint of the one to be replaced; if another is there, nothing is done.
    """

    cn: CaName | None = None
    days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    key: Literal["P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096"] = "P-256"
    replaces: CaFingerprint | None = None


class CaImport(Request):
    """Puts a CA made elsewhere in the place of the present one.

    ``chainPem`` holds its certificate and, if it is no root, those above it;
    ``keyPem`` its private key, not encrypted: to undo that is for who has the passphrase.
    """

    chain_pem: Annotated[str, Field(max_length=MAX_CHAIN_CHARACTERS)]
    key_pem: str = Field(max_length=MAX_KEY_CHARACTERS, repr=False)
    replaces: CaFingerprint | None = None


class CaFact(Message):
    """One certificate of the authority; ``key`` is its kind and curve or bits."""

    subject: str
    issuer: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    key: str
    signature_hash: str
    path_length: int | None


class CaView(Message):
    """The authority that signs: the issuing certificate first in ``chain``, the root last.

    ``notAfter`` is the end of the one that ends first. Once ``inUse``, it cannot
    be replaced; until ``settled``, the broker is about to follow. ``caPem`` is
    what devices are given to trust.
    """

    fingerprint: str
    common_name: str
    is_root: bool
    not_after: datetime
    in_use: bool
    settled: bool
    key_encrypted: bool
    decided_at: datetime
    decided_by: str
    chain: list[CaFact]
    ca_pem: str


class CaReplaced(CaView):
    """The new authority, and the names of the claim certificates that ended with the one before."""

    ended_claims: list[str]


# --- API tokens ---------------------------------------------------------------------


TokenName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TokenCreate(Request):
    """Makes a token for an application, good for ``days`` or until it is revoked."""

    name: TokenName
    scopes: Annotated[list[str], Field(min_length=1, max_length=20)]
    days: Annotated[int, Field(ge=1, le=36_500)] | None = None


class TokenCreated(Message):
    """A new token; ``token`` is its text, shown this once and kept nowhere."""

    name: str
    token: str = Field(repr=False)
    scopes: list[str]
    expires_at: datetime | None


class TokenFact(Message):
    """A token in short; never its text, nor the digest it is kept under."""

    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenList(Message):
    """Every token, with the expired and revoked ones, by name."""

    tokens: list[TokenFact]


class TokenRevoke(Request):
    """Revokes the token in use under a name."""

    name: TokenName


class TokenProof(Request):
    """Asks what a token allows, by the SHA-256 of its text in lower-case hex."""

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TokenProven(Message):
    """Whose token it is, and what it allows until when."""

    name: str
    scopes: list[str]
    expires_at: datetime | None


# --- Audit trail --------------------------------------------------------------------------


class AuditQuery(Request):
    """A question to the audit trail; what is given must all hold, and the newest entries come first.

    ``action`` is one, or the first word of many; ``target`` an id, or
    ``kind:id``. Entries of ``startTime`` are included, of ``endTime`` not.
    """

    actor: Text | None = None
    action: Annotated[str, Field(max_length=128, pattern=r"^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)*$")] | None = None
    target: Annotated[str, Field(max_length=128, pattern=r"^([a-z]+(-[a-z]+)*:)?[A-Za-z0-9_-]{1,64}$")] | None = None
    start_time: Time | None = None
    end_time: Time | None = None
    sort: Literal["at", "-at"] = "-at"
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class AuditView(Message):
    """An entry of the audit trail; ``cut`` names what was left out of ``before`` and ``after``."""

    id: str
    at: datetime
    action: str
    actor: str
    origin: str
    call: str
    kind: str
    target: str
    before: JsonValue
    after: JsonValue
    cut: list[str]


class AuditList(Message):
    """A page of entries, and how many match in all."""

    total: int
    entries: list[AuditView]


class AuditRecorded(Message):
    """Event: an entry was written to the audit trail; ``origin`` is where the actor was."""

    id: str
    at: datetime
    action: str
    actor: str
    origin: str
    kind: str
    target: str


# --- Alarms -------------------------------------------------------------------------------

AlarmKind = Annotated[str, Field(max_length=40, pattern=r"^[a-z]+(-[a-z]+)*$")]
SeverityWord = Literal["warning", "critical"]
AlarmWord = Literal["open", "acknowledged", "closed"]


class AlarmQuery(Request):
    """A question for alarms; what is given must all hold. Without ``sort``, what needs attention comes first."""

    q: Text = ""
    state: AlarmWord | None = None
    severity: SeverityWord | None = None
    kind: AlarmKind | None = None
    sort: Text = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class AlarmView(Message):
    """An alarm: what it is about, what it says, and what to do; ``times`` is how often it was opened."""

    id: str
    kind: str
    subject: str
    severity: SeverityWord
    state: AlarmWord
    text: str
    remedy: str
    opened_at: datetime
    seen_at: datetime
    count: int
    times: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    closed_at: datetime | None


class AlarmPage(Message):
    """A page of alarms, and how many match in all."""

    total: int
    alarms: list[AlarmView]


class AlarmRaise(Request):
    """Opens an alarm, or counts the open one of the same kind and subject."""

    kind: AlarmKind
    subject: Text = ""
    detail: Text = ""


class AlarmClear(Request):
    """Closes the alarm of a kind and subject, as its cause is gone."""

    kind: AlarmKind
    subject: Text = ""


class AlarmChanged(Message):
    """Event: an alarm opened, closed, was acknowledged or became worse."""

    id: str
    kind: str
    subject: str
    severity: SeverityWord
    state: AlarmWord


# --- Checks -------------------------------------------------------------------------------


class FindingView(Message):
    """Something that a check found wrong, and what to do about it."""

    kind: str
    subject: str
    severity: SeverityWord
    text: str
    remedy: str


class CheckView(Message):
    """A check and what it found; of ``total`` findings at most 100 are here."""

    check: str
    is_well: bool
    total: int
    findings: list[FindingView]


class CheckList(Message):
    """What every check found, at the time ``at``."""

    at: datetime
    checks: list[CheckView]
