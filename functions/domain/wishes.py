"""What the audit trail knows of a desired half: versions that are older than those kept, put together from its entries.

Each entry of a wish has the merge patches (RFC 7396) from a version to the
next and back. From the oldest version that is kept they lead back, one by
one, as far as their row has no gap. Where an entry was cut, hides a secret or
does not fit what it leads from, the row ends: nothing is told that was not so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from functions.domain.audit import HIDDEN, AuditEntry
from functions.domain.documents import same
from functions.domain.history import difference
from functions.domain.twins import Half, merge, restamp, to_milliseconds

WISHED: Final = "twin.desired"


@dataclass(frozen=True, slots=True)
class Wish:
    """One change of a desired half: ``patch`` makes its version of the one before, ``undo`` the one before of it."""

    version: int
    at: datetime
    by: str
    patch: dict[str, Any]
    undo: dict[str, Any]


def wished(before: Half, after: Half) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the entry of a change says as ``before`` and ``after``; in their documents null stands for nothing there.

    Whoever writes a desired half records it so, under ``WISHED``, or what is
    older can be told no more.
    """
    undo = {"version": before.version, "doc": difference(after.doc, before.doc)}
    return undo, {"version": after.version, "at": after.at, "doc": difference(before.doc, after.doc)}


def read_wish(entry: AuditEntry) -> Wish | None:
    """The wish that an entry is of; None if it is of none, or not whole."""
    match entry:
        case AuditEntry(
            action="twin.desired",
            cut=(),
            before={"version": int(), "doc": dict(undo)},
            after={"version": int(version), "at": str(at), "doc": dict(patch)},
        ) if not (_hides(undo) or _hides(patch)):
            return Wish(version, datetime.fromisoformat(at), entry.actor, patch, undo)
    return None


def recall(first: Half, wishes: Iterable[Wish]) -> list[Half]:
    """The versions before ``first``, oldest first, as far back as an unbroken row of wishes tells them.

    Of a leaf that was not changed within the row, the time is not known: it
    is None in ``times``.
    """
    known = {wish.version: wish for wish in wishes}
    row: list[Wish] = []
    doc, version = first.doc, first.version
    while version > 0 and (wish := known.get(version)) is not None:
        before = merge(doc, wish.undo)
        if not same(merge(before, wish.patch), doc):
            break
        row.append(wish)
        doc, version = before, version - 1
    if version == 0 and doc:
        # Version 0 is empty: the entries are not of this half.
        return []
    found: list[Half] = []
    times = _unknown(doc)
    # The wish that made ``first`` leads back from it, and is not needed on the way forth.
    for wish in reversed(row[1:]):
        after = merge(doc, wish.patch)
        times = restamp(times, doc, after, wish.patch, to_milliseconds(wish.at))
        doc = after
        found.append(Half(wish.version, doc, times, wish.at, wish.by))
    return found


def _unknown(doc: dict[str, Any]) -> dict[str, Any]:
    """Times for every leaf of a document, none of them known."""
    return {key: _unknown(value) if isinstance(value, dict) and value else None for key, value in doc.items()}


def _hides(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_hides, value.values()))
    if isinstance(value, list):
        return any(map(_hides, value))
    return bool(value == HIDDEN)
