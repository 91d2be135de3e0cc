"""``devicehub metrics``: what the hosts that the hub lives on are busy with."""

from typing import TYPE_CHECKING, Annotated

import typer

from functions.domain.names import is_token
from infra.cli.connection import ask, plain
from infra.cli.console import complain, say, say_json
from infra.cli.options import AsJson, Data

if TYPE_CHECKING:
    from functions.contract.messages import HostSample


def _node(text: str) -> str:
    if not is_token(text):
        raise typer.BadParameter("'devicehub service list' shows the names.")
    return text


Node = Annotated[str | None, typer.Option("--node", metavar="NODE", parser=_node, help="Only this host.")]


def metrics(node: Node = None, as_json: AsJson = False, data: Data = None) -> None:
    """Show what each host is busy with now, and the hub's parts on it."""
    from functions.contract.messages import MetricsList, MetricsQuery

    found = ask(data, "devicehub.metrics.get", MetricsQuery(node=node), MetricsList)
    if as_json:
        say_json([plain(one) for one in found.hosts])
        return
    if not found.hosts:
        say("No host has been heard of. Its shim is started with 'devicehub serve host'.")
    for host in found.hosts:
        if host.sample is not None:
            _show(host.sample)
        else:
            complain(f"{host.node}: {host.problem}")


def _show(one: "HostSample") -> None:
    from infra.cli.tables import moment, show_facts, show_table

    synchronised = {True: "follows a time server", False: "follows no time server", None: ""}
    facts = [
        ("host", one.node),
        ("measured", moment(one.at)),
        ("up for", f"{one.uptime_seconds // 86_400} d {one.uptime_seconds % 86_400 // 3600} h"),
        ("clock", synchronised[one.clock_synchronised]),
        ("processors", f"{one.cpu.percent:.0f} % of {len(one.cpu.cores)}, load {one.cpu.load[0]:.2f}"),
        ("memory", f"{_mib(one.memory.used_bytes)} of {_mib(one.memory.total_bytes)} used"),
        ("swap", f"{_mib(one.memory.swap_used_bytes)} of {_mib(one.memory.swap_total_bytes)} used"),
        *((f"disk {disk.mount}", f"{disk.percent:.0f} % used, {_mib(disk.free_bytes)} free") for disk in one.disks),
        *(
            (
                f"network {net.name}",
                f"{_rate(net.received_bytes_per_second)} in, {_rate(net.sent_bytes_per_second)} out",
            )
            for net in one.networks
            if net.is_up
        ),
        *((warm.sensor, f"{warm.celsius:.0f} °C") for warm in one.temperatures),
    ]
    show_facts(facts)
    rows = [
        (
            part.unit,
            str(part.processes),
            "" if part.percent is None else f"{part.percent:.1f} %",
            _mib(part.memory_bytes),
        )
        for part in one.parts
    ]
    say("")
    show_table(("PART", "PROCESSES", "PROCESSOR", "MEMORY"), rows, empty="None of the hub's parts runs there.")


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"


def _rate(size: float | None) -> str:
    return "-" if size is None else f"{size / 1024:,.1f} KiB/s"
