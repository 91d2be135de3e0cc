"""A real systemd with its dbus-daemon, journald and polkitd, booted as a throw-away box (root only)."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SDBOX = Path(__file__).with_name("sdbox")
_BOOT_SECONDS = 15.0


@dataclass(frozen=True)
class Box:
    """A running box; ``address`` is that of its system bus, ``units`` its ``/etc/systemd/system``."""

    folder: Path

    @property
    def address(self) -> str:
        return f"unix:path={self.folder}/run/dbus/system_bus_socket"

    @property
    def units(self) -> Path:
        return self.folder / "units"

    @property
    def journal(self) -> Path:
        return self.folder / "run/log/journal"

    def run(self, *command: str) -> str:
        """Run a command inside, and give what it says."""
        pid = (self.folder / "pid").read_text().strip()
        done = subprocess.run(
            ["nsenter", "-t", pid, "-a", "-r", "-w", *command], capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout

    def write(self, name: str, text: str) -> None:
        """Write a unit, and have systemd read it."""
        (self.units / name).write_text(text)
        self.run("systemctl", "daemon-reload")


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    pytest.importorskip("gi", reason="python3-gi is not linked into this environment: '.ci/prepare dev' does it")
    if os.geteuid() != 0:
        pytest.skip("a systemd of its own is booted only by root")
    # Not below pytest's own directory, which no other user may pass.
    folder = Path(tempfile.mkdtemp(prefix="sdbox-"))
    folder.chmod(0o755)
    said = folder / "said.log"
    with said.open("w") as log:
        process = subprocess.Popen([str(SDBOX), str(folder)], start_new_session=True, stdout=log, stderr=log)
    try:
        made = Box(folder)
        ready = folder / "run/dbus/system_bus_socket"
        end = time.monotonic() + _BOOT_SECONDS
        while not ready.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        if not ready.exists():
            pytest.skip(f"no systemd can be booted here: {said.read_text()[-300:]}")
        yield made
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)
