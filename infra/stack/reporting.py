"""How a hub is now: which of its processes run, and which of them answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.node import Node, known_paths
from infra.problem import Problem
from infra.settings import Address
from infra.stack import readiness
from infra.stack.supervision import NotRunning, Process, Supervisor


@dataclass(frozen=True, slots=True)
class Report:
    """Every process of a hub, the names of those that answer, and why the bus could not be asked."""

    node: Node
    processes: tuple[Process, ...]
    ready: frozenset[str]
    trouble: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether everything that should run does, and answers."""
        return bool(self.processes) and all(process.name in self.ready for process in self.processes)


async def report(data: Path) -> Report | None:
    """How the hub in a data directory is; None if it does not run.

    Raises:
        Problem: the node file cannot be used.
    """
    paths, node = known_paths(data)
    if node is None:
        return None
    try:
        processes = tuple(Supervisor(paths).processes())
    except NotRunning:
        return None
    ready = set()
    broker = Address.parse(node.mqtt_listen).reach
    if await readiness.accepts(broker, readiness.broker_context(paths.broker / "ca.crt")):
        ready.add("mosquitto")
    wanted = {"functions": node.workers, "index": 1, "bridge": 1, "host": 1, "gateway": 1}
    try:
        password = paths.nats_password("cli").read_text(encoding="ascii").strip()
        async with readiness.bus_connection(node.nats_url, "cli", password) as client:
            ready.add("nats")
            found = await readiness.answering(client, wanted)
            ready |= {part for part, number in wanted.items() if found[part] >= number}
    except Problem as problem:
        return Report(node, processes, _names(processes, ready), str(problem))
    return Report(node, processes, _names(processes, ready))


def _names(processes: Iterable[Process], parts: set[str]) -> frozenset[str]:
    return frozenset(one.name for one in processes if one.part in parts)
