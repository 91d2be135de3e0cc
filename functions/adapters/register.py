"""The register in memory: every certificate ever issued, ready to be listed, searched and sorted.

One row a certificate in SQLite, without its PEM; beside it the certificate
that each device's record names, which tells those that it has superseded.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from functions.domain.certificates import Certificate, Purpose, RevocationReason
from functions.domain.inventory import Sort
from functions.domain.register import CertificatesWanted, Entry, State
from functions.ports import RegisterPage

# Times are microseconds since 1970. One transaction for good, as nothing is taken back and nothing kept.
_SCHEMA: Final = """
    CREATE TABLE certificates (
        serial TEXT PRIMARY KEY, purpose TEXT, name TEXT COLLATE NOCASE, fingerprint TEXT, begins INTEGER, ends INTEGER,
        issued INTEGER, gate TEXT, issued_to TEXT COLLATE NOCASE, revoked INTEGER, reason TEXT, superseded INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX by_name ON certificates (name);
    CREATE INDEX by_end ON certificates (ends);
    CREATE INDEX by_issue ON certificates (issued);
    CREATE TABLE devices (id TEXT PRIMARY KEY, serial TEXT) WITHOUT ROWID;
    PRAGMA journal_mode = OFF;
    BEGIN;
"""
_ALL: Final = "SELECT * FROM certificates"
_COUNT: Final = "SELECT count(*) FROM certificates"
_PUT: Final = "INSERT OR REPLACE INTO certificates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
_DROP: Final = "DELETE FROM certificates WHERE serial = ?"
_NAME: Final = "INSERT OR REPLACE INTO devices VALUES (?, ?)"
_UNNAME: Final = "DELETE FROM devices WHERE id = ?"
# As functions.domain.register.is_superseded has it. Ids that differ in case are two identities.
_SUPERSEDE: Final = """
    UPDATE certificates SET superseded = (
        SELECT count(*) FROM devices JOIN certificates AS current ON current.serial = devices.serial
        WHERE devices.id = ?1 AND current.serial <> certificates.serial AND certificates.issued <= current.issued
    ) WHERE name = ?1 AND name = ?1 COLLATE BINARY AND purpose = 'device'
"""

# The same order of conditions as functions.domain.register.state_of.
_STATES: Final = {
    State.REVOKED: "revoked IS NOT NULL",
    State.EXPIRED: "revoked IS NULL AND ends <= :now",
    State.SUPERSEDED: "revoked IS NULL AND ends > :now AND superseded",
    State.ACTIVE: "revoked IS NULL AND ends > :now AND NOT superseded",
}
_TEXT: Final = (
    "(instr(lower(name), :text) OR instr(lower(issued_to), :text)"
    " OR substr(serial, 1, :digits) = :hex OR substr(fingerprint, 1, :digits) = :hex)"
)
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
_NEWEST: Final = (Sort("issuedAt", descending=True),)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class CertificateTable:
    """Certificates, and which of them the devices' records name, as told by whoever fills it."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect(":memory:", isolation_level=None)
        self._rows.executescript(_SCHEMA)

    def close(self) -> None:
        """Give the memory back."""
        self._rows.close()

    def put(self, certificate: Certificate) -> None:
        """Take in a certificate, new or changed."""
        self._rows.execute(
            _PUT,
            (
                certificate.serial,
                certificate.purpose,
                certificate.common_name,
                certificate.fingerprint,
                _microseconds(certificate.not_before),
                _microseconds(certificate.not_after),
                _microseconds(certificate.issued_at),
                certificate.gate,
                certificate.issued_to,
                None if certificate.revoked_at is None else _microseconds(certificate.revoked_at),
                certificate.revocation_reason,
            ),
        )
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

    def find(self, wanted: CertificatesWanted, now: datetime) -> RegisterPage:
        """A page of the certificates that are wanted at this time, and how many there are in all."""
        where = " AND ".join(_conditions(wanted)) or "TRUE"
        values = _values(wanted, now)
        total: int = self._rows.execute(f"{_COUNT} WHERE {where}", values).fetchone()[0]
        statement = f"{_ALL} WHERE {where} ORDER BY {_order(wanted.sorts)} LIMIT :limit OFFSET :offset"
        return RegisterPage([_entry(row) for row in self._rows.execute(statement, values)], total)


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
    if wanted.state is not None:
        yield _STATES[wanted.state]
    if wanted.text:
        yield _TEXT


def _values(wanted: CertificatesWanted, now: datetime) -> dict[str, Any]:
    digits = wanted.text.replace(":", "").lower()
    return {
        "now": _microseconds(now),
        "name": wanted.common_name,
        "purpose": wanted.purpose,
        "gate": wanted.gate,
        "after": None if wanted.expires_after is None else _microseconds(wanted.expires_after),
        "before": None if wanted.expires_before is None else _microseconds(wanted.expires_before),
        "text": wanted.text.lower(),
        # What is only colons begins nothing.
        "hex": digits or None,
        "digits": len(digits),
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
    serial, purpose, name, fingerprint, begins, ends, issued, gate, issued_to, revoked, reason, superseded = row
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
    )


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
