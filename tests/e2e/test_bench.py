"""The benchmarks run from end to end; what they measure in a blink is no figure."""

import json
import subprocess
import sys
from pathlib import Path


def test_a_short_run_writes_figures_beside_their_ceilings(tools: None, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    short = [
        "--runs",
        "1",
        "--seconds",
        "0.4",
        "--warm-up",
        "0.2",
        "--devices",
        "2",
        "--fleets",
        "20",
        "--callers",
        "2",
        "--reporters",
        "2",
    ]
    only = ["--only", "twins", "--only", "fleets", "--only", "http", "--only", "inventory", "--only", "methods"]

    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *only, *short, "--at", str(tmp_path), "--json", str(file)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    results = {result["name"]: result for result in json.loads(file.read_text())["results"]}
    update = results["twin update"]
    assert update["value"] > 0
    assert update["errors"] == {}
    assert set(update["facts"]["shares"]) == {"broker echo", "NATS echo", "durable put"}
    assert {"load", "mosquitto", "bridge", "functions", "nats-server", "others"} <= set(update["cores"])
    assert results["method call"]["value"] > 0
    assert results["method call"]["errors"] == {}
    assert results["update of any twin, 20 devices"]["value"] > 0
    assert results["HTTP page of 50, 20 devices"]["value"] > 0
    assert results["NATS query, 50 of a total, 20 devices"]["value"] > 0
    assert results["index built, 20 devices"]["value"] > 0
    assert list(tmp_path.iterdir()) == [file]
