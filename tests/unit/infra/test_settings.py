from pathlib import Path

import pytest

from functions.contract.environment import SettingsError
from functions.domain.hosts import is_host
from functions.domain.telemetry import DAY
from infra.settings import INSTALLED_DATA, Address, Settings, default_data, parse_config


def test_nothing_set_gives_the_defaults_of_the_contract() -> None:
    settings = Settings.from_env({})

    assert str(settings.http_listen) == "0.0.0.0:8080"
    assert str(settings.mqtt_listen) == "0.0.0.0:8883"
    assert str(settings.nats_listen) == "127.0.0.1:4222"
    assert settings.topic_prefixes == ("$devicehub",)
    assert settings.nats_url is None
    assert settings.hostnames == ()
    assert settings.workers >= 1


def test_paths_that_queries_may_name_are_read_and_checked() -> None:
    assert Settings.from_env({}).query_paths == ()
    assert Settings.from_env({"HUB_QUERY_PATHS": "temp, network.rssi"}).query_paths == ("temp", "network.rssi")
    for wrong in ("a b", "a..b", ",".join(f"p{number}" for number in range(17))):
        with pytest.raises(SettingsError, match="HUB_QUERY_PATHS"):
            Settings.from_env({"HUB_QUERY_PATHS": wrong})


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(
            {
                "HUB_MQTT_LISTEN": "8883",
                "HUB_NATS_LISTEN": "localhost:http",
                "HUB_HTTP_LISTEN": "[::zz]:80",
                "HUB_HOSTNAMES": "hub.example, not a host, 10.0.0.300",
                "HUB_TOPIC_PREFIXES": "devicehub",
                "HUB_WORKERS": "0",
                "HUB_LOG_LEVEL": "loud",
                "HUB_MQTT_URL": "mqtts://elsewhere:8883",
            }
        )

    text = str(caught.value)
    for name in ("MQTT_LISTEN", "NATS_LISTEN", "HTTP_LISTEN", "TOPIC_PREFIXES", "WORKERS", "LOG_LEVEL", "MQTT_URL"):
        assert f"HUB_{name}" in text
    assert "not a host" in text
    assert "10.0.0.300" in text
    assert "'hub.example'" not in text


def test_one_port_for_two_listeners_is_refused() -> None:
    with pytest.raises(SettingsError, match="same port 4222"):
        Settings.from_env({"HUB_MQTT_LISTEN": "127.0.0.1:4222"})


def test_a_foreign_nats_server_leaves_the_embedded_port_alone() -> None:
    settings = Settings.from_env({"HUB_MQTT_LISTEN": "127.0.0.1:4222", "HUB_NATS_URL": "nats://bus:4222"})

    assert settings.nats_url == "nats://bus:4222"


def test_the_environment_comes_before_the_config_file(tmp_path: Path) -> None:
    file = tmp_path / "hub.env"
    file.write_text("# a hub\nHUB_WORKERS=3\nexport HUB_LOG_LEVEL='debug'\nHUB_DATA_DIR=/srv/hub # there\n")

    settings = Settings.from_env({"HUB_CONFIG": str(file), "HUB_WORKERS": "2"})

    assert settings.workers == 2
    assert settings.log_level == "debug"
    assert settings.data == Path("/srv/hub")


def test_a_config_file_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(SettingsError, match="HUB_CONFIG names a file that cannot be read"):
        Settings.from_env({"HUB_CONFIG": "/nowhere/hub.env"})


def test_faulty_lines_of_the_config_file_are_named_with_their_number(tmp_path: Path) -> None:
    file = tmp_path / "hub.env"
    file.write_text("HUB_WORKERS 3\n\nHUB_LOG_LEVEL='info\n")

    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"HUB_CONFIG": str(file)})

    assert "line 1" in str(caught.value)
    assert "line 3" in str(caught.value)


def test_a_value_keeps_what_its_quotes_hold() -> None:
    told, faults = parse_config("A=\"$devicehub # x\"\nB=\nC=a#b\nD = 'x' # note")

    assert told == {"A": "$devicehub # x", "B": "", "C": "a#b", "D": "x"}
    assert faults == []


def test_data_lies_beside_the_project_in_a_clone_only(tmp_path: Path) -> None:
    assert default_data(tmp_path) == INSTALLED_DATA

    (tmp_path / "pyproject.toml").write_text('[project]\nname = "devicehub"\n')

    assert default_data(tmp_path) == tmp_path / "data"


def test_a_relative_data_directory_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert Settings.from_env({"HUB_DATA_DIR": "hub"}).data == tmp_path / "hub"


@pytest.mark.parametrize(
    ("listen", "reach"),
    [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.1.2.3:1", "10.1.2.3:1"), ("hub.local:1", "hub.local:1")],
)
def test_a_client_on_this_host_finds_the_listener(listen: str, reach: str) -> None:
    assert str(Address.parse(listen).reach) == reach


@pytest.mark.parametrize("text", ["hub", "hub.example.org", "192.168.1.4", "fe80::1", "a-b"])
def test_names_and_addresses_are_hosts(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize("text", ["", "a b", "-a", "a..b", "*.example", "192.168.1", "192.168.1.256", "a/b", "x" * 64])
def test_anything_else_is_no_host(text: str) -> None:
    assert not is_host(text)


def test_how_long_telemetry_is_kept_is_a_number_of_days() -> None:
    kept = Settings.from_env({"HUB_TELEMETRY_DAYS": "7", "HUB_TELEMETRY_MIB": "64"}).keeping

    assert (kept.telemetry, kept.events, kept.numbers) == (7 * DAY, 92 * DAY, 732 * DAY)
    assert kept.most_bytes == 64 * 1024 * 1024
    for name, wrong in (("HUB_TELEMETRY_DAYS", "0"), ("HUB_EVENTS_DAYS", "-1"), ("HUB_TELEMETRY_MIB", "8 GiB")):
        with pytest.raises(SettingsError, match=name):
            Settings.from_env({name: wrong})
