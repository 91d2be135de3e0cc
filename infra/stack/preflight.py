"""What must hold before anything is started; each failure is a sentence, and one that says how to mend it."""

import errno
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from infra.problem import Problem, Problems
from infra.settings import Address, Settings
from infra.stack import supervisor
from infra.stack.programs import Programs, find_programs

_MB = 1024 * 1024
_LEAST_FREE_BYTES = 200 * _MB


def check(settings: Settings) -> Programs:
    """Look at the programs and the ports.

    Raises:
        Problems: with everything found.
    """
    found: list[Problem] = []
    programs: Programs | None = None
    try:
        programs = find_programs(embedded_nats=settings.nats_url is None)
    except Problems as missing:
        found += missing.problems
    found += port_problems("HUB_MQTT_LISTEN", settings.mqtt_listen)
    found += port_problems("HUB_HTTP_LISTEN", settings.http_listen)
    if settings.nats_url is None:
        found += port_problems("HUB_NATS_LISTEN", settings.nats_listen)
    if found or programs is None:
        raise Problems(found)
    return programs


def data_problems(
    data: Path, free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
) -> Iterator[Problem]:
    """What is wrong with the data directory, which need not exist yet."""
    if signs := supervisor.unfit(data):
        yield Problem(
            f"The path {data} holds {' '.join(map(repr, signs))}, which the servers' configurations cannot carry.",
            "Choose another with --data or HUB_DATA_DIR.",
        )
        return
    nearest = next(path for path in (data, *data.parents) if _exists(path))
    elsewhere = "Choose another with --data or HUB_DATA_DIR, or mend its permissions."
    if not nearest.is_dir():
        yield Problem(f"{nearest} is a file, so it cannot hold the hub's data.", elsewhere)
        return
    if nearest == data and data.stat().st_uid != os.geteuid():
        yield Problem(
            f"The data directory {data} belongs to {_user_name(data.stat().st_uid)}, not to this user.",
            "Run the command as that user, or choose another with --data or HUB_DATA_DIR.",
        )
        return
    if problem := _write_problem(nearest):
        yield Problem(f"The data directory {data} cannot be written: {problem}.", elsewhere)
        return
    if (free := free_bytes(nearest)) < _LEAST_FREE_BYTES:
        yield Problem(
            f"The disk of {data} has only {free // _MB} MB free; the hub needs {_LEAST_FREE_BYTES // _MB} MB.",
            "Make room, or choose another disk with --data or HUB_DATA_DIR.",
        )


def port_problems(name: str, address: Address) -> Iterator[Problem]:
    """Why a server could not listen on an address, if it could not."""
    family, where = (socket.AF_INET6, address.host) if ":" in address.host else (socket.AF_INET, address.host)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: what lingers of closed connections is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((where, address.port))
            probe.listen(1)
        except OSError as problem:
            yield _port_problem(name, address, problem)


def _port_problem(name: str, address: Address, problem: OSError) -> Problem:
    other = f"Set another address with {name}."
    if problem.errno == errno.EADDRINUSE:
        return Problem(
            f"Port {address.port} ({name}={address}) is in use{_holder(address.port)}.",
            f"Stop what uses it, or choose another port: {name}={Address(address.host, _next_free(address))}",
        )
    if problem.errno == errno.EACCES:
        return Problem(f"This user may not listen on port {address.port} ({name}={address}).", other)
    if problem.errno == errno.EADDRNOTAVAIL or isinstance(problem, socket.gaierror):
        return Problem(f"This host has no address {address.host} ({name}={address}).", other)
    return Problem(f"Nothing can listen on {address} ({name}): {problem.strerror or problem}.", other)


def _holder(port: int) -> str:
    """Who listens on a port, as far as this user may know: ``" by NAME (process N)"``."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        if _is_listener(connection, port) and connection.pid:
            try:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                return ""
    return ""


def listens(pid: int, port: int) -> bool:
    """Whether a process of this user, or one that it started, listens on a port."""
    try:
        process = psutil.Process(pid)
        found = [one.net_connections("tcp") for one in (process, *process.children(recursive=True))]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return any(_is_listener(one, port) for each in found for one in each)


def _is_listener(connection: Any, port: int) -> bool:
    """Whether it is a socket of ``psutil`` that waits for connections on a port."""
    return bool(connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,))


def _next_free(address: Address) -> int:
    """A port near the wanted one that is free now."""
    for port in range(address.port + 1, min(address.port + 100, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET) as probe:
            try:
                probe.bind((address.host, port))
            except OSError:
                continue
            return port
    return address.port


def _write_problem(directory: Path) -> str:
    """Why nothing can be written into a directory; empty if something can."""
    probe = directory / f".devicehub-{os.getpid()}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, b"\0" * 4096)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            probe.unlink()
    except OSError as problem:
        return problem.strerror or str(problem)
    return ""


def _exists(path: Path) -> bool:
    """Whether a path is there as far as this user may see."""
    try:
        return path.exists()
    except PermissionError:
        return False


def _user_name(uid: int) -> str:
    import pwd

    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
