"""Settings of the local stack: from the environment, and a ``.env``-style file that ``HUB_CONFIG`` names.

What the environment says comes before what the file says.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from functions.contract.environment import Environment, grace_seconds, session_lifetime
from functions.contract.logs import FORMATS, LEVELS
from functions.domain.hosts import HOST_NAME, is_host
from functions.domain.logins import SessionLifetime
from functions.domain.telemetry import Keeping
from functions.settings import keeping, query_paths
from gateway.settings import THIS_MACHINE, Files, folder, proxies, tls_files

_PREFIX = re.compile(r"\$[A-Za-z0-9_-]{1,64}")
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104  # These are recognised, not listened on.

# The setting, and the service's credential in its place.
_CA_PASSPHRASE = ("HUB_CA_PASSPHRASE_FILE", "ca-passphrase")

HTTP_TLS = ("off", "hub", "files")

INSTALLED_DATA = Path("/var/lib/devicehub")

# Where the web interface is built to, in a clone as in a wheel.
WEBUI = Path(__file__).with_name("webui")


@dataclass(frozen=True, slots=True)
class Address:
    """A host (as a rule an IP address) and port to listen on; IPv6 is written ``[::1]:8883``."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_anywhere(self) -> bool:
        """Whether every address of the host is meant."""
        return self.host in _ANYWHERE

    @property
    def reach(self) -> "Address":
        """Where a client on this host finds the listener."""
        if not self.is_anywhere:
            return self
        return Address("::1" if ":" in self.host else "127.0.0.1", self.port)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``host:port``.

        Raises:
            ValueError: it is something else.
        """
        host, _, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = str(ipaddress.IPv6Address(host[1:-1]))
        elif not HOST_NAME.fullmatch(host):
            raise ValueError(f"'{text}' is not host:port")
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise ValueError(f"'{port}' is no port")
        return cls(host, int(port))


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``devicehub up`` is told; no ``nats_url`` means the embedded server, no ``hostnames`` this host's.

    ``http_tls`` is ``off``, ``hub`` (a certificate of the hub's CA) or
    ``files`` (those of ``http_files``).

    Without a ``ca_passphrase``, the CA's private key lies there as it is, for this user alone.
    """

    data: Path
    http_listen: Address
    mqtt_listen: Address
    hostnames: tuple[str, ...]
    nats_url: str | None
    nats_listen: Address
    topic_prefixes: tuple[str, ...]
    workers: int
    renewal_grace_seconds: int
    session_lifetime: SessionLifetime
    query_paths: tuple[str, ...]
    keeping: Keeping
    log_level: str
    log_format: str
    ca_passphrase_file: Path | None = None
    ca_passphrase: bytes | None = field(default=None, repr=False)
    http_tls: str = "off"
    http_files: Files | None = None
    http_proxies: tuple[str, ...] = THIS_MACHINE
    webui: Path | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read ``HUB_*``.

        Raises:
            SettingsError: with every fault found.
        """
        environ, unreadable = with_config_file(environ)
        env = Environment(environ)
        for fault in unreadable:
            env.fault(fault)
        if env.text("HUB_MQTT_URL", "-") != "-":
            env.fault("HUB_MQTT_URL is set, but the local stack runs its own broker; unset it")
        http_tls = env.choice("HUB_HTTP_TLS", HTTP_TLS, "off")
        settings = cls(
            data=env.path("HUB_DATA_DIR", str(default_data(Path.cwd()))).expanduser().absolute(),
            http_listen=_address(env, "HUB_HTTP_LISTEN", "0.0.0.0:8080"),
            mqtt_listen=_address(env, "HUB_MQTT_LISTEN", "0.0.0.0:8883"),
            hostnames=_hostnames(env),
            nats_url=env.text("HUB_NATS_URL", "-").removeprefix("-") or None,
            nats_listen=_address(env, "HUB_NATS_LISTEN", "127.0.0.1:4222"),
            topic_prefixes=_prefixes(env),
            workers=env.number("HUB_WORKERS", default_workers(), least=1, most=256),
            renewal_grace_seconds=grace_seconds(env),
            session_lifetime=session_lifetime(env),
            query_paths=query_paths(env),
            keeping=keeping(env),
            log_level=env.choice("HUB_LOG_LEVEL", LEVELS, "info"),
            log_format=env.choice("HUB_LOG_FORMAT", FORMATS, "auto"),
            ca_passphrase_file=env.passphrase_file(*_CA_PASSPHRASE),
            ca_passphrase=env.passphrase(*_CA_PASSPHRASE),
            http_tls=http_tls,
            http_files=_http_files(env) if http_tls == "files" else None,
            http_proxies=proxies(env),
            webui=folder(env, "HUB_WEBUI_DIR") or _shipped_webui(),
        )
        if settings.mqtt_listen.port == settings.nats_listen.port and settings.nats_url is None:
            env.fault(f"HUB_MQTT_LISTEN and HUB_NATS_LISTEN have the same port {settings.mqtt_listen.port}")
        env.done()
        return settings


def _shipped_webui() -> Path | None:
    """The built web interface, which a wheel brings; in a clone it is there once it was built."""
    return WEBUI if (WEBUI / "index.html").is_file() else None


def with_config_file(environ: Mapping[str, str]) -> tuple[Mapping[str, str], list[str]]:
    """The environment with what the file named by ``HUB_CONFIG`` adds, and what is wrong with that file."""
    name = environ.get("HUB_CONFIG", "").strip()
    if not name:
        return environ, []
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        return environ, [f"HUB_CONFIG names a file that cannot be read: {problem}"]
    told, faults = parse_config(text)
    return {**told, **environ}, [f"{name}, {fault}" for fault in faults]


def parse_config(text: str) -> tuple[dict[str, str], list[str]]:
    """Read lines ``NAME=value``: blank lines and ``#`` comments are passed over, one pair of quotes is taken off."""
    told: dict[str, str] = {}
    faults: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            faults.append(f"line {number} is not NAME=value")
            continue
        name, value = match.groups()
        if value[:1] in ("'", '"'):
            closing = value.find(value[0], 1)
            if closing < 0:
                faults.append(f"line {number} opens a quote and does not close it")
                continue
            value = value[1:closing]
        else:
            value = value.partition(" #")[0].rstrip()
        told[name] = value
    return told, faults


