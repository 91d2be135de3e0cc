"""The running supervisor of a hub: started, asked and stopped over its socket."""

import contextlib
import http.client
import os
import resource
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from bridge.host import rpc
from infra.stack.paths import Paths
from infra.stack.supervisor import ORDER, STACK

_MOST_FILES = 1_048_576

# What of the caller's environment the processes of a hub may see.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONPATH", "SSL_CERT_FILE")


class NotRunning(Exception):
    """The hub's supervisor does not answer."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process under the supervisor; ``part`` is what it is one of, ``pid`` 0 where there is none."""

    name: str
    part: str
    state: str
    pid: int
    uptime_seconds: int
    error: str

    @property
    def has_failed(self) -> bool:
        """Whether it could not start, or ended by itself."""
        return self.state in ("backoff", "fatal", "exited", "unknown")


class Supervisor:
    """Orders to the supervisor of one hub; they raise NotRunning when it does not answer."""

    def __init__(self, paths: Paths) -> None:
        self._socket = paths.supervisor_socket

    def pid(self) -> int:
        """The supervisor's own process id."""
        return int(self._call("supervisor.getPID"))

    def processes(self) -> list[Process]:
        """Every process it looks after, in the order of starting."""
        found = [
            Process(
                name=str(told["name"]),
                part=str(told["group"]),
                state=str(told["statename"]).lower(),
                pid=int(told["pid"]),
                uptime_seconds=max(0, int(told["now"]) - int(told["start"])) if told["pid"] else 0,
                error=str(told["spawnerr"]),
            )
            for told in self._call("supervisor.getAllProcessInfo")
        ]
        return sorted(found, key=lambda one: ORDER.index(one.part))

    def start(self, part: str) -> None:
        """Start every process of a part; returns when they are started, not when they are ready."""
        self._call("supervisor.startProcessGroup", part, False)

    def stop(self) -> int:
        """Have it stop everything and itself, and give its process id; returns before that is done."""
        pid = self.pid()
        self._call("supervisor.shutdown")
        return pid

    def poke(self) -> None:
        """Make it look at its processes now; nothing happens where it does not answer."""
        with contextlib.suppress(NotRunning):
            self._call("supervisor.getState")

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return rpc.call(self._socket, method, *arguments)
        except (OSError, http.client.HTTPException) as problem:
            raise NotRunning(str(problem)) from problem
        except xmlrpc.client.Fault as problem:
            if "SHUTDOWN_STATE" in problem.faultString:
                raise NotRunning("it is stopping") from problem
            raise


def launch(paths: Paths, environ: Mapping[str, str], *, wrapper: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start the supervisor as a child in a session of its own, so that Ctrl-C reaches only its starter."""
    _allow_many_connections()
    command = (*wrapper, sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(paths.supervisor_config))
    log = os.open(paths.log("supervisor"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603
            command,
            cwd="/",
            env={STACK: str(paths.data)} | {name: environ[name] for name in _INHERITED if name in environ},
            stdin=subprocess.DEVNULL,
            # It writes its own log; this is for what it says before it has one.
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            umask=0o077,
        )
    finally:
        os.close(log)


def _allow_many_connections() -> None:
    """Let this process, and so what it starts, have as many files open as the system grants.

    The usual limit of 1,024 is meant for programs that use select(); the
    broker needs a file for each device.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def wait_for_end(pids: Sequence[int], seconds: float) -> list[int]:
    """Wait until processes have ended, whoever's children they are; those that have not after so long."""
    deadline = time.monotonic() + seconds
    left = list(pids)
    while left := [pid for pid in left if is_alive(pid)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(0.02)
    return left


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet collected by its parent does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
