from pathlib import Path

import pytest

from infra.problem import Problem
from infra.stack.credentials import gather
from infra.stack.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "secrets").mkdir()
    return Paths(tmp_path, tmp_path / "run")


def keep(paths: Paths, found: dict[str, str]) -> None:
    for name, value in found.items():
        paths.secret(name).write_text(f"{value}\n")


def test_a_new_hub_gets_every_secret_and_nothing_is_written(paths: Paths) -> None:
    found = gather(paths, is_new=True)

    assert set(found) == {
        *(f"nats-{user}" for user in ("admin", "functions", "bridge", "host", "gateway", "cli")),
        *("broker-bridge", "bridge-control", "bridge-telemetry", "uuid-key"),
    }
    assert len(set(found.values())) == len(found)
    assert len(bytes.fromhex(found["uuid-key"])) == 32
    assert len(bytes.fromhex(found["bridge-control"])) == 16
    assert list(paths.secrets.iterdir()) == []


def test_what_lies_there_is_kept(paths: Paths) -> None:
    first = gather(paths, is_new=True)
    keep(paths, first)

    assert gather(paths, is_new=False) == first


@pytest.mark.parametrize("name", ["nats-cli", "broker-bridge", "bridge-control"])
def test_a_lost_password_is_made_anew(paths: Paths, name: str) -> None:
    first = gather(paths, is_new=True)
    keep(paths, first)
    paths.secret(name).unlink()

    again = gather(paths, is_new=False)

    assert again[name] != first[name]
    assert again | {name: ""} == first | {name: ""}


@pytest.mark.parametrize("content", [None, ""])
def test_a_lost_key_of_the_uuids_is_a_problem(paths: Paths, content: str | None) -> None:
    keep(paths, gather(paths, is_new=True))
    paths.secret("uuid-key").unlink()
    if content is not None:
        paths.secret("uuid-key").write_text(content)

    with pytest.raises(Problem, match=r"uuid-key is gone.*Restore it from a backup"):
        gather(paths, is_new=False)
