import os
from dataclasses import replace
from pathlib import Path

import pytest

from infra.stack.paths import Paths
from infra.stack.sockets import choose_directory, clear, is_private
from tests.unit.infra.test_node import NODE


def test_sockets_lie_in_the_data_directory_where_they_can() -> None:
    assert choose_directory(Path("/srv/hub"), None) == Path("/srv/hub/run")


@pytest.mark.parametrize("data", [Path("/srv") / ("x" * 80), Path("/srv/my hub"), Path("/srv") / ("ü" * 45)])
def test_a_path_too_long_or_with_a_blank_goes_elsewhere(data: Path) -> None:
    chosen = choose_directory(data, None)

    assert chosen != data / "run"
    assert len(os.fsencode(chosen)) < 80
    assert chosen.parent.is_dir()
    assert not chosen.exists()


def test_a_place_that_is_not_there_or_too_long_or_has_a_blank_is_passed_over(tmp_path: Path) -> None:
    blank, long = tmp_path / "a b", tmp_path / ("x" * 100)
    blank.mkdir()
    long.mkdir()

    chosen = choose_directory(Path("/srv/my hub"), None, [Path("/nowhere"), long, blank, Path("/var/tmp")])

    assert chosen.parent == Path("/var/tmp")
    assert choose_directory(Path("/srv/my hub"), None, [long]).parent == Path("/tmp")


def test_the_same_directory_is_used_again_while_it_is_private(tmp_path: Path) -> None:
    before = tmp_path / "devicehub-1"
    before.mkdir(mode=0o700)
    node = replace(NODE, run=str(before))

    assert choose_directory(Path("/srv/my hub"), node) == before

    before.chmod(0o755)
    assert choose_directory(Path("/srv/my hub"), node) != before


def test_a_link_to_a_private_directory_is_not_private(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(target)

    assert is_private(target)
    assert not is_private(link)
    assert not is_private(tmp_path / "missing")


def test_a_stopped_hub_leaves_no_sockets_and_no_directory_elsewhere(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "my hub", tmp_path / "devicehub-1")
    paths.run.mkdir(mode=0o700)
    paths.broker_socket.touch()
    paths.supervisor_pid.touch()

    clear(paths)
    clear(paths)

    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "my hub", tmp_path / "devicehub-1")
    paths.run.mkdir(mode=0o700)
    (paths.run / "letter").touch()

    clear(paths)

    assert (paths.run / "letter").exists()
