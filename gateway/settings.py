"""Settings of the gateway process, and the bounds of what it takes."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from functions.contract.environment import Environment
from functions.contract.logs import FORMATS, LEVELS

_DEFAULT_LISTEN = "0.0.0.0:8080"
# A proxy on this machine.
THIS_MACHINE = ("127.0.0.0/8", "::1")
_NOBODY = "none"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client may ask of the gateway before it is refused.

    Args:
        body_bytes: the largest body.
        list_bytes: the largest body where a whole list is sent.
        import_bytes: the largest import of devices, which is worked on as it comes.
        body_seconds: within which the body must have come; where it is worked on as it comes, each piece of it.
        head_bytes: the largest request line and headers together, to within one read of the socket (64 KiB).
        request_seconds: within which a whole request must have come, and the first one on a connection.
        requests: being answered at once; beyond them a request is refused with 503.
        connections: open at once; beyond them a connection is closed.
        sockets: WebSockets open at once, of these connections.
        frame_bytes: the largest message that a client may send on one.
    """

    body_bytes: int = 1024 * 1024
    list_bytes: int = 8 * 1024 * 1024
    import_bytes: int = 1024 * 1024 * 1024
    body_seconds: float = 20.0
    head_bytes: int = 32 * 1024
    request_seconds: float = 30.0
    requests: int = 1024
    connections: int = 4096
    sockets: int = 3072
    frame_bytes: int = 512 * 1024


@dataclass(frozen=True, slots=True)
class Files:
    """Where the certificate lies, with those between it and its root, and its private key; it may be one file."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What the gateway is told; secrets are read from the files that the environment names.

    ``tls`` is None where it speaks plain HTTP; ``proxies`` are the addresses
    and networks whose ``X-Forwarded-For`` and ``-Proto`` are believed;
    ``webui`` is the folder of the built web interface, if there is one, and
    ``asyncapi`` the file that describes the hub's messages.
    """

    host: str
    port: int
    nats_url: str
    nats_password: str = field(repr=False)
    log_level: str = "info"
    log_format: str = "auto"
    bounds: Bounds = Bounds()
    tls: Files | None = None
    proxies: tuple[str, ...] = THIS_MACHINE
    webui: Path | None = None
    asyncapi: Path | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read ``HUB_*``.

        Raises:
            SettingsError: with every fault found.
        """
        env = Environment(environ)
        host, port = _address(env)
        settings = cls(
            host=host,
            port=port,
            nats_url=env.text("HUB_NATS_URL", "nats://127.0.0.1:4222"),
            nats_password=env.secret("HUB_NATS_PASSWORD_FILE"),
            log_level=env.choice("HUB_LOG_LEVEL", LEVELS, "info"),
            log_format=env.choice("HUB_LOG_FORMAT", FORMATS, "auto"),
            tls=tls_files(env) if env.choice("HUB_HTTP_TLS", ("off", "files"), "off") == "files" else None,
            proxies=proxies(env),
            webui=folder(env, "HUB_WEBUI_DIR"),
            asyncapi=Path(named) if (named := env.text("HUB_ASYNCAPI_FILE", "-").removeprefix("-")) else None,
        )
        env.done()
        return settings


def tls_files(env: Environment) -> Files:
    """Certificate and key of the gateway, which must be named."""
    return Files(env.path("HUB_HTTP_CERTIFICATE_FILE"), env.path("HUB_HTTP_KEY_FILE"))


def proxies(env: Environment) -> tuple[str, ...]:
    """``HUB_HTTP_PROXIES``: addresses and networks, comma-separated; ``none`` for nobody."""
    text = env.text("HUB_HTTP_PROXIES", ",".join(THIS_MACHINE))
    if text == _NOBODY:
        return ()
    told = tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    for one in told:
        try:
            ipaddress.ip_network(one)
        except ValueError:
            env.fault(
                f"HUB_HTTP_PROXIES has '{one}', which is neither an IP address nor a network such as 10.0.0.0/8;"
                f" '{_NOBODY}' is for nobody"
            )
    return told


def folder(env: Environment, name: str) -> Path | None:
    """A folder that must be there, if one is named."""
    text = env.text(name, "-").removeprefix("-")
    if not text:
        return None
    path = Path(text)
    if not path.is_dir():
        env.fault(f"{name} is '{text}', which is no folder")
    return path


def _address(env: Environment) -> tuple[str, int]:
    """Where to listen: ``host:port``, IPv6 as ``[::1]:8080``."""
    text = env.text("HUB_HTTP_LISTEN", _DEFAULT_LISTEN)
    host, _, port = text.rpartition(":")
    if port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65_535:
        if host.startswith("[") and host.endswith("]") and _is_ipv6(host[1:-1]):
            return host[1:-1], int(port)
        if host and not set(host) & set("[]: "):
            return host, int(port)
    env.fault(f"HUB_HTTP_LISTEN is '{text}'; it must be host:port, for example {_DEFAULT_LISTEN}")
    return "127.0.0.1", 0


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
