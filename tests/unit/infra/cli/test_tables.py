import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from infra.cli.console import say_json
from infra.cli.tables import moment, show_facts, show_table


def test_columns_are_plain_and_never_cut_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("Device", "Name"), [("pump-1", "x" * 300), ("a-longer-pump", "")], empty="None.")

    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Device         Name"
    assert out[1] == "pump-1         " + "x" * 300
    assert out[2] == "a-longer-pump  -"


def test_a_table_without_rows_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("Device",), [], empty="There is no device yet.")

    assert capsys.readouterr().out == "There is no device yet.\n"


def test_a_table_is_drawn_on_a_terminal_and_brackets_stay_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    show_table(("Device", "Name"), [("pump-1", "[red]hall[/red]")], empty="None.")

    out = capsys.readouterr().out
    assert "[red]hall[/red]" in out
    assert "─" in out


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_a_device_calls_itself_neither_steers_the_terminal_nor_forges_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    rows = [("pump-1", "a\x1b]0;b\x9b2J\x00"), ("pump-2", "c\npump-3\r")]

    show_table(("Device", "Name"), rows, empty="None.")
    show_facts([("Name", rows[0][1]), ("Other", rows[1][1])])

    out = capsys.readouterr().out
    assert r"a\u001b]0;b\u009b2J\u0000" in out
    assert not any(line.lstrip().startswith("pump-3") for line in out.splitlines())
    # Drawn on a terminal the head is bold.
    assert "\x1b]" not in out
    assert not set(out) & set("\x00\x9b\r")


def test_json_keeps_its_meaning_and_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    told = {"name": "a\x1b[31m\x9b2J\n\tb\x7f\u00e9"}

    say_json(told)

    out = capsys.readouterr().out
    assert json.loads(out) == told
    assert not set(out) & set("\x1b\x9b\x7f")


def test_facts_stand_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_facts([("Device", "pump-1"), ("Id", "")])

    assert capsys.readouterr().out == "Device  pump-1\nId      -\n"


def test_a_time_is_told_in_utc_to_the_second() -> None:
    time = datetime(2025, 11, 23, 12, 30, 5, 900_000, tzinfo=timezone(timedelta(hours=2)))

    assert moment(time) == "2025-11-23 10:30:05 UTC"
    assert moment(datetime(2025, 1, 2, tzinfo=UTC)) == "2025-01-02 00:00:00 UTC"
    assert moment(None) == "-"
