"""``devicehub claim``: certificates that a fleet shares to join with."""

import typer

from infra.cli.connection import ask, data_directory, node_of, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Claim, Data, Days, Out

app = typer.Typer(
    no_args_is_help=True,
    help="Claim certificates: what devices of a fleet share to join with, and nothing else.",
)

_FILES = "provisioning"


@app.command(epilog="Example: devicehub claim create factory-2 --out ./factory-2 --days 365")
def create(
    name: Claim,
    out: Out,
    days: Days = None,
    data: Data = None,
) -> None:
    """Make a claim certificate and write its bundle: ca.crt, provisioning.crt, provisioning.key, config.json.

    The key is made here and stays in the bundle. Put the bundle on the
    devices; open enrolment when they should join.
    """
    from functions.contract.messages import ClaimCreate, Issued
    from functions.domain.names import CLAIM_PREFIX
    from infra.cli.bundles import Bundle, make_bundle
    from infra.cli.tables import moment

    common_name = f"{CLAIM_PREFIX}{name}"
    node = node_of(data_directory(data))
    issued = make_bundle(
        Bundle(out, _FILES),
        common_name,
        node,
        lambda csr: ask(data, "devicehub.claims.create", ClaimCreate(name=name, csr_pem=csr, days=days), Issued),
    )
    say(
        f"The claim certificate {common_name} is in {out}, valid until {moment(issued.expires_at)}.",
        "Devices may join with it while enrolment is open: devicehub enrolment open --minutes 30",
    )


@app.command("list", epilog="Example: devicehub claim list --json")
def list_(as_json: AsJson = False, data: Data = None) -> None:
    """List every claim certificate, with the revoked ones."""
    from functions.contract.messages import ClaimList, ClaimQuery
    from infra.cli.tables import moment, show_table

    found = ask(data, "devicehub.claims.list", ClaimQuery(revoked=True), ClaimList)
    if as_json:
        say_json(plain(found)["claims"])
        return
    rows = [
        (fact.name, fact.serial, moment(fact.created_at), moment(fact.not_after), moment(fact.revoked_at))
        for fact in found.claims
    ]
    columns = ("Name", "Serial", "Created", "Valid until", "Revoked")
    show_table(columns, rows, empty="There is no claim certificate. Make one: devicehub claim create NAME --out DIR")


@app.command(epilog="Example: devicehub claim revoke factory-2")
def revoke(name: Claim, data: Data = None) -> None:
    """Revoke a claim certificate: nobody joins with it any more. Devices that did stay."""
    from functions.contract.messages import ClaimRevoke, Done

    ask(data, "devicehub.claims.revoke", ClaimRevoke(name=name), Done)
    say(f"The claim certificate '{name}' is revoked.")
