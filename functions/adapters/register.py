"""The register in memory: every certificate ever issued, ready to be listed, searched and sorted.

One row a certificate in SQLite, without its PEM; beside it the certificate
that each device's record names, which tells those that it has superseded.

A page of 100 with its total takes 0.6 to 2 ms at 10,000 certificates and 1 to
20 ms at 100,000. A certificate costs 640 bytes.
"""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from string import hexdigits
from typing import Any, Final

from functions.domain.certificates import Certificate, Purpose, RevocationReason, is_weak_key
from functions.domain.inventory import Sort
from functions.domain.register import CertificatesWanted, Entry, State
from functions.storage import Page

# What is filtered and sorted by stands first in the row, as SQLite reads no further than it must. Times are
# microseconds since 1970. One transaction for good, as nothing is taken back and nothing kept.
_SCHEMA: Final = """
    CREATE TABLE certificates (
        n INTEGER PRIMARY KEY, issued INTEGER, ends INTEGER, revoked INTEGER, superseded INTEGER,
        purpose TEXT, gate TEXT, name TEXT COLLATE NOCASE, serial TEXT, issued_to TEXT COLLATE NOCASE,
        fingerprint TEXT, begins INTEGER, reason TEXT, key TEXT, weak INTEGER
    );
    CREATE UNIQUE INDEX by_serial ON certificates (serial);
    CREATE INDEX by_name ON certificates (name);
    CREATE INDEX by_weakness ON certificates (n) WHERE weak;
    CREATE INDEX by_state ON certificates (revoked, superseded, ends);
    CREATE INDEX by_end ON certificates (ends, serial);
    CREATE INDEX by_issue ON certificates (issued, serial);
    CREATE TABLE devices (id TEXT PRIMARY KEY, serial TEXT) WITHOUT ROWID;
    PRAGMA journal_mode = OFF;
    BEGIN;
"""
_ALL: Final = "SELECT * FROM certificates"
_COUNT: Final = "SELECT count(*) FROM certificates"
_NUMBER: Final = "SELECT n FROM certificates WHERE serial = ?"
_PUT: Final = "INSERT OR REPLACE INTO certificates VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DROP: Final = "DELETE FROM certificates WHERE serial = ?"
_NAME: Final = "INSERT OR REPLACE INTO devices VALUES (?, ?)"
_UNNAME: Final = "DELETE FROM devices WHERE id = ?"
# As functions.domain.register.is_superseded has it. Ids that differ in case are two identities.
_SUPERSEDE: Final = """
    UPDATE certificates SET superseded = (
        SELECT count(*) FROM devices JOIN certificates AS current ON current.serial = devices.serial
        WHERE devices.id = ?1 AND current.name = ?1 COLLATE BINARY AND current.purpose = 'device'
        AND current.serial <> certificates.serial AND certificates.issued <= current.issued
    ) WHERE name = ?1 AND name = ?1 COLLATE BINARY AND purpose = 'device'
"""
_BEGINNING: Final = """
    SELECT n FROM certificates WHERE serial >= ?1 AND serial < ?1 || 'g'
    UNION SELECT n FROM certificates WHERE substr(fingerprint, 1, ?2) = ?1
"""
_AMONG: Final = "n IN (SELECT value FROM json_each(:among))"

# The same order of conditions as functions.domain.register.state_of.
_STATES: Final = {
    State.REVOKED: "revoked IS NOT NULL",
    State.EXPIRED: "revoked IS NULL AND ends <= :now",
    State.SUPERSEDED: "revoked IS NULL AND superseded = 1 AND ends > :now",
    State.ACTIVE: "revoked IS NULL AND superseded = 0 AND ends > :now",
}
_COLUMNS: Final = {
    "serial": "serial",
    "subject": "name",
    "kind": "purpose",
    "gate": "gate",
    "issuedTo": "issued_to",
    "issuedAt": "issued",
    "notAfter": "ends",
    "revokedAt": "revoked",
}
_ORDERED: Final = {"serial": "by_serial", "name": "by_name", "ends": "by_end", "issued": "by_issue"}
_NEWEST: Final = (Sort("issuedAt", descending=True),)
# Fetching and sorting a certificate that is wanted costs so many times what it costs to pass one by in an order.
_SORTING: Final = 4

