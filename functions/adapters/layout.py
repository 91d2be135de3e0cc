"""Which buckets the hub keeps: the one place that says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from tinydb import TinyDB

from functions.adapters.codec import DEFAULT_LIMIT_BYTES, Codec
from functions.adapters.tinydb_store import TinyStore
from functions.domain.certificates import Certificate
from functions.domain.devices import Device
from functions.domain.enrolment import Claim, ClaimCertificate, Enrolment, Reservation, Whitelisted
from functions.domain.sessions import Presence, Session
from functions.domain.twins import Half
from functions.ports import BridgeStart, Clock, Revocations, Revoked


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a store keeps, and how it is spread.

    Args:
        name: the bucket's, or the base of its shards' names.
        kind: the type of its values.
        shards: how many buckets share the keys.
        history: how many revisions of a key are kept.
        limit_bytes: largest value.
    """

    name: str
    kind: type[Any]
    shards: int = 1
    history: int = 1
    limit_bytes: int = DEFAULT_LIMIT_BYTES

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its shards, by their number."""
        if self.shards == 1:
            return (self.name,)
        return tuple(f"{self.name}-{number}" for number in range(self.shards))

    def codec(self) -> Codec[Any]:
        """How its values are kept."""
        return Codec(self.kind, limit_bytes=self.limit_bytes)


# By the name of the Hub's field.
BUCKETS: Mapping[str, Bucket] = {
    "devices": Bucket("hub-devices", Device, shards=4),
    "desired": Bucket("hub-desired", Half, shards=8, history=64),
    "reported": Bucket("hub-reported", Half, shards=8, history=64),
    "presence": Bucket("hub-presence", Presence, shards=4),
    "sessions": Bucket("hub-sessions", Session, shards=4),
    "names": Bucket("hub-names", Reservation),
    "claims": Bucket("hub-claims", Claim),
    "certificates": Bucket("hub-certificates", Certificate, shards=4),
    "claim_certificates": Bucket("hub-claim-certificates", ClaimCertificate),
    "whitelist": Bucket("hub-whitelist", Whitelisted),
    "enrolment": Bucket("hub-enrolment", Enrolment),
    "revoked": Bucket("hub-revoked", Revoked),
    # Holds the whole CRL: 53 bytes an entry in DER, 72 in PEM.
    "revocations": Bucket("hub-revocations", Revocations, limit_bytes=8 * 1024 * 1024),
    "bridges": Bucket("hub-bridges", BridgeStart),
}


def shard_of(key: str, shards: int) -> int:
    """The shard that holds a key."""
    return crc32(key.encode()) % shards


def open_tables(database: TinyDB, clock: Clock) -> dict[str, TinyStore[Any]]:
    """The Hub's stores as tables of a TinyDB, by the names of its fields."""
    return {
        field: TinyStore(database.table(bucket.name), bucket.codec(), clock, history=bucket.history)
        for field, bucket in BUCKETS.items()
    }
