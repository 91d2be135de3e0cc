"""The whole local stack, by the command that users give."""

import json
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.node import known_paths
from infra.stack import leftovers
from infra.stack.interrupts import STOPPING
from infra.stack.programs import Programs
from infra.stack.starting import stop
from tests.ports import free_port

COMMAND = str(Path(sys.executable).with_name("devicehub"))


class Hub:
    """A hub in a directory of its own, on ports of its own."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HUB_")},
            "HUB_DATA_DIR": str(data),
            "HUB_HOSTNAMES": "localhost",
            "HUB_MQTT_LISTEN": f"127.0.0.1:{free_port()}",
            "HUB_NATS_LISTEN": f"127.0.0.1:{free_port()}",
            "HUB_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
            "HUB_WORKERS": "1",
            **settings,
        }
        self._begun: list[subprocess.Popen[str]] = []

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [COMMAND, *words], env=self.environ, capture_output=True, text=True, timeout=120, check=False
        )

    def up(self) -> "subprocess.CompletedProcess[str]":
        done = self.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self) -> "subprocess.Popen[str]":
        """Start in the foreground; returns when it says that it is ready."""
        process = self.begin("up", stdout=subprocess.PIPE)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                return process
        raise AssertionError(f"it ended with {process.wait()}")

    def begin(self, *words: str, stdout: int | None = None, stderr: int | None = None) -> "subprocess.Popen[str]":
        """A command that goes on; ended with the hub if it has not."""
        process = subprocess.Popen(
            [COMMAND, *words], env=self.environ, stdout=stdout, stderr=stderr, text=True, preexec_fn=_heed_signals
        )
        self._begun.append(process)
        return process

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.run("status", "--json").stdout))

    def parts(self) -> dict[str, int]:
        return {part["name"]: part["pid"] for part in self.status()["parts"]}

    @property
    def processes(self) -> list[psutil.Process]:
        return leftovers.find(self.data)

    def end(self) -> None:
        """Whatever the test did, nothing of the hub is left."""
        for process in self._begun:
            with process:
                process.kill()
        stop(known_paths(self.data)[0])
        assert self.processes == []


def _heed_signals() -> None:
    """As from a terminal, also where the tests run in the background and ignore some."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


Maker = Callable[..., Hub]


@pytest.fixture
def make_hub(programs: Programs, tmp_path: Path) -> Iterator[Maker]:
    made: list[Hub] = []

    def make(data: Path | None = None, **settings: str) -> Hub:
        made.append(Hub(data or tmp_path / f"hub{len(made)}", **settings))
        return made[-1]

    yield make
    for hub in made:
        hub.end()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_a_hub_starts_tells_how_it_is_stops_and_starts_again_with_everything(make_hub: Maker, tmp_path: Path) -> None:
    hub = make_hub(HUB_WORKERS="2")
    said = hub.up().stdout
    assert f"mqtts://localhost:{hub.environ['HUB_MQTT_LISTEN'].rpartition(':')[2]}" in said
    assert "devicehub enrolment open --minutes 30\n" in said

    status = hub.status()
    assert status["ready"]
    assert [part["name"] for part in status["parts"]] == [
        *("nats", "mosquitto", "functions-0", "functions-1", "index", "bridge", "host", "gateway")
    ]
    assert all(part["ready"] and part["state"] == "running" for part in status["parts"])
    # A device is an open file of the broker.
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1_048_576)
    assert psutil.Process(hub.parts()["mosquitto"]).rlimit(psutil.RLIMIT_NOFILE)[0] == most

    bundle = {path.name for path in (hub.data / "claims" / "default").iterdir()}
    assert bundle == {"ca.crt", "provisioning.crt", "provisioning.key", "config.json"}
    everything = [path for path in hub.data.rglob("*") if not path.is_relative_to(hub.data / "claims")]
    open_to_others = {path for path in everything if stat.S_IMODE(path.stat().st_mode) & 0o007}
    # The revocation list is public, and of NATS's own files the directory above is closed.
    private = {path for path in open_to_others if not path.is_relative_to(hub.data / "nats" / "jetstream")}
    assert private <= {hub.data / "broker" / "crl.pem"}

    assert hub.run("device", "create", "dev-0001", "--out", str(tmp_path / "d")).returncode == 0
    certificate = (hub.data / "broker" / "server.pem").read_bytes()
    assert "dev-0001" in hub.run("device", "list").stdout

    again = hub.run("up", "--detach")
    assert again.returncode == 1
    assert "A hub is running in" in again.stderr
    assert hub.status()["ready"]

    down = hub.run("down")
    assert (down.returncode, down.stdout) == (0, f"The hub in {hub.data} has stopped.\n")
    assert hub.processes == []
    assert hub.run("status").returncode == 1
    assert hub.run("down").stdout == f"No hub is running in {hub.data}.\n"

    hub.up()
    assert "dev-0001" in hub.run("device", "list").stdout
    assert len(json.loads(hub.run("claim", "list", "--json").stdout)) == 1
    assert (hub.data / "broker" / "server.pem").read_bytes() == certificate


