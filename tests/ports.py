"""Ports for servers that tests start, which nobody else is given meanwhile."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# Below what Linux gives to outgoing connections (32768 and up): a port from there may be
# the near end of somebody's connection by the time its server listens.
_PORTS = range(15_000, 32_000)
_TRIES = 200

# The n-th byte of this file is locked by the process that was given port n, until that ends.
_claims = (Path(tempfile.gettempdir()) / f"devicehub-test-ports-{os.getuid()}").open("w")
_given: set[int] = set()


def free_port() -> int:
    """A port of the loopback address that no server has and no other process of tests was given."""
    for port in random.sample(_PORTS, k=_TRIES):
        if port not in _given and _is_free(port) and _claim(port):
            _given.add(port)
            return port
    raise RuntimeError(f"None of {_TRIES} ports tried from {_PORTS.start} to {_PORTS.stop - 1} is free.")


def _claim(port: int) -> bool:
    try:
        fcntl.lockf(_claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):  # either may say that another process has it
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
