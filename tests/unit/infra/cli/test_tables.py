from datetime import UTC, datetime, timedelta, timezone

import pytest

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


def test_facts_stand_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_facts([("Device", "pump-1"), ("Id", "")])

    assert capsys.readouterr().out == "Device  pump-1\nId      -\n"


def test_a_time_is_told_in_utc_to_the_second() -> None:
    time = datetime(2025, 11, 23, 12, 30, 5, 900_000, tzinfo=timezone(timedelta(hours=2)))

    assert moment(time) == "2025-11-23 10:30:05 UTC"
    assert moment(datetime(2025, 1, 2, tzinfo=UTC)) == "2025-01-02 00:00:00 UTC"
    assert moment(None) == "-"
