"""``devicehub claim``: certificates that a fleet shares to join with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from functions.domain.bundles import CLAIM_FILES
from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Claim, Data, Days, Out

if TYPE_CHECKING:
    from functions.contract.messages import ClaimView, Issued

app = typer.Typer(
    no_args_is_help=True,
    help="Claim certificates: what devices of a fleet share to join with, and nothing else.",
)

_NEXT = "Devices may join with it while enrolment is open: devicehub enrolment open --minutes 30"


@app.command(epilog="Example: devicehub claim create factory-2 --out ./factory-2 --days 365")
def create(
    name: Claim,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write the bundle; without it, nowhere yet.")
    ] = None,
    days: Days = None,
    own_key: Annotated[
        bool, typer.Option("--own-key", help="Make the key here, and let the hub never have it. Needs --out.")
    ] = False,
    data: Data = None,
) -> None:
    """Make a claim certificate and write its bundle: ca.crt, provisioning.crt, provisioning.key, config.json.

    The hub keeps the key, sealed, until the claim certificate is deleted: its
    bundle can be downloaded again, and served to devices. With --own-key it
    cannot; the key is then in the directory and nowhere else.
    """
    if own_key:
        if out is None:
            raise typer.BadParameter("The key would be nowhere: name a directory with --out.", param_hint="--own-key")
        _create_here(data, name, out, days)
        return
    from functions.contract.messages import ClaimIssue, ClaimView
    from infra.cli.bundles import refuse_taken
    from infra.cli.tables import moment

    if out is not None:
        refuse_taken(out, CLAIM_FILES)
    made = ask(data, "devicehub.claims.issue", ClaimIssue(name=name, days=days), ClaimView)
    if out is None:
        say(
            f"The claim certificate {made.common_name} is valid until {moment(made.not_after)}.",
            f"Its bundle: devicehub claim download {name} --out DIR",
        )
        return
    _write(data, name, out)
    say(f"The claim certificate {made.common_name} is in {out}, valid until {moment(made.not_after)}.", _NEXT)


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
        (
            fact.name,
            fact.serial,
            moment(fact.created_at),
            moment(fact.not_after),
            moment(fact.revoked_at),
            "yes" if fact.has_bundle else "no",
        )
        for fact in found.claims
    ]
    columns = ("Name", "Serial", "Created", "Valid until", "Revoked", "Bundle kept")
    show_table(columns, rows, empty="There is no claim certificate. Make one: devicehub claim create NAME --out DIR")


@app.command(epilog="Example: devicehub claim show factory-2")
def show(name: Claim, as_json: AsJson = False, data: Data = None) -> None:
    """Show a claim certificate: whose and until when, its fingerprint, and the certificate in PEM."""
    from functions.contract.messages import ClaimNamed, ClaimView
    from infra.cli.tables import show_facts

    view = ask(data, "devicehub.claims.get", ClaimNamed(name=name), ClaimView)
    if as_json:
        say_json(plain(view))
        return
    show_facts(_facts(view))
    say("", view.cert_pem.rstrip())


@app.command(epilog="Example: devicehub claim download factory-2 --out ./factory-2")
def download(name: Claim, out: Out, data: Data = None) -> None:
    """Write the bundle of a claim certificate whose key the hub keeps."""
    from infra.cli.bundles import refuse_taken

    refuse_taken(out, CLAIM_FILES)
    _write(data, name, out)
    say(f"The bundle of the claim certificate '{name}' is in {out}.")


@app.command(epilog="Example: devicehub claim delete factory-2")
def delete(name: Claim, data: Data = None) -> None:
    """Revoke a claim certificate and forget its key: nobody joins with it any more. Devices that did stay."""
    from functions.contract.messages import ClaimRevoke, Done

    ask(data, "devicehub.claims.revoke", ClaimRevoke(name=name), Done)
    say(f"The claim certificate '{name}' is revoked.")


# The word that certificates and devices are given, too.
app.command("revoke", epilog="Example: devicehub claim revoke factory-2")(delete)


def _write(data: Path | None, name: str, out: Path) -> None:
    """Fetch the bundle and write it."""
    from functions.contract.messages import BundleView, ClaimNamed
    from infra.cli.bundles import write_bundle

    write_bundle(out, ask(data, "devicehub.claims.bundle", ClaimNamed(name=name), BundleView).files)


def _create_here(data: Path | None, name: str, out: Path, days: int | None) -> None:
    """Make the key in the directory and have it signed."""
    from functions.contract.messages import ClaimCreate, Issued
    from functions.domain.names import CLAIM_PREFIX
    from infra.cli.bundles import Bundle, make_bundle, site_of
    from infra.cli.tables import moment

    def sign(csr: str) -> "Issued":
        return ask(data, "devicehub.claims.create", ClaimCreate(name=name, csr_pem=csr, days=days), Issued)

    common_name = f"{CLAIM_PREFIX}{name}"
    issued = make_bundle(Bundle(out, CLAIM_FILES), common_name, site_of(data), sign)
    say(f"The claim certificate {common_name} is in {out}, valid until {moment(issued.expires_at)}.", _NEXT)


def _facts(view: "ClaimView") -> list[tuple[str, str]]:
    from infra.cli.tables import moment

    return [
        ("Name", view.name),
        ("Common name", view.common_name),
        ("Serial", view.serial),
        ("Fingerprint", view.fingerprint),
        ("Created", f"{moment(view.created_at)} by {view.created_by}"),
        ("Valid from", moment(view.not_before)),
        ("Valid until", moment(view.not_after)),
        ("Bundle", "kept by the hub" if view.has_bundle else "not with the hub: its key was made elsewhere"),
    ]
