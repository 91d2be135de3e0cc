"""``devicehub enrolment``: when devices may join."""

from typing import TYPE_CHECKING, Annotated

import typer

from functions.domain.names import claim_name
from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, checked

if TYPE_CHECKING:
    from functions.contract.messages import EnrolmentView

app = typer.Typer(no_args_is_help=True, help="Enrolment: when devices may join. It is closed unless opened.")


@app.command("open", epilog="Example: devicehub enrolment open --minutes 30")
def open_(
    minutes: Annotated[
        int | None, typer.Option(min=1, max=525_600, help="For how long; without it, until it is closed.")
    ] = None,
    serve_files: Annotated[
        str | None,
        typer.Option(
            "--serve-files",
            metavar="CLAIM",
            parser=checked(claim_name),
            help="Let any device fetch this claim certificate's files meanwhile, key included, without login.",
        ),
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Let devices that hold a claim certificate join; what was set before is replaced."""
    from functions.contract.messages import EnrolmentOpen, EnrolmentView

    wish = EnrolmentOpen(minutes=minutes, serve_files=serve_files)
    show_enrolment(ask(data, "devicehub.enrolment.open", wish, EnrolmentView), as_json=as_json)


@app.command(epilog="Example: devicehub enrolment close")
def close(as_json: AsJson = False, data: Data = None) -> None:
    """Let no further device join; those that did stay."""
    from functions.contract.messages import EnrolmentView, Nothing

    view = ask(data, "devicehub.enrolment.close", Nothing(), EnrolmentView)
    show_enrolment(view, as_json=as_json)


@app.command(epilog="Example: devicehub enrolment show --json")
def show(as_json: AsJson = False, data: Data = None) -> None:
    """Show whether devices may join, until when, and which."""
    from functions.contract.messages import EnrolmentView, Nothing

    view = ask(data, "devicehub.enrolment.get", Nothing(), EnrolmentView)
    show_enrolment(view, as_json=as_json)


# As the hub itself is asked.
app.command("status", epilog="Example: devicehub enrolment status --json")(show)


def show_enrolment(view: "EnrolmentView", *, as_json: bool) -> None:
    """Say how enrolment stands."""
    from infra.cli.tables import moment

    if as_json:
        say_json(plain(view))
        return
    if not view.is_open:
        say("Enrolment is closed.")
    elif view.open_until is None:
        say("Enrolment is open until it is closed.")
    else:
        say(f"Enrolment is open until {moment(view.open_until)}.")
    if view.serve_files is not None:
        say(f"Any device may fetch the files of the claim certificate '{view.serve_files}', key included.")
    if view.whitelist_enforced:
        say("Only hardware UUIDs on the whitelist may join.")
    else:
        say("The whitelist is not enforced.")
