"""Settings of a function process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

from functions.contract.environment import Environment, grace_seconds, session_lifetime
from functions.contract.logs import FORMATS, LEVELS
from functions.contract.subjects import MQTT_PREFIX
from functions.domain.bundles import Site
from functions.domain.inventory import parse_paths
from functions.domain.logins import SessionLifetime
from functions.domain.telemetry import DAY, Keeping
from functions.route import Role


def query_paths(env: Environment) -> tuple[str, ...]:
    """The paths of what devices report that queries can name: ``HUB_QUERY_PATHS``, with commas between."""
    try:
        return parse_paths(env.text("HUB_QUERY_PATHS", ","))
    except ValueError as wrong:
        env.fault(f"HUB_QUERY_PATHS {wrong}")
        return ()


def keeping(env: Environment) -> Keeping:
    """How long telemetry, events and numbers by hour are kept, and how large the store may be."""
    telemetry, events, numbers = (
        DAY * env.number(name, days, least=1, most=36_500)
        for name, days in (
            ("HUB_TELEMETRY_DAYS", 31),
            ("HUB_EVENTS_DAYS", 92),
            ("HUB_TELEMETRY_HOURLY_DAYS", 732),
        )
    )
    mebibytes = env.number("HUB_TELEMETRY_MIB", 8192, least=16, most=10_000_000)
    return Keeping(telemetry, events, numbers, mebibytes * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a function process is told; secrets are read from the files that the environment names."""

    role: Role
    nats_url: str
    nats_password: str = field(repr=False)
    ca_certificate: Path
    ca_key: Path
    ca_passphrase: bytes | None = field(repr=False)
    uuid_key: bytes = field(repr=False)
    site: Site
    renewal_grace: timedelta
    session_lifetime: SessionLifetime
    query_paths: tuple[str, ...]
    log_level: str
    log_format: str
    keeping: Keeping
    index_dir: Path | None = None
    telemetry_dir: Path | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read ``HUB_*``.

        Raises:
            SettingsError: with every fault found.
        """
        env = Environment(environ)
        uuid_key = env.secret("HUB_UUID_KEY_FILE")
        try:
            key = bytes.fromhex(uuid_key)
        except ValueError:
            key = b""
            env.fault("HUB_UUID_KEY_FILE names a file that is not hexadecimal")
        settings = cls(
            role=Role(env.choice("HUB_FUNCTIONS_ROLE", tuple(Role), Role.WORKER)),
            nats_url=env.text("HUB_NATS_URL", "nats://127.0.0.1:4222"),
            nats_password=env.secret("HUB_NATS_PASSWORD_FILE"),
            ca_certificate=env.path("HUB_CA_CERTIFICATE_FILE"),
            ca_key=env.path("HUB_CA_KEY_FILE"),
            ca_passphrase=env.passphrase("HUB_CA_PASSPHRASE_FILE", "ca-passphrase"),
            uuid_key=key,
            site=Site(
                env.text("HUB_DEVICE_HOST", "localhost"),
                env.number("HUB_MQTT_PORT", 8883, least=1, most=65_535),
                env.text("HUB_TOPIC_PREFIXES", MQTT_PREFIX).partition(",")[0].strip(),
            ),
            renewal_grace=timedelta(seconds=grace_seconds(env)),
            session_lifetime=session_lifetime(env),
            query_paths=query_paths(env),
            log_level=env.choice("HUB_LOG_LEVEL", LEVELS, "info"),
            log_format=env.choice("HUB_LOG_FORMAT", FORMATS, "auto"),
            keeping=keeping(env),
            index_dir=Path(index_dir) if (index_dir := env.text("HUB_INDEX_DIR", "")) else None,
            telemetry_dir=Path(telemetry_dir) if (telemetry_dir := env.text("HUB_TELEMETRY_DIR", "")) else None,
        )
        env.done()
        return settings
