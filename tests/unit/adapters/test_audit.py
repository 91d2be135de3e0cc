"""The audit trail in memory and in a file does what a trail must."""

from pathlib import Path

import pytest
from tinydb import TinyDB
from tinydb.storages import MemoryStorage

from functions.adapters.audit import TinyAudit, TinyTrails
from functions.adapters.tinydb_store import FileStorage
from functions.audit_checks import AuditChecks, Find, Recorded, TrailsChecks, audit_entry
from functions.domain.audit import AuditEntry, Trail


class _Checked(AuditChecks):
    @pytest.fixture
    def recorded(self, audit: TinyAudit) -> Recorded:
        async def recorded(trail: Trail) -> list[AuditEntry]:
            return [entry for entry in audit.written if entry.trail is trail]

        return recorded


class TestInMemory(_Checked):
    @pytest.fixture
    def audit(self) -> TinyAudit:
        return TinyAudit(TinyDB(storage=MemoryStorage).table("audit"))


class TestInAFile(_Checked):
    @pytest.fixture
    def audit(self, tmp_path: Path) -> TinyAudit:
        return TinyAudit(TinyDB(tmp_path / "hub.json", storage=FileStorage).table("audit"))


class TestAsked(TrailsChecks):
    @pytest.fixture
    def audit(self) -> TinyAudit:
        return TinyAudit(TinyDB(storage=MemoryStorage).table("audit"))

    @pytest.fixture
    def find(self, audit: TinyAudit) -> Find:
        return TinyTrails(audit).find


async def test_a_file_keeps_the_entries(tmp_path: Path) -> None:
    for number in range(2):
        opened = TinyAudit(TinyDB(tmp_path / "hub.json", storage=FileStorage).table("audit"))
        await opened.append([audit_entry(number)])

    assert opened.written == [audit_entry(0), audit_entry(1)]
