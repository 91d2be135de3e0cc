"""The ``devicehub`` command: every subcommand, and nothing else.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import typer

from infra.cli import claim, device, enrolment, functions, invoke, twin, whitelist
from infra.cli.console import Reporting

app = typer.Typer(
    cls=Reporting,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run a Device Hub on this machine, and look after its devices.",
)
app.add_typer(enrolment.app, name="enrolment")
app.add_typer(claim.app, name="claim")
app.add_typer(whitelist.app, name="whitelist")
app.add_typer(device.app, name="device")
app.add_typer(twin.app, name="twin")
app.command(epilog="Example: devicehub functions --live --json")(functions.functions)
app.command(epilog="Example: devicehub invoke enrolment.get --state hub.json")(invoke.invoke)


def run() -> None:
    """The command line."""
    app()