def test_no_part_is_refused_anything_by_the_bus_while_it_works(make_hub: Maker) -> None:
    hub = make_hub()
    hub.up()
    assert hub.run("enrolment", "open", "--minutes", "5").returncode == 0
    assert hub.run("functions", "--live").returncode == 0
    assert hub.run("down").returncode == 0

    log = (hub.data / "log" / "nats.log").read_text()
    assert "Violation" not in log


def test_two_hubs_run_side_by_side_even_in_directories_with_long_and_blank_names(
    make_hub: Maker, tmp_path: Path
) -> None:
    one = make_hub(tmp_path / "a hub")
    other = make_hub(tmp_path / ("b" * 90))
    one.up()
    other.up()

    assert one.status()["ready"]
    assert other.status()["ready"]
    assert not set(one.parts().values()) & set(other.parts().values())

    sockets = known_paths(one.data)[0].run
    assert sockets.is_dir()
    assert one.run("down").returncode == 0
    assert one.processes == []
    assert not sockets.exists()
    assert other.status()["ready"]


def test_ctrl_c_stops_everything_and_waits_for_it(make_hub: Maker) -> None:
    hub = make_hub()
    process = hub.start()
    assert len(hub.processes) == 8

    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert "The hub has stopped." in said
    assert hub.processes == []


def test_down_ends_a_hub_in_the_foreground_without_complaint(make_hub: Maker) -> None:
    hub = make_hub()
    process = hub.start()

    assert hub.run("down").returncode == 0
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert "The hub has stopped." in said


def test_nothing_outlives_a_foreground_that_was_killed(make_hub: Maker) -> None:
    hub = make_hub()
    process = hub.start()

    process.kill()
    process.communicate(timeout=10)

    until(lambda: not hub.processes)


def test_nothing_outlives_a_supervisor_that_was_killed_and_the_next_start_is_clean(make_hub: Maker) -> None:
    hub = make_hub()
    process = hub.start()
    supervisor = int(known_paths(hub.data)[0].supervisor_pid.read_text())

    os.kill(supervisor, signal.SIGKILL)
    process.communicate(timeout=60)

    assert process.returncode == 1
    assert hub.processes == []
    hub.up()
    assert hub.status()["ready"]


def test_a_supervisor_that_lost_its_socket_is_ended_before_the_next_start(make_hub: Maker) -> None:
    hub = make_hub()
    hub.up()
    before = {process.pid for process in hub.processes}
    known_paths(hub.data)[0].supervisor_socket.unlink()

    said = hub.up().stdout

    assert "Ended what an earlier run had left: " in said
    assert not before & {process.pid for process in hub.processes}
    assert hub.status()["ready"]