def default_data(here: Path) -> Path:
    """``./data`` in a clone of this project, else the place of an installed hub."""
    try:
        is_clone = '\nname = "devicehub"\n' in (here / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        is_clone = False
    return here / "data" if is_clone else INSTALLED_DATA


def default_workers() -> int:
    """One function process less than this process may use cores, and at least one."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def _address(env: Environment, name: str, default: str) -> Address:
    text = env.text(name, default)
    try:
        return Address.parse(text)
    except ValueError:
        env.fault(f"{name} is '{text}'; it must be host:port, for example {default}")
        return Address.parse(default)


def _http_files(env: Environment) -> Files:
    """Certificate and key of the gateway; that they fit each other, the gateway sees."""
    files = tls_files(env)
    for name, path in (("HUB_HTTP_CERTIFICATE_FILE", files.certificate), ("HUB_HTTP_KEY_FILE", files.key)):
        if not os.access(path, os.R_OK):
            env.fault(f"{name} names a file that cannot be read: {path}")
    return Files(files.certificate.absolute(), files.key.absolute())


def _hostnames(env: Environment) -> tuple[str, ...]:
    names = [name.strip() for name in env.text("HUB_HOSTNAMES", ",").split(",") if name.strip()]
    for name in names:
        if not is_host(name):
            env.fault(f"HUB_HOSTNAMES has '{name}', which is neither a host name nor an IP address")
    return tuple(dict.fromkeys(names))


def _prefixes(env: Environment) -> tuple[str, ...]:
    prefixes = [prefix.strip() for prefix in env.text("HUB_TOPIC_PREFIXES", "$devicehub").split(",")]
    for prefix in prefixes:
        if not _PREFIX.fullmatch(prefix) or prefix in ("$SYS", "$CONTROL", "$share"):
            env.fault(f"HUB_TOPIC_PREFIXES has '{prefix}'; a prefix is '$' and a name, such as $devicehub")
    return tuple(dict.fromkeys(prefixes))
