"""The figures as a table for people, and as JSON."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.bench.measure import LOUD, Result

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


# Below it a process is not worth a word.
_SEEN = 0.02
_NOT_ITS = ("load", "others")


def line(result: Result) -> str:
    """One result while the run goes on."""
    cores = [f"{name} {result.cores[name]:.2f}" for name in _SHOWN if result.cores.get(name, 0) >= 0.01]
    told = [f"{result.name}, {result.at_once} at once: {_figure(result)}"]
    if result.p50:
        told.append(f"p50 {result.p50:.2f} ms, p99 {result.p99:.2f} ms")
    told.append(f"runs within {result.spread:.0%}")
    lines = [", ".join(told)]
    lines += [f"    cores: {'  '.join(cores)}; {cost(result):,.0f} us each"] if cores else []
    lines += [f"    ERRORS: {result.errors}"] if result.errors else []
    return "\n".join(lines)


def table(results: Sequence[Result]) -> None:
    """Everything at the end: each figure, as a share of its ceilings; what one costs; who was busy."""
    columns = (
        "what",
        "at once",
        "figure",
        "p50 ms",
        "p99 ms",
        "spread",
        "errors",
        "as a share of",
        "busiest, in cores",
    )
    drawn = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for result in results:
        shares = ", ".join(f"{name} {share:.2g}" for name, share in result.facts.get("shares", {}).items())
        own = ((cores, name) for name, cores in result.cores.items() if name not in _NOT_ITS and cores >= _SEEN)
        busiest = sorted(own, reverse=True)[:3]
        drawn.add_row(
            result.name,
            str(result.at_once),
            _figure(result),
            f"{result.p50:.2f}" if result.p50 else "",
            f"{result.p99:.2f}" if result.p99 else "",
            f"{result.spread:.0%}",
            str(sum(result.errors.values()) or ""),
            shares,
            f"{cost(result):,.0f}" if result.cores else "",
            f"{result.cores['load']:.2f}" if "load" in result.cores else "",
            ", ".join(f"{name} {cores:.2f}" for cores, name in busiest),
        )
    for column in (*drawn.columns[1:7], *drawn.columns[8:10]):
        column.justify = "right"
    console = Console()
    console.width = max(console.width, 160)
    console.print(drawn)
    loud = [result for result in results if result.cores.get("others", 0) >= LOUD]
    if loud:
        most = max(result.cores["others"] for result in loud)
        console.print(
            f"Other programs took up to {most:.1f} cores during {len(loud)} of these {len(results)}:"
            " run it again on a quiet machine before comparing."
        )


def cost(result: Result) -> float:
    """Processor time of one, in microseconds: of hub and load, not of others that disturb."""
    own = sum(cores for name, cores in result.cores.items() if name != "others")
    return 1e6 * own / result.value if result.value else 0.0


def _figure(result: Result) -> str:
    digits = 1 if result.value < 100 else 0
    return f"{result.value:,.{digits}f}{result.unit}"


def write(file: Path, machine: dict[str, Any], results: Sequence[Result], options: dict[str, Any]) -> None:
    """Write all of it, with where and of what it was measured."""
    content = {
        "machine": machine,
        "revision": _revision(),
        "options": options,
        "results": [result.as_json() | {"cpuMicroseconds": cost(result)} for result in results],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")


def _revision() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