def test_a_part_that_was_killed_comes_back(make_hub: Maker) -> None:
    hub = make_hub()
    hub.up()
    for part in ("functions", "bridge", "mosquitto", "nats", "index", "gateway"):
        before = hub.parts()[part]
        os.kill(before, signal.SIGKILL)
        until(lambda part=part, before=before: hub.parts()[part] not in (before, None))  # type: ignore[misc]
        until(lambda: hub.status()["ready"])


def test_a_part_that_cannot_start_is_named_at_once_with_its_last_words(make_hub: Maker) -> None:
    hub = make_hub()
    hub.up()
    hub.run("down")
    (hub.data / "secrets" / "uuid-key").write_text("not hexadecimal\n")

    began = time.monotonic()
    done = hub.run("up", "--detach")

    assert done.returncode == 1
    assert time.monotonic() - began < 45
    assert re.match("'(functions|index)' ended while it was starting.", done.stderr)
    assert "HUB_UUID_KEY_FILE names a file that is not hexadecimal" in done.stderr
    assert hub.processes == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_start_that_is_broken_off_leaves_nothing_running(
    make_hub: Maker, tmp_path: Path, number: signal.Signals
) -> None:
    hub = make_hub()
    # A broker that is never ready.
    (tmp_path / "mosquitto").write_text(
        '#!/bin/sh\n[ "$1" = -h ] && echo mosquitto version 2.0.11 || exec sleep 1000\n'
    )
    (tmp_path / "mosquitto").chmod(0o755)
    hub.environ["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    process = hub.begin("up", stderr=subprocess.PIPE)
    until(lambda: any("sleep" in one.cmdline() for one in hub.processes))

    process.send_signal(number)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 1
    assert told == "Broken off; everything was stopped.\n"
    assert hub.processes == []


def test_a_port_in_use_is_told_and_nothing_is_left_running(make_hub: Maker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        hub = make_hub(HUB_MQTT_LISTEN=f"127.0.0.1:{port}")

        done = hub.run("up")

    assert done.returncode == 1
    assert f"Port {port} (HUB_MQTT_LISTEN=127.0.0.1:{port}) is in use by " in done.stderr
    assert "choose another port: HUB_MQTT_LISTEN=127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
    assert hub.processes == []


def test_wrong_settings_are_wrong_usage(make_hub: Maker) -> None:
    hub = make_hub(HUB_WORKERS="none", HUB_LOG_LEVEL="loud")

    done = hub.run("up")

    assert done.returncode == 2
    assert "HUB_WORKERS" in done.stderr
    assert "HUB_LOG_LEVEL" in done.stderr
    assert not hub.data.exists()


def test_a_reader_that_goes_away_does_not_stop_the_hub(make_hub: Maker) -> None:
    hub = make_hub()
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([COMMAND, "up", "--detach"], env=hub.environ, stdout=writing, timeout=120, check=False)
    finally:
        os.close(writing)

    assert done.returncode == 0
    assert hub.status()["ready"]


def test_logs_are_shown_by_part(make_hub: Maker) -> None:
    hub = make_hub(HUB_WORKERS="2")
    hub.up()

    assert "Server is ready" in hub.run("logs", "nats").stdout
    both = hub.run("logs", "functions", "-n", "5").stdout
    assert "functions-0.log" in both
    assert "functions-1.log" in both
    nothing = hub.run("logs", "nothing")
    assert nothing.returncode == 1
    assert "There is no log of 'nothing'" in nothing.stderr
    assert "mosquitto" in nothing.stderr


def test_one_part_can_be_served_in_the_foreground(make_hub: Maker) -> None:
    hub = make_hub()
    hub.up()
    process = hub.begin("serve", "functions", stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert any("serving" in line for line in process.stdout)
    finally:
        process.terminate()
        process.communicate(timeout=20)

    assert process.returncode == 0
    assert hub.run("serve", "webui").returncode == 2
    assert hub.status()["ready"]
