"""A real systemd with its dbus-daemon, journald and polkitd, booted as a throw-away box (root only)."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SDBOX = Path(__file__).with_name("sdbox")
CHECKOUT = Path(__file__).parents[1]
INFRA = CHECKOUT / "infra"
# Of the installed hub: who runs the shim there.
SHIM_USER = "devicehub-host"
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
        return self.ask(*command, check=True).stdout

    def ask(self, *command: str, user: str = "root", check: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as one of its users."""
        words = [*self._enter("--all"), *_as(user), *command]
        return subprocess.run(words, capture_output=True, text=True, check=check, timeout=20)

    def start_shim(self, **settings: str) -> subprocess.Popen[bytes]:
        """Start the host shim inside as its own user, with this machine's network: there is the hub.

        It may read files as root may, as the checkout need not be for other users to read.
        """
        kept = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
        shim = (sys.executable, "-P", "-m", "bridge.host")
        environ = {"PATH": "/usr/bin:/bin", "HUB_HOST_SOURCE": "systemd", **settings}
        words = [*self._enter("--mount", "--pid", "--ipc", "--uts", "--cgroup"), *_as(SHIM_USER, *kept), *shim]
        return subprocess.Popen(words, env=environ)

    def install(self, source: Path, folder: str) -> None:
        """Put one of the hub's files where a package would."""
        self.run("install", "-m", "644", str(source), folder)

    def _enter(self, *namespaces: str) -> list[str]:
        pid = (self.folder / "pid").read_text().strip()
        return ["nsenter", f"--target={pid}", *namespaces, "--root", "--wd"]

    def write(self, name: str, text: str) -> None:
        """Write a unit, and have systemd read it."""
        (self.units / name).write_text(text)
        self.run("systemctl", "daemon-reload")


def _as(user: str, *options: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *options] if user != "root" else []


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
        process = subprocess.Popen(
            [str(SDBOX), str(folder), str(CHECKOUT)], start_new_session=True, stdout=log, stderr=log
        )
    try:
        made = Box(folder)
        ready = folder / "run/dbus/system_bus_socket"
        end = time.monotonic() + _BOOT_SECONDS
        while not ready.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        if not ready.exists():
            pytest.skip(f"no systemd can be booted here: {said.read_text()[-300:]}")
        made.run("groupadd", "--system", "devicehub")
        made.run("useradd", "--system", "--groups", "systemd-journal", SHIM_USER)
        yield made
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)
