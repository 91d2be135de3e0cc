"""What a new hub comes with, and what a person is told when it is ready."""

import shlex
import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from functions.contract.messages import (
    BundleView,
    ClaimIssue,
    ClaimNamed,
    ClaimView,
    Nothing,
    SetupCodeGiven,
    SetupState,
)
from functions.domain.bundles import CONFIG
from functions.domain.faults import Conflict
from infra.cli.bundles import site_of, write_bundle
from infra.cli.connection import ask, data_directory
from infra.cli.console import say
from infra.node import write_node
from infra.settings import Address
from infra.stack.plan import Plan

_FIRST_CLAIM = "default"


def make_first_claim(plan: Plan) -> None:
    """Make the claim certificate that a new hub comes with, once."""
    if plan.node.claim_made_at:
        return
    if not (plan.paths.default_claim / CONFIG).exists():
        # Where the last start was cut off, it may be issued already.
        with suppress(Conflict):
            ask(plan.paths.data, "devicehub.claims.issue", ClaimIssue(name=_FIRST_CLAIM), ClaimView)
        bundle = ask(plan.paths.data, "devicehub.claims.bundle", ClaimNamed(name=_FIRST_CLAIM), BundleView)
        write_bundle(plan.paths.default_claim, bundle.files)
    at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    write_node(plan.paths.node, replace(plan.node, claim_made_at=at))


def first_run(plan: Plan) -> tuple[str, ...]:
    """What to say about signing in: with the code of the first run as long as nobody can."""
    where = plan.node.http_url
    if not ask(plan.paths.data, "devicehub.setup.get", Nothing(), SetupState).needed:
        return (f"  Sign in at           {where}",)
    given = ask(plan.paths.data, "devicehub.setup.open", Nothing(), SetupCodeGiven)
    return (
        f"  Set up at            {where}",
        f"  with the code        {given.code}  (makes the first admin; good for a day, and once)",
    )


def greet(plan: Plan) -> None:
    """Say where everything is and what to do next, in words that can be copied."""
    node, paths = plan.node, plan.paths
    site = site_of(paths.data)
    command = _own_command()
    known = data_directory(None) == paths.data
    data = "" if known else f" --data {shlex.quote(str(paths.data))}"
    say(
        "Device Hub is ready.",
        "",
        f"  Devices connect to   mqtts://{Address(site.mqtt_host, site.mqtt_port)}  (mutual TLS)",
        f"  Programs ask         {node.http_url}  (HTTP, with an API token)",
        *first_run(plan),
        f"  The bus is at        {node.nats_url}",
        f"  Everything is in     {paths.data}",
        f"  Claim bundle         {paths.default_claim}",
        "",
        "Next, let devices join with the claim bundle, or make one device's bundle:",
        "",
        f"  {command} enrolment open --minutes 30{data}",
        f"  {command} device create my-device --out my-device{data}",
    )


def _own_command() -> str:
    """How this command can be called again: by its name if the shell finds it, else by its path."""
    own = Path(sys.argv[0]).absolute()
    found = shutil.which(own.name)
    if found and Path(found).absolute() == own:
        return own.name
    here = Path.cwd()
    return str(own.relative_to(here) if own.is_relative_to(here) else own)
