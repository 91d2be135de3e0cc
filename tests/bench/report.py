"""The figures as a table for people, and as JSON."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.bench.measure import Result

# The parts whose processor time is shown, in the order of a message's way.
_SHOWN = (
    "load",
    "mosquitto",
    "bridge",
    "nats-server",
    "functions",
    "index",
    "gateway",
    "bare broker",
    "echo",
    "others",
)


def line(result: Result) -> str:
    """One result while the run goes on."""
    cores = "  ".join(f"{name} {result.cores[name]:.2f}" for name in _SHOWN if result.cores.get(name, 0) >= 0.01)
    errors = f"  ERRORS {result.errors}" if result.errors else ""
    latency = f"p50 {result.p50:.2f} ms, p99 {result.p99:.2f} ms, " if result.p50 else ""
    return (
        f"{result.name}, {result.at_once} at once: {result.rate:,.1f}{result.unit}, {latency}"
        f"runs within {result.spread:.0%}\n    cores: {cores}{errors}"
    )


def table(results: Sequence[Result]) -> None:
    """Everything at the end; the share is of the ceiling of the same kind and number at once."""
    drawn = Table("what", "at once", "rate", "p50 ms", "p99 ms", "spread", "errors", "of its ceilings", box=SIMPLE_HEAD)
    for result in results:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in result.facts.get("shares", {}).items())
        drawn.add_row(
            result.name,
            str(result.at_once),
            f"{result.rate:,.1f}{result.unit}" if result.rate < 100 else f"{result.rate:,.0f}{result.unit}",
            f"{result.p50:.2f}" if result.p50 else "",
            f"{result.p99:.2f}" if result.p99 else "",
            f"{result.spread:.0%}",
            str(sum(result.errors.values()) or ""),
            shares,
        )
    for column in drawn.columns[1:6]:
        column.justify = "right"
    console = Console()
    console.width = max(console.width, 140)
    console.print(drawn)


def write(file: Path, machine: dict[str, Any], results: Sequence[Result], options: dict[str, Any]) -> None:
    """Write all of it, with where and of what it was measured."""
    content = {
        "machine": machine,
        "revision": _revision(),
        "options": options,
        "results": [result.plain() for result in results],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")


def _revision() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
