"""What holds for every command."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from infra.cli.main import app

# What a command needs for its work, but not to say what it can do.
_HEAVY = ("pydantic", "nats", "cryptography", "rich", "tinydb", "structlog", "supervisor", "psutil")


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its words."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from _commands(one, (*path, name))


COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_says_what_it_does_with_an_example_of_itself(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]

    assert command.help
    assert command.epilog.startswith(f"Example: devicehub {' '.join(path)}")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_is_told_and_unknown_options_are_wrong_usage(path: tuple[str, ...]) -> None:
    runner = CliRunner()

    assert runner.invoke(app, [*path, "--help"]).exit_code == 0
    assert runner.invoke(app, [*path, "--no-such-option"]).exit_code == 2


@pytest.mark.parametrize("path", [path for path in COMMANDS if path != ("invoke",)], ids=" ".join)
def test_the_data_directory_is_named_the_same_way_everywhere(path: tuple[str, ...]) -> None:
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    variables = {parameter.envvar for parameter in COMMANDS[path].params if "--data" in parameter.opts}

    assert "--data" in options
    assert variables == {"HUB_DATA_DIR"}


def test_to_say_what_it_can_do_the_command_loads_nothing_heavy() -> None:
    script = f"import sys, infra.cli.main; print(*[name for name in {_HEAVY!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
