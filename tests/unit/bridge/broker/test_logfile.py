"""The broker's log file, as it grows, is put aside and begun anew under its reader."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.broker.logfile import LogFile, LogLine, level_of

Write = Callable[[str], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.log"


@pytest.fixture
def write(path: Path) -> Write:
    def writes(text: str) -> None:
        with path.open("a") as file:
            file.write(text)

    return writes


Open = Callable[..., LogFile]


@pytest.fixture
def open_log(path: Path) -> Iterator[Open]:
    """Opens the log as a process would; left open as by a crash, and closed with the test."""
    opened: list[LogFile] = []

    def opens(large_bytes: int = 1_000_000) -> LogFile:
        opened.append(LogFile(path, large_bytes=large_bytes))
        return opened[-1]

    yield opens
    for log in opened:
        log.close()


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text.decode() for line in lines]


def tell(log: LogFile) -> list[str]:
    """Read what there is and be done with it."""
    lines = log.read()
    for line in lines:
        log.acknowledge(line)
    return texts(lines)


def test_there_is_nothing_where_the_broker_has_not_begun(open_log: Open, write: Write) -> None:
    log = open_log()
    assert log.read() == []
    assert not log.save()

    write("1: one\n")

    assert texts(log.read()) == ["1: one"]
    assert not log.has_gap


def test_a_line_is_given_once_and_only_when_it_is_whole(open_log: Open, write: Write) -> None:
    log = open_log()
    write("1: one\n2: tw")
    assert texts(log.read()) == ["1: one"]

    write("o\n3: three\n")

    assert texts(log.read()) == ["2: two", "3: three"]
    assert log.read() == []


def test_once_closed_it_reads_no_more(open_log: Open, write: Write) -> None:
    log = open_log()
    write("1: one\n")
    tell(log)
    log.close()
    write("2: two\n")

    assert log.read() == []


def test_after_a_crash_what_was_not_done_with_comes_again(open_log: Open, write: Write) -> None:
    log = open_log()
    write("1: one\n2: two\n3: three\n")
    first, _, third = log.read()
    log.acknowledge(first)
    # Done with out of turn: the second may still be lost.
    log.acknowledge(third)
    log.save()

    assert texts(open_log().read()) == ["2: two", "3: three"]


def test_what_was_done_with_does_not_come_again(open_log: Open, write: Write) -> None:
    log = open_log()
    write("1: one\n")
    tell(log)
    log.close()
    write("2: two\n")

    assert tell(open_log()) == ["2: two"]


def test_a_large_log_is_put_aside_once_all_of_it_is_told(open_log: Open, path: Path, write: Write) -> None:
    log = open_log(large_bytes=10)
    write("1: a long line\n")
    lines = log.read()
    assert not log.save()
    assert path.exists()

    log.acknowledge(lines[0])

    assert log.save()
    assert not path.exists()
    assert not log.save()


def test_no_line_is_lost_while_the_broker_changes_to_a_new_file(open_log: Open, path: Path, write: Write) -> None:
    log = open_log(large_bytes=10)
    write("1: a long line\n")
    tell(log)
    # The broker has the old file open until its next reload.
    with path.open("a") as old:
        assert log.save()
        old.write("2: into the old file\n")
        old.flush()
        assert tell(log) == ["2: into the old file"]
        old.write("3: its last\n")
        old.flush()
        write("4: into the new one\n")

        assert tell(log) == ["3: its last"]
        assert tell(log) == ["4: into the new one"]
    log.save()
    write("5: and on\n")
    assert tell(open_log()) == ["5: and on"]


def test_a_process_that_ends_during_the_change_finds_its_place_in_the_old_file(
    open_log: Open, path: Path, write: Write
) -> None:
    log = open_log(large_bytes=10)
    write("1: a long line\n")
    tell(log)
    with path.open("a") as old:
        assert log.save()
        log.close()
        old.write("2: its last\n")
        old.flush()
    write("3: into the new one\n")

    after = open_log(large_bytes=10)
    assert tell(after) == ["2: its last"]
    assert tell(after) == ["3: into the new one"]
    assert not after.has_gap


def test_a_log_that_was_taken_away_is_a_gap(open_log: Open, path: Path, write: Write, tmp_path: Path) -> None:
    log = open_log()
    write("1: one\n")
    tell(log)
    log.close()
    path.rename(tmp_path / "elsewhere")
    write("2: two\n")

    after = open_log()

    assert tell(after) == ["2: two"]
    assert after.has_gap


def test_where_nothing_is_marked_it_begins_with_the_brokers_present_life(open_log: Open, write: Write) -> None:
    write("1: mosquitto version 2.0.11 running\n2: Client a disconnected.\n")
    write("3: mosquitto version 2.0.11 running\n4: Client b disconnected.\n")

    assert tell(open_log()) == ["4: Client b disconnected."]


def test_a_mark_that_cannot_be_read_is_a_gap_and_the_log_is_read_whole(
    open_log: Open, path: Path, write: Write
) -> None:
    write("1: one\n")
    path.with_name("broker.log.mark").write_text("{")

    log = open_log()

    assert tell(log) == ["1: one"]
    assert log.has_gap


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("1: New client connected from 127.0.0.1:5 as EDGB-0001 (p2, c1, k60, u'EDGB-0001').", "N"),
        ("1: Client EDGB-0001 disconnected.", "N"),
        ("1: Client EDGB-0001 disconnected: already connected, closing old connection.", "E"),
        ("1: Client x already connected, closing old connection. disconnected.", "N"),
        ("1: Error: Unable to load certificate revocation file.", "E"),
        ("1: Error saving in-memory database, unable to open.", "I"),
        ("1: Reloading config.", "I"),
        ("1: mosquitto version 2.0.11 running", "I"),
        ("1: Saving in-memory database to x.", "I"),
    ],
)
def test_the_level_of_a_line_follows_from_the_brokers_own_words(text: str, level: str) -> None:
    assert level_of(text.encode()) == level
