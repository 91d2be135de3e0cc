"""Options and arguments that several commands share."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from functions.domain.faults import Malformed
from functions.domain.groups import group_name
from functions.domain.names import claim_name, device_id, is_role, is_token


def checked(check: Callable[[str], str]) -> Callable[[str], str]:
    """The check of a name, as the command line wants it: a wrong name is wrong usage."""

    def parse(text: str) -> str:
        try:
            return check(text)
        except Malformed as fault:
            raise typer.BadParameter(fault.detail) from fault

    return parse


def query_of(argument: str, option: str) -> str:
    """The query, which is given as QUERY or with ``--q``. Raises BadParameter if it is given twice."""
    if argument and option:
        raise typer.BadParameter("Give the query once, as QUERY or with --q.")
    return argument or option


def read_json_argument(text: str | None) -> Any:
    """The JSON that an argument gives: itself, ``@FILE``, or ``-`` for standard input; None where there is none.

    Raises:
        typer.BadParameter: it is no JSON, or the file cannot be read.
    """
    from functions.contract.reading import read_json

    if text is None:
        return None
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return read_json(text.encode(), "text")
    except (OSError, UnicodeError) as problem:
        raise typer.BadParameter(f"The JSON cannot be read: {problem}.") from problem
    except Malformed as fault:
        raise typer.BadParameter(fault.detail) from fault


def _id_or_role(text: str) -> str:
    if not is_role(text):
        raise Malformed(
            detail="A device is named by its id or role: 1 to 64 letters, digits, '_' or '-', beginning with a letter"
            " or digit, and not with 'claim-' or 'hub-'."
        )
    return text


def _name(text: str) -> str:
    if not is_token(text):
        raise Malformed(detail=f"'{text}' is no name: 1 to 64 letters, digits, '_' or '-'.")
    return text


Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar="HUB_DATA_DIR",
        # Whose it is, and what to do then, the commands say themselves.
        readable=False,
        help="The hub's data directory; by default ./data in a clone, else /var/lib/devicehub.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
QueryOption = Annotated[
    str, typer.Option("--q", metavar="QUERY", help="The same as QUERY, which may then begin with '-'.")
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write the bundle.")]
Days = Annotated[int | None, typer.Option("--days", min=1, max=36500, help="How long the certificate is valid.")]
Group = Annotated[str, typer.Argument(metavar="NAME", parser=checked(group_name), help="The name of the group.")]
Device = Annotated[
    str, typer.Argument(metavar="ID", parser=checked(_id_or_role), help="The id of a device, or the role it has.")
]
Method = Annotated[str, typer.Argument(metavar="METHOD", parser=checked(_name), help="The name of the method.")]
Json = Annotated[
    str | None, typer.Argument(metavar="[JSON]", help="Any JSON, @FILE to read it from a file, or - from the input.")
]
NewDevice = Annotated[str, typer.Argument(metavar="ID", parser=checked(device_id), help="The device id.")]
Claim = Annotated[
    str, typer.Argument(metavar="NAME", parser=checked(claim_name), help="The name, without 'claim-' before it.")
]
