import subprocess
from pathlib import Path

import pytest

from infra.settings import Address
from infra.stack.mosquitto import find_plugin, is_password_line, password_line, render, render_acl
from infra.stack.paths import Paths

PATHS = Paths(Path("/srv/my hub"), Path("/run/hub"))
PLUGIN = Path("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so")

# The rows that were tried, for one prefix.
ACL = """user @bridge
topic readwrite $devicehub/#
topic read $SYS/#
topic readwrite $CONTROL/dynamic-security/#
pattern write $devicehub/devices/%u/twin/get
pattern write $devicehub/devices/%u/twin/update
pattern write $devicehub/devices/%u/telemetry
pattern write $devicehub/devices/%u/events/+
pattern write $devicehub/devices/%u/messages/events
pattern write $devicehub/devices/%u/heartbeat
pattern write $devicehub/devices/%u/status
pattern write $devicehub/devices/%u/methods/+/response
pattern write $devicehub/devices/%u/certificates/renew
pattern write $devicehub/devices/%u/certificates/renew/confirm
pattern read $devicehub/devices/%u/#
pattern write $devicehub/devices/%c/provision/request
pattern read $devicehub/devices/%c/provision/+
"""


def settings(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(key, value) for key, _, value in (line.partition(" ") for line in lines)]


def config(*, runs_as_root: bool = False, host: str = "0.0.0.0") -> list[tuple[str, str]]:
    return settings(render(PATHS, listen=Address(host, 8883), plugin=PLUGIN, runs_as_root=runs_as_root))


def test_the_acl_is_the_one_that_was_tried() -> None:
    assert render_acl(["$devicehub"]).partition("\n")[2] == ACL


def test_every_prefix_has_the_same_rows() -> None:
    lines = render_acl(["$devicehub", "$fleethub"]).splitlines()

    ours = [line for line in lines if "$devicehub" in line]
    assert [line.replace("$devicehub", "$fleethub") for line in ours] == [line for line in lines if "$fleethub" in line]
    assert len(ours) == 14


def test_no_pattern_lets_a_device_write_a_whole_subtree() -> None:
    writes = [line for line in render_acl(["$devicehub"]).splitlines() if line.startswith("pattern write")]

    assert not [line for line in writes if "#" in line]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("allow_anonymous", "false"),
        ("autosave_interval", "0"),
        ("persistence", "true"),
        ("persistent_client_expiration", "30d"),
        ("max_inflight_messages", "0"),
        ("max_queued_messages", "200000"),
        ("max_queued_bytes", "67108864"),
        ("max_packet_size", "1048576"),
        ("set_tcp_nodelay", "true"),
        ("require_certificate", "true"),
        ("use_identity_as_username", "true"),
        ("connection_messages", "true"),
        ("log_dest", "file /srv/my hub/broker/broker.log"),
        ("plugin", str(PLUGIN)),
        ("crlfile", "/srv/my hub/broker/crl.pem"),
        ("listener", "0 /run/hub/bridge.sock"),
        ("listener", "8883 0.0.0.0"),
    ],
)
def test_the_broker_is_set_as_was_tried(key: str, value: str) -> None:
    assert (key, value) in config()


def test_the_log_is_on_no_topic_where_a_client_could_kill_the_broker_by_it() -> None:
    assert ("log_dest", "topic") not in config()


def test_listeners_share_their_settings() -> None:
    keys = [key for key, _ in config()]

    assert "per_listener_settings" not in keys
    assert keys.index("listener") > keys.index("acl_file")
    # The last listener is the one that the certificates belong to.
    assert [value for key, value in config() if key == "listener"][-1].startswith("8883")


def test_a_comment_never_shares_a_line_with_a_value() -> None:
    text = render(PATHS, listen=Address("::1", 1), plugin=PLUGIN, runs_as_root=True)

    assert not [line for line in text.splitlines() if "#" in line and not line.startswith("#")]


def test_a_broker_of_root_stays_root_so_that_files_stay_private() -> None:
    assert ("user", "root") in config(runs_as_root=True)
    assert "user" not in [key for key, _ in config()]


def test_an_ipv6_address_has_no_brackets_here() -> None:
    assert ("listener", "8883 ::1") in config(host="::1")


def test_a_password_line_lets_in_only_that_user_with_that_password() -> None:
    line = password_line("@bridge", "secret")

    assert is_password_line(line, "@bridge", "secret")
    assert not is_password_line(line, "@bridge", "other")
    assert not is_password_line(line, "@other", "secret")
    assert not is_password_line("", "@bridge", "secret")
    assert password_line("@bridge", "secret") != line


def fake_elf(path: Path, *, bits: int, machine: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF" + bytes([bits // 32]) + bytes(13) + machine.to_bytes(2, "little") + bytes(44))
    return path


def test_the_plugin_of_the_brokers_own_architecture_is_taken(tmp_path: Path) -> None:
    name = "mosquitto_dynamic_security.so"
    fake_elf(tmp_path / "usr/lib/aarch64-linux-gnu" / name, bits=64, machine=183)
    mine = fake_elf(tmp_path / "usr/lib/arm-linux-gnueabihf" / name, bits=32, machine=40)
    broker = fake_elf(tmp_path / "usr/sbin/mosquitto", bits=32, machine=40)

    assert find_plugin(broker, tmp_path) == mine


def test_a_plugin_of_another_architecture_only_is_none(tmp_path: Path) -> None:
    fake_elf(tmp_path / "usr/lib/mosquitto_dynamic_security.so", bits=64, machine=183)
    broker = fake_elf(tmp_path / "usr/sbin/mosquitto", bits=64, machine=62)

    assert find_plugin(broker, tmp_path) is None


def test_the_password_line_is_what_mosquitto_passwd_makes(tmp_path: Path) -> None:
    try:
        subprocess.run(["mosquitto_passwd", "-c", "-b", tmp_path / "passwd", "@bridge", "secret"], check=True)
    except FileNotFoundError:
        pytest.skip("needs mosquitto_passwd: apt-get install mosquitto")

    assert is_password_line((tmp_path / "passwd").read_text(), "@bridge", "secret")
