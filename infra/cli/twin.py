"""``devicehub twin``: what a device should be, and what it says it is."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, Device

if TYPE_CHECKING:
    from functions.contract.messages import TwinView

app = typer.Typer(no_args_is_help=True, help="Digital twins: what a device should be, and what it says it is.")


@app.command(epilog="Example: devicehub twin get pump-0007 --json")
def get(device: Device, as_json: AsJson = False, data: Data = None) -> None:
    """Show both halves of a twin and what of the desired one the device has not reported yet."""
    from functions.contract.messages import Nothing, TwinView

    view = ask(data, f"devicehub.twins.{device}.get", Nothing(), TwinView)
    _show(view, as_json=as_json)


@app.command("set", epilog="""Example: devicehub twin set pump-0007 '{"rate": 12, "mode": null}'""")
def set_(
    device: Device,
    patch: Annotated[
        str, typer.Argument(metavar="JSON", help="A JSON object, @FILE to read it from a file, or - from the input.")
    ],
    expected_version: Annotated[
        int | None, typer.Option(min=0, help="Refuse unless the desired half has this version.")
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Merge a patch into the desired half of a twin (RFC 7396): objects merge at every depth, null removes."""
    from functions.contract.messages import TwinDesire, TwinView

    wish = TwinDesire(desired=read_patch(patch), expected_version=expected_version)
    view = ask(data, f"devicehub.twins.{device}.desire", wish, TwinView)
    _show(view, as_json=as_json)


def read_patch(text: str) -> dict[str, Any]:
    """The patch that an argument gives: JSON itself, ``@FILE``, or ``-`` for standard input.

    Raises:
        typer.BadParameter: it is no JSON object, or the file cannot be read.
    """
    from pydantic_core import from_json

    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        found = from_json(text, allow_inf_nan=False)
    except (OSError, UnicodeDecodeError) as problem:
        raise typer.BadParameter(f"The patch cannot be read: {problem}.") from problem
    except ValueError as problem:
        raise typer.BadParameter(f"The patch is not JSON: {problem}.") from problem
    if not isinstance(found, dict):
        raise typer.BadParameter('The patch must be a JSON object, such as \'{"led": "on"}\'.')
    return found


def _show(view: "TwinView", *, as_json: bool) -> None:
    from infra.cli.tables import moment

    if as_json:
        say_json(plain(view))
        return
    waiting = "nothing; the device has reported all of it" if not view.delta else _document(view.delta)
    say(
        f"{view.device_id}, last updated {moment(view.last_updated)}",
        f"desired (version {view.desired_version}): {_document(view.desired)}",
        f"reported (version {view.reported_version}): {_document(view.reported)}",
        f"open difference: {waiting}",
    )


def _document(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True)
