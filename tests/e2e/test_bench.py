"""The benchmarks run from end to end; what they measure in a blink is no figure."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SHORT = ("--runs", "1", "--warm-up", "0.2", "--callers", "2", "--reporters", "2", "--fleets", "20", "--rows", "5000")


def figures(at: Path, names: Sequence[str], seconds: str) -> dict[str, Any]:
    """The results of some benchmarks by their names."""
    file = at / "figures.json"
    only = [word for name in names for word in ("--only", name)]
    asked = [*only, *SHORT, "--seconds", seconds, "--devices", "2", "--at", str(at), "--json", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *asked],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(at.iterdir()) == [file]
    return {result["name"]: result for result in json.loads(file.read_text())["results"]}


def test_a_short_run_writes_figures_beside_their_ceilings(tools: None, tmp_path: Path) -> None:
    results = figures(tmp_path, ("twins", "fleets", "http", "inventory", "methods", "telemetry-query"), "0.4")

    update = results["twin update"]
    assert update["value"] > 0
    assert update["errors"] == {}
    assert set(update["facts"]["shares"]) == {"broker echo", "NATS echo", "durable put"}
    assert {"load", "mosquitto", "bridge", "functions", "nats-server", "others"} <= set(update["cores"])
    assert results["method call"]["value"] > 0
    assert results["method call"]["errors"] == {}
    page = results["HTTP page of 1,000 messages, among 5,000"]
    assert page["value"] > 0
    assert page["errors"] == {}
    assert results["update of any twin, 20 devices"]["value"] > 0
    assert results["HTTP page of 50, 20 devices"]["value"] > 0
    assert results["NATS query, 50 of a total, 20 devices"]["value"] > 0
    assert results["index built, 20 devices"]["value"] > 0


def test_a_job_takes_longer_and_is_measured_all_the_same(tools: None, tmp_path: Path) -> None:
    # A worker looks for jobs once a second.
    job = figures(tmp_path, ("jobs",), "4")["job, 20 devices"]

    assert job["value"] > 0
    assert job["errors"] == {}
