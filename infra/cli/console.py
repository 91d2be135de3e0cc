"""What the command says: answers to standard output, what went wrong to standard error."""

import json
import os
import re
import sys
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from functions.contract.environment import SettingsError
from functions.domain.faults import Fault, Unavailable
from infra.problem import Problem, Problems

FAILED = 1
USAGE = 2

# What a terminal takes as a command: the sets C0 and C1 of ISO 6429, and DEL.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Reporting(TyperGroup):
    """A group of commands whose refusals and faults end as a sentence and an exit code, not as a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a foreseen failure is told and becomes the exit code."""
        try:
            return super().invoke(ctx)
        except SettingsError as problem:
            complain("The settings are wrong:", *(f"  {line}" for line in str(problem).splitlines()))
            raise typer.Exit(USAGE) from problem
        except Problems as found:
            for each in found.problems:
                complain(each.what, each.mend)
            raise typer.Exit(FAILED) from found
        except Problem as problem:
            complain(problem.what, problem.mend)
            raise typer.Exit(FAILED) from problem
        except Fault as fault:
            complain(*describe(fault))
            raise typer.Exit(FAILED) from fault


def printable(text: str, *, but: str = "") -> str:
    r"""The text with its control characters written out, ``\u001b`` for escape, except those in ``but``.

    What devices tell of themselves is printed too, and must neither steer the
    terminal nor look like another line. In JSON it stays the same string.
    """
    return _CONTROL.sub(lambda found: found[0] if found[0] in but else f"\\u{ord(found[0]):04x}", text)


def say(*lines: str) -> None:
    """Print lines of the answer."""
    _write(sys.stdout, "".join(f"{line}\n" for line in lines))


def say_json(value: Any) -> None:
    """Print the answer for a script: JSON, keys in the given order."""
    _write(sys.stdout, f"{json.dumps(value, indent=2, ensure_ascii=False)}\n")


def complain(*lines: str) -> None:
    """Print lines about what went wrong; empty ones are left out."""
    _write(sys.stderr, "".join(f"{line}\n" for line in lines if line))


def describe(fault: Fault) -> tuple[str, str]:
    """What a function answered instead, and what to do next."""
    from functions.contract.faults import CATALOGUE

    what = fault.detail or CATALOGUE[fault.reason].sentence
    if isinstance(fault, Unavailable):
        return what, "Is the hub up? 'devicehub status' tells; 'devicehub up' starts it."
    return what, ""


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(printable(text, but="\n\t"))
        stream.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough ('devicehub up | head'): what the
        # command does must not depend on that, nor its end fail over it.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
