"""``devicehub simulate``: a fleet of devices that are not there."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.connection import CALLER, connected, data_directory, node_of
from infra.cli.console import FAILED, complain, say_json
from infra.cli.options import AsJson, Data

if TYPE_CHECKING:
    import asyncio

    from infra.simulator.joining import Broker
    from infra.simulator.keyring import Identity
    from infra.simulator.running import Show, Wish

# Should the simulation be killed, enrolment closes by itself.
_OPEN_MINUTES = 60


def simulate(
    devices: Annotated[int, typer.Option("--devices", "-n", min=1, max=20_000, help="How many.")],
    rate: Annotated[
        float | None, typer.Option("--rate", min=0, help="Messages a second in all; else each device sends every 10 s.")
    ] = None,
    claim: Annotated[
        Path | None, typer.Option("--claim", metavar="DIR", help="The claim bundle; else the hub's first one.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0, help="How long to report; else until Ctrl-C.")
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Have each renew its certificate first; the hub grants that once an hour.")
    ] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Onboard simulated devices over mutual TLS, and have them report until stopped.

    They join with the claim certificate, report twin and telemetry, and
    become what is desired of them. Enrolment is opened for their joining if
    it is closed, and closed again. Their keys are kept in the data directory
    under simulator/, so the next run is the same devices; remove that
    directory to begin with new ones.
    """
    import asyncio

    from infra.cli.showing import make_show
    from infra.simulator.running import Wish

    show = make_show(to_stderr=as_json)
    summary = asyncio.run(_simulate(data_directory(data), Wish(devices, rate, seconds, renew), claim, show))
    if as_json:
        say_json(summary)
    if summary["joining"]["failed"]:
        raise typer.Exit(FAILED)


async def _simulate(data: Path, wish: "Wish", claim: Path | None, show: "Show") -> dict[str, Any]:
    import asyncio
    from functools import partial

    from infra.simulator.running import run

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stop)
    broker, identities = await asyncio.to_thread(_prepare, data, wish.devices, claim)
    return await run(broker, identities, wish, stop, show, partial(_enrolment, data, show))


def _prepare(data: Path, number: int, claim: Path | None) -> "tuple[Broker, list[Identity]]":
    """Where the devices connect, and their keys."""
    from infra.settings import Address
    from infra.simulator.joining import Broker
    from infra.simulator.keyring import Keyring
    from infra.stack.hosts import HERE

    node = node_of(data)
    if claim is not None:
        broker = Broker.of_bundle(claim)
    else:
        # The bundle may be older than the address.
        here = Address.parse(node.mqtt_listen).reach.host
        host = here if here in HERE else node.mqtt_host
        broker = Broker.of_bundle(data / "claims" / "default", host=host, port=node.mqtt_port)
    return broker, Keyring(data / "simulator", broker.claim.ca.read_text(encoding="ascii")).take(number)


@asynccontextmanager
async def _enrolment(data: Path, show: "Show") -> AsyncIterator[None]:
    """Enrolment open meanwhile: if it was closed, it is closed again."""
    from functions.contract.messages import EnrolmentOpen, EnrolmentView, Nothing

    async with connected(data) as (bus, _):
        view = await bus.call("devicehub.enrolment.get", Nothing(), EnrolmentView, caller=CALLER)
        if view.whitelist_enforced:
            show.say("The whitelist is enforced: the simulated devices are not on it and will be refused.")
        if view.is_open:
            yield
            return
        show.say("Enrolment is closed: it is opened while the devices join.")
        body = EnrolmentOpen(minutes=_OPEN_MINUTES)
        await bus.call("devicehub.enrolment.open", body, EnrolmentView, caller=CALLER)
        try:
            yield
        finally:
            await bus.call("devicehub.enrolment.close", Nothing(), EnrolmentView, caller=CALLER)
            show.say("Enrolment is closed again.")


def _stop(stop: "asyncio.Event") -> None:
    """Stop at the first signal; at a second one, whatever is under way."""
    stop.set()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    complain("Stopping.")
