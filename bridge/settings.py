"""Settings of the MQTT bridge's process."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bridge.broker.server import ServerFiles
from bridge.mqtt.topics import Lane
from bridge.mqtt.wire import BrokerAddress, Tls
from functions.contract.environment import Environment
from functions.contract.logs import FORMATS, LEVELS
from functions.contract.subjects import MQTT_PREFIX
from functions.domain.names import is_token

_PREFIX = re.compile(r"\$?[A-Za-z0-9_-]{1,64}", re.ASCII)
# 128 random bits in hexadecimal: whoever connects with a lane's client id takes its session over.
_CLIENT_ID = re.compile(r"[0-9A-Za-z]{32,}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the bridge is told; secrets are read from the files that the environment names.

    ``client_ids`` holds one for each lane that this process runs; the broker's
    files are needed where that is the control lane.
    """

    nats_url: str
    nats_password: str = field(repr=False)
    broker: str
    address: BrokerAddress
    user: str
    password: str = field(repr=False)
    client_ids: Mapping[Lane, str] = field(repr=False)
    prefixes: tuple[str, ...]
    crl_file: Path
    server_files: ServerFiles
    pid_file: Path
    broker_log: Path
    mqtt_port: int
    log_level: str
    log_format: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str], lanes: Collection[Lane]) -> Self:
        """Read ``HUB_*`` for a process that runs these lanes.

        Raises:
            SettingsError: with every fault found.
        """
        env = Environment(environ)
        keeps = Lane.CONTROL in lanes
        settings = cls(
            nats_url=env.text("HUB_NATS_URL", "nats://127.0.0.1:4222"),
            nats_password=env.secret("HUB_NATS_PASSWORD_FILE"),
            broker=_broker(env),
            address=_address(env),
            user=env.text("HUB_BROKER_USER", "@bridge"),
            password=env.secret("HUB_BROKER_PASSWORD_FILE"),
            client_ids={lane: _client_id(env, lane) for lane in lanes},
            prefixes=_prefixes(env),
            crl_file=env.path("HUB_BROKER_CRL_FILE", None if keeps else "crl.pem"),
            server_files=_server_files(env, keeps=keeps),
            pid_file=env.path("HUB_BROKER_PID_FILE", None if keeps else "mosquitto.pid"),
            broker_log=env.path("HUB_BROKER_LOG_FILE", None if keeps else "broker.log"),
            mqtt_port=env.number("HUB_MQTT_PORT", 8883, least=1, most=65_535),
            log_level=env.choice("HUB_LOG_LEVEL", LEVELS, "info"),
            log_format=env.choice("HUB_LOG_FORMAT", FORMATS, "auto"),
        )
        env.done()
        return settings


def _broker(env: Environment) -> str:
    name = env.text("HUB_BROKER_NAME", "local")
    if not is_token(name):
        env.fault(f"HUB_BROKER_NAME is '{name}'; it must be 1 to 64 letters, digits, '_' or '-'")
    return name


def _address(env: Environment) -> BrokerAddress:
    url = env.text("HUB_BROKER_URL")
    tls = None
    if url.startswith("mqtts:"):
        tls = Tls(
            env.path("HUB_BROKER_CA_FILE"),
            env.path("HUB_BROKER_CERTIFICATE_FILE"),
            env.path("HUB_BROKER_KEY_FILE"),
        )
    try:
        return BrokerAddress.parse(url, tls)
    except ValueError as problem:
        if url:
            env.fault(f"HUB_BROKER_URL: {problem}")
        return BrokerAddress()


def _server_files(env: Environment, *, keeps: bool) -> ServerFiles:
    names = tuple(name.strip() for name in env.text("HUB_BROKER_HOSTNAMES", None if keeps else ",").split(","))
    return ServerFiles(
        env.path("HUB_BROKER_TRUST_FILE", None if keeps else "ca.crt"),
        env.path("HUB_BROKER_SERVER_FILE", None if keeps else "server.pem"),
        tuple(name for name in names if name),
    )


def _client_id(env: Environment, lane: Lane) -> str:
    name = f"HUB_BRIDGE_{lane.upper()}_ID_FILE"
    client_id = env.secret(name)
    if client_id and _CLIENT_ID.fullmatch(client_id) is None:
        env.fault(f"{name} must hold at least 32 letters and digits, as 'openssl rand -hex 16' makes them")
    return client_id


def _prefixes(env: Environment) -> tuple[str, ...]:
    text = env.text("HUB_TOPIC_PREFIXES", MQTT_PREFIX)
    prefixes = tuple(dict.fromkeys(prefix.strip() for prefix in text.split(",")))
    if not all(_PREFIX.fullmatch(prefix) for prefix in prefixes):
        env.fault(f"HUB_TOPIC_PREFIXES is '{text}'; it must be names like {MQTT_PREFIX}, separated by commas")
    return prefixes
