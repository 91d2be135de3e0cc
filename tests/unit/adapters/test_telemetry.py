"""The telemetry store in SQLite and in memory does what a store must, and both say the same."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from functions.adapters.telemetry import MemoryTelemetry, SqliteTelemetry
from functions.adapters.telemetry_reader import TelemetryReader
from functions.adapters.telemetry_table import TelemetryTable
from functions.domain.faults import Unavailable
from functions.domain.telemetry import DAY, HOUR, Keeping, Kind, Place, Sent, Span, TelemetryWanted
from functions.ports import TelemetryStore
from functions.telemetry_checks import EVERYTHING, FOR_EVER, NOW, TelemetryChecks, measured, put
from functions.testing import refused


class TestInMemory(TelemetryChecks):
    @pytest.fixture
    def store(self) -> TelemetryStore:
        return MemoryTelemetry()


class TestInSqlite(TelemetryChecks):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[TelemetryStore]:
        store = SqliteTelemetry(tmp_path / "telemetry")
        await store.open()
        yield store
        await store.close()


DEVICES = ("EDGB-0001", "EDGB-0002", "EDGB-0003")
TIMES = st.integers(-3 * HOUR, 3 * HOUR).map(lambda at: NOW + at) | st.sampled_from([NOW, NOW - HOUR, NOW + HOUR])


@st.composite
def messages(draw: st.DrawFn) -> list[Sent]:
    made = []
    for number in range(1, draw(st.integers(1, 25))):
        content = {"n": draw(st.integers(-5, 5)), draw(st.sampled_from("ab")): draw(st.floats(-1e9, 1e9))}
        made.append(
            Sent(
                draw(st.sampled_from(DEVICES[:2])),
                number,
                NOW + 3 * HOUR,
                to_json(content),
                content,
                device_time=draw(TIMES),
                type=draw(st.sampled_from(["", "boot"])),
            )
        )
    return made


WANTED = st.builds(
    TelemetryWanted,
    devices=st.none() | st.lists(st.sampled_from(DEVICES), unique=True).map(tuple),
    type=st.none() | st.sampled_from(["boot", "' OR 1=1 --"]),
    begin=TIMES,
    end=TIMES | st.just(2**62),
    limit=st.integers(1, 10),
    offset=st.integers(0, 5),
    oldest_first=st.booleans(),
)


def facts(spans: list[Span]) -> list[tuple[object, ...]]:
    """Sums may differ in the last digits, by the order in which they were made."""
    return sorted(
        (span.device, span.at, key, one.count, one.least, one.most, one.last, round(one.total, 3))
        for span in spans
        for key, one in span.numbers.items()
    )


@settings(max_examples=30, deadline=None)
@given(messages(), st.integers(1, 30), st.lists(WANTED, max_size=6))
def test_what_is_found_is_what_reading_everything_finds(
    made: list[Sent], cut: int, asked: list[TelemetryWanted]
) -> None:
    async def check() -> None:
        memory = MemoryTelemetry()
        with TemporaryDirectory() as folder:
            store = SqliteTelemetry(Path(folder))
            await store.open()
            for each in (memory, store):
                for batch in (made[:cut], made[max(0, cut - 3) :], made):
                    if batch:
                        await put(each, *batch)
            for wanted in asked:
                expected = await memory.find(wanted)
                found = await store.find(wanted)
                assert [(one.device, one.at, one.payload) for one in found] == [
                    (one.device, one.at, one.payload) for one in expected
                ]
                assert await store.count(wanted) == await memory.count(wanted)
            for devices in (None, DEVICES[:1]):
                assert facts(await store.spans(devices, NOW - HOUR, NOW + HOUR)) == facts(
                    await memory.spans(devices, NOW - HOUR, NOW + HOUR)
                )
            for device in DEVICES:
                assert await store.latest(device) == await memory.latest(device)
            await store.close()

    asyncio.run(check())


async def opened(folder: Path) -> SqliteTelemetry:
    store = SqliteTelemetry(folder)
    await store.open()
    return store


async def test_a_file_is_kept_and_no_one_elses_to_read(tmp_path: Path) -> None:
    store = await opened(tmp_path / "new")
    await put(store, measured(1, {"n": 1}))
    await store.close()

    store = await opened(tmp_path / "new")

    assert await store.count(EVERYTHING) == 1
    assert await store.place("telemetry-0") == Place(1, 1)
    await store.close()
    assert (tmp_path / "new" / "telemetry.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_file_that_cannot_be_read_is_left_as_it_is(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "telemetry.sqlite").write_bytes(damage)
    store = SqliteTelemetry(tmp_path)

    with refused(Unavailable):
        await store.open()
    await store.close()

    assert (tmp_path / "telemetry.sqlite").read_bytes() == damage


async def test_nothing_is_answered_before_it_is_open(tmp_path: Path) -> None:
    store = SqliteTelemetry(tmp_path)

    with refused(Unavailable):
        await store.find(EVERYTHING)
    with refused(Unavailable):
        await put(store, measured(1, {}))
    await store.close()


async def test_the_oldest_hours_go_when_there_is_too_much(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    bulk = {"text": "x" * 3000}
    for number in range(1, 601):
        await put(store, measured(number, bulk, at=NOW - DAY + number * HOUR // 30, hub=NOW))

    await store.forget(Keeping(2 * DAY, DAY, DAY, 1_000_000), NOW)

    left = await store.find(TelemetryWanted(limit=1000))
    assert 100 < len(left) < 400
    assert len(left) == await store.count(EVERYTHING)
    assert left[0].at == NOW - DAY + 600 * HOUR // 30
    # However little is allowed, the present hour stays.
    await put(store, measured(601, bulk, at=NOW, hub=NOW))
    await store.forget(Keeping(2 * DAY, DAY, DAY, 1), NOW)
    assert await store.count(EVERYTHING) == 1
    await store.close()


async def test_a_batch_that_cannot_be_written_is_not_noted(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await put(store, measured(1, {"n": 1}))
    other = sqlite3.connect(tmp_path / "telemetry.sqlite", isolation_level=None)
    other.execute("ALTER TABLE latest RENAME TO gone")

    with refused(Unavailable):
        await put(store, measured(2, {"n": 2}, device="EDGB-0002"))

    other.execute("ALTER TABLE gone RENAME TO latest")
    other.close()
    assert (await store.place("telemetry-0"), await store.count(EVERYTHING)) == (Place(1, 1), 1)
    await put(store, measured(2, {"n": 2}, device="EDGB-0002"))
    assert await store.count(EVERYTHING) == 2
    await store.close()


def test_a_question_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    table = TelemetryTable(tmp_path / "telemetry.sqlite")
    sent = [measured(number, {"n": number}) for number in range(1, 30_001)]
    table.put("telemetry-0", Kind.TELEMETRY, sent, Place(30_000, 1))
    reader = TelemetryReader(tmp_path / "telemetry.sqlite", seconds=0)

    with refused(Unavailable):
        reader.count(TelemetryWanted(type="none", begin=NOW - 1, end=NOW + 1))

    reader.close()
    table.close()


async def test_many_devices_are_found_as_few_are(tmp_path: Path) -> None:
    store, memory = await opened(tmp_path), MemoryTelemetry()
    names = [f"EDGB-{number:04}" for number in range(700)]
    sent = [measured(n, {"n": n}, at=NOW + n * 37 % 100, device=name) for n, name in enumerate(names, 1)]
    for each in (store, memory):
        await put(each, *sent)
    for devices in (tuple(names[:600]), tuple(names[:400]), tuple(names[:1]), ()):
        wanted = TelemetryWanted(devices=devices, limit=1000, begin=NOW + 10, end=NOW + 90)
        expected = [(one.at, one.device) for one in await memory.find(wanted)]
        assert [(one.at, one.device) for one in await store.find(wanted)] == expected
        assert await store.count(wanted) == len(expected)
    await store.forget(FOR_EVER, NOW)
    await store.close()
