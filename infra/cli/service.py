"""``devicehub service``: the units that the hub lives on."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from functions.domain.names import is_token
from infra.cli.connection import ask, plain
from infra.cli.console import complain, say, say_json
from infra.cli.options import AsJson, Data

if TYPE_CHECKING:
    from functions.contract.messages import ServiceView

app = typer.Typer(no_args_is_help=True, help="The services that the hub lives on: their state, and their restarts.")

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}", re.ASCII)


def _unit(text: str) -> str:
    if _UNIT.fullmatch(text) is None:
        raise typer.BadParameter("'devicehub service list' shows the names.")
    return text


def _node(text: str) -> str:
    if not is_token(text):
        raise typer.BadParameter("'devicehub service list' shows the names.")
    return text


Unit = Annotated[
    str,
    typer.Argument(metavar="UNIT", parser=_unit, help="The name of the unit, as 'devicehub service list' has it."),
]
Node = Annotated[
    str | None,
    typer.Option("--node", metavar="NODE", parser=_node, help="The host; needed where several have such a unit."),
]
# A little longer than the function gives itself.
_ACT_SECONDS = 61.0


@app.command("list", epilog="Example: devicehub service list --json")
def list_(node: Node = None, as_json: AsJson = False, data: Data = None) -> None:
    """List the services of every host, or of one."""
    from functions.contract.messages import ServiceList, ServiceQuery
    from infra.cli.tables import moment, show_table

    found = ask(data, "devicehub.services.list", ServiceQuery(node=node), ServiceList)
    if as_json:
        say_json([plain(one) for one in found.services])
        return
    rows = [
        (one.node, one.unit, one.state, one.sub_state, str(one.pid or ""), _memory(one), moment(one.since))
        for one in found.services
    ]
    show_table(
        ("NODE", "UNIT", "STATE", "SUB-STATE", "PID", "MEMORY", "SINCE"),
        rows,
        empty="No host has told of a service. Its shim is started with 'devicehub serve host'.",
    )
    for host in found.hosts:
        if host.problem:
            complain(f"{host.node}: {host.problem}")


@app.command(epilog="Example: devicehub service show gateway")
def show(unit: Unit, node: Node = None, as_json: AsJson = False, data: Data = None) -> None:
    """Show one service."""
    from functions.contract.messages import ServiceNamed, ServiceView

    found = ask(data, "devicehub.services.get", ServiceNamed(unit=unit, node=node), ServiceView)
    if as_json:
        say_json(plain(found))
    else:
        _show(found)


@app.command(epilog="Example: devicehub service start mosquitto")
def start(unit: Unit, node: Node = None, data: Data = None) -> None:
    """Start a service, and return when it has started."""
    _act("start", unit, node, data)


@app.command(epilog="Example: devicehub service stop mosquitto")
def stop(unit: Unit, node: Node = None, data: Data = None) -> None:
    """Stop a service, and return when it has stopped."""
    _act("stop", unit, node, data)


@app.command(epilog="Example: devicehub service restart bridge --node hub-4f1c2a9b")
def restart(unit: Unit, node: Node = None, data: Data = None) -> None:
    """Restart a service, and return when it has; one that carries the answer is restarted just after it."""
    _act("restart", unit, node, data)


def _act(verb: str, unit: str, node: str | None, data: Data) -> None:
    from functions.contract.messages import ServiceActed, ServiceNamed

    body = ServiceNamed(unit=unit, node=node)
    acted = ask(data, f"devicehub.services.{verb}", body, ServiceActed, within=_ACT_SECONDS)
    if acted.result == "begun":
        say(f"The {verb} of {unit} on {acted.service.node} begins now; 'devicehub service show {unit}' tells of it.")
    else:
        _show(acted.service)


def _show(one: "ServiceView") -> None:
    from infra.cli.tables import moment, show_facts

    show_facts(
        (
            ("unit", one.unit),
            ("node", one.node),
            ("description", one.description),
            ("state", f"{one.state} ({one.sub_state})"),
            ("since", moment(one.since)),
            ("pid", str(one.pid or "")),
            ("memory", _memory(one)),
            ("restarts", "" if one.restarts is None else str(one.restarts)),
            ("version", one.version or ""),
            ("may be asked", ", ".join(one.verbs)),
        )
    )


def _memory(one: "ServiceView") -> str:
    return "" if one.memory_bytes is None else f"{one.memory_bytes / 1024**2:.1f} MiB"
