"""The hub under load: one of its own in a directory of its own, with devices registered in it."""

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
from nats.aio.client import Client

from functions.contract.bus import Bus
from functions.contract.messages import DeviceCreate, EnrolmentOpen, EnrolmentView, Issued, TokenCreate, TokenCreated
from functions.contract.requests import make_request
from infra.node import known_paths
from infra.stack.paths import Paths
from tests.bench.measure import Processes
from tests.bench.mqtt import Where
from tests.e2e.rig import CLI, RunningHub

_AT_ONCE = 16
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Device:
    """A registered device: its id, and the TLS context with its certificate."""

    name: str
    context: ssl.SSLContext

    def topic(self, rest: str) -> str:
        return f"$devicehub/devices/{self.name}/{rest}"


@dataclass
class Stage:
    """A running hub with the connections of the benchmarks to it."""

    hub: RunningHub
    bus: Bus
    client: Client
    admin: Client
    ready_seconds: float
    extra: dict[str, list[psutil.Process]] = field(default_factory=dict)
    _devices: list[Device] = field(default_factory=list)

    @property
    def paths(self) -> Paths:
        return known_paths(self.hub.data)[0]

    @property
    def broker(self) -> Where:
        return Where(port=self.hub.mqtt_port)

    @property
    def claim(self) -> ssl.SSLContext:
        who = self.hub.claim
        return context(who.ca, who.certificate, who.key)

    async def devices(self, number: int) -> Sequence[Device]:
        """That many devices; the same ones each time, made as they are needed."""
        missing = range(len(self._devices), number)
        self._devices += await many(self._register, [f"bench-{index:04}" for index in missing], _AT_ONCE)
        return self._devices[:number]

    async def open_enrolment(self) -> None:
        await self.bus.call("devicehub.enrolment.open", EnrolmentOpen(), EnrolmentView, caller=CLI)

    async def token(self, name: str, *scopes: str) -> str:
        body = TokenCreate(name=name, scopes=list(scopes))
        return (await self.bus.call("devicehub.tokens.create", body, TokenCreated, caller=CLI)).token

    def processes(self) -> Processes:
        """Every process of the hub by its part, this one as ``load``, and those of a ceiling."""
        return {**self.parts(), "load": [psutil.Process()], **self.extra}

    def parts(self) -> dict[str, list[psutil.Process]]:
        """The hub's processes, found as children of its supervisor."""
        supervisor = psutil.Process(int(self.paths.supervisor_pid.read_text()))
        found: dict[str, list[psutil.Process]] = {"supervisor": [supervisor]}
        for process in supervisor.children(recursive=True):
            found.setdefault(_part(process), []).append(process)
        return found

    async def _register(self, name: str) -> Device:
        csr, key = make_request(name)
        subject = f"devicehub.registry.devices.{name}.create"
        issued = await self.bus.call(subject, DeviceCreate(csr_pem=csr), Issued, caller=CLI, within=15)
        folder = self.hub.data / "bench"
        folder.mkdir(exist_ok=True)
        certificate, key_file = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_text(issued.cert_pem)
        key_file.write_text(key)
        return Device(name, context(self.hub.claim.ca, certificate, key_file))


async def set_stage(data: Path, **settings: str) -> Stage:
    """Bring a hub up, timed, and connect to it."""
    hub = RunningHub(data, **settings)
    began = time.monotonic()
    await asyncio.to_thread(hub.up)
    ready = time.monotonic() - began
    bus, client = await hub.bus()
    _, admin = await hub.bus("admin")
    return Stage(hub, bus, client, admin, ready)


async def strike(stage: Stage) -> None:
    """Close the connections and stop the hub."""
    await stage.client.close()
    await stage.admin.close()
    await asyncio.to_thread(stage.hub.down)


def context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Mutual TLS: the broker's certificate and name are checked."""
    made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(ca))
    made.load_cert_chain(certificate, key)
    return made


async def many(work: Callable[[T], Awaitable[R]], items: Sequence[T], at_once: int) -> list[R]:
    """The results of work on each item, in their order, some at once."""
    gate = asyncio.Semaphore(at_once)

    async def one(item: T) -> R:
        async with gate:
            return await work(item)

    return list(await asyncio.gather(*map(one, items)))


def _part(process: psutil.Process) -> str:
    try:
        line = process.cmdline()
        words = {Path(word).name for word in line[:5]}
        for name in ("mosquitto", "nats-server", "bridge", "gateway"):
            if name in words:
                return name
        if "functions" in words:
            return "index" if process.environ().get("HUB_FUNCTIONS_ROLE") == "index" else "functions"
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return "gone"
    return words.pop() if words else "gone"


def machine() -> dict[str, Any]:
    """What the figures are from."""
    import platform

    return {
        "cores": os.cpu_count(),
        "memoryMiB": psutil.virtual_memory().total // 2**20,
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processor": _processor(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
