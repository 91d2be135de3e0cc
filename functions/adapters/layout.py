"""Which buckets and streams the hub keeps in JetStream: the one place that says so.

=====================  ========  =======  =============================================
store                  shards    history  buckets
=====================  ========  =======  =============================================
desired, reported      8         80       ``hub-desired-0`` …, ``hub-reported-0`` …
devices, presence,
sessions,
certificates,
job_parts              4         1        ``hub-devices-0`` …
groups, tokens, users,
… (``_PLEDGING``)      1         8        ``hub-groups``, ``hub-tokens``, ``hub-users``, …
the others             1         1        ``hub-names``, ``hub-renewals``, …
=====================  ========  =======  =============================================

The shard of a key is its CRC-32 modulo the number of shards. Buckets have no
age limit: one would remove current values too.

========== ====== =================================================== ======= ================
stream     shards subjects                                            age     bytes of a shard
========== ====== =================================================== ======= ================
telemetry  4      ``devicehub.stored.telemetry.<shard>.<device>``      7 days  2 GiB
events     2      ``devicehub.stored.events.<shard>.<device>.<type>`` 30 days  512 MiB
========== ====== =================================================== ======= ================

================ ================================================ ======== =========
trail            subjects                                         age      bytes
================ ================================================ ======== =========
audit-changes    ``devicehub.stored.audit.changes.<kind>.<id>``    5 years  1 GiB
audit-twins      ``devicehub.stored.audit.twins.<kind>.<id>``      1 year   1 GiB
audit-onboarding ``devicehub.stored.audit.onboarding.<kind>.<id>`` 180 days 512 MiB
audit-calls      ``devicehub.stored.audit.calls.<kind>.<id>``      180 days 512 MiB
audit-refusals   ``devicehub.stored.audit.refusals.<kind>.<id>``   90 days  128 MiB
================ ================================================ ======== =========

The oldest messages go first. A server counts the bytes as taken at once (12.1
GiB), so ``max_file_store`` must allow them. Nobody can remove one of a trail.

``devicehub up`` makes all this as the admin user (``functions.adapters.preparing``). The functions' own user
needs no more than ``PUBLISH`` and ``SUBSCRIBE`` below to work on it:

- ``$KV.*.>`` writes values,
- ``$JS.API.DIRECT.GET.>`` reads values and histories,
- ``$JS.API.CONSUMER.CREATE.>`` and ``$JS.API.CONSUMER.MSG.NEXT.>`` read whole
  buckets and follow them (the index, and timers),
- ``devicehub.stored.>`` appends to the streams,
- ``_INBOX_functions.>`` hears the answers, as the connection's inbox prefix is
  ``_INBOX_functions``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from tinydb import TinyDB

from functions.adapters.codec import DEFAULT_LIMIT_BYTES, Codec
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.recent import Recent
from functions.adapters.tinydb_store import TinyStore
from functions.contract.stored import SHARDS, stored_filter
from functions.domain.alarms import Alarm
from functions.domain.audit import Trail
from functions.domain.ca import Trust
from functions.domain.certificates import Certificate
from functions.domain.credentials import Credentials
from functions.domain.devices import Device, Suspension
from functions.domain.enrolment import Claim, ClaimCertificate, Enrolment, Reservation, Whitelisted
from functions.domain.groups import Group
from functions.domain.history import KEPT_REVISIONS
from functions.domain.intents import Intent
from functions.domain.jobs import Job, Part
from functions.domain.jobs import Place as JobPlace
from functions.domain.logins import LoginFailures, SetupCode, UserSession
from functions.domain.marks import BridgeStart, Mark, Revocations, Revoked
from functions.domain.methods import CallQueue
from functions.domain.presence import BrokerRestart, Darkness, Doubt, Flapping
from functions.domain.server_settings import ServerSettings
from functions.domain.sessions import Presence, Session
from functions.domain.tokens import Token
from functions.domain.twins import Half
from functions.domain.users import User
from functions.ports import Clock

PUBLISH = (
    "$KV.*.>",
    "$JS.API.DIRECT.GET.>",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.MSG.NEXT.>",
    "devicehub.stored.>",
)
SUBSCRIBE = ("_INBOX_functions.>",)

_GIB = 1024**3
_DAY_SECONDS = 24 * 3600.0
# A message's size counts its headers, among them an entry of the audit trail: 8 KiB of text, in ASCII.
_HEADER_BYTES = 64 * 1024
# As many writes of a record can be followed by an entry of the audit trail that is still to come.
_PLEDGING = 8

# What is written into a stream's metadata, to know it again.
MADE_AS = "hub-made-as"
SHARDS_OF = "hub-shards"


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a store keeps, and how it is spread.

    Args:
        name: the bucket's, or the base of its shards' names.
        kind: the type of its values.
        shards: how many buckets share the keys.
        history: how many revisions of a key are kept.
        limit_bytes: largest value.
        recalled_bytes: what a process may take to remember values besides its last few thousand, for
            ``Store.recall``; None where it remembers none.
        batched: whether many keys are created at once, which a server does in one step if it can.
    """

    name: str
    kind: type[Any]
    shards: int = 1
    history: int = 1
    limit_bytes: int = DEFAULT_LIMIT_BYTES
    recalled_bytes: int | None = None
    batched: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its shards, in order of their number."""
        if self.shards == 1:
            return (self.name,)
        return tuple(f"{self.name}-{number}" for number in range(self.shards))

    def codec(self) -> Codec[Any]:
        """How its values are kept."""
        return Codec(self.kind, limit_bytes=self.limit_bytes)

    def configs(self, replicas: int) -> list[StreamConfig]:
        """The streams of its shards, as any NATS tool makes a key-value bucket."""
        return [
            StreamConfig(
                name=f"KV_{name}",
                subjects=[f"$KV.{name}.>"],
                max_msgs_per_subject=self.history,
                max_msg_size=self.limit_bytes + _HEADER_BYTES,
                max_age=0,
                max_bytes=-1,
                discard=DiscardPolicy.NEW,
                allow_rollup_hdrs=True,
                deny_delete=True,
                allow_atomic=self.batched or None,
                **_common(self.name, self.shards, replicas),
            )
            for name in self.names
        ]


@dataclass(frozen=True, slots=True)
class Stream:
    """An append-only stream of devices' messages, bounded in age and bytes."""

    name: str
    shards: int
    max_age_seconds: float
    max_bytes: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its shards, in order of their number."""
        return tuple(f"{self.name}-{number}" for number in range(self.shards))

    def configs(self, replicas: int) -> list[StreamConfig]:
        """The streams of its shards."""
        return [
            StreamConfig(
                name=name,
                subjects=[stored_filter(self.name, number)],
                **_growing(self.max_age_seconds, self.max_bytes),
                **_common(self.name, self.shards, replicas),
            )
            for number, name in enumerate(self.names)
        ]


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """An append-only stream of audit records, bounded in age and bytes; in one, so that its order is that of time."""

    trail: Trail
    max_age_seconds: float
    max_bytes: int

    @property
    def name(self) -> str:
        """The stream's."""
        return f"audit-{self.trail}"

    def subject(self, kind: str, target: str) -> str:
        """Where a record is appended."""
        return f"devicehub.stored.audit.{self.trail}.{kind}.{target}"

    def configs(self, replicas: int) -> list[StreamConfig]:
        """The stream."""
        return [
            StreamConfig(
                name=self.name,
                subjects=[f"devicehub.stored.audit.{self.trail}.>"],
                deny_purge=True,
                **_growing(self.max_age_seconds, self.max_bytes),
                **_common(self.name, 1, replicas),
            )
        ]


