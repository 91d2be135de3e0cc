"""Settings of the bridge's process."""

from pathlib import Path

import pytest

from bridge.mqtt.topics import Lane
from bridge.settings import Settings
from functions.contract.environment import SettingsError

BOTH = tuple(Lane)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Settings that are right."""
    secrets = {
        "HUB_NATS_PASSWORD_FILE": "n",
        "HUB_BROKER_PASSWORD_FILE": "b",
        "HUB_BRIDGE_CONTROL_ID_FILE": "c" * 32,
        "HUB_BRIDGE_TELEMETRY_ID_FILE": "t" * 32,
    }
    for name, secret in secrets.items():
        (tmp_path / name).write_text(f"{secret}\n")
    return {
        "HUB_BROKER_URL": "unix:/run/bridge.sock",
        "HUB_BROKER_CRL_FILE": "/crl.pem",
        "HUB_BROKER_TRUST_FILE": "/ca.crt",
        "HUB_BROKER_SERVER_FILE": "/server.pem",
        "HUB_BROKER_HOSTNAMES": "hub.example,127.0.0.1",
        "HUB_BROKER_PID_FILE": "/pid",
        "HUB_BROKER_LOG_FILE": "/log",
        **{name: str(tmp_path / name) for name in secrets},
    }


def test_what_is_not_set_has_a_default(environ: dict[str, str]) -> None:
    settings = Settings.from_env(environ, BOTH)

    assert (settings.broker, settings.user, settings.prefixes, settings.mqtt_port) == (
        "local",
        "@bridge",
        ("$devicehub",),
        8883,
    )
    assert settings.client_ids == {Lane.CONTROL: "c" * 32, Lane.TELEMETRY: "t" * 32}


def test_no_secret_shows_in_what_is_printed(environ: dict[str, str]) -> None:
    told = repr(Settings.from_env(environ, BOTH))

    assert "c" * 32 not in told
    assert "password" not in told


def test_prefixes_are_separated_by_commas(environ: dict[str, str]) -> None:
    environ["HUB_TOPIC_PREFIXES"] = "$devicehub, $fleethub,$devicehub"

    assert Settings.from_env(environ, BOTH).prefixes == ("$devicehub", "$fleethub")


def test_a_broker_on_another_host_needs_certificate_files(environ: dict[str, str]) -> None:
    environ["HUB_BROKER_URL"] = "mqtts://broker.example:8883"

    with pytest.raises(SettingsError) as problem:
        Settings.from_env(environ, BOTH)

    assert str(problem.value).splitlines() == [
        "HUB_BROKER_CA_FILE is not set",
        "HUB_BROKER_CERTIFICATE_FILE is not set",
        "HUB_BROKER_KEY_FILE is not set",
    ]


def test_a_process_of_the_telemetry_lane_needs_nothing_of_the_control_lanes(environ: dict[str, str]) -> None:
    for name in (
        "HUB_BRIDGE_CONTROL_ID_FILE",
        "HUB_BROKER_CRL_FILE",
        "HUB_BROKER_TRUST_FILE",
        "HUB_BROKER_SERVER_FILE",
        "HUB_BROKER_HOSTNAMES",
        "HUB_BROKER_PID_FILE",
        "HUB_BROKER_LOG_FILE",
    ):
        del environ[name]

    assert Settings.from_env(environ, (Lane.TELEMETRY,)).client_ids == {Lane.TELEMETRY: "t" * 32}
    with pytest.raises(SettingsError) as problem:
        Settings.from_env(environ, BOTH)
    assert len(str(problem.value).splitlines()) == 7


@pytest.mark.parametrize("prefixes", ["a/b", "$x,#", "$x,", "+", "a b"])
def test_a_prefix_is_one_level_without_wildcards(prefixes: str, environ: dict[str, str]) -> None:
    environ["HUB_TOPIC_PREFIXES"] = prefixes

    with pytest.raises(SettingsError, match="HUB_TOPIC_PREFIXES"):
        Settings.from_env(environ, BOTH)


def test_a_client_id_that_can_be_guessed_is_refused(environ: dict[str, str]) -> None:
    Path(environ["HUB_BRIDGE_CONTROL_ID_FILE"]).write_text("bridge")

    with pytest.raises(SettingsError, match="HUB_BRIDGE_CONTROL_ID_FILE"):
        Settings.from_env(environ, BOTH)
