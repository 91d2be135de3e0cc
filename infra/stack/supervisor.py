"""The supervisor's configuration: which processes run, and what becomes of them when they end.

``supervisor`` (PyPI) restarts what ends, and stops everything in the reverse
order of starting: gateway and bridge take no more before the functions finish what
they handed over, and NATS goes last.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.stack.parts import Part
from infra.stack.paths import Paths

# Names the data directory in the environment of the supervisor and of all that
# it starts: how a process is found that its supervisor did not live to end.
STACK = "HUB_STACK"

# What a configuration below cannot carry, whatever the quoting.
FORBIDDEN = frozenset("\"'\\%;#{}")

_LOG_BYTES = 10 * 1024 * 1024
_LOG_BACKUPS = 3
# In which they are started; stopped the other way round.
ORDER = ("nats", "mosquitto", "functions", "index", "bridge", "host", "gateway")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is not ours, started at once with the supervisor."""

    name: str
    command: tuple[str, ...]


def render(
    paths: Paths, servers: Sequence[Server], parts: Sequence[Part], *, wrapper: Sequence[str], runs_as_root: bool
) -> str:
    """The supervisor's configuration.

    Our parts are not started with it: ``devicehub up`` starts them when what
    they need is there.

    Args:
        paths: where everything lies.
        servers: NATS and the broker.
        parts: our own.
        wrapper: a command that runs another so that it ends with the supervisor.
        runs_as_root: whether it must say that root is meant, and no oversight.
    """
    sections = [
        _section("unix_http_server", {"file": str(paths.supervisor_socket), "chmod": "0600"}),
        _section(
            "supervisord",
            {
                "nodaemon": "true",
                "pidfile": str(paths.supervisor_pid),
                "logfile": str(paths.log("supervisor")),
                "logfile_maxbytes": str(_LOG_BYTES),
                "logfile_backups": str(_LOG_BACKUPS),
                "childlogdir": str(paths.logs),
                "directory": "/",
                **({"user": "root"} if runs_as_root else {}),
            },
        ),
        _section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
    ]
    sections += [_program(paths, server.name, (*wrapper, *server.command), {}, 1, "true") for server in servers]
    sections += [
        _program(paths, part.name, (*wrapper, *part.command), part.environment, part.processes, "false")
        for part in parts
    ]
    return "; Made by 'devicehub up'; changes are lost at the next start.\n" + "\n".join(sections)


def _program(
    paths: Paths, name: str, command: Sequence[str], environment: Mapping[str, str], processes: int, autostart: str
) -> str:
    process = name if processes == 1 else f"{name}-%(process_num)d"
    settings = {
        "command": shlex.join(command).replace("%", "%%"),
        "process_name": process,
        "numprocs": str(processes),
        "priority": str(10 * (1 + ORDER.index(name))),
        "autostart": autostart,
        "autorestart": "true",
        "startsecs": "1",
        # Each retry waits a second longer than the last; giving up is never right.
        "startretries": "1000000",
        "stopsignal": "TERM",
        "stopwaitsecs": "20",
        "redirect_stderr": "true",
        "stdout_logfile": str(paths.logs / f"{process}.log"),
        "stdout_logfile_maxbytes": str(_LOG_BYTES),
        "stdout_logfile_backups": str(_LOG_BACKUPS),
    }
    if environment:
        settings["environment"] = ",".join(f'{key}="{value}"' for key, value in environment.items())
    return _section(f"program:{name}", settings)


def _section(name: str, settings: Mapping[str, str]) -> str:
    return "\n".join((f"[{name}]", *(f"{key} = {value}" for key, value in settings.items()), ""))


def unfit(path: Path) -> str:
    """The characters of a path that no configuration can carry; empty if it is fit."""
    return "".join(sorted({sign for sign in str(path) if sign in FORBIDDEN or not sign.isprintable()}))
