"""What ``devicehub device export`` makes of its file."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from functions.contract.files import replace_file
from infra.cli.main import app


def test_an_export_that_fails_leaves_the_last_one(tmp_path: Path) -> None:
    file = tmp_path / "fleet.ndjson"
    file.write_text('{"deviceId":"pump-0001"}\n')

    # No hub was ever started there.
    done = CliRunner().invoke(app, ["device", "export", str(file), "--data", str(tmp_path / "nowhere")])

    assert done.exit_code == 1
    assert file.read_text() == '{"deviceId":"pump-0001"}\n'
    assert [one.name for one in tmp_path.iterdir()] == ["fleet.ndjson"]


def test_a_file_is_replaced_whole_or_not(tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    with replace_file(file, mode=0o600) as new:
        new.write(b"one")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"one", 0o600)

    with pytest.raises(TypeError), replace_file(file, mode=0o600) as new:
        new.writelines([b"two", "no bytes"])  # type: ignore[list-item]
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("fleet.csv", b"one")]
