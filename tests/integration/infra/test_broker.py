"""A real Mosquitto with the rendered configuration."""

import asyncio
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.contract.requests import make_request
from functions.domain.certificates import Purpose
from infra.settings import Address
from infra.stack.certificates import gather_crl, gather_root
from infra.stack.plan import Plan
from tests.integration.infra.conftest import Planner, running, secret, wait_for

ACCEPTED = b"\x20\x02\x00\x00"
REFUSED = b"\x20\x02\x00\x05"


def text(word: str) -> bytes:
    return len(word.encode()).to_bytes(2) + word.encode()


def connect_packet(client_id: str, user: str | None = None, password: str = "") -> bytes:
    """CONNECT of MQTT 3.1.1 with a clean session."""
    flags = 0x02 | (0xC0 if user is not None else 0)
    payload = text(client_id) + (text(user) + text(password) if user is not None else b"")
    body = text("MQTT") + bytes([4, flags]) + (60).to_bytes(2) + payload
    assert len(body) < 128 * 128
    return bytes([0x10, len(body) % 128 | 0x80, len(body) // 128]) + body


def answer(connection: socket.socket, packet: bytes) -> bytes:
    """What the broker answers to a CONNECT; nothing if it hangs up."""
    with connection:
        connection.settimeout(5)
        connection.sendall(packet)
        try:
            return connection.recv(4)
        except OSError:
            return b""


def as_bridge(plan: Plan, password: str, user: str = "@bridge") -> bytes:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(plan.paths.broker_socket))
    return answer(connection, connect_packet("probe", user, password))


def as_device(plan: Plan, files: tuple[Path, Path]) -> bytes:
    """Connect with a certificate; the broker may break off in the handshake, or right after it."""
    context = ssl.create_default_context(cafile=str(plan.paths.ca_certificate))
    context.load_cert_chain(*files)
    address = Address.parse(plan.node.mqtt_listen)
    plain = socket.create_connection((address.host, address.port), 5)
    try:
        return answer(context.wrap_socket(plain, server_hostname="localhost"), connect_packet("D-0001"))
    except OSError:
        return b""
    finally:
        plain.close()


@pytest.fixture
def device(tmp_path: Path) -> Callable[[Plan], tuple[Path, Path]]:
    """Makes a device's certificate and key, signed by the plan's root."""

    def make(plan: Plan) -> tuple[Path, Path]:
        root = gather_root(plan.paths, is_new=False)
        csr, key = make_request("D-0001")
        ends = datetime.now(UTC) + timedelta(days=1)
        signed = asyncio.run(root.authority().sign(csr, common_name="D-0001", purpose=Purpose.DEVICE, not_after=ends))
        files = tmp_path / "device.crt", tmp_path / "device.key"
        files[0].write_text(signed.pem)
        files[1].write_text(key)
        return files

    return make


def wait_for_broker(plan: Plan, log: Path) -> None:
    wait_for(Address.parse(plan.node.mqtt_listen), log)


def wait_for_line(log: Path, line: str) -> None:
    deadline = time.monotonic() + 10
    while line not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def test_the_bridge_comes_in_over_the_socket_with_its_password_only(plan_for: Planner, tmp_path: Path) -> None:
    plan = plan_for(tmp_path / "mein händler hub")
    log = tmp_path / "mosquitto.log"

    with running(plan, "mosquitto", log):
        wait_for_broker(plan, log)

        assert as_bridge(plan, secret(plan, "broker-bridge")) == ACCEPTED
        assert as_bridge(plan, "guess") == REFUSED
        assert as_bridge(plan, secret(plan, "broker-bridge"), user="@other") == REFUSED
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(plan.paths.broker_socket))
        assert answer(connection, connect_packet("nobody")) == REFUSED


def test_devices_come_in_with_a_certificate_only(
    plan_for: Planner, tmp_path: Path, device: Callable[[Plan], tuple[Path, Path]]
) -> None:
    plan = plan_for()
    log = tmp_path / "mosquitto.log"

    with running(plan, "mosquitto", log):
        wait_for_broker(plan, log)

        assert as_device(plan, device(plan)) == ACCEPTED
        other = plan_for(tmp_path / "other")
        assert as_device(plan, device(other)) == b""
        address = Address.parse(plan.node.mqtt_listen)
        plain = socket.create_connection((address.host, address.port), 5)
        assert answer(plain, connect_packet("D-0001", "@bridge", secret(plan, "broker-bridge"))) == b""


def test_a_broker_that_was_killed_comes_back_over_its_old_socket(plan_for: Planner, tmp_path: Path) -> None:
    plan = plan_for()
    log = tmp_path / "mosquitto.log"
    with running(plan, "mosquitto", log) as process:
        wait_for_broker(plan, log)
        process.kill()
        process.wait()
    assert plan.paths.broker_socket.exists()

    with running(plan, "mosquitto", log) as process:
        wait_for_broker(plan, log)
        assert as_bridge(plan, secret(plan, "broker-bridge")) == ACCEPTED
        assert int(plan.paths.broker_pid.read_text()) == process.pid


def test_what_the_broker_writes_is_private_too(plan_for: Planner, tmp_path: Path) -> None:
    plan = plan_for()
    log = tmp_path / "mosquitto.log"
    with running(plan, "mosquitto", log):
        wait_for_broker(plan, log)
        # It listens before it minds signals, and a signal then ends it without saving.
        wait_for_line(log, " running")
    assert (plan.paths.broker / "mosquitto.db").exists()

    for path in plan.paths.broker.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_in_the_place_of_a_damaged_list_nobody_is_let_in_until_a_good_one_comes(
    plan_for: Planner, tmp_path: Path, device: Callable[[Plan], tuple[Path, Path]]
) -> None:
    plan = plan_for()
    log = tmp_path / "mosquitto.log"
    files = device(plan)
    root = gather_root(plan.paths, is_new=False)
    now = datetime.now(UTC)
    plan.paths.broker_crl.write_text("damaged")
    plan.paths.broker_crl.write_text(asyncio.run(gather_crl(plan.paths, root, now)))

    with running(plan, "mosquitto", log) as process:
        wait_for_broker(plan, log)
        assert as_device(plan, files) == b""

        good = asyncio.run(root.authority().sign_crl([], number=1, next_update=now + timedelta(days=1)))
        plan.paths.broker_crl.write_text(good)
        process.send_signal(1)
        wait_for_line(log, "Reloading config.")
        assert as_bridge(plan, secret(plan, "broker-bridge")) == ACCEPTED
        assert as_device(plan, files) == ACCEPTED


def test_the_broker_says_nothing_against_its_configuration(plan_for: Planner, tmp_path: Path) -> None:
    plan = plan_for(HUB_TOPIC_PREFIXES="$devicehub,$fleethub")
    log = tmp_path / "mosquitto.log"
    with running(plan, "mosquitto", log):
        wait_for_broker(plan, log)

    words = [line.partition(": ")[2] for line in log.read_text().splitlines()]
    assert not [word for word in words if word.startswith(("Error", "Warning")) and "as root" not in word]


def test_the_password_is_on_no_command_line(plan_for: Planner, tmp_path: Path) -> None:
    plan = plan_for()
    log = tmp_path / "mosquitto.log"
    with running(plan, "mosquitto", log):
        wait_for_broker(plan, log)
        everything = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout

    assert secret(plan, "broker-bridge") not in everything