# Between the two names that a text is looked for in.
_BORDER: Final = "\x1f"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class CertificateTable:
    """Certificates, and which of them the devices' records name, as told by whoever fills it."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect(":memory:", isolation_level=None)
        self._rows.executescript(_SCHEMA)
        # By the numbers of the rows; a text is found here several times as fast as in the rows.
        self._texts: list[str] = []

    def close(self) -> None:
        """Give the memory back."""
        self._rows.close()

    def put(self, certificate: Certificate) -> None:
        """Take in a certificate, new or changed."""
        known = self._rows.execute(_NUMBER, (certificate.serial,)).fetchone()
        number = len(self._texts) if known is None else known[0]
        text = f"{certificate.common_name}{_BORDER}{certificate.issued_to}".casefold()
        self._texts[number : number + 1] = [text]
        self._rows.execute(_PUT, (number, *_columns(certificate)))
        if certificate.purpose is Purpose.DEVICE:
            self._rows.execute(_SUPERSEDE, (certificate.common_name,))

    def drop(self, serial: str) -> None:
        """Forget a certificate whose record was removed; the hub itself removes none."""
        self._rows.execute(_DROP, (serial,))

    def name(self, device: str, serial: str | None) -> None:
        """Take in which certificate a device's record names; None for none."""
        if serial is None:
            self._rows.execute(_UNNAME, (device,))
        else:
            self._rows.execute(_NAME, (device, serial))
        self._rows.execute(_SUPERSEDE, (device,))

    def find(self, wanted: CertificatesWanted, now: datetime) -> Page[Entry]:
        """A page of the certificates that are wanted at this time, and how many there are in all."""
        values = _values(wanted, now)
        conditions = [*_conditions(wanted)]
        if wanted.text:
            conditions.append(_AMONG)
            values["among"] = json.dumps(sorted(self._numbers_with(wanted.text)))
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        # A name has few certificates, which the database cannot know.
        named = "" if wanted.common_name is None else " INDEXED BY by_name"
        total: int = self._rows.execute(f"{_COUNT}{named}{where}", values).fetchone()[0]
        way = named or self._way(wanted, total)
        statement = f"{_ALL}{way}{where} ORDER BY {_order(wanted.sorts)} LIMIT :limit OFFSET :offset"
        return Page([_entry(row) for row in self._rows.execute(statement, values)], total)

    def _numbers_with(self, text: str) -> set[int]:
        folded = text.casefold()
        found = {number for number, held in enumerate(self._texts) if folded in held}
        digits = folded.replace(":", "")
        if digits and set(digits) <= set(hexdigits):
            found |= {number for (number,) in self._rows.execute(_BEGINNING, (digits, len(digits)))}
        return found

    def _way(self, wanted: CertificatesWanted, total: int) -> str:
        """How the rows are come by: in the wanted order, passing others by, or by what they have, to be sorted then.

        The database would have to guess how many there are; here it is known.
        """
        sorts = wanted.sorts or _NEWEST
        index = _ORDERED.get(_COLUMNS[sorts[0].field])
        if index is None or wanted.offset >= total:
            return ""
        passed = (wanted.offset + wanted.limit) * len(self._texts) // total
        if min(passed, len(self._texts)) > total * _SORTING:
            return ""
        return f" INDEXED BY {index}"


def _columns(certificate: Certificate) -> tuple[object, ...]:
    """In the order of the schema, but for the number and whether it is superseded."""
    return (
        _microseconds(certificate.issued_at),
        _microseconds(certificate.not_after),
        None if certificate.revoked_at is None else _microseconds(certificate.revoked_at),
        certificate.purpose,
        certificate.gate,
        certificate.common_name,
        certificate.serial,
        certificate.issued_to,
        certificate.fingerprint,
        _microseconds(certificate.not_before),
        certificate.revocation_reason,
        certificate.key,
        is_weak_key(certificate.key),
    )


def _conditions(wanted: CertificatesWanted) -> Iterator[str]:
    if wanted.common_name is not None:
        # Through the index, which knows no case, and then exactly.
        yield "name = :name AND name = :name COLLATE BINARY"
    if wanted.purpose is not None:
        yield "purpose = :purpose"
    if wanted.gate is not None:
        yield "gate = :gate"
    if wanted.expires_after is not None:
        yield "ends > :after"
    if wanted.expires_before is not None:
        yield "ends < :before"
    if wanted.is_weak is not None:
        yield "weak" if wanted.is_weak else "NOT weak"
    if wanted.state is not None:
        yield _STATES[wanted.state]


def _values(wanted: CertificatesWanted, now: datetime) -> dict[str, Any]:
    return {
        "now": _microseconds(now),
        "name": wanted.common_name,
        "purpose": wanted.purpose,
        "gate": wanted.gate,
        "after": None if wanted.expires_after is None else _microseconds(wanted.expires_after),
        "before": None if wanted.expires_before is None else _microseconds(wanted.expires_before),
        "limit": wanted.limit,
        "offset": wanted.offset,
    }


def _order(sorts: tuple[Sort, ...]) -> str:
    """What the database sorts by; the serial number goes the way of the last field."""
    terms = [(_COLUMNS[sort.field], sort.descending) for sort in sorts or _NEWEST]
    if not any(column == "serial" for column, _ in terms):
        terms.append(("serial", terms[-1][1]))
    return ", ".join(f"{column} DESC" if descending else column for column, descending in terms)


def _entry(row: tuple[Any, ...]) -> Entry:
    (
        _,
        issued,
        ends,
        revoked,
        superseded,
        purpose,
        gate,
        name,
        serial,
        issued_to,
        fingerprint,
        begins,
        reason,
        key,
        _,
    ) = row
    return Entry(
        serial=serial,
        purpose=Purpose(purpose),
        common_name=name,
        fingerprint=fingerprint,
        not_before=_moment(begins),
        not_after=_moment(ends),
        issued_at=_moment(issued),
        gate=gate,
        issued_to=issued_to,
        revoked_at=None if revoked is None else _moment(revoked),
        revocation_reason=None if reason is None else RevocationReason(reason),
        is_superseded=bool(superseded),
        key=key,
    )


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
