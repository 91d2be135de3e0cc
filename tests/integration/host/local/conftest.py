"""A message bus with the system's own rules and the hub's policy, and functions with the stack's permissions."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.gateway.conftest import functions, nats  # noqa: F401 - Fixtures.

POLICY = Path(__file__).parents[4] / "infra/dbus/io.edgeberry.devicehub.conf"
# The rules of Debian's system.conf that bear on other programs; the policy stands after them, as there.
_CONFIG = """<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"
          send_member="UpdateActivationEnvironment"/>
  </policy>
  <include>{policy}</include>
</busconfig>
"""
_SECONDS = 10.0


class MessageBus:
    """A dbus-daemon that can be ended and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "bus"
        self._config = folder / "bus.conf"
        policy = folder / "policy.conf"
        # A group that every Debian has stands for the hub's own, which a package makes.
        policy.write_text(POLICY.read_text().replace('group="devicehub"', 'group="daemon"'))
        self._config.write_text(_CONFIG.format(socket=self._socket, policy=policy))
        self.address = f"unix:path={self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(["dbus-daemon", f"--config-file={self._config}", "--nofork", "--nopidfile"])
        deadline = time.monotonic() + _SECONDS
        while not self._socket.exists():
            assert self._process.poll() is None, "dbus-daemon has ended"
            assert time.monotonic() < deadline, "dbus-daemon does not listen"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(self, *command: str, uid: int = 0, gid: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program on this bus, as another user where one is named."""
        return subprocess.run(
            command,
            env={"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": self.address},
            cwd="/",
            user=uid,
            group=uid if gid is None else gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def message_bus() -> Iterator[MessageBus]:
    """Running; not below the test's own directory, which is not for other users to enter."""
    missing = [name for name in ("dbus-daemon", "busctl", "gdbus") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install dbus systemd libglib2.0-bin")
    if os.geteuid() != 0:
        pytest.skip("needs root, to be other users and to own the hub's name")
    folder = Path(tempfile.mkdtemp(prefix="devicehub-bus-"))
    folder.chmod(0o755)
    bus = MessageBus(folder)
    try:
        bus.start()
        yield bus
    finally:
        bus.stop()
        shutil.rmtree(folder)
