"""A function of another package, in a hub that was started with the package installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.rig import CLI, RunningHub

EXAMPLE = Path(__file__).resolve().parents[1] / "example_function"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with the example package installed in it."""
    source, site = tmp_path / "example", tmp_path / "site"
    shutil.copytree(EXAMPLE, source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", site, source], check=True)
    return site


async def test_a_function_of_another_package_is_served_and_called_like_ours(
    tools: None, site: Path, tmp_path: Path
) -> None:
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    hub = RunningHub(tmp_path / "hub", PYTHONPATH=path)
    try:
        hub.up()
        listed = {entry["subject"]: entry for entry in hub.json("functions", "--live")}
        assert listed["devicehub.examples.greet"]["instances"] == 1
        bus, client = await hub.bus()
        try:
            answer = await bus.request("devicehub.examples.greet", b'{"name":"Anna"}', caller=CLI)
        finally:
            await client.close()
        assert b"Anna" in answer
    finally:
        hub.down()
