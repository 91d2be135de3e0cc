"""What the register finds, in which order and state; held against a plain list of everything."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.adapters.register import CertificateTable
from functions.domain.certificates import Certificate, Gate, Purpose, RevocationReason
from functions.domain.inventory import Sort
from functions.domain.register import (
    SORTABLE,
    CertificatesWanted,
    Entry,
    State,
    entry_of,
    is_superseded,
    state_of,
)
from functions.testing import START

DAY = timedelta(days=1)


def certificate(number: int, **facts: Any) -> Certificate:
    plain = Certificate(
        serial=f"{0xA000 + number:x}",
        purpose=Purpose.DEVICE,
        common_name=f"pump-{number}",
        fingerprint=f"{number:064x}",
        not_before=START,
        not_after=START + 100 * DAY,
        issued_at=START + timedelta(seconds=number),
        gate=Gate.ONE_ROUND,
        issued_to="claim:fleet",
        csr_digest="cd",
        pem="PEM",
    )
    return replace(plain, **facts)


@pytest.fixture
def table() -> Iterator[CertificateTable]:
    table = CertificateTable()
    yield table
    table.close()


def serials(table: CertificateTable, at: datetime = START, **asked: Any) -> list[str]:
    page = table.find(CertificatesWanted(**asked), at)
    assert page.total >= len(page.entries)
    return [entry.serial for entry in page.entries]


def test_an_entry_comes_back_as_it_went_in(table: CertificateTable) -> None:
    full = certificate(
        1,
        issued_at=START + timedelta(microseconds=7),
        revoked_at=START + DAY,
        revocation_reason=RevocationReason.KEY_COMPROMISE,
    )
    table.put(full)

    assert table.find(CertificatesWanted(), START).entries == [entry_of(full, is_superseded=False)]
    table.put(certificate(1))
    assert table.find(CertificatesWanted(), START).entries == [entry_of(certificate(1), is_superseded=False)]
    table.drop(certificate(1).serial)
    assert serials(table) == []


def test_the_newest_come_first_and_equals_by_serial(table: CertificateTable) -> None:
    for number in (2, 3, 1):
        table.put(certificate(number, issued_at=START))
    table.put(certificate(0, issued_at=START + DAY))

    assert serials(table) == ["a000", "a003", "a002", "a001"]
    assert serials(table, limit=2, offset=1) == ["a003", "a002"]
    assert table.find(CertificatesWanted(limit=1, offset=9), START).total == 4


@pytest.mark.parametrize("named_first", [True, False])
def test_a_newer_certificate_that_is_named_supersedes_whatever_is_told_first(
    table: CertificateTable, *, named_first: bool
) -> None:
    one, two, three = (certificate(number, common_name="pump-1") for number in (1, 2, 3))
    other = certificate(4, common_name="PUMP-1")
    told = [partial(table.put, each) for each in (one, two, three, other)]
    told.insert(0 if named_first else 4, partial(table.name, "pump-1", two.serial))
    for tell in told:
        tell()

    assert serials(table, state=State.SUPERSEDED) == [one.serial]
    table.name("pump-1", three.serial)
    assert serials(table, state=State.SUPERSEDED) == [two.serial, one.serial]
    table.name("pump-1", None)
    assert serials(table, state=State.SUPERSEDED) == []


def test_states_follow_the_clock(table: CertificateTable) -> None:
    table.put(certificate(1, not_after=START + DAY))
    table.put(certificate(2))

    assert serials(table, state=State.ACTIVE) == ["a002", "a001"]
    assert serials(table, START + DAY, state=State.ACTIVE) == ["a002"]
    assert serials(table, START + DAY, state=State.EXPIRED) == ["a001"]


def test_text_is_found_in_names_and_begins_numbers(table: CertificateTable) -> None:
    table.put(certificate(1, common_name="Pump-West", serial="abcdef01", fingerprint="0123" * 16))
    table.put(certificate(2, common_name="lamp", issued_to="user:Westley", serial="beef"))
    table.put(certificate(3, common_name="door", serial="f00d"))

    assert serials(table, text="WEST", sorts=(Sort("serial"),)) == ["abcdef01", "beef"]
    assert serials(table, text="AB:CD") == ["abcdef01"]
    assert serials(table, text="01:23:01") == ["abcdef01"]
    for nothing in ("cdef", "%", "_", "'", "::", "\x00", "*"):
        assert serials(table, text=nothing) == []


def test_what_ends_in_a_span_is_found(table: CertificateTable) -> None:
    for number in range(5):
        table.put(certificate(number, not_after=START + number * DAY))

    assert serials(table, expires_after=START, expires_before=START + 3 * DAY) == ["a002", "a001"]


FACTS = st.fixed_dictionaries({
    "purpose": st.sampled_from(list(Purpose)),
    "common_name": st.sampled_from(["pump-1", "PUMP-1", "lamp", "claim-fleet"]),
    "gate": st.sampled_from(["one-round", "staff", "provision"]),
    "issued_to": st.sampled_from(["claim:fleet", "user:anna"]),
    "issued_at": st.integers(0, 3).map(lambda days: START + days * DAY),
    "not_after": st.integers(0, 9).map(lambda days: START + days * DAY),
    "revoked_at": st.none() | st.just(START),
})  # fmt: skip
WANTED = st.builds(
    CertificatesWanted,
    text=st.sampled_from(["", "", "pump", "anna", "a00", "zz"]),
    state=st.none() | st.sampled_from(list(State)),
    purpose=st.none() | st.sampled_from(list(Purpose)),
    gate=st.none() | st.just("staff"),
    common_name=st.none() | st.sampled_from(["pump-1", "PUMP-1"]),
    expires_after=st.none() | st.just(START + 3 * DAY),
    expires_before=st.none() | st.just(START + 7 * DAY),
    sorts=st.lists(st.sampled_from(SORTABLE), unique=True, max_size=3).flatmap(
        lambda names: st.tuples(*(st.builds(Sort, st.just(name), st.booleans()) for name in names))
    ),
    limit=st.integers(1, 5),
    offset=st.integers(0, 5),
)


def expected(kept: list[Certificate], named: dict[str, str], wanted: CertificatesWanted, now: datetime) -> list[Entry]:
    by_serial = {one.serial: one for one in kept}

    def entry(one: Certificate) -> Entry:
        current = by_serial.get(named.get(one.common_name, ""))
        return entry_of(one, is_superseded=is_superseded(one, current))

    def holds(one: Entry) -> bool:
        return (
            (
                wanted.text.lower() in one.common_name.lower()
                or wanted.text in one.issued_to
                or one.serial.startswith(wanted.text)
            )
            and wanted.state in (None, state_of(one, now))
            and wanted.purpose in (None, one.purpose)
            and wanted.gate in (None, one.gate)
            and wanted.common_name in (None, one.common_name)
            and (wanted.expires_after is None or one.not_after > wanted.expires_after)
            and (wanted.expires_before is None or one.not_after < wanted.expires_before)
        )

    found = [one for one in map(entry, kept) if holds(one)]
    sorts = wanted.sorts or (Sort("issuedAt", descending=True),)
    found.sort(key=lambda one: one.serial, reverse=sorts[-1].descending)
    for sort in reversed(sorts):
        found.sort(key=lambda one, field=sort.field: _value(one, field), reverse=sort.descending)  # type: ignore[misc]
    return found


def _value(one: Entry, field: str) -> tuple[bool, Any]:
    value = {
        "serial": one.serial,
        "subject": one.common_name.lower(),
        "kind": one.purpose,
        "gate": one.gate,
        "issuedTo": one.issued_to.lower(),
        "issuedAt": one.issued_at,
        "notAfter": one.not_after,
        "revokedAt": one.revoked_at,
    }[field]
    return value is not None, value


@settings(max_examples=300, deadline=None)
@given(
    facts=st.lists(FACTS, max_size=12),
    named=st.dictionaries(st.sampled_from(["pump-1", "PUMP-1", "lamp"]), st.integers(0, 12)),
    wanted=WANTED,
    order=st.randoms(),
)
def test_it_finds_what_a_plain_list_would(
    facts: list[dict[str, Any]], named: dict[str, int], wanted: CertificatesWanted, order: Any
) -> None:
    kept = [certificate(number, **one) for number, one in enumerate(facts)]
    names = {device: certificate(number).serial for device, number in named.items()}
    now = START + 4 * DAY
    table = CertificateTable()
    told = [partial(table.put, one) for one in kept]
    told += [partial(table.name, device, serial) for device, serial in names.items()]
    order.shuffle(told)
    for tell in told:
        tell()

    page = table.find(wanted, now)
    table.close()

    found = expected(kept, names, wanted, now)
    assert page.total == len(found)
    assert page.entries == found[wanted.offset : wanted.offset + wanted.limit]