# By the name of the Hub's field.
BUCKETS: Mapping[str, Bucket] = {
    "devices": Bucket("hub-devices", Device, shards=4),
    "desired": Bucket("hub-desired", Half, shards=8, history=KEPT_REVISIONS),
    # Enough for 130,000 devices that report alike.
    "reported": Bucket("hub-reported", Half, shards=8, history=KEPT_REVISIONS, recalled_bytes=48 * 1024 * 1024),
    "suspensions": Bucket("hub-suspensions", Suspension),
    # What a device's connections were is told from its last values.
    "presence": Bucket("hub-presence", Presence, shards=4, history=32),
    "sessions": Bucket("hub-sessions", Session, shards=4),
    "names": Bucket("hub-names", Reservation),
    "renewals": Bucket("hub-renewals", Claim),
    "claims": Bucket("hub-claims", Claim, recalled_bytes=0),
    "certificates": Bucket("hub-certificates", Certificate, shards=4),
    "claim_certificates": Bucket("hub-claim-certificates", ClaimCertificate, history=_PLEDGING),
    "whitelist": Bucket("hub-whitelist", Whitelisted, history=_PLEDGING, batched=True),
    "enrolment": Bucket("hub-enrolment", Enrolment, history=_PLEDGING),
    "settings": Bucket("hub-settings", ServerSettings, history=_PLEDGING),
    "revoked": Bucket("hub-revoked", Revoked),
    # Holds the whole CRL, 49 bytes of PEM an entry, 68 with a reason: 100,000
    # entries. A server takes no more than its max_payload, which is 1 MiB
    # (15,000) unless set higher; ours has 8.
    "revocations": Bucket("hub-revocations", Revocations, limit_bytes=7 * 1024 * 1024),
    "trust": Bucket("hub-trust", Trust, history=_PLEDGING),
    "bridges": Bucket("hub-bridges", BridgeStart),
    "queued": Bucket("hub-queued", CallQueue),
    "flapping": Bucket("hub-flapping", Flapping),
    "restarts": Bucket("hub-restarts", BrokerRestart),
    "dark": Bucket("hub-dark", Darkness),
    "doubts": Bucket("hub-doubts", Doubt),
    "tokens": Bucket("hub-tokens", Token, history=_PLEDGING),
    "users": Bucket("hub-users", User, history=_PLEDGING),
    "user_sessions": Bucket("hub-user-sessions", UserSession, history=_PLEDGING),
    "login_failures": Bucket("hub-login-failures", LoginFailures),
    "setup_codes": Bucket("hub-setup-codes", SetupCode, history=_PLEDGING),
    "credentials": Bucket("hub-credentials", Credentials, history=_PLEDGING),
    "intents": Bucket("hub-intents", Intent),
    "jobs": Bucket("hub-jobs", Job),
    # A hundred answers of a method, each as long as may be.
    "job_parts": Bucket("hub-job-parts", Part, shards=4, limit_bytes=512 * 1024),
    "job_places": Bucket("hub-job-places", JobPlace),
    "alarms": Bucket("hub-alarms", Alarm, history=_PLEDGING),
    "marks": Bucket("hub-marks", Mark),
    "groups": Bucket("hub-groups", Group, history=_PLEDGING),
}

