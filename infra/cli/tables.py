"""Tables and facts for people: drawn on a terminal, plain columns anywhere else."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from infra.cli.console import printable, say

NOTHING = "-"


def moment(time: datetime | None) -> str:
    """A time as people read it, in UTC to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if time is not None else NOTHING


def exact_moment(time: datetime | None) -> str:
    """A time to the millisecond, as a command takes it again."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if time else NOTHING


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print rows under their columns, or a sentence if there are none."""
    rows = [[printable(cell or NOTHING) for cell in row] for row in rows]
    if not rows:
        say(empty)
    elif sys.stdout.isatty():
        _draw(columns, rows)
    else:
        say(*_plain([columns, *rows]))


def say_part(offset: int, shown: int, total: int) -> None:
    """Say which part of a list was printed, and how to see more; nothing where it was all of it, or none."""
    last = offset + shown
    if shown and (offset or last < total):
        more = f"; more with --offset {last}" if last < total else ""
        say(f"{offset + 1} to {last} of {total}{more}")


def show_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print what is known of one thing, a line each."""
    width = max(len(name) for name, _ in facts)
    say(*(f"{name:<{width}}  {printable(value or NOTHING)}" for name, value in facts))


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        # As text, not as markup: a name may hold brackets.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _plain(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns two blanks apart, never cut: what a pipe or a log can take."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
