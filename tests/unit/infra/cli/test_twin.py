import io
from pathlib import Path

import pytest
import typer

from infra.cli.twin import read_patch


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
        ("[" * 10_000, "not JSON"),
        ("[1]", "JSON object"),
        ("null", "JSON object"),
        ("@/no/such/file", "cannot be read"),
    ],
)
def test_what_is_no_patch_is_wrong_usage(text: str, told: str) -> None:
    with pytest.raises(typer.BadParameter, match=told):
        read_patch(text)
