import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from infra.cli.twin import read_moment, read_patch


def test_a_patch_is_the_argument_itself() -> None:
    assert read_patch('{"led": "on", "mode": null}') == {"led": "on", "mode": None}


def test_a_patch_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "patch.json"
    file.write_text('{"led": "on"}')

    assert read_patch(f"@{file}") == {"led": "on"}


def test_a_patch_is_read_from_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"led": "on"}'))

    assert read_patch("-") == {"led": "on"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("led=on", "not JSON"),
        ('{"rate": NaN}', "not JSON"),
        ("[" * 10_000, "more than 200 levels"),
        ('{"rate": 1e999}', "too large"),
        ('{"a": 1, "a": 2}', "twice in one object"),
        ("[1]", "JSON object"),
        ("null", "JSON object"),
        ("@/no/such/file", "cannot be read"),
    ],
)
def test_what_is_no_patch_is_wrong_usage(text: str, told: str) -> None:
    with pytest.raises(typer.BadParameter, match=told):
        read_patch(text)


def test_a_twin_is_named_by_versions_or_by_a_time() -> None:
    by_versions, by_time, by_local_time, none = map(
        read_moment, ("d3.r17", "2035-01-01T13:00:00+01:00", "2035-01-01T12:00:00", None)
    )

    assert (by_versions.time, by_versions.desired, by_versions.reported) == (None, 3, 17)
    assert by_time.time == by_local_time.time == datetime(2035, 1, 1, 12, tzinfo=UTC)
    assert (none.time, none.desired, none.reported) == (None, None, None)


@pytest.mark.parametrize("text", ["", "d3", "r17.d3", "3.17", "yesterday", "d3.r17 ", "12:00"])
def test_what_names_no_twin_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_moment(text)
