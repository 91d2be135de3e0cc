"""Settings of the host shim's process."""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, cast

from bridge.host.allowed import Allowed
from functions.contract.environment import Environment
from functions.contract.logs import FORMATS, LEVELS
from functions.domain.names import is_token

SOURCES = ("systemd", "supervisor")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the shim is told; ``supervisor_socket`` and the directory ``logs`` count only with a supervisor.

    ``offers_dbus`` is whether programs of this machine reach the hub over its message bus.
    """

    nats_url: str
    nats_password: str = field(repr=False)
    node: str
    source: Literal["systemd", "supervisor"]
    allowed: Allowed
    supervisor_socket: Path
    logs: Path
    offers_dbus: bool
    log_level: str
    log_format: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read ``HUB_*``.

        Raises:
            SettingsError: with every fault found.
        """
        env = Environment(environ)
        source = env.choice("HUB_HOST_SOURCE", SOURCES, "systemd")
        settings = cls(
            nats_url=env.text("HUB_NATS_URL", "nats://127.0.0.1:4222"),
            nats_password=env.secret("HUB_NATS_PASSWORD_FILE"),
            node=_node(env),
            source=cast(Literal["systemd", "supervisor"], source),
            allowed=_allowed(env),
            supervisor_socket=env.path("HUB_SUPERVISOR_SOCKET", None if source == "supervisor" else "supervisor.sock"),
            logs=env.path("HUB_HOST_LOG_DIR", None if source == "supervisor" else "log"),
            offers_dbus=env.choice("HUB_DBUS_INTERFACE", ("off", "on"), "off") == "on",
            log_level=env.choice("HUB_LOG_LEVEL", LEVELS, "info"),
            log_format=env.choice("HUB_LOG_FORMAT", FORMATS, "auto"),
        )
        env.done()
        return settings


def _node(env: Environment) -> str:
    """The name that is set, else this machine's, with '-' for what no node name may have."""
    name = env.text("HUB_NODE_NAME", re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64])
    if not is_token(name):
        env.fault(f"HUB_NODE_NAME is '{name}'; it must be 1 to 64 letters, digits, '_' or '-'")
    return name


def _allowed(env: Environment) -> Allowed:
    units, essential = _units(env, "HUB_HOST_UNITS", None), _units(env, "HUB_HOST_ESSENTIAL_UNITS", ",")
    if stray := [unit for unit in essential if unit not in units]:
        env.fault(f"HUB_HOST_ESSENTIAL_UNITS has {', '.join(stray)}, which HUB_HOST_UNITS has not")
    return Allowed.of(units, essential)


def _units(env: Environment, name: str, default: str | None) -> list[str]:
    """Names with commas between; each is one unit, and no pattern."""
    units = [unit.strip() for unit in env.text(name, default).split(",") if unit.strip()]
    for unit in units:
        if _UNIT.fullmatch(unit) is None:
            env.fault(f"{name} has '{unit}', which is no name of a unit")
    return units
