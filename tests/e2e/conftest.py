"""Fixtures of the end-to-end tests: a hub to use, and a hub to hurt."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import box as box
from tests.e2e.rig import RunningHub

NEEDED = {
    "mosquitto": "mosquitto",
    "mosquitto_rr": "mosquitto-clients",
    "mosquitto_pub": "mosquitto-clients",
    "mosquitto_sub": "mosquitto-clients",
    "openssl": "openssl",
}


@pytest.fixture(scope="session")
def tools() -> None:
    missing = sorted({package for tool, package in NEEDED.items() if shutil.which(tool) is None})
    if missing:
        pytest.skip(f"end-to-end tests need: apt-get install {' '.join(missing)}")


@pytest.fixture(scope="module")
def hub(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """One running hub for a module of tests that leave it as they found it."""
    running = RunningHub(tmp_path_factory.mktemp("hub"))
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture
def own_hub(tools: None, tmp_path: Path) -> Iterator[RunningHub]:
    """A running hub of the test's own, to be hurt."""
    running = RunningHub(tmp_path / "hub", HUB_WORKERS="2")
    try:
        running.up()
        yield running
    finally:
        running.down()
