"""Clocks: certificates, deadlines and the order of writes depend on them, and the parts may be on several hosts."""

import asyncio
import os
import re
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nats.errors
import orjson

from infra.doctor.finding import Finding, Patient, span, utc_now
from infra.problem import Problem
from infra.settings import Address
from infra.stack import readiness

# A call's deadline is a few seconds away, so clocks that differ by more make calls fail.
_MOST_APART = timedelta(seconds=2)
_SECONDS = 3.0
_TAIL_BYTES = 64 * 1024
_MEND = "Let every host follow a time server: timedatectl set-ntp true"


async def clocks(patient: Patient) -> list[Finding]:
    """Whether this host's clock agrees with those that the hub's servers, parts and files go by."""
    found = list(_went_back(patient))
    asked: dict[str, Callable[[Patient], Awaitable[datetime | None]]] = {
        "the file system": _of_files,
        "the NATS server": _of_nats,
        "the broker": _of_broker,
        "the gateway": _of_gateway,
    }
    agreeing = []
    for name, ask in asked.items():
        before = utc_now()
        told = await ask(patient)
        after = utc_now()
        if told is None:
            continue
        apart = max(before - told, told - after, timedelta(0))
        if apart > _MOST_APART:
            way = "behind" if told < before else "ahead of"
            found.append(Finding.wrong(f"The clock of {name} is {span(apart)} {way} this host's.", _MEND))
        else:
            agreeing.append(name)
    if agreeing:
        found.append(Finding(f"This host's clock agrees with {', '.join(agreeing)}"))
    return found


def _went_back(patient: Patient) -> list[Finding]:
    """A clock that is behind what was written here earlier."""
    if patient.node is None:
        return []
    written = datetime.fromtimestamp(patient.paths.node.stat().st_mtime, UTC)
    if written - patient.now > _MOST_APART:
        return [Finding.wrong(f"The clock is {span(written - patient.now)} behind the hub's last start.", _MEND)]
    return []


async def _of_files(patient: Patient) -> datetime | None:
    """A file server stamps files by its own clock."""
    folder = next(path for path in (patient.paths.data, *patient.paths.data.parents) if path.exists())
    if not os.access(folder, os.W_OK):
        return None
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0")
        file.flush()
        # The kernel stamps by a clock that goes in steps of up to 10 ms.
        return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)


async def _of_nats(patient: Patient) -> datetime | None:
    """The server says when it gathered what it tells of a stream."""
    if patient.report is None or patient.node is None:
        return None
    try:
        password = patient.paths.nats_password("admin").read_text(encoding="ascii").strip()
        async with readiness.bus_connection(patient.node.nats_url, "admin", password) as client:
            reply = await client.request("$JS.API.STREAM.INFO.KV_hub-devices-0", b"", timeout=_SECONDS)
            return datetime.fromisoformat(orjson.loads(reply.data)["ts"])
    except (Problem, OSError, ValueError, KeyError, nats.errors.Error):
        # That it cannot be asked is told where the storage is looked at.
        return None


async def _of_broker(patient: Patient) -> datetime | None:
    """The broker writes the time of each connection, also of one that is given up."""
    if patient.report is None or patient.node is None:
        return None
    log = patient.paths.log("mosquitto")
    address = Address.parse(patient.node.mqtt_listen).reach
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address.host, address.port), _SECONDS)
        own = writer.get_extra_info("sockname")[1]
        line = re.compile(rf"^(\d+): New connection from \S+:{own} on port ", re.MULTILINE)
        try:
            async with asyncio.timeout(_SECONDS):
                # Another process writes it; there is no event to await.
                while not (found := line.search(_tail(log))):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        finally:
            writer.close()
    except (OSError, TimeoutError):
        return None
    # Whole seconds, cut off: any time within is as good, so the one nearest to ours.
    begun = datetime.fromtimestamp(int(found[1]), UTC)
    return min(max(utc_now(), begun), begun + timedelta(seconds=1))


async def _of_gateway(patient: Patient) -> datetime | None:
    """``/health`` tells the time."""
    if patient.report is None or patient.node is None or not patient.node.http_listen:
        return None
    address = Address.parse(patient.node.http_listen).reach
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(
                address.host, address.port, ssl=_unchecked() if patient.node.http_tls != "off" else None
            )
            writer.write(f"GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
        return datetime.fromisoformat(orjson.loads(answer.partition(b"\r\n\r\n")[2])["timestamp"])
    except (OSError, TimeoutError, ValueError, KeyError):
        return None


def _unchecked() -> ssl.SSLContext:
    """TLS to this machine's own gateway, which has a name for others, and perhaps of a CA that only they know."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _tail(file: Path) -> str:
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        return log.read().decode(errors="replace")
