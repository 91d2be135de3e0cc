"""The log files of a local stack: snapshots, older lines, following them through being renamed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.host.journal.files import LogFiles, lines_backwards
from bridge.host.journal.lines import Line
from bridge.host.journal.plain import read_plain
from bridge.host.journal.port import MOST_PAGE_BYTES, Following
from functions.contract.messages import LogEntry, LogQuery
from functions.domain.faults import Malformed, NotFound


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.log"
    path.touch()
    return path


@pytest.fixture
def logs(path: Path) -> LogFiles:
    return LogFiles({"gateway": path}.get)


@pytest.fixture
async def following(logs: LogFiles) -> AsyncIterator[Following]:
    following = await logs.follow("gateway")
    yield following
    await following.close()


def _write(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _rotate(path: Path) -> None:
    """As supervisor does it."""
    for number in (2, 1, 0):
        old = path if number == 0 else path.with_name(f"{path.name}.{number}")
        if old.exists():
            old.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.touch()


def _texts(entries: list[LogEntry]) -> list[str]:
    return [entry.text for entry in entries]


async def _next(following: Following, count: int) -> list[LogEntry]:
    found: list[LogEntry] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await following.read()
    return found


async def test_the_last_lines_come_newest_first_and_older_ones_after_them(logs: LogFiles, path: Path) -> None:
    _write(path, *map(str, range(10)))

    first = await logs.read(LogQuery(unit="gateway", lines=4))
    second = await logs.read(LogQuery(unit="gateway", lines=4, before=first.older))
    third = await logs.read(LogQuery(unit="gateway", lines=4, before=second.older))

    assert [_texts(page.entries) for page in (first, second, third)] == [list("9876"), list("5432"), list("10")]
    assert third.older is None


async def test_older_lines_are_found_in_the_files_before(logs: LogFiles, path: Path) -> None:
    for number in range(3):
        _write(path, f"a{number}", f"b{number}")
        _rotate(path)

    first = await logs.read(LogQuery(unit="gateway", lines=3))
    _rotate(path)
    _write(path, "newer")
    second = await logs.read(LogQuery(unit="gateway", lines=10, before=first.older))

    assert _texts(first.entries) == ["b2", "a2", "b1"]
    assert _texts(second.entries) == ["a1"], "the oldest file is gone, as supervisor keeps three"


async def test_what_is_asked_for_is_found_by_text_priority_and_time(logs: LogFiles, path: Path) -> None:
    _write(
        path,
        '{"event":"ready","level":"info","time":"2026-11-23T20:00:00.5Z"}',
        '{"event":"bus lost","level":"error","time":"2026-11-23T21:00:00.5Z"}',
        '{"event":"bus found","level":"warning","time":"2026-11-23T22:00:00.5Z"}',
    )

    async def ask(**more: object) -> int:
        wanted = LogQuery.model_validate({"unit": "gateway", **more})
        return len((await logs.read(wanted)).entries)

    assert await ask(q="BUS") == 2
    assert await ask(priority="warning") == 2
    assert await ask(priority="err") == 1
    assert await ask(since="2026-11-23T21:00:00Z") == 2
    assert await ask(until="2026-11-23T21:00:00Z") == 1
    assert await ask(q="nothing like this") == 0


async def test_a_line_being_written_is_given_when_it_is_whole(logs: LogFiles, path: Path, following: Following) -> None:
    with path.open("a") as file:
        file.write("be")
        file.flush()
        assert (await logs.read(LogQuery(unit="gateway"))).entries == []
        file.write("gun\n")
    assert _texts(await _next(following, 1)) == ["begun"]
    assert _texts((await logs.read(LogQuery(unit="gateway"))).entries) == ["begun"]


async def test_following_begins_with_the_line_that_is_being_written(logs: LogFiles, path: Path) -> None:
    path.write_text("before\nbe")  # noqa: ASYNC240

    following = await logs.follow("gateway")
    _write(path, "gun")

    assert _texts(await _next(following, 1)) == ["begun"]
    await following.close()


async def test_following_goes_through_renaming_and_loses_nothing(path: Path, following: Following) -> None:
    expected = []
    for number in range(2):
        _write(path, f"a{number}", f"b{number}")
        expected += [f"a{number}", f"b{number}"]
        _rotate(path)
    with path.open("a") as file:
        # Supervisor renames between two writes, wherever the line ends.
        file.write("spl")
    _rotate(path)
    _write(path, "it")

    found = await _next(following, 5)

    assert _texts(found) == [*expected, "split"]
    assert [entry.lost for entry in found] == [0] * 5


async def test_lines_whose_file_is_gone_are_said_to_be_lost(path: Path, following: Following) -> None:
    _write(path, "before")
    assert _texts(await _next(following, 1)) == ["before"]
    for number in range(5):
        _rotate(path)
        _write(path, f"later {number}")

    found = await _next(following, 4)

    assert _texts(found) == [f"later {number}" for number in (1, 2, 3, 4)]
    assert [entry.lost for entry in found] == [1, 0, 0, 0]


async def test_a_file_that_is_emptied_is_read_from_its_beginning(path: Path, following: Following) -> None:
    _write(path, "something long before")
    await _next(following, 1)
    path.write_text("new\n")  # noqa: ASYNC240

    found = await _next(following, 1)

    assert (_texts(found), found[0].lost) == (["new"], 1)


async def test_following_can_begin_after_a_line(logs: LogFiles, path: Path) -> None:
    _write(path, *map(str, range(5)))
    page = await logs.read(LogQuery(unit="gateway", lines=3))
    _rotate(path)
    _write(path, "5")

    following = await logs.follow("gateway", page.older)

    assert _texts(await _next(following, 3)) == ["3", "4", "5"]
    await following.close()


async def test_the_cursor_of_a_followed_line_leads_to_the_line_before(
    logs: LogFiles, path: Path, following: Following
) -> None:
    _write(path, "one", "two", "three")
    found = await _next(following, 3)

    page = await logs.read(LogQuery(unit="gateway", before=found[2].cursor))

    assert _texts(page.entries) == ["two", "one"]
    assert [entry.cursor for entry in page.entries] == [found[1].cursor, found[0].cursor]


@pytest.mark.parametrize("cursor", ["s=f042;i=10", "f=1;o=2", "f=1", "f=;o=", "f=99999999999999999999;o=1"])
async def test_a_cursor_of_no_line_is_refused(logs: LogFiles, path: Path, cursor: str) -> None:
    _write(path, "one")

    with pytest.raises(Malformed) as refused:
        await logs.read(LogQuery(unit="gateway", before=cursor))
    assert set(refused.value.fields) == {"before"}


@pytest.mark.parametrize("unit", ["nats", "..", "../secret"])
async def test_a_log_that_is_not_there_is_not_found(logs: LogFiles, unit: str) -> None:
    with pytest.raises(NotFound):
        await logs.read(LogQuery(unit="x").model_copy(update={"unit": unit}))
    with pytest.raises(NotFound):
        await logs.follow(unit)


async def test_hostile_lines_come_as_text(logs: LogFiles, path: Path, following: Following) -> None:
    hostile = ["<script>alert(1)</script>", "\x1b]0;title\x07\x1b[2J", "\u202egnp.exe", "a\0b", "{", "{}", "[[[["]
    _write(path, *hostile)
    with path.open("ab") as file:
        file.write(b"\xff\xfe\n")

    page = await logs.read(LogQuery(unit="gateway"))

    assert _texts(page.entries)[::-1] == [*hostile, "\\xff\\xfe"]
    assert page.entries[0].is_binary
    assert _texts(await _next(following, 8)) == [*hostile, "\\xff\\xfe"]
    assert type(page).model_validate_json(page.encode()) == page


async def test_long_lines_are_cut_and_pages_end_early(logs: LogFiles, path: Path, following: Following) -> None:
    _write(path, "ü" * 1_000_000, "short", *("x" * 9000 for _ in range(100)))

    page = await logs.read(LogQuery(unit="gateway", lines=1000))
    count = len(page.entries)
    while page.older is not None:
        assert len(page.encode()) < MOST_PAGE_BYTES + 10_000
        page = await logs.read(LogQuery(unit="gateway", lines=1000, before=page.older))
        count += len(page.entries)

    assert count == 102
    assert (page.entries[-1].text, page.entries[-1].is_truncated) == ("ü" * 8192, True)
    assert not page.entries[-1].is_binary
    assert len(await _next(following, 102)) == 102


async def test_a_search_ends_in_time_and_can_be_gone_on_with(path: Path) -> None:
    _write(path, *map(str, range(100)))
    logs = LogFiles({"gateway": path}.get, search_seconds=-1)

    page = await logs.read(LogQuery(unit="gateway", q="0"))

    assert page.entries == []
    assert page.older is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 300))
def test_lines_are_the_same_from_behind(tmp_path: Path, data: bytes, spread: int) -> None:
    path = tmp_path / "any"
    # So that lines lie over the borders of the blocks that are read.
    path.write_bytes(data + b"\n" * (spread and 1) + b"y" * (65_536 - spread) + b"\n" + data)

    with path.open("rb", buffering=0) as file:
        found = [line for line, _ in lines_backwards(file, path.stat().st_size)]

    whole = path.read_bytes().split(b"\n")[:-1]
    assert found == [Line(one[: 64 * 1024], len(one)) for one in reversed(whole)]


@pytest.mark.parametrize(
    ("line", "time", "priority"),
    [
        ('{"time":"2026-11-23T20:00:00Z","level":"critical"}', datetime(2026, 11, 23, 20, tzinfo=UTC), "crit"),
        ('{"time":"yesterday","level":7}', None, "info"),
        ("1795468769: Error: Unable to load", datetime(2026, 11, 23, 21, 19, 29, tzinfo=UTC), "err"),
        ("1795468769: New connection", datetime(2026, 11, 23, 21, 19, 29, tzinfo=UTC), "info"),
        ("[7] 2026/99/23 21:00:00.123456 [WRN] odd", None, "warning"),
        ("2026-99-23 21:00:00,123 CRIT odd", None, "crit"),
        ("Traceback (most recent call last):", None, "info"),
    ],
)
def test_time_and_level_of_a_line(line: str, time: datetime | None, priority: str) -> None:
    entry = read_plain(Line(line.encode(), len(line)), "f=1;o=0")

    assert (entry.time, entry.priority, entry.text) == (time, priority, line)
