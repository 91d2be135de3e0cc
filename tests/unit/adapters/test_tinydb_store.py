"""The storage port on TinyDB, in memory and in a file."""

import json
import os
from pathlib import Path

import pytest
from tinydb import TinyDB
from tinydb.storages import MemoryStorage, Storage

from functions.adapters.codec import Codec
from functions.adapters.tinydb_store import FileStorage, TinyStore
from functions.checks import StoreChecks, half
from functions.domain.faults import Conflict
from functions.domain.twins import Half
from functions.testing import SettableClock, refused


def open_store(storage: type[Storage], *args: Path, table: str = "halves", history: int = 64) -> TinyStore[Half]:
    database = TinyDB(*args, storage=storage)
    return TinyStore(database.table(table), Codec(Half), SettableClock(), history=history)


class TestInMemory(StoreChecks):
    @pytest.fixture
    def database(self) -> TinyDB:
        return TinyDB(storage=MemoryStorage)

    @pytest.fixture
    def store(self, database: TinyDB) -> TinyStore[Half]:
        return TinyStore(database.table("halves"), Codec(Half), SettableClock(), history=64)

    @pytest.fixture
    def foreign(self, database: TinyDB) -> TinyStore[str]:
        return TinyStore(database.table("halves"), Codec(str), SettableClock(), history=64)

    @pytest.fixture
    def plain(self) -> TinyStore[Half]:
        return open_store(MemoryStorage, history=1)


class TestInAFile(StoreChecks):
    @pytest.fixture
    def store(self, tmp_path: Path) -> TinyStore[Half]:
        return open_store(FileStorage, tmp_path / "hub.json")

    @pytest.fixture
    def foreign(self, tmp_path: Path) -> TinyStore[str]:
        # No cache: another hand writes the table.
        database = TinyDB(tmp_path / "hub.json", storage=FileStorage)
        return TinyStore(database.table("halves", cache_size=0), Codec(str), SettableClock(), history=64)

    @pytest.fixture
    def plain(self, tmp_path: Path) -> TinyStore[Half]:
        return open_store(FileStorage, tmp_path / "hub.json", table="plain", history=1)


async def test_a_file_has_what_was_written_when_it_is_opened_again(tmp_path: Path) -> None:
    store = open_store(FileStorage, tmp_path / "hub.json")
    first = await store.create("D1", half(1))
    second = await store.replace("D1", half(2), expect=first)
    gone = await store.create("D2", half(1))
    await store.remove("D2", expect=gone)

    again = open_store(FileStorage, tmp_path / "hub.json")

    assert [kept.value for kept in await again.history("D1")] == [half(1), half(2)]
    assert await again.create("D2", half(3)) > gone
    with refused(Conflict):
        await again.replace("D1", half(3), expect=first)
    assert await again.replace("D1", half(3), expect=second) > second


async def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        await open_store(FileStorage, tmp_path / "hub.json").create("D1", half(1))
    finally:
        os.umask(old)

    assert (tmp_path / "hub.json").stat().st_mode & 0o777 == 0o600


async def test_a_write_that_fails_leaves_the_file_whole(tmp_path: Path) -> None:
    store = open_store(FileStorage, tmp_path / "hub.json")
    await store.create("D1", half(1))
    before = (tmp_path / "hub.json").read_bytes()
    # In the way of the file that is written beside it.
    (tmp_path / ".hub.json.new").mkdir()

    with pytest.raises(IsADirectoryError):
        await store.create("D2", half(2))

    assert (tmp_path / "hub.json").read_bytes() == before


async def test_a_file_can_be_read_by_a_person(tmp_path: Path) -> None:
    await open_store(FileStorage, tmp_path / "hub.json").create("D1", Half(1, {"led": "on"}))

    tables = json.loads((tmp_path / "hub.json").read_text())

    assert tables["halves"]["1"]["revisions"][0]["value"]["doc"] == {"led": "on"}
