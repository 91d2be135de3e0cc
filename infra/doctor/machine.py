"""The machine: versions, ports, the disk, and who may read the hub's secrets."""

import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.doctor.finding import Finding, Patient
from infra.problem import Problems
from infra.settings import Address
from infra.stack import readiness
from infra.stack.preflight import data_problems, port_problems
from infra.stack.programs import find_programs, read_version

_OLDEST_PYTHON = (3, 11)
# Telemetry of a week can take some GiB.
_LITTLE_BYTES = 1024**3
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


async def versions(patient: Patient) -> list[Finding]:
    """Whether the programs are there and not too old."""
    found = [Finding(f"Python {platform.python_version()}")]
    if sys.version_info < _OLDEST_PYTHON:
        found = [Finding.wrong(f"Python is {platform.python_version()}.", "Install Python 3.11 or later.")]
    try:
        programs = find_programs(embedded_nats=patient.settings.nats_url is None)
    except Problems as missing:
        return found + [Finding.of(problem) for problem in missing.problems]
    found.append(Finding(f"Mosquitto {_version(programs.mosquitto, '-h')}, with its dynamic security plugin"))
    if programs.nats_server is not None:
        found.append(Finding(f"nats-server {_version(programs.nats_server, '--version')}"))
    return found


async def disk(patient: Patient) -> list[Finding]:
    """Whether the data directory can be used and has room."""
    data = patient.paths.data
    problems = [Finding.of(problem) for problem in data_problems(data)]
    if problems:
        return problems
    free = shutil.disk_usage(next(path for path in (data, *data.parents) if path.exists())).free
    if free < _LITTLE_BYTES:
        return [
            Finding.wrong(
                f"The disk of {data} has only {free // 2**20} MiB free.",
                "Make room, or move the data directory to a larger disk while the hub is stopped.",
            )
        ]
    return [Finding(f"{free / 2**30:.0f} GiB free for {data}")]


async def ports(patient: Patient) -> list[Finding]:
    """Whether the hub listens, or could."""
    addresses = _listened(patient)
    if patient.report is None:
        taken = [problem for name, address in addresses.items() for problem in port_problems(name, address)]
        if taken:
            return [Finding.of(problem) for problem in taken]
        return [Finding(f"Free to listen on: {', '.join(map(str, addresses.values()))}")]
    found = []
    for name, address in addresses.items():
        if await readiness.accepts(address.reach):
            found.append(Finding(f"Listening on {address} ({name})"))
        else:
            mend = "'devicehub status' says which part is not ready, 'devicehub logs PART' why."
            found.append(Finding.wrong(f"Nothing answers on {address} ({name}).", mend))
    return found


async def secrets(patient: Patient) -> list[Finding]:
    """Whether only the hub's user can read what nobody else may."""
    if patient.node is None:
        return []
    files = sorted(path for path in _secret_files(patient) if path.exists())
    open_ones = [path for path in files if stat.S_IMODE(path.lstat().st_mode) & _OTHERS]
    missing = [file for file in (patient.paths.ca_key, patient.paths.secret("uuid-key")) if not file.exists()]
    found = [Finding.wrong(f"{file} is gone.", "Restore it from a backup.") for file in missing]
    found += [
        Finding.wrong(f"{path} can be read by other users.", f"Run: chmod {'700' if path.is_dir() else '600'} {path}")
        for path in open_ones
    ]
    return found or [Finding(f"{len(files)} secret files and directories are for the hub's user only")]


def _secret_files(patient: Patient) -> Iterator[Path]:
    paths = patient.paths
    yield from (paths.secrets, paths.ca_key, paths.nats_config)
    yield from (paths.broker / name for name in ("server.pem", "passwd", "dynsec.json"))
    for pattern in ("secrets/*", "claims/*/*.key", "simulator", "simulator/*.pem"):
        yield from paths.data.glob(pattern)


def _listened(patient: Patient) -> dict[str, Address]:
    """Where the hub listens: as it was started, else as it would be."""
    settings, node = patient.settings, patient.node
    if patient.report is None or node is None:
        found = {"HUB_MQTT_LISTEN": settings.mqtt_listen, "HUB_HTTP_LISTEN": settings.http_listen}
        return found | ({} if settings.nats_url else {"HUB_NATS_LISTEN": settings.nats_listen})
    found = {"HUB_MQTT_LISTEN": Address.parse(node.mqtt_listen)}
    if node.http_listen:
        found["HUB_HTTP_LISTEN"] = Address.parse(node.http_listen)
    return found | {"NATS": readiness.nats_address(node.nats_url)}


def _version(program: Path, option: str) -> str:
    return ".".join(map(str, read_version(program, option))) or "of an unknown version"
