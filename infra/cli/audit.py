"""``devicehub audit``: who did what, to what, from where."""

from datetime import datetime
from typing import Annotated, Any

import typer

from infra.cli.connection import ask, plain
from infra.cli.console import say_json
from infra.cli.options import AsJson, Data

Actor = Annotated[
    str | None, typer.Option("--actor", metavar="KIND:NAME", help="Only what this one did: user:anna, system:cli.")
]
Action = Annotated[
    str | None,
    typer.Option("--action", metavar="ACTION", help="Only this: device.suspended, or device for all."),
]
Target = Annotated[
    str | None, typer.Option("--target", metavar="ID", help="Only what was done to this: an id, or device:pump-0001.")
]
Since = Annotated[datetime | None, typer.Option("--since", help="Only what was done at this time (UTC) and later.")]
Until = Annotated[datetime | None, typer.Option("--until", help="Only what was done before this time (UTC).")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many entries at most.")]


def audit(
    actor: Actor = None,
    action: Action = None,
    target: Target = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show who did what, to what and from where, the newest first. With --json, also what it was before and after."""
    from pydantic import ValidationError

    from functions.contract.messages import AuditList, AuditQuery
    from infra.cli.tables import moment, show_table

    given: dict[str, Any] = {
        "actor": actor,
        "action": action,
        "target": target,
        "start_time": since,
        "end_time": until,
    }
    try:
        asked = AuditQuery(**{name: value for name, value in given.items() if value is not None}, limit=limit)
    except ValidationError as problem:
        wrong = ", ".join(f"--{error['loc'][0]}" for error in problem.errors())
        raise typer.BadParameter(f"{wrong}: an action is 'device.suspended', a target 'device:pump-0001'.") from None
    found = ask(data, "devicehub.audit.query", asked, AuditList)
    if as_json:
        say_json([plain(one) for one in found.entries])
        return
    rows = [
        (moment(one.at), one.actor, one.origin, one.action, one.target if one.target != "-" else "")
        for one in found.entries
    ]
    show_table(("Time", "Who", "From", "What", "To what"), rows, empty="Nothing like it was done.")
