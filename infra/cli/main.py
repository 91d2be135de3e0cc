"""The ``devicehub`` command: every subcommand, and nothing else.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import os

import typer

from infra.cli import (
    alarms,
    audit,
    ca,
    certificate,
    claim,
    device,
    doctor,
    enrolment,
    functions,
    group,
    invoke,
    job,
    message,
    method,
    metrics,
    nats_credentials,
    service,
    settings,
    simulate,
    stack,
    telemetry,
    token,
    twin,
    user,
    whitelist,
)
from infra.cli.console import Reporting

app = typer.Typer(
    cls=Reporting,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run a Device Hub on this machine, and look after its devices.",
)
app.command(epilog="Example: devicehub up --data /srv/hub --detach")(stack.up)
app.command(epilog="Example: devicehub down")(stack.down)
app.command(epilog="Example: devicehub status --json")(stack.status)
app.command(epilog="Example: devicehub logs bridge --follow")(stack.logs)
app.command(epilog="Example: devicehub serve functions")(stack.serve)
app.add_typer(enrolment.app, name="enrolment")
app.add_typer(settings.app, name="settings")
app.add_typer(ca.app, name="ca")
app.add_typer(claim.app, name="claim")
app.add_typer(whitelist.app, name="whitelist")
app.add_typer(certificate.app, name="certificate")
app.command(epilog="Example: devicehub crl --out crl.der --der")(certificate.crl)
app.add_typer(device.app, name="device")
app.add_typer(group.app, name="group")
app.command(epilog="Example: devicehub stats --out-of-sync 3600 --json")(group.stats)
app.add_typer(twin.app, name="twin")
app.add_typer(method.app, name="method")
app.add_typer(job.app, name="job")
app.add_typer(message.app, name="message")
app.add_typer(telemetry.app, name="telemetry")
app.command(epilog="Example: devicehub events pump-0007 --type overheated --since 2026-11-01")(telemetry.events)
app.add_typer(token.app, name="token")
app.add_typer(nats_credentials.app, name="nats-credentials")
app.add_typer(user.app, name="user")
app.add_typer(user.sessions, name="session")
app.add_typer(alarms.app, name="alarms")
app.add_typer(service.app, name="service")
app.command(epilog="Example: devicehub metrics --json")(metrics.metrics)
app.command(epilog="Example: devicehub audit --target pump-0007 --since 2026-11-01")(audit.audit)
app.command(epilog="Example: devicehub functions --live --json")(functions.functions)
app.command(epilog="Example: devicehub invoke enrolment.get --state hub.json")(invoke.invoke)
app.command(epilog="Example: devicehub simulate --devices 100 --rate 50 --for 60")(simulate.simulate)
app.command(epilog="Example: devicehub doctor --json")(doctor.doctor)


@app.callback()
def prepare(context: typer.Context) -> None:
    """Hand the environment, which only composition roots name, to the command."""
    context.obj = os.environ


def run() -> None:
    """The command line."""
    app()