STREAMS: Mapping[str, Stream] = {
    "telemetry": Stream("telemetry", shards=SHARDS["telemetry"], max_age_seconds=7 * _DAY_SECONDS, max_bytes=2 * _GIB),
    "events": Stream("events", shards=SHARDS["events"], max_age_seconds=30 * _DAY_SECONDS, max_bytes=_GIB // 2),
}

TRAILS: Mapping[Trail, AuditTrail] = {
    Trail.CHANGES: AuditTrail(Trail.CHANGES, max_age_seconds=5 * 365 * _DAY_SECONDS, max_bytes=_GIB),
    Trail.TWINS: AuditTrail(Trail.TWINS, max_age_seconds=365 * _DAY_SECONDS, max_bytes=_GIB),
    Trail.ONBOARDING: AuditTrail(Trail.ONBOARDING, max_age_seconds=180 * _DAY_SECONDS, max_bytes=_GIB // 2),
    Trail.CALLS: AuditTrail(Trail.CALLS, max_age_seconds=180 * _DAY_SECONDS, max_bytes=_GIB // 2),
    Trail.REFUSALS: AuditTrail(Trail.REFUSALS, max_age_seconds=90 * _DAY_SECONDS, max_bytes=_GIB // 8),
}


def open_stores(client: Client) -> dict[str, JetStreamStore[Any]]:
    """The Hub's stores on the server, by the names of its fields."""
    return {
        field: JetStreamStore(client, one.names, one.codec(), _recent(one), is_batched=one.batched)
        for field, one in BUCKETS.items()
    }


def _recent(bucket: Bucket) -> Recent[Any] | None:
    most = bucket.recalled_bytes
    return None if most is None else Recent(bucket.codec().decode, packed_bytes=most)


def open_tables(database: TinyDB, clock: Clock) -> dict[str, TinyStore[Any]]:
    """The Hub's stores as tables of a TinyDB, by the names of its fields."""
    return {
        field: TinyStore(database.table(bucket.name), bucket.codec(), clock, history=bucket.history)
        for field, bucket in BUCKETS.items()
    }


def _growing(max_age_seconds: float, max_bytes: int) -> dict[str, Any]:
    """A stream that is only appended to, of which the oldest goes by its age or for room."""
    return {
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_age": max_age_seconds,
        "max_bytes": max_bytes,
        "discard": DiscardPolicy.OLD,
        "allow_rollup_hdrs": False,
        "deny_delete": True,
    }


def _common(name: str, shards: int, replicas: int) -> dict[str, Any]:
    return {
        "storage": StorageType.FILE,
        "retention": RetentionPolicy.LIMITS,
        "num_replicas": replicas,
        "allow_direct": True,
        "max_consumers": -1,
        "max_msgs": -1,
        "duplicate_window": 120.0,
        "metadata": {MADE_AS: name, SHARDS_OF: str(shards)},
    }
